// Package wire is the msgpack form of values, as tuples and state carry them: the first bytes of values, checking and
// skipping them, reading and appending them. It holds no state and allocates nothing, except for growing what it
// appends to.
//
// Readers take bytes that begin with a whole value; Skip is the check for bytes that may not.
package wire

import (
	"encoding/binary"
	"errors"
)

// Errors of Skip. They carry the name of package tuple, which exports them.
var (
	ErrTruncated = errors.New("tuple: truncated")       // a value goes on past the end of the bytes
	ErrMalformed = errors.New("tuple: malformed")       // a byte stands where it may not
	ErrTooDeep   = errors.New("tuple: nested too deep") // arrays and maps nested deeper than the caller allows
)

// The first bytes of msgpack values (github.com/msgpack/msgpack, spec.md). Values of 0x00-0x7f and 0xe0-0xff are
// small integers, 0x80-0x8f small maps, 0x90-0x9f small arrays and 0xa0-0xbf short strings.
const (
	FixMap   = 0x80
	FixArray = 0x90
	FixStr   = 0xa0
	Nil      = 0xc0
	Unused   = 0xc1 // begins no value
	False    = 0xc2
	True     = 0xc3
	Bin8     = 0xc4
	Bin16    = 0xc5
	Bin32    = 0xc6
	Ext8     = 0xc7
	Ext16    = 0xc8
	Ext32    = 0xc9
	Float32  = 0xca
	Float64  = 0xcb
	Uint8    = 0xcc
	Uint16   = 0xcd
	Uint32   = 0xce
	Uint64   = 0xcf
	Int8     = 0xd0
	Int16    = 0xd1
	Int32    = 0xd2
	Int64    = 0xd3
	FixExt1  = 0xd4
	FixExt2  = 0xd5
	FixExt4  = 0xd6
	FixExt8  = 0xd7
	FixExt16 = 0xd8
	Str8     = 0xd9
	Str16    = 0xda
	Str32    = 0xdb
	Array16  = 0xdc
	Array32  = 0xdd
	Map16    = 0xde
	Map32    = 0xdf
	Negative = 0xe0
)

// ExtTime is the extension type of a timestamp, -1.
const ExtTime = 0xff

// Width holds, by its first byte, the whole length of a value whose length that byte settles, and 0 for others.
var Width = func() (w [256]uint8) {
	for c := range w {
		switch {
		case c < FixMap, c >= Negative, c == Nil, c == False, c == True:
			w[c] = 1
		case FixStr <= c && c < Nil:
			w[c] = uint8(1 + c - FixStr)
		}
	}
	w[Uint8], w[Uint16], w[Uint32], w[Uint64] = 2, 3, 5, 9
	w[Int8], w[Int16], w[Int32], w[Int64] = 2, 3, 5, 9
	w[Float32], w[Float64] = 5, 9
	w[FixExt1], w[FixExt2], w[FixExt4], w[FixExt8], w[FixExt16] = 3, 4, 6, 10, 18
	return w
}()

// Skip returns where the value at b[p] ends. It checks everything inside it: no length exceeds what is there, and
// arrays and maps nest no deeper than depth.
func Skip(b []byte, p, depth int) (end int, err error) {
	if p >= len(b) {
		return 0, ErrTruncated
	}
	if w := int(Width[b[p]]); w != 0 {
		if w > len(b)-p {
			return 0, ErrTruncated
		}
		return p + w, nil
	}
	if depth == 0 && IsNest(b[p]) {
		return 0, ErrTooDeep
	}
	head, size, count := Measure(b[p:])
	if head == 0 {
		if b[p] == Unused {
			return 0, ErrMalformed
		}
		return 0, ErrTruncated
	}
	p += head
	// Each element takes a byte or more, so this also bounds the loop below.
	if left := uint64(len(b) - p); size > left || count > left {
		return 0, ErrTruncated
	}
	p += int(size)
	for range count {
		if p, err = Skip(b, p, depth-1); err != nil {
			return 0, err
		}
	}
	return p, nil
}

// Measure reads the first bytes of a value whose Width is 0: how many they are, how many bytes of content follow,
// or how many elements. head is 0 if they are not all there, or b begins with no value.
func Measure(b []byte) (head int, size, count uint64) {
	switch c := b[0]; {
	case c&0xf0 == FixMap:
		return 1, 0, 2 * uint64(c&0x0f)
	case c&0xf0 == FixArray:
		return 1, 0, uint64(c & 0x0f)
	case c == Str8, c == Bin8, c == Ext8:
		head = 1 + 1
		if len(b) >= head {
			size = uint64(b[1])
		}
	case c == Str16, c == Bin16, c == Ext16, c == Array16, c == Map16:
		head = 1 + 2
		if len(b) >= head {
			size = uint64(binary.BigEndian.Uint16(b[1:]))
		}
	case c == Str32, c == Bin32, c == Ext32, c == Array32, c == Map32:
		head = 1 + 4
		if len(b) >= head {
			size = uint64(binary.BigEndian.Uint32(b[1:]))
		}
	}
	if head > len(b) {
		return 0, 0, 0
	}
	switch b[0] {
	case Ext8, Ext16, Ext32:
		size++ // the extension's type
	case Array16, Array32:
		return head, 0, size
	case Map16, Map32:
		return head, 0, 2 * size
	}
	return head, size, 0
}

// IsNest reports whether a value that begins with c is an array or a map.
func IsNest(c byte) bool {
	return c&0xe0 == FixMap || Array16 <= c && c <= Map32
}

// IsMap reports whether a value that begins with c is a map.
func IsMap(c byte) bool { return c&0xf0 == FixMap || c == Map16 || c == Map32 }

// IsArray reports whether a value that begins with c is an array.
func IsArray(c byte) bool { return c&0xf0 == FixArray || c == Array16 || c == Array32 }

// IsBinary reports whether a value that begins with c is binary.
func IsBinary(c byte) bool { return Bin8 <= c && c <= Bin32 }
