package codec

import (
	"reflect"
	"strconv"
	"unsafe"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

// bytesOf returns the coder of an array of n bytes.
func bytesOf(n int) *coder {
	want := "binary of " + strconv.Itoa(n) + " bytes"
	return &coder{
		text: true, size: n, whole: true,
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			return append(wire.AppendBin(dst, n), unsafe.Slice((*byte)(p), n)...), nil
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			b, rest, err := text(src, want)
			if err == nil && len(b) != n {
				return nil, &tuple.FieldError{Want: want, Got: strconv.Itoa(len(b)) + " bytes"}
			}
			copy(unsafe.Slice((*byte)(p), n), b)
			return rest, err
		},
	}
}

// appendText appends the bytes of a value that consists of bytes alone, without a head.
func appendText(dst []byte, c *coder, p unsafe.Pointer) []byte {
	switch c.kind {
	case kindBytes:
		return append(dst, *(*[]byte)(p)...)
	case kindString:
		return append(dst, *(*string)(p)...)
	}
	return append(dst, unsafe.Slice((*byte)(p), c.size)...)
}

// setText sets a value that consists of bytes alone, and reports whether it may have as many.
func setText(b []byte, c *coder, p unsafe.Pointer) bool {
	switch c.kind {
	case kindBytes:
		*(*[]byte)(p) = view(b)
	case kindString:
		*(*string)(p) = string(b)
	default:
		return copy(unsafe.Slice((*byte)(p), c.size), b) == len(b) && len(b) == c.size
	}
	return true
}

// arrayOf returns the coder of an array of n elements.
func arrayOf(n int, size uintptr, elem *coder) *coder {
	want := "array of " + strconv.Itoa(n)
	return &coder{
		whole: elem.whole, nests: 1 + elem.nests,
		write: func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
			dst = wire.AppendArray(dst, n)
			for i := 0; i < n && err == nil; i++ {
				dst, err = elem.write(dst, unsafe.Add(p, uintptr(i)*size))
			}
			return dst, err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			count, rest, err := elements(src, want)
			if err == nil && count != n {
				err = &tuple.FieldError{Want: want, Got: "array of " + strconv.Itoa(count)}
			}
			for i := 0; i < n && err == nil; i++ {
				if rest, err = elem.read(rest, unsafe.Add(p, uintptr(i)*size)); err != nil {
					return nil, within(err, "["+strconv.Itoa(i)+"]")
				}
			}
			return rest, err
		},
	}
}

// A slice is the memory of a slice of any type.
type slice struct {
	data     unsafe.Pointer // nil in a nil slice only
	len, cap int
}

// sliceOf returns the coder of a slice type.
func sliceOf(t reflect.Type, elem *coder) *coder {
	size := t.Elem().Size()
	return &coder{
		whole: true, nilable: true, nests: 1 + elem.nests,
		write: func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
			s := (*slice)(p)
			if s.data == nil {
				return append(dst, wire.Nil), nil
			}
			dst = wire.AppendArray(dst, s.len)
			for i := 0; i < s.len && err == nil; i++ {
				dst, err = elem.write(dst, unsafe.Add(s.data, uintptr(i)*size))
			}
			return dst, err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			if len(src) > 0 && src[0] == wire.Nil {
				*(*slice)(p) = slice{}
				return src[1:], nil
			}
			n, rest, err := elements(src, "array")
			if err != nil {
				return nil, err
			}
			data := reflect.MakeSlice(t, n, n).UnsafePointer()
			*(*slice)(p) = slice{data, n, n}
			for i := range n {
				if rest, err = elem.read(rest, unsafe.Add(data, uintptr(i)*size)); err != nil {
					return nil, within(err, "["+strconv.Itoa(i)+"]")
				}
			}
			return rest, nil
		},
	}
}

// pointerTo returns the coder of a pointer to values of type t.
func pointerTo(t reflect.Type, elem *coder) *coder {
	return &coder{
		whole: true, nilable: true, nests: elem.nests,
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			at := *(*unsafe.Pointer)(p)
			if at == nil {
				return append(dst, wire.Nil), nil
			}
			return elem.write(dst, at)
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			if len(src) > 0 && src[0] == wire.Nil {
				*(*unsafe.Pointer)(p) = nil
				return src[1:], nil
			}
			at := reflect.New(t).UnsafePointer()
			*(*unsafe.Pointer)(p) = at
			return elem.read(src, at)
		},
	}
}

// A member is a field of a struct.
type member struct {
	name   string
	head   []byte // the name as a msgpack string
	offset uintptr
	*coder
}

// at returns where the field is in the struct at p.
func (m *member) at(p unsafe.Pointer) unsafe.Pointer { return unsafe.Add(p, m.offset) }

// structOf returns the coder of a struct as a map. The members are in the order of their heads.
func structOf(members []member) *coder {
	index := make(map[string]int, len(members))
	nests := 0
	for i, m := range members {
		index[m.name] = i
		nests = max(nests, m.nests)
	}
	return &coder{
		nests: 1 + nests,
		write: func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
			dst = wire.AppendMap(dst, len(members))
			for i := range members {
				m := &members[i]
				if dst, err = m.write(append(dst, m.head...), m.at(p)); err != nil {
					break
				}
			}
			return dst, err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			count, rest, err := entries(src)
			for next := 0; count > 0 && err == nil; count-- {
				name, value, ok := entryName(rest)
				// They mostly come in the order in which they are written.
				if next >= len(members) || !ok || string(name) != members[next].name {
					if i, known := index[string(name)]; ok && known {
						next = i
					} else {
						rest = after(value)
						continue
					}
				}
				m := &members[next]
				if rest, err = m.read(value, m.at(p)); err != nil {
					return nil, within(err, "."+m.name)
				}
				next++
			}
			return rest, err
		},
	}
}

// repeated returns the coder of an array that is part of a key: its elements one after another.
func repeated(n int, size uintptr, elem *coder) *coder {
	return &coder{
		write: func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
			for i := 0; i < n && err == nil; i++ {
				dst, err = elem.write(dst, unsafe.Add(p, uintptr(i)*size))
			}
			return dst, err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			for i := range n {
				var err *tuple.FieldError
				if src, err = elem.read(src, unsafe.Add(p, uintptr(i)*size)); err != nil {
					return nil, within(err, "["+strconv.Itoa(i)+"]")
				}
			}
			return src, nil
		},
	}
}

// keyFloat returns the coder of a floating-point number in a key: -0 is written as 0, which it equals.
func keyFloat(k kind) *coder {
	c := *scalar(k)
	c.kind = other
	write := c.write
	c.write = func(dst []byte, p unsafe.Pointer) ([]byte, error) {
		var zero float64
		if k == kindFloat64 && *(*float64)(p) == 0 || k == kindFloat32 && *(*float32)(p) == 0 {
			return writeFloat64(dst, unsafe.Pointer(&zero))
		}
		return write(dst, p)
	}
	return &c
}

// sequenceOf returns the coder of a struct that is part of a key: its fields one after another, without their names.
func sequenceOf(members []member) *coder {
	return &coder{
		write: func(dst []byte, p unsafe.Pointer) (_ []byte, err error) {
			for i := range members {
				if dst, err = members[i].write(dst, members[i].at(p)); err != nil {
					break
				}
			}
			return dst, err
		},
		read: func(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
			for i := range members {
				var err *tuple.FieldError
				if src, err = members[i].read(src, members[i].at(p)); err != nil {
					return nil, within(err, "."+members[i].name)
				}
			}
			return src, nil
		},
	}
}
