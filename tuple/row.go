package tuple

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/askback/askback/internal/wire"
)

// Errors of writing.
var (
	// ErrValueCount occurs when a row is emitted with another number of values than its stream has fields.
	ErrValueCount = errors.New("tuple: wrong number of values")
	// ErrEncode occurs when a value cannot be written as msgpack.
	ErrEncode = errors.New("tuple: cannot encode")
)

// A Sink takes the rows that are emitted.
type Sink interface {
	// Take receives a complete row, which is its own until it returns. Emit returns its error.
	Take(r *Row) error
}

// A Refuser is a Sink that also receives the errors of rows that were refused before they came to it: their emitter may
// ignore the error of Emit.
type Refuser interface {
	Refuse(err error)
}

// A Row builds a tuple, straight into its msgpack form:
//
//	out.Row().Bytes(word).Int(1).Emit()
//
// One call per field in the order of the fields, then Emit. Emit returns the first error of the calls before it. A Row
// belongs to one goroutine and is reused: Begin starts the next tuple. Nothing is allocated per tuple, except by
// Any and by those of Values that need it.
//
// The same values always give the same bytes, so that a replay repeats them: integers take their shortest form,
// whether by Int or Uint, strings are the same by String or Bytes, and maps are written in the order of their
// encoded keys.
type Row struct {
	buf    []byte
	at     []uint32 // where each value begins; as many as there are fields
	n      int      // how many values were given
	head   int      // length of the array header, which is the same for every tuple
	task   int
	key    uint64
	direct bool // task was set
	keyed  bool // key was set
	err    error
	broken error
	fields *Fields
	sink   Sink
}

// NewRow returns a row for tuples with these fields, emitted to s.
func NewRow(f *Fields, s Sink) *Row {
	r := &Row{fields: f, sink: s, at: make([]uint32, f.Len()), buf: make([]byte, 0, 128)}
	if n := f.Len(); n < 16 {
		r.buf = append(r.buf, wire.FixArray|byte(n))
	} else {
		r.buf = binary.BigEndian.AppendUint16(append(r.buf, wire.Array16), uint16(n))
	}
	r.head = len(r.buf)
	return r
}

// NewBrokenRow returns a row whose every Emit fails with err: for a stream that does not exist, for example. The sink
// may be nil; it receives the error of every Emit if it is a Refuser.
func NewBrokenRow(err error, s Sink) *Row {
	r := NewRow(nil, s)
	r.broken, r.err = err, err
	return r
}

// Begin begins a new tuple, and forgets the one before.
func (r *Row) Begin() *Row {
	r.buf = r.buf[:r.head]
	r.n, r.direct, r.keyed = 0, false, false
	if r.err != nil {
		r.err = r.broken
	}
	return r
}

// Emit ends the tuple and hands it to the sink.
func (r *Row) Emit() error {
	if r.n != len(r.at) || r.err != nil {
		return r.refuse()
	}
	return r.sink.Take(r)
}

// To names the task of the target operator that receives the tuple. It is for streams that are grouped directly.
func (r *Row) To(task int) *Row {
	r.task, r.direct = task, true
	return r
}

// Key sets the hash by which the tuple is routed, in place of one of its fields' hashes. It is for streams that are
// grouped by a key that the emitter computes.
func (r *Row) Key(hash uint64) *Row {
	r.key, r.keyed = hash, true
	return r
}

// Bytes appends a string value. It need not be UTF-8. Bytes(b) and String(string(b)) give the same tuple.
func (r *Row) Bytes(b []byte) *Row {
	if p := len(r.buf); len(b) < 32 && r.n < len(r.at) && p < cap(r.buf)-32 {
		// Words and the like: no growing, and no calls but the copy.
		r.at[r.n] = uint32(p)
		r.n++
		buf := r.buf[:p+1+len(b)]
		buf[p] = wire.FixStr | byte(len(b))
		copy(buf[p+1:], b)
		r.buf = buf
		return r
	}
	if r.begin() {
		r.buf = append(wire.AppendStr(r.buf, len(b)), b...)
		r.fits()
	}
	return r
}

// String appends a string value.
func (r *Row) String(s string) *Row {
	if r.begin() {
		r.buf = append(wire.AppendStr(r.buf, len(s)), s...)
		r.fits()
	}
	return r
}

// Binary appends a binary value: like Bytes, but marked as not being text for readers in other languages.
func (r *Row) Binary(b []byte) *Row {
	if r.begin() {
		r.buf = append(wire.AppendBin(r.buf, len(b)), b...)
		r.fits()
	}
	return r
}

// Int appends an integer value.
func (r *Row) Int(n int64) *Row {
	if r.begin() {
		if 0 <= n && n < wire.FixMap {
			r.buf = append(r.buf, byte(n))
		} else {
			r.buf = wire.AppendInt(r.buf, n)
		}
	}
	return r
}

// Uint appends an integer value.
func (r *Row) Uint(n uint64) *Row {
	if r.begin() {
		if n < wire.FixMap {
			r.buf = append(r.buf, byte(n))
		} else {
			r.buf = wire.AppendUint(r.buf, n)
		}
	}
	return r
}

