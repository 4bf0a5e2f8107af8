package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"time"
	"unsafe"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

// This file, scalars.go and composites.go alone read and write memory by address; reflect.go goes through package reflect.
// Each function is derived for one type and called with the address of a variable of that type only; offsets come from
// package reflect.

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
