package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"
	"unsafe"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

// All that reads and writes memory by address is in this file, and what goes through package reflect in reflect.go. Each
// function is derived for one type and called with the address of a variable of that type only; offsets come from package
// reflect.

// A coder writes and reads the values of one Go type.
type coder struct {
	kind kind
	// text means that a value consists of bytes alone: []byte, a string, or an array of bytes, whose length is size.
	text bool
	size int
	// whole means that read sets all of the value. Otherwise read expects the zero value.
	whole bool
	// nilable means that a value may be written as nil, so that a pointer to it would look like nil.
	nilable bool
	// nests is how deep arrays and maps nest in the value.
	nests int
	// write appends the value at p. An error is that of a method of the user's, or its panic.
	write func(dst []byte, p unsafe.Pointer) ([]byte, error)
	// read reads the value that src begins with into p, and returns what follows it in src. The structure of src has been
	// checked: it is whole values, and there may be none left. Byte slices become views of src.
	read func(src []byte, p unsafe.Pointer) (rest []byte, err *tuple.FieldError)
}

// A kind names the types that are frequent enough to be written and read without a call of a derived function.
type kind uint8

const (
	other kind = iota
	kindBytes
	kindString
	kindInt64
	kindInt32
	kindInt16
	kindInt8
	kindUint64
	kindUint32
	kindUint16
	kindUint8
	kindFloat64
	kindFloat32
	kindBool
	kindTime
)

// scalarKind returns the kind of a type that has one, leaving aside that it may have a form of its own.
func scalarKind(t reflect.Type) kind {
	switch t.Kind() {
	case reflect.Bool:
		return kindBool
	case reflect.String:
		return kindString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[uintptr]kind{8: kindInt64, 4: kindInt32, 2: kindInt16, 1: kindInt8}[t.Size()]
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[uintptr]kind{8: kindUint64, 4: kindUint32, 2: kindUint16, 1: kindUint8}[t.Size()]
	case reflect.Float64:
		return kindFloat64
	case reflect.Float32:
		return kindFloat32
	}
	return other
}

// A step is one field of a tuple, as it is written or read.
type step struct {
	offset uintptr
	kind   kind
	skip   uint16 // fields of the tuple that are skipped before it is read
	name   *string
	*coder
}

// appendSteps appends the fields of the struct at p to a row, as the row's own methods write them.
func appendSteps(r *tuple.Row, steps []step, p unsafe.Pointer) {
	for i := range steps {
		s := &steps[i]
		p := unsafe.Add(p, s.offset)
		switch s.kind {
		case kindBytes:
			r.Bytes(*(*[]byte)(p))
		case kindString:
			r.String(*(*string)(p))
		case kindInt64:
			r.Int(*(*int64)(p))
		case kindInt32:
			r.Int(int64(*(*int32)(p)))
		case kindInt16:
			r.Int(int64(*(*int16)(p)))
		case kindInt8:
			r.Int(int64(*(*int8)(p)))
		case kindUint64:
			r.Uint(*(*uint64)(p))
		case kindUint32:
			r.Uint(uint64(*(*uint32)(p)))
		case kindUint16:
			r.Uint(uint64(*(*uint16)(p)))
		case kindUint8:
			r.Uint(uint64(*(*uint8)(p)))
		case kindFloat64:
			r.Float(*(*float64)(p))
		case kindFloat32:
			r.Float(float64(*(*float32)(p)))
		case kindBool:
			r.Bool(*(*bool)(p))
		case kindTime:
			r.Time(*(*time.Time)(p))
		default:
			s.append(r, p)
		}
	}
}

// append appends the value at p to a row.
func (s *step) append(r *tuple.Row, p unsafe.Pointer) {
	v, err := s.write(r.AvailableBuffer(), p)
	if err != nil {
		r.Fail(fmt.Errorf("%w: field %s: %w", tuple.ErrEncode, *s.name, err))
		return
	}
	r.Raw(v)
}