// Float appends a floating-point value, always of 64 bits: Float(1) and Int(1) are different tuples, and so are
// Float(0) and Float(-0). Every NaN is written alike.
func (r *Row) Float(x float64) *Row {
	if r.begin() {
		r.buf = wire.AppendFloat(r.buf, x)
	}
	return r
}

// Bool appends a boolean value.
func (r *Row) Bool(x bool) *Row {
	if r.begin() {
		r.buf = wire.AppendBool(r.buf, x)
	}
	return r
}

// Nil appends nil.
func (r *Row) Nil() *Row {
	if r.begin() {
		r.buf = append(r.buf, wire.Nil)
	}
	return r
}

// Time appends a timestamp, to the nanosecond. Its time zone is not kept.
func (r *Row) Time(t time.Time) *Row {
	if r.begin() {
		r.buf = wire.AppendTime(r.buf, t)
	}
	return r
}

// Raw appends a value that is msgpack already, such as what Tuple.Raw returns. If v is not exactly one whole value, or
// nests deeper than MaxDepth, Emit returns the error.
func (r *Row) Raw(v []byte) *Row {
	if !r.begin() {
		return r
	}
	end, err := wire.Skip(v, 0, MaxDepth-1)
	if err == nil && end != len(v) {
		err = ErrMalformed
	}
	if err != nil {
		r.fail(fmt.Errorf("%w: field %s is given %d bytes that are not one value: %w", ErrEncode, r.fields.name(r.n-1), len(v), err))
		v = []byte{wire.Nil}
	}
	r.buf = append(r.buf, v...)
	r.fits()
	return r
}

// Tuple appends all values of a tuple, as they are.
func (r *Row) Tuple(t Tuple) *Row {
	c, n := t.c, r.n
	r.n += c.n
	if c.n == 0 || r.n > len(r.at) {
		return r
	}
	shift := uint32(len(r.buf)) - c.at[0] // wraps; so does the sum
	for i, at := range c.at[:c.n] {
		r.at[n+i] = at + shift
	}
	r.buf = append(r.buf, c.b[c.at[0]:c.end]...)
	r.fits()
	return r
}

// AvailableBuffer returns an empty slice over the row's free room, to be appended to and passed to the very next call
// of Raw: a nested value is built where it belongs, without a buffer of its own.
func (r *Row) AvailableBuffer() []byte { return r.buf[len(r.buf):] }

// Fail stands for a value that could not be made: Emit returns err, unless something failed before.
func (r *Row) Fail(err error) *Row {
	r.Nil()
	r.fail(err)
	return r
}

// Encoded returns the msgpack bytes of the whole tuple. They are valid until the next Begin.
func (r *Row) Encoded() []byte { return r.buf }

// Content returns the bytes of value i that a grouping hashes: the bytes of a string or binary value, the msgpack bytes of
// any other, nil if there is no such value. It is valid until the next Begin.
func (r *Row) Content(i int) []byte {
	n := min(r.n, len(r.at))
	if uint(i) >= uint(n) {
		return nil
	}
	end := len(r.buf)
	if i+1 < n {
		end = int(r.at[i+1])
	}
	v := r.buf[r.at[i]:end:end]
	if c, ok := wire.Content(v); ok {
		return c
	}
	return v
}

// Hash returns Hash(Content(i)), by which one field is grouped.
func (r *Row) Hash(i int) uint64 {
	if uint(i) < uint(len(r.at)) && r.n == len(r.at) {
		p := uint(r.at[i])
		if b := r.buf; p < uint(len(b)) && b[p]&0xe0 == wire.FixStr {
			if end := p + 1 + uint(b[p]&0x1f); end <= uint(len(b)) {
				return Hash(b[p+1 : end])
			}
		}
	}
	return Hash(r.Content(i))
}

// Direct returns the task that To named; ok is false if it named none.
func (r *Row) Direct() (task int, ok bool) { return r.task, r.direct }

// KeyHash returns the hash that Key set; ok is false if it set none.
func (r *Row) KeyHash() (hash uint64, ok bool) { return r.key, r.keyed }

// Fields returns the fields of the row's stream.
func (r *Row) Fields() *Fields { return r.fields }

// begin begins a value. It returns false for one too many, which is counted and not written.
func (r *Row) begin() bool {
	i := r.n
	r.n++
	if i >= len(r.at) {
		return false
	}
	r.at[i] = uint32(len(r.buf))
	return true
}

// fits fails the row if it has outgrown what offsets and lengths can express.
func (r *Row) fits() {
	if uint64(len(r.buf)) > math.MaxUint32 {
		r.overflow()
	}
}

func (r *Row) overflow() {
	r.fail(fmt.Errorf("%w: a tuple of %d bytes", ErrEncode, len(r.buf)))
}

func (r *Row) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Row) refuse() error {
	r.fail(fmt.Errorf("%w: %d for %d fields (%s)", ErrValueCount, r.n, len(r.at), r.fields))
	if s, ok := r.sink.(Refuser); ok {
		s.Refuse(r.err)
	}
	return r.err
}
