package channel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// HeaderSize is the length of a frame's header in bytes. The payload follows it.
const HeaderSize = 56

// version is that of frames and of signals. A reader refuses any other: a topology's workers run one build.
const version = 1

// Errors of Decode and DecodeSignal; also of Frame.Cut. They are wrapped with the details.
var (
	// ErrShort: the message is shorter than its header states.
	ErrShort = errors.New("channel: message too short")
	// ErrForeign: the message is neither a frame nor a signal (or not the one that was asked for). Another program
	// publishes on this topology's subjects.
	ErrForeign = errors.New("channel: not one of our messages")
	// ErrVersion: the sender is of another version of Askback. Workers of one topology must be of one build.
	ErrVersion = errors.New("channel: message of another version")
	// ErrDamaged: a checksum or a length does not fit. Drop the message; it will be asked for again.
	ErrDamaged = errors.New("channel: message is damaged")
)

// ErrOutside is returned by Frame.Cut for sequence numbers that the frame does not hold.
var ErrOutside = errors.New("channel: sequence numbers outside the frame")

// Flags of a frame are for the recovery strategy; see Stamp. The others leave them zero.
type Flags uint8

// A Header names the items of a frame, and their channel.
type Header struct {
	Plan        uint64            // version of the plan that numbers the channel
	Channel     uint32            // the channel's number in the plan
	Incarnation msgid.Incarnation // of the source task that sends the frame
	First       msgid.Seq         // sequence number of the first item, at least 1
	Count       uint32            // how many items, at least 1
	Flags       Flags
	Birth       int64 // when the root of the oldest tuple was born, Unix nanoseconds; 0 unknown. For latency figures only
	// Before and After are the CRC-32C of all the channel's items since sequence number 1: those before First,
	// and those up to the last of this frame.
	Before, After uint32
}

// Last returns the sequence number of the last item.
func (h *Header) Last() msgid.Seq { return h.First + msgid.Seq(h.Count) - 1 }

// A Frame is consecutive items of one channel. Header is the decoded header of Raw. A frame is immutable, but for
// Restamp and Stamp, and may be read by several goroutines.
type Frame struct {
	Header
	Raw []byte // the whole encoded frame: header, then payload
}

// Payload returns the items. They are not copied.
func (f *Frame) Payload() []byte { return f.Raw[HeaderSize:] }

// Len returns the length of the whole encoded frame in bytes; retention and flow control count it.
func (f *Frame) Len() int { return len(f.Raw) }

// Decode reads the frame that is the whole of raw, and keeps raw. It verifies header and payload against their checksums;
// it does not look into the items, which tuple.Cursor validates as it reads them.
func Decode(raw []byte) (Frame, error) {
	if len(raw) < 2 || raw[0] != 'A' || raw[1] != 'F' {
		return Frame{}, fmt.Errorf("%w: %d bytes without a frame's magic", ErrForeign, len(raw))
	}
	if len(raw) < HeaderSize {
		return Frame{}, fmt.Errorf("%w: %d bytes, a frame's header has %d", ErrShort, len(raw), HeaderSize)
	}
	if raw[2] != version {
		return Frame{}, fmt.Errorf("%w: frame of version %d, this build reads %d", ErrVersion, raw[2], version)
	}
	if sum := crc32.Checksum(raw[:52], castagnoli); sum != binary.LittleEndian.Uint32(raw[52:]) {
		return Frame{}, fmt.Errorf("%w: frame header checksum", ErrDamaged)
	}
	f := Frame{Raw: raw, Header: Header{
		Flags:       Flags(raw[3]),
		Channel:     binary.LittleEndian.Uint32(raw[4:]),
		Plan:        binary.LittleEndian.Uint64(raw[8:]),
		Incarnation: msgid.Incarnation(binary.LittleEndian.Uint32(raw[16:])),
		Count:       binary.LittleEndian.Uint32(raw[20:]),
		First:       msgid.Seq(binary.LittleEndian.Uint64(raw[24:])),
		Birth:       int64(binary.LittleEndian.Uint64(raw[32:])),
		Before:      binary.LittleEndian.Uint32(raw[40:]),
		After:       binary.LittleEndian.Uint32(raw[44:]),
	}}
	want, payload := uint64(binary.LittleEndian.Uint32(raw[48:])), f.Payload()
	switch have := uint64(len(payload)); {
	case have < want:
		return Frame{}, fmt.Errorf("%w: frame with %d bytes of payload, its header says %d", ErrShort, have, want)
	case have > want:
		return Frame{}, fmt.Errorf("%w: frame with %d bytes of payload, its header says %d", ErrDamaged, have, want)
	case f.Count == 0 || uint64(f.Count) > have: // an item has at least one byte
		return Frame{}, fmt.Errorf("%w: frame of %d items in %d bytes", ErrDamaged, f.Count, have)
	case f.First == 0 || f.First > math.MaxUint64-msgid.Seq(f.Count):
		return Frame{}, fmt.Errorf("%w: frame of %d items from sequence number %d", ErrDamaged, f.Count, f.First)
	}
	if sum := Checksum(f.Before, payload); sum != f.After {
		return Frame{}, fmt.Errorf("%w: payload checksum of frame #%d-%d", ErrDamaged, f.First, f.Last())
	}
	return f, nil
}

