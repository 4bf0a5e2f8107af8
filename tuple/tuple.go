package tuple

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/askback/askback/msgid"
)

// A Tuple is a view of a tuple inside a frame. Fields are read by position, or by name through Field; nothing is
// decoded that is not asked for.
//
// It is valid until its cursor's next Next, which for a bolt means: until Execute returns. The same holds for
// the bytes that Bytes, Raw and Encoded return; they must not be changed. Copy what is to be kept.
//
// A reader that cannot give what it is asked for, because the field has another type or is not there, returns
// the zero value. The first such error stays with the tuple and Err returns it; the runtime asks when Execute
// has returned, and treats it as Execute's own error. So a bolt may read without checking, and must check Err
// only before it does something that cannot be taken back.
//
// A Tuple comes from a Cursor or from New; the zero Tuple is not usable.
type Tuple struct{ c *Cursor }

// A FieldError says that a field could not be read as it was asked for.
type FieldError struct {
	Field string // its name, or its position as #2
	Want  string // what was asked for, such as "integer"
	Got   string // what is there, such as "string", or "no such field"
}

// Error says what was wanted and what is there.
func (e *FieldError) Error() string {
	return fmt.Sprintf("tuple: field %s: want %s, got %s", e.Field, e.Want, e.Got)
}

// New makes a tuple of values, for tests and tools. It copies and allocates.
func New(f *Fields, values ...any) (Tuple, error) {
	var keep keeper
	if err := NewRow(f, &keep).Begin().Values(values...).Emit(); err != nil {
		return Tuple{}, err
	}
	c := new(Cursor)
	c.Reset(keep, Origin{First: 1, Fields: f})
	_, err := c.Next()
	return c.Tuple(), err
}

// Len returns the number of fields.
func (t Tuple) Len() int { return t.c.n }

// Err returns the first error of a reader since the cursor came to this tuple.
func (t Tuple) Err() error { return t.c.err }

// ID returns the tuple's message id.
func (t Tuple) ID() msgid.ID {
	id := msgid.ID{Seq: t.c.seq}
	if ch := t.c.origin.Channel; ch != nil {
		id.Channel = *ch
	}
	return id
}

// Source returns the task that emitted the tuple.
func (t Tuple) Source() msgid.Alias {
	if ch := t.c.origin.Channel; ch != nil {
		return ch.Source
	}
	return msgid.Alias{}
}

// Stream returns the stream that the tuple was emitted on; "" is the default stream.
func (t Tuple) Stream() string {
	if ch := t.c.origin.Channel; ch != nil {
		return ch.Stream
	}
	return ""
}

// Fields returns the names of the fields, nil if they are not known.
func (t Tuple) Fields() *Fields { return t.c.origin.Fields }

// At returns field i.
func (t Tuple) At(i int) Value { return Value{t, i} }

// Field returns the field of that name.
func (t Tuple) Field(name string) Value {
	i := t.c.origin.Fields.Index(name)
	if i < 0 {
		t.c.note(&FieldError{name, "one of (" + t.c.origin.Fields.String() + ")", noField})
	}
	return Value{t, i}
}

// Bytes returns the bytes of a string or binary field, without copying.
func (t Tuple) Bytes(i int) []byte {
	v := t.c.field(i)
	if v == nil {
		return nil
	}
	if n := int(v[0] - fixstr); n < 32 {
		return v[1 : 1+n : 1+n]
	}
	b, ok := content(v)
	if !ok {
		t.c.wrong(i, "string")
	}
	return b
}

// String returns a string or binary field as a string, which it allocates.
func (t Tuple) String(i int) string { return string(t.Bytes(i)) }

// Int returns an integer field.
func (t Tuple) Int(i int) int64 {
	v := t.c.field(i)
	if v == nil {
		return 0
	}
	n, negative, ok := integer(v)
	if !ok || !negative && n > math.MaxInt64 {
		t.c.wrong(i, "integer of 64 bits with sign")
		return 0
	}
	return int64(n)
}

// Uint returns an integer field that is not negative.
func (t Tuple) Uint(i int) uint64 {
	v := t.c.field(i)
	if v == nil {
		return 0
	}
	n, negative, ok := integer(v)
	if !ok || negative {
		t.c.wrong(i, "integer from 0 up")
		return 0
	}
	return n
}

// Float returns a floating-point or integer field. An integer beyond 2^53 is rounded.
func (t Tuple) Float(i int) float64 {
	v := t.c.field(i)
	if v == nil {
		return 0
	}
	switch v[0] {
	case float64b:
		return math.Float64frombits(binary.BigEndian.Uint64(v[1:]))
	case float32b:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v[1:])))
	}
	n, negative, ok := integer(v)
	if !ok {
		t.c.wrong(i, "number")
	}
	if negative {
		return float64(int64(n))
	}
	return float64(n)
}

