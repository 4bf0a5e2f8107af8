package wire

import (
	"encoding/binary"
	"math"
	"time"
)

// AppendUint appends an integer, in the shortest form.
func AppendUint(dst []byte, n uint64) []byte {
	switch {
	case n < FixMap:
		return append(dst, byte(n))
	case n <= math.MaxUint8:
		return append(dst, Uint8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, Uint16), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, Uint32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, Uint64), n)
}

// AppendInt appends an integer, in the shortest form: one that is not negative as AppendUint does.
func AppendInt(dst []byte, n int64) []byte {
	switch {
	case n >= 0:
		return AppendUint(dst, uint64(n))
	case n >= -32:
		return append(dst, byte(n))
	case n >= math.MinInt8:
		return append(dst, Int8, byte(n))
	case n >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, Int16), uint16(n))
	case n >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, Int32), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, Int64), uint64(n))
}

// AppendFloat appends a floating-point value of 64 bits. Every NaN gives the same bytes, for machines make different
// ones of the same calculation; -0 and 0 differ.
func AppendFloat(dst []byte, x float64) []byte {
	if x != x {
		x = math.NaN()
	}
	return binary.BigEndian.AppendUint64(append(dst, Float64), math.Float64bits(x))
}

// AppendBool appends a boolean value.
func AppendBool(dst []byte, x bool) []byte {
	if x {
		return append(dst, True)
	}
	return append(dst, False)
}

// AppendArray appends the head of an array of n elements.
func AppendArray(dst []byte, n int) []byte { return appendCount(dst, n, FixArray, Array16, Array32) }

// AppendMap appends the head of a map of n entries.
func AppendMap(dst []byte, n int) []byte { return appendCount(dst, n, FixMap, Map16, Map32) }

func appendCount(dst []byte, n int, short, wide, widest byte) []byte {
	switch {
	case n < 16:
		return append(dst, short|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, wide), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, widest), uint32(n))
}

// AppendBin appends the head of a binary value of n bytes.
func AppendBin(dst []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, Bin8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, Bin16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, Bin32), uint32(n))
}

// AppendStr appends the head of a string value of n bytes.
func AppendStr(dst []byte, n int) []byte {
	switch {
	case n < 32:
		return append(dst, FixStr|byte(n))
	case n <= math.MaxUint8:
		return append(dst, Str8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, Str16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, Str32), uint32(n))
}

// AppendTime appends a timestamp, in the shortest form. Its time zone is lost.
func AppendTime(dst []byte, t time.Time) []byte {
	sec, nsec := t.Unix(), uint64(t.Nanosecond())
	switch {
	case sec>>34 != 0:
		dst = binary.BigEndian.AppendUint32(append(dst, Ext8, 12, ExtTime), uint32(nsec))
		return binary.BigEndian.AppendUint64(dst, uint64(sec))
	case nsec != 0 || sec > math.MaxUint32:
		return binary.BigEndian.AppendUint64(append(dst, FixExt8, ExtTime), nsec<<34|uint64(sec))
	}
	return binary.BigEndian.AppendUint32(append(dst, FixExt4, ExtTime), uint32(sec))
}
