package tuple

import (
	"encoding/binary"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// Hash returns the hash of b by which tuples are grouped.
//
// It is the same on every machine, in every process and in every version of this package. Groupings depend on
// that: a restored source must send each tuple to the task that it went to before.
//
// Keys are mostly words and numbers, for which xxHash is slow (it takes up to 15 single bytes one by one): up to
// 16 bytes are read as two overlapping halves and folded by two 128-bit products. Longer keys go to xxHash64.
func Hash(b []byte) uint64 {
	n := len(b)
	switch {
	case n > 16:
		return xxhash.Sum64(b)
	case n >= 8:
		return fold(binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:]), n)
	case n >= 4:
		return fold(uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:])), n)
	case n > 0:
		return fold(uint64(b[0])<<16|uint64(b[n>>1])<<8|uint64(b[n-1]), 0, n)
	}
	return fold(0, 0, 0)
}

// fold mixes the halves of a short key and its length. The constants are odd and without pattern: digits of the
// square roots of 2, 3 and 5.
func fold(lo, hi uint64, n int) uint64 {
	h, l := bits.Mul64(lo^0x6a09e667f3bcc909, hi^0xbb67ae8584caa73b^uint64(n)<<56)
	h, l = bits.Mul64(h^l^uint64(n), 0x3c6ef372fe94f82b)
	return h ^ l
}
