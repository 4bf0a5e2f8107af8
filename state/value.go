package state

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"unsafe"

	"github.com/vmihailenco/msgpack/v5"
)

// A valueKind knows how the values of one map are stored and read.
type valueKind struct {
	// name is stored with the values; they can be read by a kind of the same name only.
	name string
	// foreign says that write and read call code of the user's, or of msgpack, that might panic.
	foreign bool
	// write appends the value at p.
	write func(dst []byte, p unsafe.Pointer) ([]byte, error)
	// read reads the value that is the whole of src into the zero value at p, and shares nothing with src.
	read func(src []byte, p unsafe.Pointer) error
}

// valueKindOf chooses the way to store a V: its own, if it is an encoding.BinaryMarshaler; field by field, if it
// consists of numbers, texts, bytes and truth values only; else msgpack.
func valueKindOf[V any]() (valueKind, error) {
	t := reflect.TypeFor[V]()
	_, marshals := any(new(V)).(encoding.BinaryMarshaler)
	_, unmarshals := any(new(V)).(encoding.BinaryUnmarshaler)
	if marshals && unmarshals && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		return binaryKind[V](), nil
	}
	var name strings.Builder
	if fields, ok := flatten(t, 0, nil, &name); ok {
		return plainKind(name.String(), fields), nil
	}
	if err := checkMsgpack(t, nil); err != nil {
		return valueKind{}, err
	}
	return msgpackKind[V](), nil
}

func binaryKind[V any]() valueKind {
	return valueKind{
		name: "binary", foreign: true,
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			if a, ok := any((*V)(p)).(encoding.BinaryAppender); ok {
				return a.AppendBinary(dst)
			}
			b, err := any((*V)(p)).(encoding.BinaryMarshaler).MarshalBinary()
			return append(dst, b...), err
		},
		read: func(src []byte, p unsafe.Pointer) error {
			return any((*V)(p)).(encoding.BinaryUnmarshaler).UnmarshalBinary(src)
		},
	}
}

func msgpackKind[V any]() valueKind {
	return valueKind{
		name: "msgpack", foreign: true,
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			b, err := msgpack.Marshal((*V)(p))
			return append(dst, b...), err
		},
		read: func(src []byte, p unsafe.Pointer) error {
			if !soundMsgpack(src) {
				return errValue
			}
			return msgpack.Unmarshal(src, (*V)(p))
		},
	}
}

// A field is one number, text, byte slice or truth value inside a value.
type field struct {
	offset uintptr
	kind   reflect.Kind // reflect.Slice stands for []byte
}

// maxFields bounds what is stored field by field; larger arrays are left to msgpack.
const maxFields = 256

// flatten appends the fields of a type, and writes its name. It reports whether the type has only such fields.
func flatten(t reflect.Type, at uintptr, fields []field, name *strings.Builder) ([]field, bool) {
	if marshals(t) || len(fields) >= maxFields {
		return nil, false
	}
	one := func(s string) ([]field, bool) {
		name.WriteString(s)
		return append(fields, field{at, t.Kind()}), true
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return one("int")
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return one("uint")
	case reflect.Uint8:
		return one("byte")
	case reflect.Float32, reflect.Float64, reflect.Bool, reflect.String:
		return one(t.Kind().String())
	case reflect.Slice:
		if t.Elem().Kind() != reflect.Uint8 || marshals(t.Elem()) {
			return nil, false
		}
		return one("bytes")
	case reflect.Array:
		if t.Len() > maxFields {
			return nil, false
		}
		name.WriteString("[" + strconv.Itoa(t.Len()) + "]")
		var elem strings.Builder
		ok := true
		for i := 0; i < t.Len() && ok; i++ {
			elem.Reset()
			fields, ok = flatten(t.Elem(), at+uintptr(i)*t.Elem().Size(), fields, &elem)
		}
		name.WriteString(elem.String())
		return fields, ok
	case reflect.Struct:
		name.WriteString("{")
		ok := true
		for i := 0; i < t.NumField() && ok; i++ {
			f := t.Field(i)
			if _, tagged := f.Tag.Lookup("msgpack"); tagged {
				return nil, false
			}
			if i > 0 {
				name.WriteString(" ")
			}
			name.WriteString(f.Name + ":")
			fields, ok = flatten(f.Type, at+f.Offset, fields, name)
		}
		name.WriteString("}")
		return fields, ok
	}
	return nil, false
}

