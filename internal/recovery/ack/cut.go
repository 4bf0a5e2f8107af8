package ack

import (
	"fmt"
	"slices"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// A place in a frame is where the last piece ended. The next one begins there, so cutting a frame into its tuples
// reads it once.
type place struct {
	frame msgid.Seq // the frame's first tuple
	next  msgid.Seq // the tuple that begins here
	off   int       // in the payload
	sum   uint32    // running checksum before it
}

// next returns the tuples after sent, up to most: a whole frame as it is, or a piece of one.
func (m *Machine) next(out *output, most msgid.Seq) (channel.Frame, error) {
	first := out.sent + 1
	f := &out.retained.At(out.retained.Find(first)).Frame
	last := min(f.Last(), most)
	if first == f.First && last == f.Last() {
		return *f, nil
	}
	if out.cut.frame != f.First || out.cut.next > first {
		out.cut = place{frame: f.First, next: f.First, sum: f.Before}
	}
	if err := out.cut.pass(f, first); err != nil {
		return channel.Frame{}, err
	}
	from := out.cut
	if err := out.cut.pass(f, last+1); err != nil {
		return channel.Frame{}, err
	}
	items := f.Payload()[from.off:out.cut.off]
	part := channel.Frame{Header: f.Header, Raw: append(m.buffer(len(items)), items...)}
	part.First, part.Count = first, uint32(last-first)+1
	part.Before, part.After = from.sum, out.cut.sum
	part.Restamp(m.cfg.Incarnation)
	out.lent = append(out.lent, piece{last, part.Raw})
	return part, nil
}

// pass moves on to a tuple.
func (p *place) pass(f *channel.Frame, to msgid.Seq) error {
	items, from := f.Payload(), p.off
	for ; p.next < to; p.next++ {
		n, _, err := tuple.Skip(items[p.off:])
		if err == nil && n == 0 {
			err = fmt.Errorf("it ends there")
		}
		if err != nil {
			return fmt.Errorf("ack: cut frame #%d-%d at #%d: %w", f.First, f.Last(), p.next, err)
		}
		p.off += n
	}
	p.sum = channel.Checksum(p.sum, items[from:p.off])
	return nil
}

// maxSpare is how many buffers are kept for pieces to come.
const maxSpare = 64

// buffer returns one with room for a header, which is that long, and for a payload of n bytes.
func (m *Machine) buffer(n int) (b []byte) {
	if k := len(m.spare); k > 0 {
		b, m.spare = m.spare[k-1], m.spare[:k-1]
	}
	return slices.Grow(b[:0], channel.HeaderSize+n)[:channel.HeaderSize]
}

// takeBack takes the buffers of pieces that are no longer in flight. They were handed over in an earlier step, since only
// an event from outside ends their flight.
func (m *Machine) takeBack(out *output) {
	n := 0
	for n < len(out.lent) && (out.lent[n].last <= out.acked || out.lent[n].last > out.sent) {
		if len(m.spare) < maxSpare {
			m.spare = append(m.spare, out.lent[n].raw)
		}
		n++
	}
	out.lent = slices.Delete(out.lent, 0, n)
}
