package codec

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"unsafe"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

// mapOf returns the coder of a map type. Maps have no memory that is known, so each is read and written by reflection,
// and allocates.
func mapOf(t reflect.Type, key, elem *coder) *coder {
	return &coder{
		whole: true, nilable: true, nests: 1 + max(key.nests, elem.nests),
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			m := reflect.NewAt(t, p).Elem()
			if m.IsNil() {
				return append(dst, wire.Nil), nil
			}
			return writeMap(dst, m, key, elem)
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			if len(src) > 0 && src[0] == wire.Nil {
				reflect.NewAt(t, p).Elem().SetZero()
				return src[1:], nil
			}
			n, rest, err := entries(src)
			if err != nil {
				return nil, err
			}
			m := reflect.MakeMapWithSize(t, n)
			k, v := reflect.New(t.Key()), reflect.New(t.Elem())
			for range n {
				k.Elem().SetZero()
				v.Elem().SetZero()
				before := rest
				if rest, err = key.read(rest, k.UnsafePointer()); err != nil {
					return nil, within(err, "[key]")
				}
				if rest, err = elem.read(rest, v.UnsafePointer()); err != nil {
					return nil, within(err, "["+shortKey(before)+"]")
				}
				m.SetMapIndex(k.Elem(), v.Elem())
			}
			reflect.NewAt(t, p).Elem().Set(m)
			return rest, nil
		},
	}
}

// writeMap appends the entries of a map in the order of their encoded keys. Keys that are encoded alike, such as NaNs,
// are in the order of their values.
func writeMap(dst []byte, m reflect.Value, key, elem *coder) (_ []byte, err error) {
	type span struct{ from, value, to int }
	k, v := reflect.New(m.Type().Key()), reflect.New(m.Type().Elem())
	spans := make([]span, 0, m.Len())
	dst = wire.AppendMap(dst, m.Len())
	start := len(dst)
	for i := m.MapRange(); i.Next(); {
		s := span{from: len(dst)}
		k.Elem().SetIterKey(i)
		v.Elem().SetIterValue(i)
		if dst, err = key.write(dst, k.UnsafePointer()); err != nil {
			return nil, err
		}
		s.value = len(dst)
		if dst, err = elem.write(dst, v.UnsafePointer()); err != nil {
			return nil, err
		}
		s.to = len(dst)
		spans = append(spans, s)
	}
	order := func(a, b span) int {
		if c := bytes.Compare(dst[a.from:a.value], dst[b.from:b.value]); c != 0 {
			return c
		}
		return bytes.Compare(dst[a.value:a.to], dst[b.value:b.to])
	}
	if !slices.IsSortedFunc(spans, order) {
		slices.SortFunc(spans, order)
		sorted := make([]byte, 0, len(dst)-start)
		for _, s := range spans {
			sorted = append(sorted, dst[s.from:s.to]...)
		}
		copy(dst[start:], sorted)
	}
	return dst, nil
}

// shortKey renders the key that src begins with, for an error.
func shortKey(src []byte) string {
	if name, ok := wire.Content(src); ok {
		return fmt.Sprintf("%.40q", name)
	}
	return wire.Kind(src)
}

// binaryOf returns the coder of a type that has its own binary form.
func binaryOf(t reflect.Type) *coder {
	want := "binary form of " + t.String()
	return &coder{
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			b, err := marshal(t, "MarshalBinary", func() ([]byte, error) {
				return reflect.NewAt(t, p).Interface().(encoding.BinaryMarshaler).MarshalBinary()
			})
			return append(wire.AppendBin(dst, len(b)), b...), err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			return unmarshal(src, want, reflect.NewAt(t, p).Interface().(encoding.BinaryUnmarshaler).UnmarshalBinary)
		},
	}
}

// textOf returns the coder of a type that has its own form as text.
func textOf(t reflect.Type) *coder {
	want := "text form of " + t.String()
	return &coder{
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			b, err := marshal(t, "MarshalText", func() ([]byte, error) {
				return reflect.NewAt(t, p).Interface().(encoding.TextMarshaler).MarshalText()
			})
			return append(wire.AppendStr(dst, len(b)), b...), err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			return unmarshal(src, want, reflect.NewAt(t, p).Interface().(encoding.TextUnmarshaler).UnmarshalText)
		},
	}
}

// marshal calls a method of the user's. Its panic is an error.
func marshal(t reflect.Type, method string, call func() ([]byte, error)) (b []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
		if err != nil {
			b, err = nil, fmt.Errorf("%s of %v: %w", method, t, err)
		}
	}()
	return call()
}

// unmarshal hands the string or binary value that src begins with to a method of the user's. Its panic is an error.
func unmarshal(src []byte, want string, call func([]byte) error) (rest []byte, err *tuple.FieldError) {
	b, rest, err := text(src, want)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			err = &tuple.FieldError{Want: want, Got: fmt.Sprintf("%s at which it panics: %v", wire.Kind(src), r)}
		}
	}()
	if e := call(view(b)); e != nil {
		return nil, &tuple.FieldError{Want: want, Got: fmt.Sprintf("%s that it rejects: %v", wire.Kind(src), e)}
	}
	return rest, nil
}
