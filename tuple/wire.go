package tuple

import "encoding/binary"

// The first bytes of msgpack values (github.com/msgpack/msgpack, spec.md). Values of 0x00-0x7f and 0xe0-0xff are
// small integers, 0x80-0x8f small maps, 0x90-0x9f small arrays and 0xa0-0xbf short strings.
const (
	fixmap   = 0x80
	fixarray = 0x90
	fixstr   = 0xa0
	codeNil  = 0xc0
	codeNo   = 0xc2
	codeYes  = 0xc3
	bin8     = 0xc4
	bin16    = 0xc5
	bin32    = 0xc6
	ext8     = 0xc7
	ext16    = 0xc8
	ext32    = 0xc9
	float32b = 0xca
	float64b = 0xcb
	uint8b   = 0xcc
	uint16b  = 0xcd
	uint32b  = 0xce
	uint64b  = 0xcf
	int8b    = 0xd0
	int16b   = 0xd1
	int32b   = 0xd2
	int64b   = 0xd3
	fixext1  = 0xd4
	fixext2  = 0xd5
	fixext4  = 0xd6
	fixext8  = 0xd7
	fixext16 = 0xd8
	str8     = 0xd9
	str16    = 0xda
	str32    = 0xdb
	array16  = 0xdc
	array32  = 0xdd
	map16    = 0xde
	map32    = 0xdf
	negative = 0xe0
)

// extTime is the extension type of a timestamp, -1.
const extTime = 0xff

// width holds, by its first byte, the whole length of a value whose length that byte settles, and 0 for others.
var width = func() (w [256]uint8) {
	for c := range w {
		switch {
		case c < fixmap, c >= negative, c == codeNil, c == codeNo, c == codeYes:
			w[c] = 1
		case fixstr <= c && c < codeNil:
			w[c] = uint8(1 + c - fixstr)
		}
	}
	w[uint8b], w[uint16b], w[uint32b], w[uint64b] = 2, 3, 5, 9
	w[int8b], w[int16b], w[int32b], w[int64b] = 2, 3, 5, 9
	w[float32b], w[float64b] = 5, 9
	w[fixext1], w[fixext2], w[fixext4], w[fixext8], w[fixext16] = 3, 4, 6, 10, 18
	return w
}()

// skipValue returns where the value at b[p] ends. It checks everything inside, to the given depth.
func skipValue(b []byte, p, depth int) (end int, err error) {
	if p >= len(b) {
		return 0, ErrTruncated
	}
	if w := int(width[b[p]]); w != 0 {
		if w > len(b)-p {
			return 0, ErrTruncated
		}
		return p + w, nil
	}
	if depth == 0 && isNest(b[p]) {
		return 0, ErrTooDeep
	}
	head, size, count := measure(b[p:])
	if head == 0 {
		if b[p] == controlByte {
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
		if p, err = skipValue(b, p, depth-1); err != nil {
			return 0, err
		}
	}
	return p, nil
}

// measure reads the first bytes of a value whose width is 0: how many they are, how many bytes of content follow,
// or how many elements. head is 0 if they are not all there, or b begins with no value.
func measure(b []byte) (head int, size, count uint64) {
	switch c := b[0]; {
	case c&0xf0 == fixmap:
		return 1, 0, 2 * uint64(c&0x0f)
	case c&0xf0 == fixarray:
		return 1, 0, uint64(c & 0x0f)
	case c == str8, c == bin8, c == ext8:
		head = 1 + 1
		if len(b) >= head {
			size = uint64(b[1])
		}
	case c == str16, c == bin16, c == ext16, c == array16, c == map16:
		head = 1 + 2
		if len(b) >= head {
			size = uint64(binary.BigEndian.Uint16(b[1:]))
		}
	case c == str32, c == bin32, c == ext32, c == array32, c == map32:
		head = 1 + 4
		if len(b) >= head {
			size = uint64(binary.BigEndian.Uint32(b[1:]))
		}
	}
	if head > len(b) {
		return 0, 0, 0
	}
	switch b[0] {
	case ext8, ext16, ext32:
		size++ // the extension's type
	case array16, array32:
		return head, 0, size
	case map16, map32:
		return head, 0, 2 * size
	}
	return head, size, 0
}

func isNest(c byte) bool {
	return c&0xe0 == fixmap || array16 <= c && c <= map32
}

// tupleHeader reads the array header at b[p]: the number of fields, and where the first begins.
func tupleHeader(b []byte, p int) (n, first int, err error) {
	if c := b[p]; c&0xf0 != fixarray && c != array16 && c != array32 {
		return 0, 0, ErrMalformed
	}
	head, _, count := measure(b[p:])
	switch {
	case head == 0:
		return 0, 0, ErrTruncated
	case count > MaxFields:
		return 0, 0, ErrMalformed
	}
	return int(count), p + head, nil
}

// content returns the bytes of the string or binary value that b begins with; ok is false for another value.
func content(b []byte) (c []byte, ok bool) {
	switch b[0] {
	case str8, str16, str32, bin8, bin16, bin32:
		head, size, _ := measure(b)
		end := head + int(size)
		return b[head:end:end], true
	}
	if b[0]&0xe0 == fixstr {
		end := 1 + int(b[0]&0x1f)
		return b[1:end:end], true
	}
	return nil, false
}
