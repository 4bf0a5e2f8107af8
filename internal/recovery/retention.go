package recovery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// A Retention holds the frames of an output that its target may still need, oldest first. The zero Retention is empty.
//
// Each frame has an offset: how many bytes were sealed before it since this incarnation began. By offsets windows of
// bytes are measured, so they never fall.
//
// Invariant: the sequence numbers of its frames rise.
type Retention struct {
	frames []Retained // beginning at head
	head   int
	end    uint64
}

// A Retained frame is the slice that the operator's emitter sealed, not a copy.
type Retained struct {
	Frame  channel.Frame
	Offset uint64 // of its first byte
	Gate   uint64 // the order position that led to it, where order is recorded
}

// Len returns the number of frames.
func (r *Retention) Len() int { return len(r.frames) - r.head }

// At returns the k-th frame from the oldest, which is number 0.
func (r *Retention) At(k int) *Retained { return &r.frames[r.head+k] }

// Find returns which frame holds s, or is the first one above it; Len if there is none.
func (r *Retention) Find(s msgid.Seq) int {
	live := r.frames[r.head:]
	return sort.Search(len(live), func(k int) bool { return live[k].Frame.Last() >= s })
}

// End returns the offset of the frame to come.
func (r *Retention) End() uint64 { return r.end }

// After returns the offset of the frame that holds the tuple after s, or of the next frame to be sealed.
func (r *Retention) After(s msgid.Seq) uint64 {
	if k := r.Find(s + 1); k < r.Len() {
		return r.At(k).Offset
	}
	return r.end
}

// Bytes returns how many bytes the frames have together.
func (r *Retention) Bytes() uint64 {
	if r.Len() == 0 {
		return 0
	}
	return r.end - r.At(0).Offset
}

// Push keeps a frame that was sealed.
func (r *Retention) Push(f channel.Frame, gate uint64) {
	r.frames = append(r.frames, Retained{f, r.end, gate})
	r.end += uint64(f.Len())
}

// Skip counts a frame that was sealed and need not be kept. It must not be called while any is.
func (r *Retention) Skip(f channel.Frame) { r.end += uint64(f.Len()) }

// Trim drops the frames that lie whole at or below stable, and returns how many there were. It calls free with each, which
// must not keep the pointer.
func (r *Retention) Trim(stable msgid.Seq, free func(*channel.Frame)) (n int) {
	live := r.frames[r.head:]
	for ; n < len(live) && live[n].Frame.Last() <= stable; n++ {
		free(&live[n].Frame)
		live[n] = Retained{} // or a long run would refer to them all
	}
	r.head += n
	if r.head*2 >= len(r.frames) {
		left := copy(r.frames, r.frames[r.head:])
		clear(r.frames[left:])
		r.frames, r.head = r.frames[:left], 0
	}
	return n
}

// Append appends the frames from one up to, but without, another, for Decoder.Frames to read.
func (r *Retention) Append(dst []byte, from, to int) []byte {
	frames := r.frames[r.head+from : r.head+to]
	size := binary.MaxVarintLen64
	for k := range frames {
		size += frames[k].Frame.Len() + binary.MaxVarintLen64
	}
	dst = binary.AppendUvarint(slices.Grow(dst, size), uint64(len(frames)))
	for k := range frames {
		raw := frames[k].Frame.Raw
		dst = binary.AppendUvarint(dst, uint64(len(raw)))
		dst = append(dst, raw...)
	}
	return dst
}

// Frames reads the result of Retention.Append. The frames are copies.
func (d *Decoder) Frames() (frames []channel.Frame, err error) {
	for range d.Uvarint() {
		raw := d.Bytes(d.Uvarint())
		if d.Bad() {
			return nil, errors.New("they are cut short")
		}
		f, err := channel.Decode(append([]byte(nil), raw...))
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// Restore retains the frames of an earlier incarnation under the name of a new one. The frames of a port must lead without
// a hole from the stable position to the emitted one; those that have become stable are passed over.
func (r *Retention) Restore(frames []channel.Frame, p Port, inc msgid.Incarnation, stable, emitted msgid.Seq) error {
	next := stable + 1
	for _, f := range frames {
		if f.Last() <= stable {
			continue
		}
		if f.Channel != p.Number || f.First > next || f.First < next && r.Len() > 0 {
			return fmt.Errorf("a frame #%d-%d of channel %d is where #%d of %v is expected", f.First, f.Last(), f.Channel, next, p.ID)
		}
		next = f.Last() + 1
		f.Restamp(inc)
		r.Push(f, 0)
	}
	if next != emitted+1 {
		return fmt.Errorf("%v is retained up to #%d, and was emitted up to #%d", p.ID, next-1, emitted)
	}
	return nil
}
