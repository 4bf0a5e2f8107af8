package codec

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unsafe"

	"github.com/askback/askback/tuple"
)

// ErrFields occurs when a stream has none of the fields of the type that it is to be read as.
var ErrFields = errors.New("codec: no field in common")

// A Reader reads the tuples of one stream as values of type T. It does not change, and any goroutine may use it.
type Reader[T any] struct {
	reader
	clear bool // T is zeroed before it is read
}

// A reader is what is the same for all types.
type reader struct {
	steps []step // in the order of the tuple's fields
	width int    // how many fields of the tuple are read or skipped
}

// Bind returns a reader of tuples with these fields. A field of T that the stream lacks is read as its zero value, and a
// field that T lacks is ignored, but they must have one in common. A type that is not a struct reads the field of the
// name ValueField, or the only one of a stream, whatever its name.
func (c *Codec[T]) Bind(f *tuple.Fields) (*Reader[T], error) {
	r := &Reader[T]{clear: !c.whole}
	at := make([]*step, f.Len())
	for i := range c.steps {
		position := f.Index(c.names[i])
		if position < 0 && c.single && f.Len() == 1 {
			position = 0
		}
		if position < 0 {
			r.clear = true
			continue
		}
		at[position] = &c.steps[i]
		r.width = max(r.width, position+1)
	}
	skip := uint16(0) // there are at most tuple.MaxFields
	for _, s := range at[:r.width] {
		if s == nil {
			skip++
			continue
		}
		r.steps = append(r.steps, *s)
		r.steps[len(r.steps)-1].skip = skip
		skip = 0
	}
	if len(r.steps) == 0 && len(c.steps) > 0 {
		return nil, fmt.Errorf("%w: %v has (%s), and the stream has (%s): name fields of the type with tags, `askback:\"name\"`",
			ErrFields, reflect.TypeFor[T](), strings.Join(c.names, ", "), f)
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
	return r.read(t, unsafe.Pointer(v))
}

func (r *reader) missing(n int) error {
	s := r.steps[len(r.steps)-1]
	return &tuple.FieldError{Field: *s.name, Want: fmt.Sprintf("a tuple of %d fields or more", r.width), Got: fmt.Sprintf("one of %d", n)}
}
