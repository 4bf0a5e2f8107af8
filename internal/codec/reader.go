package codec

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"github.com/askback/askback/tuple"
)

// ErrFields occurs when a stream has none of the fields of the type that it is to be read as.
var ErrFields = errors.New("codec: no field in common")

// A Reader reads the tuples of one stream as values of type T. It does not change, and any goroutine may use it.
type Reader[T any] struct {
	fields []bound
	clear  bool // T is zeroed before it is read
}

// A bound field is one that the stream has.
type bound struct {
	*member
	position int // in the tuple
}

// Bind returns a reader of tuples with these fields. A field of T that the stream lacks is read as its zero value, and a
// field that T lacks is ignored, but they must have one in common. A type that is not a struct reads the field of the
// name ValueField, or the only one of a stream, whatever its name.
func (c *Codec[T]) Bind(f *tuple.Fields) (*Reader[T], error) {
	r := &Reader[T]{clear: !c.whole}
	for i := range c.fields {
		m := &c.fields[i]
		at := f.Index(m.name)
		if at < 0 && c.single && f.Len() == 1 {
			at = 0
		}
		if at < 0 {
			r.clear = true
			continue
		}
		r.fields = append(r.fields, bound{m, at})
	}
	if len(r.fields) == 0 && len(c.fields) > 0 {
		var v *T
		return nil, fmt.Errorf("%w: %T has (%s), and the stream has (%s): name fields of the type with tags, `askback:\"name\"`",
			ErrFields, *v, strings.Join(c.names, ", "), f)
	}
	return r, nil
}

// Decode reads a tuple into v, and sets all of it. Byte slices in v are views of the tuple and valid as long as it is;
// all else may be kept. The error is a *tuple.FieldError that names the field; v is then unspecified, and t.Err is as it
// was.
//
// Because v is written by derived functions, a variable whose address is passed lives on the heap: reuse one.
func (r *Reader[T]) Decode(t tuple.Tuple, v *T) error {
	if r.clear {
		var zero T
		*v = zero
	}
	p := unsafe.Pointer(v)
	for i := range r.fields {
		f := &r.fields[i]
		src := t.Raw(f.position)
		if src == nil {
			return &tuple.FieldError{Field: f.name, Want: fmt.Sprintf("field %d", f.position), Got: fmt.Sprintf("a tuple of %d fields", t.Len())}
		}
		if err := readField(src, f.coder, f.at(p)); err != nil {
			return within(err, f.name)
		}
	}
	return nil
}
