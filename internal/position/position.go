// Package position reads the positions of sources, which are bytes that a snapshot kept.
//
//	r := position.Reader{B: data}
//	version, number := r.Byte(), r.Uvarint()
//	if r.Bad || len(r.B) > 0 || version != 1 {
//		return spout.ErrPosition
//	}
package position

import "encoding/binary"

// A Reader reads the parts of a position, one after another. Its zero value reads the empty position.
type Reader struct {
	B   []byte // the rest
	Bad bool   // a part was missing; all parts after it read as 0
}

func (r *Reader) take(n int) []byte {
	if n <= 0 || n > len(r.B) || r.Bad {
		r.Bad = true
		return nil
	}
	b := r.B[:n]
	r.B = r.B[n:]
	return b
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Uint64 reads eight bytes, big endian.
func (r *Reader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads a number as binary.AppendUvarint writes it.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.B)
	if r.take(n) == nil {
		return 0
	}
	return v
}