var (
	marshalerTypes = []reflect.Type{
		reflect.TypeFor[encoding.BinaryMarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](),
		reflect.TypeFor[msgpack.Marshaler](),
		reflect.TypeFor[msgpack.CustomEncoder](),
	}
	errValue = errors.New("bad value")
)

// marshals reports whether a type has a form of its own.
func marshals(t reflect.Type) bool {
	for _, m := range marshalerTypes {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return true
		}
	}
	return false
}

func plainKind(name string, fields []field) valueKind {
	return valueKind{
		name: name,
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			for _, f := range fields {
				dst = f.write(dst, unsafe.Add(p, f.offset))
			}
			return dst, nil
		},
		read: func(src []byte, p unsafe.Pointer) error {
			for _, f := range fields {
				var ok bool
				if src, ok = f.read(src, unsafe.Add(p, f.offset)); !ok {
					return errValue
				}
			}
			if len(src) > 0 {
				return errValue
			}
			return nil
		},
	}
}

func (f field) write(dst []byte, p unsafe.Pointer) []byte {
	switch f.kind {
	case reflect.Int64:
		return binary.AppendVarint(dst, *(*int64)(p))
	case reflect.Int:
		return binary.AppendVarint(dst, int64(*(*int)(p)))
	case reflect.Int32:
		return binary.AppendVarint(dst, int64(*(*int32)(p)))
	case reflect.Int16:
		return binary.AppendVarint(dst, int64(*(*int16)(p)))
	case reflect.Int8:
		return binary.AppendVarint(dst, int64(*(*int8)(p)))
	case reflect.Uint64:
		return binary.AppendUvarint(dst, *(*uint64)(p))
	case reflect.Uint:
		return binary.AppendUvarint(dst, uint64(*(*uint)(p)))
	case reflect.Uint32:
		return binary.AppendUvarint(dst, uint64(*(*uint32)(p)))
	case reflect.Uint16:
		return binary.AppendUvarint(dst, uint64(*(*uint16)(p)))
	case reflect.Uint8:
		return append(dst, *(*uint8)(p))
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(*(*float64)(p)))
	case reflect.Float32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(*(*float32)(p)))
	case reflect.Bool:
		if *(*bool)(p) {
			return append(dst, 1)
		}
		return append(dst, 0)
	case reflect.String:
		s := *(*string)(p)
		return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	default: // []byte; nil is told from empty
		b := *(*[]byte)(p)
		if b == nil {
			return append(dst, 0)
		}
		return append(binary.AppendUvarint(append(dst, 1), uint64(len(b))), b...)
	}
}

func (f field) read(src []byte, p unsafe.Pointer) ([]byte, bool) {
	switch f.kind {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		n, width := binary.Varint(src)
		return src[max(0, width):], width > 0 && setInt(f.kind, p, n)
	case reflect.Uint8:
		if len(src) < 1 {
			return nil, false
		}
		*(*uint8)(p) = src[0]
		return src[1:], true
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n, width := binary.Uvarint(src)
		return src[max(0, width):], width > 0 && setUint(f.kind, p, n)
	case reflect.Float64:
		if len(src) < 8 {
			return nil, false
		}
		*(*float64)(p) = math.Float64frombits(binary.LittleEndian.Uint64(src))
		return src[8:], true
	case reflect.Float32:
		if len(src) < 4 {
			return nil, false
		}
		*(*float32)(p) = math.Float32frombits(binary.LittleEndian.Uint32(src))
		return src[4:], true
	case reflect.Bool:
		if len(src) < 1 || src[0] > 1 {
			return nil, false
		}
		*(*bool)(p) = src[0] == 1
		return src[1:], true
	case reflect.String:
		b, rest, ok := readBytes(src)
		*(*string)(p) = string(b)
		return rest, ok
	default:
		if len(src) < 1 || src[0] > 1 {
			return nil, false
		}
		if src[0] == 0 {
			return src[1:], true
		}
		b, rest, ok := readBytes(src[1:])
		*(*[]byte)(p) = append([]byte{}, b...)
		return rest, ok
	}
}

func setInt(kind reflect.Kind, p unsafe.Pointer, n int64) bool {
	switch kind {
	case reflect.Int64:
		*(*int64)(p) = n
		return true
	case reflect.Int:
		*(*int)(p) = int(n)
		return int64(int(n)) == n
	case reflect.Int32:
		*(*int32)(p) = int32(n)
		return int64(int32(n)) == n
	case reflect.Int16:
		*(*int16)(p) = int16(n)
		return int64(int16(n)) == n
	default:
		*(*int8)(p) = int8(n)
		return int64(int8(n)) == n
	}
}

