package channel

import "github.com/askback/askback/msgid"

// A Builder is the open frame of one channel: items are appended, and Seal makes a Frame of them and begins the
// next. It belongs to one goroutine. Make it with NewBuilder.
//
// Invariant: raw[:HeaderSize] is room for the header, raw[HeaderSize:] are count items from head.First on.
type Builder struct {
	raw   []byte
	count uint32
	size  int
	spare [][]byte // buffers to be used again
	head  Header   // of the open frame; Count and After are filled in by Seal
}

// firstBuffer is the size of an unused channel's buffer, in bytes: a plan may have thousands of channels and few that are
// busy. The buffer grows to the frame size with the first full frame.
const firstBuffer = 512

// NewBuilder returns the empty open frame whose first item will be number next. Sum is the channel's checksum
// before it, 0 when next is 1. Size is the wanted length of a full frame in bytes, header included.
func NewBuilder(plan uint64, channel uint32, inc msgid.Incarnation, next msgid.Seq, sum uint32, size int) *Builder {
	size = max(size, firstBuffer)
	return &Builder{
		raw:  make([]byte, HeaderSize, firstBuffer),
		size: size,
		head: Header{Plan: plan, Channel: channel, Incarnation: inc, First: next, Before: sum},
	}
}

// Append copies one encoded item, which gets the sequence number Next, into the open frame. An item that Fits
// does not have room for is appended all the same: seal first if the frame is not empty.
func (b *Builder) Append(item []byte) {
	b.count++
	if p := len(b.raw); len(item) <= block && cap(item) >= block && p <= cap(b.raw)-block {
		// A short item with room behind it, on both sides: copying a whole block is cheaper than copying its exact length.
		raw := b.raw[:p+block]
		*(*[block]byte)(raw[p:]) = *(*[block]byte)(item[:block])
		b.raw = raw[:p+len(item)]
		return
	}
	b.raw = append(b.raw, item...)
}

// block is how many bytes Append copies at once. Bytes behind an item are its owner's and are overwritten by the
// next item.
const block = 32

// Fits reports whether an item of n bytes fits into the open frame without making it longer than its size.
func (b *Builder) Fits(n int) bool { return len(b.raw)+n <= b.size }

// Len returns the bytes of the items in the open frame. Seal makes a frame of Len+HeaderSize bytes.
func (b *Builder) Len() int { return len(b.raw) - HeaderSize }

// Count returns the number of items in the open frame.
func (b *Builder) Count() uint32 { return b.count }

// Empty reports whether the open frame has no items.
func (b *Builder) Empty() bool { return b.count == 0 }

// Next returns the sequence number that the next item will get.
func (b *Builder) Next() msgid.Seq { return b.head.First + msgid.Seq(b.count) }

// Sum returns the channel's checksum after all items appended so far, those of the open frame included.
func (b *Builder) Sum() uint32 { return Checksum(b.head.Before, b.raw[HeaderSize:]) }

// SetBirth records when the root of an item in the open frame was born, in Unix nanoseconds. The oldest is kept; 0 has
// no effect.
func (b *Builder) SetBirth(ns int64) {
	if ns != 0 && (b.head.Birth == 0 || ns < b.head.Birth) {
		b.head.Birth = ns
	}
}

// A Place is a position in an open frame; see Mark.
type Place struct {
	first msgid.Seq
	birth int64
	len   int
	count uint32
}

// Mark returns the position in the open frame, for Rollback.
func (b *Builder) Mark() Place {
	return Place{first: b.head.First, birth: b.head.Birth, len: len(b.raw), count: b.count}
}

// Rollback takes back the items appended since the mark. It returns false, without a change, if the frame was sealed since:
// a sealed frame is history.
func (b *Builder) Rollback(to Place) bool {
	if to.first != b.head.First || to.count > b.count {
		return false
	}
	b.raw, b.count, b.head.Birth = b.raw[:to.len], to.count, to.birth
	return true
}

// Reopen takes back the items appended since the mark although frames were sealed since: first is the first of them, and
// none of them has been freed. The builder copies the part that it needs.
func (b *Builder) Reopen(first Frame, to Place) {
	b.raw = append(b.raw[:HeaderSize], first.Raw[HeaderSize:to.len]...)
	b.count = to.count
	b.head.First, b.head.Before, b.head.Birth = first.First, first.Before, to.birth
}

// Seal returns the open frame and begins the next one. The frame is the caller's: the builder keeps no reference to it.
// Sealing an empty frame returns a frame without Raw.
func (b *Builder) Seal() Frame {
	if b.Empty() {
		return Frame{}
	}
	f := Frame{Header: b.head}
	f.Count, f.After = b.count, b.Sum()
	if len(b.raw) < cap(b.raw)/2 { // a retained frame must not hold a buffer that is mostly empty
		f.Raw = append(make([]byte, 0, len(b.raw)), b.raw...)
		b.raw = b.raw[:HeaderSize]
	} else {
		f.Raw = b.raw
		b.raw = b.buffer(min(cap(f.Raw), b.size))
	}
	f.Header.put(f.Raw)
	b.head.First, b.head.Before, b.head.Birth, b.count = f.Last()+1, f.After, 0, 0
	return f
}

// buffer returns an empty frame's buffer.
func (b *Builder) buffer(size int) []byte {
	if n := len(b.spare); n > 0 {
		raw := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return raw[:HeaderSize]
	}
	return make([]byte, HeaderSize, size)
}

// maxSpare is how many buffers a builder keeps: as many as a busy channel trims at once, and little memory when it is idle.
const maxSpare = 64

// Recycle takes back the buffer of a frame that Seal returned and that is not referred to any more.
func (b *Builder) Recycle(raw []byte) {
	if cap(raw) == b.size && len(b.spare) < maxSpare {
		b.spare = append(b.spare, raw)
	}
}
