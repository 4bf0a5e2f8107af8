package tuple

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/askback/askback/internal/wire"
)

// Values appends values by their types: the integers, floats, string, []byte, bool, nil and time.Time as the
// methods of those names do, anything else as Any does. []byte is written as Bytes writes it, a string.
func (r *Row) Values(values ...any) *Row {
	for _, v := range values {
		r.Any(v)
	}
	return r
}

// Any appends a value of any type that msgpack has a form for: the types that Values lists, and arrays, maps, structs and
// pointers to them, nested as deep as MaxDepth and of at most 2^18 parts. A value that holds itself is refused.
//
// A map is written in the order of its encoded keys, wherever it is nested.
func (r *Row) Any(v any) *Row {
	switch v := v.(type) {
	case nil:
		return r.Nil()
	case string:
		return r.String(v)
	case []byte:
		return r.Bytes(v)
	case int:
		return r.Int(int64(v))
	case int64:
		return r.Int(v)
	case int32:
		return r.Int(int64(v))
	case int16:
		return r.Int(int64(v))
	case int8:
		return r.Int(int64(v))
	case uint:
		return r.Uint(uint64(v))
	case uint64:
		return r.Uint(v)
	case uint32:
		return r.Uint(uint64(v))
	case uint16:
		return r.Uint(uint64(v))
	case uint8:
		return r.Uint(uint64(v))
	case float64:
		return r.Float(v)
	case float32:
		return r.Float(float64(v))
	case bool:
		return r.Bool(v)
	case time.Time:
		return r.Time(v)
	case time.Duration:
		return r.Int(int64(v))
	}
	if r.begin() {
		start := len(r.buf)
		buf, err := appendAny(r.buf, v)
		if err != nil {
			buf = append(buf[:start], wire.Nil)
			r.fail(fmt.Errorf("%w: %T for field %s: %w", ErrEncode, v, r.fields.name(r.n-1), err))
		}
		r.buf = buf
		r.fits()
	}
	return r
}

// Any returns a field as a Go value: nil, bool, int64 (uint64 above its range), float64, string, []byte for
// binary, time.Time in UTC, []any, or map[string]any. A map whose keys are not all strings, or an extension
// other than a timestamp, is an error. The result shares nothing with the frame.
func (t Tuple) Any(i int) any {
	v := t.c.field(i)
	if v == nil {
		return nil
	}
	x, _, err := goValue(v)
	if err != nil {
		t.c.note(fmt.Errorf("tuple: field %s: %w", t.c.origin.Fields.name(i), err))
		return nil
	}
	return x
}

// Decode decodes a field into what ptr points to, as github.com/vmihailenco/msgpack does: a struct, a map, a
// slice and so on. Its error also stays with the tuple.
func (t Tuple) Decode(i int, ptr any) (err error) {
	v := t.Raw(i)
	if v == nil {
		return t.c.err
	}
	defer func() {
		// The library calls methods of ptr's type, and reflects upon it.
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("tuple: decode field %s into %T: %w", t.c.origin.Fields.name(i), ptr, err)
			t.c.note(err)
		}
	}()
	return msgpack.NewDecoder(bytes.NewReader(v)).Decode(ptr)
}

// goValue returns the value that v begins with, and what follows it. v's structure has been checked, so depth
// and lengths are bounded.
func goValue(v []byte) (x any, rest []byte, err error) {
	head, size, count := 0, 0, 0
	if w := int(wire.Width[v[0]]); w != 0 {
		size = w
	} else {
		h, s, n := wire.Measure(v)
		head, size, count = h, int(s), int(n)
	}
	self, rest := v[:head+size], v[head+size:]
	switch c := v[0]; {
	case c == wire.Nil:
		return nil, rest, nil
	case c == wire.True, c == wire.False:
		return c == wire.True, rest, nil
	case c == wire.Float64:
		return math.Float64frombits(binary.BigEndian.Uint64(v[1:])), rest, nil
	case c == wire.Float32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v[1:]))), rest, nil
	case wire.IsArray(c):
		list := make([]any, count)
		for i := range list {
			if list[i], rest, err = goValue(rest); err != nil {
				return nil, nil, err
			}
		}
		return list, rest, nil
	case wire.IsMap(c):
		m := make(map[string]any, count/2)
		for range count / 2 {
			var key any
			if key, rest, err = goValue(rest); err != nil {
				return nil, nil, err
			}
			name, ok := key.(string)
			if !ok {
				return nil, nil, fmt.Errorf("a map has a key of type %T: want strings, or use Decode", key)
			}
			if m[name], rest, err = goValue(rest); err != nil {
				return nil, nil, err
			}
		}
		return m, rest, nil
	}
	if n, negative, ok := wire.Integer(self); ok {
		if n <= math.MaxInt64 || negative {
			return int64(n), rest, nil
		}
		return n, rest, nil
	}
	if b, ok := wire.Content(self); ok {
		if wire.IsBinary(v[0]) {
			return bytes.Clone(b), rest, nil
		}
		return string(b), rest, nil
	}
	if when, ok := wire.Timestamp(self); ok {
		return when, rest, nil
	}
	return nil, nil, errors.New("an extension that is no timestamp")
}

