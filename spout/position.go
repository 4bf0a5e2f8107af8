package spout

import "encoding/binary"

// A positionReader reads the parts of a position. Once something is missing it is bad, and all else reads as 0.
type positionReader struct {
	b   []byte
	bad bool
}

func (r *positionReader) take(n int) []byte {
	if n <= 0 || n > len(r.b) || r.bad {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *positionReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *positionReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *positionReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.take(n) == nil {
		return 0
	}
	return v
}
