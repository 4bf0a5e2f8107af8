package recovery

import "encoding/binary"

// A Decoder reads a machine's records in the log. After an error every field reads as zero.
type Decoder struct {
	b   []byte
	bad bool
}

// Decode returns a decoder of b, which it does not change. The result of Bytes shares b.
func Decode(b []byte) *Decoder { return &Decoder{b: b} }

// Bad reports whether a field was missing, or Fail was called.
func (d *Decoder) Bad() bool { return d.bad }

// Done reports whether the record was read to its end, and no field was missing.
func (d *Decoder) Done() bool { return !d.bad && len(d.b) == 0 }

// Fail rejects the record, since its content is invalid. No more of it can be read.
func (d *Decoder) Fail() { d.b, d.bad = nil, true }

// Byte reads a byte.
func (d *Decoder) Byte() byte {
	if b := d.Bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// Bool reads the result of AppendBool.
func (d *Decoder) Bool() bool { return d.Byte() != 0 }

// Uint32 reads four bytes, little-endian.
func (d *Decoder) Uint32() uint32 {
	if b := d.Bytes(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads eight bytes, little-endian.
func (d *Decoder) Uint64() uint64 {
	if b := d.Bytes(8); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Uvarint reads a number of variable length.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.Fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

// Bytes reads n bytes, or none if there are not as many.
func (d *Decoder) Bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.Fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

// AppendBool appends a byte, 1 or 0.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