// appendAny appends v as the msgpack library writes it, maps sorted. On error it returns dst, perhaps with more
// behind it.
func appendAny(dst []byte, v any) (out []byte, err error) {
	start := len(dst)
	w := partWriter{buf: dst}
	defer func() {
		// The library calls methods of v's type, and reflects upon it.
		if p := recover(); p != nil {
			out, err = dst, fmt.Errorf("panic: %v", p)
		}
	}()
	enc := msgpack.NewEncoder(&w)
	enc.UseCompactInts(true)
	if err := enc.Encode(v); err != nil {
		return dst, err
	}
	// An emitted value must be readable, and a method of v's type may have written anything.
	switch end, err := wire.Skip(w.buf, start, MaxDepth-1); {
	case err != nil:
		return dst, err
	case end != len(w.buf):
		return dst, ErrMalformed
	}
	canonical(w.buf[start:])
	return w.buf, nil
}

// partWriter appends to buf. It refuses more than maxParts writes: a value that holds itself would otherwise
// recurse until the stack is full, which nothing can recover from.
type partWriter struct {
	buf   []byte
	parts int
}

const maxParts = 1 << 18

var errParts = errors.New("too many parts, or it holds itself")

func (w *partWriter) Write(b []byte) (int, error) {
	if w.parts++; w.parts > maxParts {
		return 0, errParts
	}
	w.buf = append(w.buf, b...)
	return len(b), nil
}

func (w *partWriter) WriteByte(c byte) error {
	if w.parts++; w.parts > maxParts {
		return errParts
	}
	w.buf = append(w.buf, c)
	return nil
}

// canonical gives v, whose structure has been checked, the one form that its value has: the entries of each map in the
// order of their encoded keys, and every NaN alike. It returns v's length. The library writes most maps in Go's random
// order; a replay could not repeat that, and the channel's checksum would call the operator nondeterministic.
func canonical(v []byte) int {
	if w := int(wire.Width[v[0]]); w != 0 {
		switch v[0] {
		case wire.Float64:
			if x := math.Float64frombits(binary.BigEndian.Uint64(v[1:])); x != x {
				binary.BigEndian.PutUint64(v[1:], math.Float64bits(math.NaN()))
			}
		case wire.Float32:
			if x := math.Float32frombits(binary.BigEndian.Uint32(v[1:])); x != x {
				binary.BigEndian.PutUint32(v[1:], math.Float32bits(float32(math.NaN())))
			}
		}
		return w
	}
	head, size, count := wire.Measure(v)
	end := head + int(size)
	if !wire.IsMap(v[0]) {
		for range count {
			end += canonical(v[end:])
		}
		return end
	}
	type entry struct{ key, whole []byte }
	entries := make([]entry, count/2)
	for i := range entries {
		key := canonical(v[end:])
		whole := key + canonical(v[end+key:])
		entries[i] = entry{v[end : end+key], v[end : end+whole]}
		end += whole
	}
	byKey := func(a, b entry) int { return bytes.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(entries, byKey) {
		slices.SortStableFunc(entries, byKey)
		sorted := make([]byte, 0, end-head)
		for _, e := range entries {
			sorted = append(sorted, e.whole...)
		}
		copy(v[head:end], sorted)
	}
	return end
}
