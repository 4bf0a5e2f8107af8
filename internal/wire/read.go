package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// Content returns the bytes of the string or binary value that b begins with; ok is false for another value.
func Content(b []byte) (c []byte, ok bool) {
	switch b[0] {
	case Str8, Str16, Str32, Bin8, Bin16, Bin32:
		head, size, _ := Measure(b)
		end := head + int(size)
		return b[head:end:end], true
	}
	if b[0]&0xe0 == FixStr {
		end := 1 + int(b[0]&0x1f)
		return b[1:end:end], true
	}
	return nil, false
}

// Integer returns the integer that v is. A negative one is returned as its two's complement.
func Integer(v []byte) (n uint64, negative, ok bool) {
	c := v[0]
	var s int64
	switch {
	case c < FixMap:
		return uint64(c), false, true
	case c >= 0xe0:
		s = int64(int8(c))
	case c == Uint8:
		return uint64(v[1]), false, true
	case c == Uint16:
		return uint64(binary.BigEndian.Uint16(v[1:])), false, true
	case c == Uint32:
		return uint64(binary.BigEndian.Uint32(v[1:])), false, true
	case c == Uint64:
		return binary.BigEndian.Uint64(v[1:]), false, true
	case c == Int8:
		s = int64(int8(v[1]))
	case c == Int16:
		s = int64(int16(binary.BigEndian.Uint16(v[1:])))
	case c == Int32:
		s = int64(int32(binary.BigEndian.Uint32(v[1:])))
	case c == Int64:
		s = int64(binary.BigEndian.Uint64(v[1:]))
	default:
		return 0, false, false
	}
	return uint64(s), s < 0, true
}

// Number returns the floating-point value or integer that v is. An integer beyond 2^53 is rounded.
func Number(v []byte) (x float64, ok bool) {
	switch v[0] {
	case Float64:
		return math.Float64frombits(binary.BigEndian.Uint64(v[1:])), true
	case Float32:
		return float64(math.Float32frombits(binary.BigEndian.Uint32(v[1:]))), true
	}
	n, negative, ok := Integer(v)
	if negative {
		return float64(int64(n)), ok
	}
	return float64(n), ok
}

// Timestamp returns the time that v is, in any of msgpack's three forms.
func Timestamp(v []byte) (time.Time, bool) {
	var sec int64
	var nsec uint32
	switch {
	case v[0] == FixExt4 && v[1] == ExtTime:
		sec = int64(binary.BigEndian.Uint32(v[2:]))
	case v[0] == FixExt8 && v[1] == ExtTime:
		x := binary.BigEndian.Uint64(v[2:])
		sec, nsec = int64(x&(1<<34-1)), uint32(x>>34)
	case v[0] == Ext8 && v[1] == 12 && v[2] == ExtTime:
		nsec, sec = binary.BigEndian.Uint32(v[3:]), int64(binary.BigEndian.Uint64(v[7:]))
	default:
		return time.Time{}, false
	}
	if nsec >= 1e9 {
		return time.Time{}, false
	}
	return time.Unix(sec, int64(nsec)).UTC(), true
}

// Kind names the type of a value, for errors.
func Kind(v []byte) string {
	switch c := v[0]; {
	case c < FixMap || c >= Negative, Uint8 <= c && c <= Int64:
		if n, _, _ := Integer(v); c == Uint64 && n > math.MaxInt64 {
			return "an integer above 2^63-1"
		} else if int64(n) < 0 {
			return "a negative integer"
		}
		return "an integer"
	case IsMap(c):
		return "a map"
	case IsArray(c):
		return "an array"
	case c&0xe0 == FixStr, Str8 <= c && c <= Str32:
		return "a string"
	case Bin8 <= c && c <= Bin32:
		return "binary"
	case c == Nil:
		return "nil"
	case c == False, c == True:
		return "a boolean"
	case c == Float32, c == Float64:
		return "a floating-point number"
	}
	return "an extension"
}
