package codec

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/askback/askback/tuple"
)

// ValueField is the name of the only field of a tuple that carries a value which is not a struct.
const ValueField = "value"

// A Codec writes values of type T as tuples, and makes Readers of them. It does not change, and any goroutine may use
// it.
type Codec[T any] struct {
	steps  []step // in the order of the tuple's fields
	names  []string
	single bool // T is not a struct of fields
	whole  bool // reading all fields sets all of T
	bytes  bool // see IsBytes
}

// codecs holds the codec, or the error, of each type that Of was called for: as many as the program has types.
var codecs sync.Map // reflect.Type → func() (*Codec[T], error)

// Of returns T's codec. It derives it at the first call. The error is a *TypeError that lists all problems.
func Of[T any]() (*Codec[T], error) {
	t := reflect.TypeFor[T]()
	f, ok := codecs.Load(t)
	if !ok {
		f, _ = codecs.LoadOrStore(t, sync.OnceValues(derive[T]))
	}
	return f.(func() (*Codec[T], error))()
}

func derive[T any]() (*Codec[T], error) {
	t := reflect.TypeFor[T]()
	d := deriver{coders: map[reflect.Type]*coder{}}
	c := &Codec[T]{whole: true}
	var fields []member
	if t.Kind() == reflect.Struct && !isTime(t) && formOf(t) == noForm {
		d.above = append(d.above, t)
		fields, c.whole = d.members(t, pathOf(t))
	} else {
		fields, c.single = []member{{name: ValueField, coder: d.derive(t, pathOf(t))}}, true
	}
	if err := d.failed(t); err != nil {
		return nil, err
	}
	for _, m := range fields {
		c.names = append(c.names, m.name)
		c.steps = append(c.steps, step{offset: m.offset, kind: m.kind, name: &m.name, coder: m.coder})
		c.whole = c.whole && m.whole
	}
	c.bytes = len(c.steps) == 1 && c.steps[0].kind == kindBytes && t.Size() == unsafe.Sizeof([]byte(nil))
	return c, nil
}

// pathOf returns what a path of problems begins with.
func pathOf(t reflect.Type) string {
	if t.Name() != "" {
		return t.Name()
	}
	return t.String()
}

// Fields returns the names of the tuple's fields, in their order: those of T if it is a struct, else ValueField.
func (c *Codec[T]) Fields() []string { return append([]string(nil), c.names...) }

// IsBytes reports whether a T is nothing but one []byte in memory, such as a struct of one such field. Its users may then
// read and write it as one, without the calls that other types take.
func (c *Codec[T]) IsBytes() bool { return c.bytes }

// Append appends v to a row that was begun, a value for each of Fields. The row's Emit returns the errors, such
// as those of a method of T's.
//
// It keeps neither v nor what v refers to. Because v is read by derived functions, a variable whose address is passed
// lives on the heap: reuse one.
func (c *Codec[T]) Append(r *tuple.Row, v *T) {
	appendSteps(r, c.steps, unsafe.Pointer(v))
}
