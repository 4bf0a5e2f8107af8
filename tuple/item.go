package tuple

import (
	"encoding/binary"
	"errors"

	"github.com/askback/askback/internal/wire"
)

// An Item is an element of a channel's stream. Each item has a sequence number of its own, so that a replay
// puts marks where they were.
type Item uint8

const (
	None      Item = iota // no item: the payload has ended
	Data                  // a tuple: a msgpack array of its fields
	End                   // the end mark: nothing follows on this channel
	Watermark             // a watermark: no tuple with an earlier event time follows
	Root                  // a root: which tuple of a spout the tuples after it come of, until the next root or the frame's end
)

// String returns the item's name.
func (i Item) String() string {
	switch i {
	case None:
		return "none"
	case Data:
		return "tuple"
	case End:
		return "end mark"
	case Watermark:
		return "watermark"
	case Root:
		return "root"
	}
	return "unknown item"
}

// Errors of reading. Each occurs when bytes are not items that a Row, AppendEnd or AppendWatermark could have
// written: they come from something else, or were damaged.
var (
	ErrTruncated  = wire.ErrTruncated                        // an item goes on past the end of the bytes
	ErrMalformed  = wire.ErrMalformed                        // a byte stands where it may not
	ErrTooDeep    = wire.ErrTooDeep                          // arrays and maps nested deeper than MaxDepth
	ErrFieldCount = errors.New("tuple: wrong field count")   // a tuple has not as many fields as its stream
	ErrTooLarge   = errors.New("tuple: payload of 4 GiB up") // a Cursor was given a payload of 4 GiB or more
)

// MaxDepth is how deep arrays and maps may nest; the tuple itself is the first level.
const MaxDepth = 32

// Control items begin with a byte that msgpack never uses; the next byte distinguishes them.
const (
	controlByte   = wire.Unused
	endByte       = 0x01
	watermarkByte = 0x02
	rootByte      = 0x03

	endSize       = 2
	watermarkSize = 2 + 8

	// RootSize is the length of a root.
	RootSize = 2 + 8
)

// Skip returns the length of the first item of b and what it is: None and 0 if b is empty. It checks the whole
// structure of the item: a Cursor without Fields accepts the same items.
func Skip(b []byte) (n int, item Item, err error) {
	if len(b) == 0 {
		return 0, None, nil
	}
	if b[0] == controlByte {
		return skipControl(b)
	}
	count, n, err := tupleHeader(b, 0)
	for range count {
		if err != nil {
			break
		}
		n, err = wire.Skip(b, n, MaxDepth-1)
	}
	if err != nil {
		return 0, None, err
	}
	return n, Data, nil
}

// AppendEnd appends an end mark to dst.
func AppendEnd(dst []byte) []byte { return append(dst, controlByte, endByte) }

// AppendWatermark appends a watermark to dst: no tuple with an event time before t follows. The unit of t is
// the topology's own, usually nanoseconds since 1970.
func AppendWatermark(dst []byte, t int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, controlByte, watermarkByte), uint64(t))
}

// AppendRoot appends a root to dst: the tuples after it come of that one; of none that is followed if it is 0.
func AppendRoot(dst []byte, root uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, controlByte, rootByte), root)
}

func skipControl(b []byte) (n int, item Item, err error) {
	switch {
	case len(b) < 2:
		return 0, None, ErrTruncated
	case b[1] == endByte:
		return endSize, End, nil
	case b[1] != watermarkByte && b[1] != rootByte:
		return 0, None, ErrMalformed
	case len(b) < watermarkSize: // a root is as long
		return 0, None, ErrTruncated
	case b[1] == rootByte:
		return RootSize, Root, nil
	}
	return watermarkSize, Watermark, nil
}

// tupleHeader reads the array header at b[p]: the number of fields, and where the first begins.
func tupleHeader(b []byte, p int) (n, first int, err error) {
	if !wire.IsArray(b[p]) {
		return 0, 0, ErrMalformed
	}
	head, _, count := wire.Measure(b[p:])
	switch {
	case head == 0:
		return 0, 0, ErrTruncated
	case count > MaxFields:
		return 0, 0, ErrMalformed
	}
	return int(count), p + head, nil
}
