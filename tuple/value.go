package tuple

import "time"

// A Value is one field of a tuple. Its readers are those of the Tuple, and it is valid as long.
type Value struct {
	t Tuple
	i int
}

// Bytes returns the bytes of a string or binary field, without copying.
func (v Value) Bytes() []byte { return v.t.Bytes(v.i) }

// String returns a string or binary field as a string, which it allocates.
func (v Value) String() string { return v.t.String(v.i) }

// Int returns an integer field.
func (v Value) Int() int64 { return v.t.Int(v.i) }

// Uint returns an integer field that is not negative.
func (v Value) Uint() uint64 { return v.t.Uint(v.i) }

// Float returns a floating-point or integer field.
func (v Value) Float() float64 { return v.t.Float(v.i) }

// Bool returns a boolean field.
func (v Value) Bool() bool { return v.t.Bool(v.i) }

// Time returns a timestamp field, in UTC.
func (v Value) Time() time.Time { return v.t.Time(v.i) }

// IsNil reports whether the field is there and nil.
func (v Value) IsNil() bool { return v.t.IsNil(v.i) }

// Any returns the field as a Go value; see Tuple.Any.
func (v Value) Any() any { return v.t.Any(v.i) }

// Decode decodes the field into what ptr points to; see Tuple.Decode.
func (v Value) Decode(ptr any) error { return v.t.Decode(v.i, ptr) }

// Raw returns the msgpack bytes of the field.
func (v Value) Raw() []byte { return v.t.Raw(v.i) }
