package tuple

import (
	"fmt"
	"math"
	"time"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/msgid"
)

// A Tuple is a view of a tuple inside a frame. Fields are read by position, or by name through Field; nothing else is
// decoded.
//
// It is valid until its cursor's next Next, which for a bolt means: until Execute returns. The same holds for
// the bytes that Bytes, Raw and Encoded return; they must not be changed. Copy what is to be kept.
//
// A reader whose field has another type or is not there returns
// the zero value. The first such error stays with the tuple and Err returns it; the runtime asks when Execute
// has returned, and treats it as Execute's own error. So a bolt may read without checking, and must check Err
// only before it does something that cannot be taken back.
//
// A Tuple comes from a Cursor or from New; the zero Tuple is not usable.
type Tuple struct{ c *Cursor }

// A FieldError reports a field that could not be read as the type that was asked for.
type FieldError struct {
	Field string // its name, or its position as #2
	Want  string // the type asked for, such as "integer"
	Got   string // the type found, such as "string", or "no such field"
}

// Error names the field, the type asked for and the type found.
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
	if n := int(v[0] - wire.FixStr); n < 32 {
		return v[1 : 1+n : 1+n]
	}
	b, ok := wire.Content(v)
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
	n, negative, ok := wire.Integer(v)
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
	n, negative, ok := wire.Integer(v)
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
	x, ok := wire.Number(v)
	if !ok {
		t.c.wrong(i, "number")
	}
	return x
}

// Bool returns a boolean field.
func (t Tuple) Bool(i int) bool {
	v := t.c.field(i)
	if v == nil {
		return false
	}
	if v[0] != wire.True && v[0] != wire.False {
		t.c.wrong(i, "boolean")
	}
	return v[0] == wire.True
}

// Time returns a timestamp field, in UTC.
func (t Tuple) Time(i int) time.Time {
	v := t.c.field(i)
	if v == nil {
		return time.Time{}
	}
	when, ok := wire.Timestamp(v)
	if !ok {
		t.c.wrong(i, "timestamp")
	}
	return when
}

// IsNil reports whether a field is there and nil.
func (t Tuple) IsNil(i int) bool {
	v := t.c.field(i)
	return v != nil && v[0] == wire.Nil
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

// From returns the msgpack bytes of field i and of those after it, for decoders that read a value off the front. It is nil
// if there is no such field, which Err then reports.
func (t Tuple) From(i int) []byte { return t.c.field(i) }

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
	c.note(&FieldError{c.origin.Fields.name(i), want, wire.Kind(c.b[c.at[i]:])})
}

// keeper is a sink that keeps the row's bytes.
type keeper []byte

func (k *keeper) Take(r *Row) error {
	*k = append((*k)[:0], r.Encoded()...)
	return nil
}