// read reads the values of a tuple into the fields of the struct at p.
func (r *reader) read(t tuple.Tuple, p unsafe.Pointer) error {
	src := t.Encoded()
	if t.Len() < r.width {
		return r.missing(t.Len())
	}
	if len(src) > 0 && src[0]&0xf0 == wire.FixArray {
		src = src[1:]
	} else {
		src = long(src)
	}
	steps := r.steps
	for i := range steps {
		s := &steps[i]
		if s.skip > 0 {
			src = s.skipped(src)
		}
		p := unsafe.Add(p, s.offset)
		switch b := src[0]; s.kind {
		case kindBytes:
			if n := int(b - wire.FixStr); n < 32 {
				*(*[]byte)(p) = view(src[1 : 1+n])
				src = src[1+n:]
				continue
			}
		case kindString:
			if n := int(b - wire.FixStr); n < 32 {
				*(*string)(p) = string(src[1 : 1+n])
				src = src[1+n:]
				continue
			}
		case kindInt64, kindUint64:
			if b < wire.FixMap {
				*(*uint64)(p) = uint64(b)
				src = src[1:]
				continue
			}
		case kindInt32, kindUint32:
			if b < wire.FixMap {
				*(*uint32)(p) = uint32(b)
				src = src[1:]
				continue
			}
		case kindInt8, kindUint8:
			if b < wire.FixMap {
				*(*uint8)(p) = b
				src = src[1:]
				continue
			}
		case kindFloat64:
			if b == wire.Float64 && len(src) >= 9 {
				*(*float64)(p) = math.Float64frombits(binary.BigEndian.Uint64(src[1:]))
				src = src[9:]
				continue
			}
		case kindBool:
			if b == wire.True || b == wire.False {
				*(*bool)(p) = b == wire.True
				src = src[1:]
				continue
			}
		}
		var err *tuple.FieldError
		if src, err = s.read(src, p); err != nil {
			return s.within(err)
		}
	}
	return nil
}

// long returns what follows the head of an array of 16 elements or more, or of an array with an unusual head.
func long(src []byte) []byte {
	if len(src) == 0 {
		return nil
	}
	head, _, _ := wire.Measure(src)
	return src[head:]
}

// skipped returns what follows the values that are skipped before the step.
func (s *step) skipped(src []byte) []byte {
	for range s.skip {
		src = after(src)
	}
	return src
}

// within returns the error of a step.
//
//go:noinline
func (s *step) within(err *tuple.FieldError) error { return within(err, *s.name) }

// scalar returns the coder of a kind.
func scalar(k kind) *coder {
	c := &coder{kind: k, whole: true, text: k == kindBytes || k == kindString}
	switch k {
	case kindBytes:
		c.write, c.read = writeBytes, readBytes
	case kindString:
		c.write, c.read = writeString, readString
	case kindInt64:
		c.write, c.read = writeInt64, readInt64
	case kindInt32:
		c.write, c.read = writeInt[int32], readInt[int32]
	case kindInt16:
		c.write, c.read = writeInt[int16], readInt[int16]
	case kindInt8:
		c.write, c.read = writeInt[int8], readInt[int8]
	case kindUint64:
		c.write, c.read = writeUint64, readUint64
	case kindUint32:
		c.write, c.read = writeUint[uint32], readUint[uint32]
	case kindUint16:
		c.write, c.read = writeUint[uint16], readUint[uint16]
	case kindUint8:
		c.write, c.read = writeUint[uint8], readUint[uint8]
	case kindFloat64:
		c.write, c.read = writeFloat64, readFloat64
	case kindFloat32:
		c.write, c.read = writeFloat32, readFloat32
	case kindBool:
		c.write, c.read = writeBool, readBool
	case kindTime:
		c.write, c.read = writeTime, readTime
	}
	return c
}

// view returns b so that appending to it copies it, and nil if it is empty.
func view(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b[:len(b):len(b)]
}

func writeBytes(dst []byte, p unsafe.Pointer) ([]byte, error) {
	b := *(*[]byte)(p)
	return append(wire.AppendStr(dst, len(b)), b...), nil
}

func readBytes(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	if len(src) > 0 && src[0] == wire.Nil {
		*(*[]byte)(p) = nil
		return src[1:], nil
	}
	b, rest, err := text(src, "string")
	if err == nil {
		*(*[]byte)(p) = view(b)
	}
	return rest, err
}

func writeString(dst []byte, p unsafe.Pointer) ([]byte, error) {
	s := *(*string)(p)
	return append(wire.AppendStr(dst, len(s)), s...), nil
}

func readString(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	b, rest, err := text(src, "string")
	if err == nil {
		*(*string)(p) = string(b)
	}
	return rest, err
}

func writeInt64(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendInt(dst, *(*int64)(p)), nil
}

func readInt64(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	if len(src) == 0 {
		return nil, missing("integer")
	}
	n, negative, ok := wire.Integer(src)
	if !ok || !negative && n > math.MaxInt64 {
		return nil, wrong("integer of 64 bits with sign", src)
	}
	*(*int64)(p) = int64(n)
	return src[wire.Width[src[0]]:], nil
}

func writeInt[T int8 | int16 | int32](dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendInt(dst, int64(*(*T)(p))), nil
}

func readInt[T int8 | int16 | int32](src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	var n int64
	rest, err := readInt64(src, unsafe.Pointer(&n))
	if err == nil && int64(T(n)) != n {
		bits := unsafe.Sizeof(T(0)) * 8
		return nil, &tuple.FieldError{Want: "integer of " + strconv.Itoa(int(bits)) + " bits with sign", Got: strconv.FormatInt(n, 10)}
	}
	*(*T)(p) = T(n)
	return rest, err
}

func writeUint64(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendUint(dst, *(*uint64)(p)), nil
}

