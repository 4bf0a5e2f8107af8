package stream

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/askback/askback/internal/codec"
	"github.com/askback/askback/tuple"
)

// A push takes the values that reach a step. It has two forms, because Go copies a struct of more than four words through
// memory at each call: a value that is in memory already is passed in place.
type push[T any] struct {
	of func(T)  // takes a value that was just computed
	at func(*T) // takes a value in place, and may change it; the caller does not read it afterwards
}

// inPlace makes a push of a function that takes values in place.
func inPlace[T any](f func(*T)) push[T] {
	own := new(T) // one for all: there is no allocation per value
	return push[T]{at: f, of: func(v T) {
		*own = v
		f(own)
	}}
}

// A valueType describes a type of values to the steps of a topology, behind functions that know the type. In comments, T is
// the type, and any stands for a push[T] unless noted otherwise.
type valueType struct {
	name   string
	fields func() ([]string, error) // of the tuples that carry it; an error if it cannot be encoded

	// fan joins several pushes to one that calls them in order, each with a copy; of one it is that one, of none one that
	// drops.
	fan func(pushes []any) any
	// emit makes a push that emits on a stream of the instance's operator.
	emit func(x *instance, s *channelOut) any
	// take makes the function that decodes tuples with these fields and pushes the values.
	take func(f *tuple.Fields, to any) (func(tuple.Tuple) error, error)
}

var valueTypes sync.Map // reflect-free: by the zero *T, which is a type of its own

func typeOf[T any]() *valueType {
	if known, ok := valueTypes.Load((*T)(nil)); ok {
		return known.(*valueType)
	}
	v := &valueType{
		name: typeName[T](),
		fields: func() ([]string, error) {
			c, err := codec.Of[T]()
			if err != nil {
				return nil, err
			}
			return c.Fields(), nil
		},
		fan: fan[T], emit: emit[T], take: take[T],
	}
	known, _ := valueTypes.LoadOrStore((*T)(nil), v)
	return known.(*valueType)
}

func fan[T any](pushes []any) any {
	switch len(pushes) {
	case 0:
		return push[T]{of: func(T) {}, at: func(*T) {}}
	case 1:
		return pushes[0]
	}
	to := make([]push[T], len(pushes))
	for i, p := range pushes {
		to[i] = p.(push[T])
	}
	of := func(v T) {
		for i := range to {
			to[i].of(v)
		}
	}
	return push[T]{of: of, at: func(v *T) { of(*v) }}
}

// An emitting is one stream of an operator, with the emitter of the running call.
type emitting struct {
	stream string
	to     tuple.Emitter
}

func (e *emitting) bind(out tuple.Emitter) {
	e.to = out
	if e.stream != "" {
		e.to = out.On(e.stream)
	}
}

func emit[T any](x *instance, s *channelOut) any {
	c, err := codec.Of[T]()
	if err != nil { // compile has checked this, so the step was made in another way
		return inPlace(func(*T) { x.setErr(err) })
	}
	e := &emitting{stream: s.name}
	x.emits = append(x.emits, e)
	var text func(T) []byte // encodes the key
	if s.key != nil {
		text = s.key.text().(func(T) []byte)
	}
	if c.IsBytes() {
		of := func(v T) {
			if x.err != nil {
				return
			}
			row := e.to.Row().Bytes(*(*[]byte)(unsafe.Pointer(&v)))
			if text != nil {
				row.Key(tuple.Hash(text(v)))
			}
			if err := row.Emit(); err != nil {
				x.setErr(err)
			}
		}
		return push[T]{of: of, at: func(v *T) { of(*v) }}
	}
	return inPlace(func(v *T) {
		if x.err != nil {
			return // no step is executed after the first error of a call
		}
		row := e.to.Row()
		c.Append(row, v)
		if text != nil {
			row.Key(tuple.Hash(text(*v)))
		}
		if err := row.Emit(); err != nil {
			x.setErr(err)
		}
	})
}

func take[T any](f *tuple.Fields, to any) (func(tuple.Tuple) error, error) {
	c, err := codec.Of[T]()
	if err != nil {
		return nil, err
	}
	r, err := c.Bind(f)
	if err != nil {
		return nil, err
	}
	if c.IsBytes() && f.Len() == 1 {
		next := to.(push[T]).of // by value: it fits into registers
		return func(t tuple.Tuple) error {
			b := t.Bytes(0)
			if len(b) == 0 { // nil and empty are the same, and read as nil
				if err := t.Err(); err != nil {
					return err
				}
				b = nil
			}
			next(*(*T)(unsafe.Pointer(&b)))
			return nil
		}, nil
	}
	next, v := to.(push[T]).at, new(T) // one for all: there is no allocation per tuple
	return func(t tuple.Tuple) error {
		if err := r.Decode(t, v); err != nil {
			return err
		}
		next(v)
		return nil
	}, nil
}

// summary renders a value for an error of a step. It is called for a value that failed, and may be slow.
func summary[T any](v *T) string {
	if t, err := encoded(v); err == nil {
		return t.Summary(maxSummary)
	}
	return fmt.Sprintf("%.*v", maxSummary, *v)
}

// maxSummary bounds the text of a value in an error, in bytes.
const maxSummary = 512

var errNoTuple = errors.New("stream: no tuple was encoded")

// encoded returns a value as a tuple.
func encoded[T any](v *T) (tuple.Tuple, error) {
	c, err := codec.Of[T]()
	if err != nil {
		return tuple.Tuple{}, err
	}
	f, err := tuple.NewFields(c.Fields()...)
	if err != nil {
		return tuple.Tuple{}, err
	}
	var kept keeper
	row := tuple.NewRow(f, &kept).Begin()
	c.Append(row, v)
	if err := row.Emit(); err != nil {
		return tuple.Tuple{}, err
	}
	if kept == nil {
		return tuple.Tuple{}, errNoTuple
	}
	return tuple.Parse(f, kept)
}

// A keeper is a sink of rows that keeps the last one's bytes.
type keeper []byte

func (k *keeper) Take(r *tuple.Row) error {
	*k = append((*k)[:0], r.Encoded()...)
	return nil
}

// holdsBytes reports whether a type holds a []byte, which is a view where it was decoded.
func holdsBytes(t reflect.Type, above []reflect.Type) bool {
	if slices.Contains(above, t) {
		return false
	}
	above = append(above, t)
	switch t.Kind() {
	case reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8 || holdsBytes(t.Elem(), above)
	case reflect.Array, reflect.Pointer, reflect.Map:
		return holdsBytes(t.Elem(), above)
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsBytes(t.Field(i).Type, above) {
				return true
			}
		}
	}
	return false
}