// Restamp makes the frame one of another incarnation of its source, in Raw too. The caller must own Raw.
func (f *Frame) Restamp(inc msgid.Incarnation) {
	f.Incarnation = inc
	f.Header.put(f.Raw)
}

// Stamp sets the frame's flags, in Raw too. The caller must own Raw.
func (f *Frame) Stamp(flags Flags) {
	f.Flags = flags
	f.Header.put(f.Raw)
}

// Cut returns a new frame with only the items first to last, both included. It does not share memory with f.
// Sequence numbers outside the frame give ErrOutside; a payload that does not hold Count items ErrDamaged.
func (f *Frame) Cut(first, last msgid.Seq) (Frame, error) {
	if first < f.First || last > f.Last() || first > last {
		return Frame{}, fmt.Errorf("cut #%d-%d from frame #%d-%d: %w", first, last, f.First, f.Last(), ErrOutside)
	}
	payload := f.Payload()
	from, err := skip(payload, 0, uint64(first-f.First))
	if err != nil {
		return Frame{}, f.cutError(err)
	}
	to, err := skip(payload, from, uint64(last-first)+1)
	if err != nil {
		return Frame{}, f.cutError(err)
	}
	if last == f.Last() && to != len(payload) {
		return Frame{}, f.cutError(fmt.Errorf("%d bytes after the last item", len(payload)-to))
	}
	cut := Frame{Header: f.Header, Raw: make([]byte, HeaderSize+to-from)}
	copy(cut.Raw[HeaderSize:], payload[from:to])
	cut.First, cut.Count = first, uint32(last-first)+1
	cut.Before = Checksum(f.Before, payload[:from])
	cut.After = Checksum(cut.Before, payload[from:to])
	cut.Header.put(cut.Raw)
	return cut, nil
}

func (f *Frame) cutError(err error) error {
	return fmt.Errorf("%w: cut frame #%d-%d: %w", ErrDamaged, f.First, f.Last(), err)
}

// skip returns the offset in b that is n items after from.
func skip(b []byte, from int, n uint64) (int, error) {
	for range n {
		size, _, err := tuple.Skip(b[from:])
		if err != nil {
			return 0, err
		}
		if size == 0 {
			return 0, errors.New("fewer items than the header states")
		}
		from += size
	}
	return from, nil
}

// Checksum continues a channel's running checksum, CRC-32C, over the bytes of further items. Before the first
// item it is 0.
func Checksum(sum uint32, items []byte) uint32 { return crc32.Update(sum, castagnoli, items) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// put writes the header of the frame that is the whole of raw.
func (h *Header) put(raw []byte) {
	_ = raw[HeaderSize-1]
	raw[0], raw[1], raw[2], raw[3] = 'A', 'F', version, byte(h.Flags)
	binary.LittleEndian.PutUint32(raw[4:], h.Channel)
	binary.LittleEndian.PutUint64(raw[8:], h.Plan)
	binary.LittleEndian.PutUint32(raw[16:], uint32(h.Incarnation))
	binary.LittleEndian.PutUint32(raw[20:], h.Count)
	binary.LittleEndian.PutUint64(raw[24:], uint64(h.First))
	binary.LittleEndian.PutUint64(raw[32:], uint64(h.Birth))
	binary.LittleEndian.PutUint32(raw[40:], h.Before)
	binary.LittleEndian.PutUint32(raw[44:], h.After)
	binary.LittleEndian.PutUint32(raw[48:], uint32(len(raw)-HeaderSize))
	binary.LittleEndian.PutUint32(raw[52:], crc32.Checksum(raw[:52], castagnoli))
}
