package codec

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

// ErrKey occurs when bytes are not those of a key of the type as which they are read.
var ErrKey = errors.New("codec: not a key of this type")

// A Key writes values of type K as bytes that are equal if and only if the values are, and reads them. It does not
// change, and any goroutine may use it.
//
// A key that is one value is written as what a grouping by a field of that value hashes: the bytes of text, the msgpack
// form of all else. The values of a struct or an array follow each other in msgpack form. So a key is stable as long
// as the types and the order of its fields are; the names do not matter. Every NaN is one key, and -0 is that of 0. Times
// are the same key if they are the same instant.
type Key[K any] struct {
	*coder
}

// keys holds the key codec, or the error, of each type that KeyOf was called for.
var keys sync.Map // reflect.Type → func() (*Key[K], error)

// KeyOf returns the codec of keys of type K: []byte, a string, a boolean, a number, a time, or an array or a struct of
// these. The error is a *TypeError that lists all problems of K.
func KeyOf[K any]() (*Key[K], error) {
	t := reflect.TypeFor[K]()
	f, ok := keys.Load(t)
	if !ok {
		f, _ = keys.LoadOrStore(t, sync.OnceValues(deriveKey[K]))
	}
	return f.(func() (*Key[K], error))()
}

func deriveKey[K any]() (*Key[K], error) {
	t := reflect.TypeFor[K]()
	d := deriver{key: true, coders: map[reflect.Type]*coder{}}
	k := &Key[K]{d.derive(t, pathOf(t))}
	if err := d.failed(t); err != nil {
		return nil, err
	}
	return k, nil
}

// Append appends the bytes of a key to dst.
func (k *Key[K]) Append(dst []byte, v *K) []byte {
	p := unsafe.Pointer(v)
	if k.text {
		return appendText(dst, k.coder, p)
	}
	dst, _ = k.write(dst, p) // types with methods of their own, which could fail, are refused
	return dst
}

// Decode reads the key that b is into v, and sets all of it. Byte slices in v are views of b. The error is ErrKey, and
// names the field.
func (k *Key[K]) Decode(b []byte, v *K) error {
	var zero K
	*v = zero
	p := unsafe.Pointer(v)
	if k.text {
		if !setText(b, k.coder, p) {
			return fmt.Errorf("%w: want %d bytes, got %d", ErrKey, k.size, len(b))
		}
		return nil
	}
	for at := 0; at < len(b); {
		var err error
		if at, err = wire.Skip(b, at, tuple.MaxDepth); err != nil {
			return fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	rest, err := k.read(b, p)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %T%s: want %s, got %s", ErrKey, *v, err.Field, err.Want, err.Got)
	case len(rest) > 0:
		return fmt.Errorf("%w: %T ends %d bytes before they do", ErrKey, *v, len(rest))
	}
	return nil
}
