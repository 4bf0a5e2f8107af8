// Package words finds the words of a text: maximal runs of A-Z a-z 0-9 _. Its bolts Split and Count are those of word counts
// in rows, in benchmarks and tests.
package words

import (
	"encoding/binary"
	"iter"
	"math/bits"
)

// Is reports whether words may hold c.
func Is(c byte) bool { return classify(uint64(c)) != 0 }

// Of returns the words of a line, as views of it.
//
// It looks at 64 bytes at a time: one bit for each is set if it belongs to a word, and words begin and end where
// bits change. Asking byte by byte costs two mispredicted branches a word, which is most of the time.
func Of(line []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		start, last := -1, uint64(0)
		for base := 0; base < len(line); base += 64 {
			mask := wordBits(line[base:min(base+64, len(line))])
			edges := mask ^ (mask<<1 | last)
			last = mask >> 63
			for ; edges != 0; edges &= edges - 1 {
				at := base + bits.TrailingZeros64(edges)
				if start < 0 {
					start = at
					continue
				}
				if !yield(line[start:at]) {
					return
				}
				start = -1
			}
		}
		if start >= 0 {
			yield(line[start:])
		}
	}
}

// wordBits returns a bit for each of up to 64 bytes: whether it belongs to a word.
func wordBits(b []byte) (mask uint64) {
	at := 0
	for ; len(b) >= 8; b = b[8:] {
		mask |= classify(binary.LittleEndian.Uint64(b)) << (at & 63)
		at += 8
	}
	if len(b) > 0 {
		var tail uint64
		for i, c := range b {
			tail |= uint64(c) << (8 * i & 63)
		}
		mask |= classify(tail) << (at & 63)
	}
	return mask
}

// classify returns a bit for each of eight bytes: whether it belongs to a word. It compares all eight at once: v+n
// carries into a byte's highest bit if the byte is at least 128-n.
func classify(x uint64) uint64 {
	const (
		ones = 0x0101010101010101
		high = 0x80 * ones
	)
	v := x &^ high
	lower := v | 0x20*ones // A-Z become a-z, and nothing else becomes a letter
	letter := (lower + (128-'a')*ones) &^ (lower + (127-'z')*ones)
	digit := (v + (128-'0')*ones) &^ (v + (127-'9')*ones)
	other := (v ^ '_'*ones) + 127*ones
	word := (letter | digit | ^other) & high &^ x
	// The eight highest bits, one from each byte, are gathered in the highest byte of a product.
	return (word >> 7) * 0x0102040810204080 >> 56
}