func setUint(kind reflect.Kind, p unsafe.Pointer, n uint64) bool {
	switch kind {
	case reflect.Uint64:
		*(*uint64)(p) = n
		return true
	case reflect.Uint:
		*(*uint)(p) = uint(n)
		return uint64(uint(n)) == n
	case reflect.Uint32:
		*(*uint32)(p) = uint32(n)
		return uint64(uint32(n)) == n
	default:
		*(*uint16)(p) = uint16(n)
		return uint64(uint16(n)) == n
	}
}

// checkMsgpack says why msgpack would not give back what it was given.
func checkMsgpack(t reflect.Type, above []reflect.Type) error {
	if marshals(t) && t.Kind() != reflect.Interface {
		return nil
	}
	for _, a := range above {
		if a == t {
			return fmt.Errorf("%v contains itself", t)
		}
	}
	above = append(above, t)
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return checkMsgpack(t.Elem(), above)
	case reflect.Map:
		if err := checkMsgpack(t.Key(), above); err != nil {
			return err
		}
		return checkMsgpack(t.Elem(), above)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if tag := f.Tag.Get("msgpack"); tag == "-" {
				continue
			}
			if !f.IsExported() {
				return fmt.Errorf("field %s of %v is not exported and would be lost", f.Name, t)
			}
			if err := checkMsgpack(f.Type, above); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%v cannot be stored", t)
}

// maxNesting is deeper than any type that checkMsgpack lets pass.
const maxNesting = 64

// soundMsgpack reports whether b is one whole msgpack value in which no length promises more than there is. The
// decoder believes lengths and recurses without bound, so it is not handed anything else.
func soundMsgpack(b []byte) bool {
	var left [maxNesting]uint64 // values still to come at each level
	depth := 0
	left[0] = 1
	for {
		for left[depth] == 0 {
			if depth == 0 {
				return len(b) == 0
			}
			depth--
		}
		left[depth]--
		if len(b) == 0 {
			return false
		}
		skip, items, ok := msgpackHead(b)
		if !ok || skip > uint64(len(b)) {
			return false
		}
		b = b[skip:]
		if items > uint64(len(b)) {
			return false
		}
		if items > 0 {
			if depth++; depth == maxNesting {
				return false
			}
			left[depth] = items
		}
	}
}

// msgpackHead returns how many bytes a msgpack value takes without the values in it, and how many these are.
func msgpackHead(b []byte) (skip, items uint64, ok bool) {
	length := func(width int) uint64 { // big-endian, after the first byte; missing bytes make it too long
		n := uint64(0)
		for i := 1; i <= width; i++ {
			if i >= len(b) {
				return math.MaxUint32
			}
			n = n<<8 | uint64(b[i])
		}
		return n
	}
	sized := func(width int, extra uint64) (uint64, uint64, bool) {
		return 1 + uint64(width) + extra + length(width), 0, true
	}
	switch c := b[0]; {
	case c <= 0x7f || c >= 0xe0 || c == 0xc0 || c == 0xc2 || c == 0xc3: // small number, nil, false, true
		return 1, 0, true
	case c <= 0x8f: // small map
		return 1, 2 * uint64(c&0x0f), true
	case c <= 0x9f: // small array
		return 1, uint64(c & 0x0f), true
	case c <= 0xbf: // small string
		return 1 + uint64(c&0x1f), 0, true
	case c >= 0xc4 && c <= 0xc6: // bytes
		return sized(1<<(c-0xc4), 0)
	case c >= 0xc7 && c <= 0xc9: // extension
		return sized(1<<(c-0xc7), 1)
	case c == 0xca || c == 0xce || c == 0xd2: // 32 bits
		return 5, 0, true
	case c == 0xcb || c == 0xcf || c == 0xd3: // 64 bits
		return 9, 0, true
	case c == 0xcc || c == 0xd0:
		return 2, 0, true
	case c == 0xcd || c == 0xd1:
		return 3, 0, true
	case c >= 0xd4 && c <= 0xd8: // extension of fixed length
		return 2 + 1<<(c-0xd4), 0, true
	case c >= 0xd9 && c <= 0xdb: // string
		return sized(1<<(c-0xd9), 0)
	case c == 0xdc || c == 0xdd: // array
		w := 2 << (c - 0xdc)
		return 1 + uint64(w), length(w), true
	case c == 0xde || c == 0xdf: // map
		w := 2 << (c - 0xde)
		return 1 + uint64(w), 2 * length(w), true
	}
	return 0, 0, false
}
