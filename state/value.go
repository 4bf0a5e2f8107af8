package state

import (
	"bytes"
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

	"github.com/askback/askback/internal/wire"
)

// A valueKind knows how the values of one map are stored and read.
type valueKind struct {
	// name is stored with the values.
	name string
	// older returns how values that were stored under another name are read as the type of today. nil if they cannot be.
	older func(name string) (valueKind, error)
	// foreign means that write and read call code of the user's, or of msgpack, which might panic.
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
	var kind valueKind
	if fields, ok := flatten(t, 0, nil, &name); ok {
		kind = plainKind(name.String(), fields)
	} else if err := checkMsgpack(t, nil); err != nil {
		return valueKind{}, err
	} else {
		kind = msgpackKind[V]()
	}
	kind.older = func(name string) (valueKind, error) {
		switch name {
		case msgpackName:
			return msgpackKind[V](), nil
		case binaryName:
			return valueKind{}, fmt.Errorf("%w: %v wrote its values itself, and has no MarshalBinary and UnmarshalBinary now", ErrKind, t)
		}
		fields, err := matchStored(name, t)
		return plainKind(name, fields), err
	}
	return kind, nil
}

// The names of kinds that are not plain, whose names are those of their fields.
const (
	binaryName  = "binary"
	msgpackName = "msgpack"
)

// olderNamed returns how values that were stored under another name are read.
func (k *valueKind) olderNamed(name string) (valueKind, error) {
	if k.older == nil {
		return valueKind{}, fmt.Errorf("%w: its values are %.200q, and their type has MarshalBinary and UnmarshalBinary now: give the map a new name", ErrKind, name)
	}
	return k.older(name)
}

func binaryKind[V any]() valueKind {
	return valueKind{
		name: binaryName, foreign: true,
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
		name: msgpackName, foreign: true,
		write: func(dst []byte, p unsafe.Pointer) ([]byte, error) {
			b, err := msgpack.Marshal((*V)(p))
			return append(dst, b...), err
		},
		read: func(src []byte, p unsafe.Pointer) error {
			// The decoder believes lengths and recurses without bound, so only what has been checked is handed to it.
			if end, err := wire.Skip(src, 0, maxNesting); err != nil || end != len(src) {
				return errValue
			}
			d := msgpack.GetDecoder()
			d.Reset(bytes.NewReader(src))
			d.DisallowUnknownFields(true) // it would be lost with the next snapshot
			err := d.Decode((*V)(p))
			msgpack.PutDecoder(d)
			if err != nil {
				return fmt.Errorf("%w: it does not fit %T: %w: %s", ErrKind, *(*V)(p), err, keepField)
			}
			return nil
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
	if one := nameOfOne(t); one != "" {
		name.WriteString(one)
		return append(fields, field{at, t.Kind()}), true
	}
	switch t.Kind() {
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

// nameOfOne returns the name of a type that is stored as one field, or "". The width of numbers may change.
func nameOfOne(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "int"
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "uint"
	case reflect.Uint8:
		return "byte"
	case reflect.Float32, reflect.Float64, reflect.Bool, reflect.String:
		return t.Kind().String()
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !marshals(t.Elem()) {
			return "bytes"
		}
	}
	return ""
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
	default: // []byte; nil and empty differ
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

// checkMsgpack returns why msgpack would not read a value of the type as it was written.
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
