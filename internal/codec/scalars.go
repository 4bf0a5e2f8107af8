package codec

import (
	"math"
	"strconv"
	"time"
	"unsafe"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

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