func readUint64(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	if len(src) == 0 {
		return nil, missing("integer")
	}
	n, negative, ok := wire.Integer(src)
	if !ok || negative {
		return nil, wrong("integer from 0 up", src)
	}
	*(*uint64)(p) = n
	return src[wire.Width[src[0]]:], nil
}

func writeUint[T uint8 | uint16 | uint32](dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendUint(dst, uint64(*(*T)(p))), nil
}

func readUint[T uint8 | uint16 | uint32](src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	var n uint64
	rest, err := readUint64(src, unsafe.Pointer(&n))
	if err == nil && uint64(T(n)) != n {
		bits := unsafe.Sizeof(T(0)) * 8
		return nil, &tuple.FieldError{Want: "integer of " + strconv.Itoa(int(bits)) + " bits from 0 up", Got: strconv.FormatUint(n, 10)}
	}
	*(*T)(p) = T(n)
	return rest, err
}

func writeFloat64(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendFloat(dst, *(*float64)(p)), nil
}

func readFloat64(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	if len(src) == 0 {
		return nil, missing("number")
	}
	x, ok := wire.Number(src)
	if !ok {
		return nil, wrong("number", src)
	}
	*(*float64)(p) = x
	return src[wire.Width[src[0]]:], nil
}

func writeFloat32(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendFloat(dst, float64(*(*float32)(p))), nil
}

func readFloat32(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	var x float64
	rest, err := readFloat64(src, unsafe.Pointer(&x))
	if err == nil && math.IsInf(float64(float32(x)), 0) && !math.IsInf(x, 0) {
		return nil, &tuple.FieldError{Want: "number within the range of 32 bits", Got: strconv.FormatFloat(x, 'g', -1, 64)}
	}
	*(*float32)(p) = float32(x)
	return rest, err
}

func writeBool(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendBool(dst, *(*bool)(p)), nil
}

func readBool(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	if len(src) == 0 {
		return nil, missing("boolean")
	}
	if src[0] != wire.True && src[0] != wire.False {
		return nil, wrong("boolean", src)
	}
	*(*bool)(p) = src[0] == wire.True
	return src[1:], nil
}

func writeTime(dst []byte, p unsafe.Pointer) ([]byte, error) {
	return wire.AppendTime(dst, *(*time.Time)(p)), nil
}

func readTime(src []byte, p unsafe.Pointer) ([]byte, *tuple.FieldError) {
	if len(src) == 0 {
		return nil, missing("timestamp")
	}
	when, ok := wire.Timestamp(src)
	if !ok {
		return nil, wrong("timestamp", src)
	}
	*(*time.Time)(p) = when
	return after(src), nil
}

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

// text returns the content of the string or binary value that src begins with, and what follows it.
func text(src []byte, want string) (content, rest []byte, err *tuple.FieldError) {
	if len(src) == 0 {
		return nil, nil, missing(want)
	}
	content, ok := wire.Content(src)
	if !ok {
		return nil, nil, wrong(want, src)
	}
	return content, after(src), nil
}

// after returns what follows the value that src, which has been checked, begins with.
func after(src []byte) []byte {
	end, err := wire.Skip(src, 0, tuple.MaxDepth)
	if err != nil {
		return nil
	}
	return src[end:]
}

// elements returns how many elements the array that src begins with has, and where they begin.
func elements(src []byte, want string) (n int, rest []byte, err *tuple.FieldError) {
	if len(src) == 0 {
		return 0, nil, missing(want)
	}
	if !wire.IsArray(src[0]) {
		return 0, nil, wrong(want, src)
	}
	head, _, count := wire.Measure(src)
	return int(count), src[head:], nil
}

// entries returns how many entries the map that src begins with has, and where they begin.
func entries(src []byte) (n int, rest []byte, err *tuple.FieldError) {
	if len(src) == 0 {
		return 0, nil, missing("map")
	}
	if !wire.IsMap(src[0]) {
		return 0, nil, wrong("map", src)
	}
	head, _, count := wire.Measure(src)
	return int(count / 2), src[head:], nil
}

// entryName returns the name that src begins with, and the value that follows it; ok is false for a key that is not text.
func entryName(src []byte) (name, value []byte, ok bool) {
	if n := int(src[0] - wire.FixStr); n < 32 {
		return src[1 : 1+n], src[1+n:], true
	}
	name, ok = wire.Content(src)
	return name, after(src), ok
}

func wrong(want string, src []byte) *tuple.FieldError {
	return &tuple.FieldError{Want: want, Got: wire.Kind(src)}
}

func missing(want string) *tuple.FieldError {
	return &tuple.FieldError{Want: want, Got: "the end of the bytes"}
}

// within puts an error in a part of a value.
func within(err *tuple.FieldError, part string) *tuple.FieldError {
	err.Field = part + err.Field
	return err
}