// Bool returns a boolean field.
func (t Tuple) Bool(i int) bool {
	v := t.c.field(i)
	if v == nil {
		return false
	}
	if v[0] != codeYes && v[0] != codeNo {
		t.c.wrong(i, "boolean")
	}
	return v[0] == codeYes
}

// Time returns a timestamp field, in UTC.
func (t Tuple) Time(i int) time.Time {
	v := t.c.field(i)
	if v == nil {
		return time.Time{}
	}
	when, ok := timestamp(v)
	if !ok {
		t.c.wrong(i, "timestamp")
	}
	return when
}

// IsNil reports whether a field is there and nil.
func (t Tuple) IsNil(i int) bool {
	v := t.c.field(i)
	return v != nil && v[0] == codeNil
}

// Raw returns the msgpack bytes of a field.
func (t Tuple) Raw(i int) []byte {
	v := t.c.field(i)
	if i+1 < t.c.n && v != nil {
		n := t.c.at[i+1] - t.c.at[i]
		return v[:n:n]
	}
	return v
}

// Encoded returns the msgpack bytes of the whole tuple.
func (t Tuple) Encoded() []byte { return t.c.b[t.c.start:t.c.end:t.c.end] }

const noField = "no such field"

// note keeps the first error.
func (c *Cursor) note(err error) {
	if c.err == nil {
		c.err = err
	}
}

// field returns the bytes of the tuple from field i on, nil if there is no such field.
func (c *Cursor) field(i int) []byte {
	if uint(i) < uint(c.n) {
		return c.b[c.at[i]:c.end:c.end]
	}
	return c.missing(i)
}

func (c *Cursor) missing(i int) []byte {
	c.note(&FieldError{c.origin.Fields.name(i), fmt.Sprintf("one of %d", c.n), noField})
	return nil
}

func (c *Cursor) wrong(i int, want string) {
	c.note(&FieldError{c.origin.Fields.name(i), want, kind(c.b[c.at[i]:])})
}

// keeper is a sink that keeps the row's bytes.
type keeper []byte

func (k *keeper) Take(r *Row) error {
	*k = append((*k)[:0], r.Encoded()...)
	return nil
}

// integer returns the integer that v is. A negative one is returned as its two's complement.
func integer(v []byte) (n uint64, negative, ok bool) {
	c := v[0]
	var s int64
	switch {
	case c < fixmap:
		return uint64(c), false, true
	case c >= 0xe0:
		s = int64(int8(c))
	case c == uint8b:
		return uint64(v[1]), false, true
	case c == uint16b:
		return uint64(binary.BigEndian.Uint16(v[1:])), false, true
	case c == uint32b:
		return uint64(binary.BigEndian.Uint32(v[1:])), false, true
	case c == uint64b:
		return binary.BigEndian.Uint64(v[1:]), false, true
	case c == int8b:
		s = int64(int8(v[1]))
	case c == int16b:
		s = int64(int16(binary.BigEndian.Uint16(v[1:])))
	case c == int32b:
		s = int64(int32(binary.BigEndian.Uint32(v[1:])))
	case c == int64b:
		s = int64(binary.BigEndian.Uint64(v[1:]))
	default:
		return 0, false, false
	}
	return uint64(s), s < 0, true
}

// timestamp returns the time that v is, in any of msgpack's three forms.
func timestamp(v []byte) (time.Time, bool) {
	var sec int64
	var nsec uint32
	switch {
	case v[0] == fixext4 && v[1] == extTime:
		sec = int64(binary.BigEndian.Uint32(v[2:]))
	case v[0] == fixext8 && v[1] == extTime:
		x := binary.BigEndian.Uint64(v[2:])
		sec, nsec = int64(x&(1<<34-1)), uint32(x>>34)
	case v[0] == ext8 && v[1] == 12 && v[2] == extTime:
		nsec, sec = binary.BigEndian.Uint32(v[3:]), int64(binary.BigEndian.Uint64(v[7:]))
	default:
		return time.Time{}, false
	}
	if nsec >= 1e9 {
		return time.Time{}, false
	}
	return time.Unix(sec, int64(nsec)).UTC(), true
}

// kind names the type of a value, for errors.
func kind(v []byte) string {
	switch c := v[0]; {
	case c < fixmap || c >= negative, uint8b <= c && c <= int64b:
		if n, _, _ := integer(v); c == uint64b && n > math.MaxInt64 {
			return "an integer above 2^63-1"
		} else if int64(n) < 0 {
			return "a negative integer"
		}
		return "an integer"
	case c&0xf0 == fixmap, c == map16, c == map32:
		return "a map"
	case c&0xf0 == fixarray, c == array16, c == array32:
		return "an array"
	case c&0xe0 == fixstr, str8 <= c && c <= str32:
		return "a string"
	case bin8 <= c && c <= bin32:
		return "binary"
	case c == codeNil:
		return "nil"
	case c == codeNo, c == codeYes:
		return "a boolean"
	case c == float32b, c == float64b:
		return "a floating-point number"
	}
	return "an extension"
}
