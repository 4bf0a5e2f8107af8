package tuple

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/msgid"
)

// A Cursor walks over the items of a frame's payload:
//
//	c.Reset(payload, origin)
//	for {
//		item, err := c.Next()
//		if err != nil { … }
//		switch item {
//		case tuple.None:
//			return
//		case tuple.Data:
//			bolt.Execute(ctx, c.Tuple(), out)
//		}
//	}
//
// It decodes nothing that is not asked for, and allocates nothing per tuple. Reuse it for the next payload; the
// zero value is ready for Reset. A Cursor belongs to one goroutine, and keeps the payload until the next Reset.
// It must not be copied once used.
type Cursor struct {
	b      []byte
	start  int      // where the current item begins
	end    int      // where it ends
	n      int      // how many fields it has; 0 for a mark
	at     []uint32 // where each field begins
	want   int      // how many fields a tuple must have; -1: any number
	origin Origin
	seq    msgid.Seq
	err    error // the first error of a reader of the current tuple
	failed error // the error of Next, after which the rest of the payload is unusable
}

// Origin is where a payload comes from.
type Origin struct {
	Channel *msgid.Channel // the channel that it travelled; nil if none
	First   msgid.Seq      // the sequence number of its first item
	Fields  *Fields        // the fields of the channel's stream; nil takes tuples of any width, and then no field has a name
}

// Reset goes to the front of a payload.
func (c *Cursor) Reset(payload []byte, o Origin) {
	*c = Cursor{b: payload, at: c.at, want: -1, origin: o, seq: o.First - 1}
	if o.Fields != nil {
		c.want = o.Fields.Len()
	}
	if uint64(len(payload)) > math.MaxUint32 {
		c.failed = fmt.Errorf("%w: %d bytes", ErrTooLarge, len(payload))
	}
}

// Next goes to the next item, checks all of it, and returns its kind: None when the payload has ended. After an
// error it does not move any more and gives the same error.
func (c *Cursor) Next() (Item, error) {
	if c.err != nil {
		c.err = nil
	}
	b, p := c.b, c.end
	if c.failed != nil || p >= len(b) {
		return c.stop()
	}
	n := int(b[p] - wire.FixArray) // far above len(c.at) or c.want for what is no short array
	if n > 15 || n > len(c.at) || n != c.want && c.want >= 0 {
		return c.slow()
	}
	p++
	at := c.at[:n]
	for i := range at {
		if p >= len(b) {
			return c.fail(ErrTruncated)
		}
		at[i] = uint32(p)
		if w := int(wire.Width[b[p]]); w != 0 {
			p += w
			continue
		}
		if (b[p] == wire.Str8 || b[p] == wire.Bin8) && p+1 < len(b) {
			p += 2 + int(b[p+1])
			continue
		}
		var err error
		if p, err = wire.Skip(b, p, MaxDepth-1); err != nil {
			return c.fail(err)
		}
	}
	if p > len(b) {
		return c.fail(ErrTruncated)
	}
	c.start, c.end, c.n = c.end, p, n
	c.seq++
	return Data, nil
}

// View goes to a complete row as to the next item, which it does not check. The row is the payload: what is read from the tuple
// is valid until the row's next Begin. Reset is to be called before Next.
func (c *Cursor) View(r *Row) {
	c.b, c.start, c.end, c.n = r.buf, 0, len(r.buf), len(r.at)
	c.at = append(c.at[:0], r.at...)
	c.err = nil
	c.seq++
}

// Tuple returns the current item as a tuple. It is a view: it shows the item that the cursor is at.
func (c *Cursor) Tuple() Tuple { return Tuple{c} }

// Start returns where in the payload the current item begins, in bytes.
func (c *Cursor) Start() int { return c.start }

// Offset returns how many bytes of the payload are consumed, the current item included.
func (c *Cursor) Offset() int { return c.end }

// Seq returns the sequence number of the current item; before the first, the one before it.
func (c *Cursor) Seq() msgid.Seq { return c.seq }

// Watermark returns the time of the current item if it is a watermark, and 0 otherwise.
func (c *Cursor) Watermark() int64 {
	if c.end-c.start != watermarkSize || c.b[c.start] != controlByte || c.b[c.start+1] != watermarkByte {
		return 0
	}
	return int64(binary.BigEndian.Uint64(c.b[c.start+2:]))
}

// Root returns the root that the current item carries, and 0 if it is no root.
func (c *Cursor) Root() uint64 {
	if c.end-c.start != RootSize || c.b[c.start] != controlByte || c.b[c.start+1] != rootByte {
		return 0
	}
	return binary.BigEndian.Uint64(c.b[c.start+2:])
}

// slow is Next for marks, for long tuples, for the first tuple of its width, and for what is not an item.
func (c *Cursor) slow() (Item, error) {
	b, p := c.b, c.end
	if b[p] == controlByte {
		n, item, err := skipControl(b[p:])
		if err != nil {
			return c.fail(err)
		}
		c.start, c.end, c.n = p, p+n, 0
		c.seq++
		return item, nil
	}
	n, p, err := tupleHeader(b, p)
	if err != nil {
		return c.fail(err)
	}
	if c.want >= 0 && n != c.want {
		return c.fail(fmt.Errorf("%w: %d, its stream has %d (%s)", ErrFieldCount, n, c.want, c.origin.Fields))
	}
	if n > len(c.at) {
		c.at = make([]uint32, n)
	}
	for i := range n {
		c.at[i] = uint32(p)
		if p, err = wire.Skip(b, p, MaxDepth-1); err != nil {
			return c.fail(err)
		}
	}
	c.start, c.end, c.n = c.end, p, n
	c.seq++
	return Data, nil
}

// stop leaves no current item.
func (c *Cursor) stop() (Item, error) {
	c.start, c.n = c.end, 0
	return None, c.failed
}

// fail gives up the rest of the payload.
func (c *Cursor) fail(err error) (Item, error) {
	where := "item"
	if c.origin.Channel != nil {
		where = c.origin.Channel.String()
	}
	c.failed = fmt.Errorf("read %s#%d at byte %d of %d: %w", where, c.seq+1, c.end, len(c.b), err)
	return c.stop()
}
