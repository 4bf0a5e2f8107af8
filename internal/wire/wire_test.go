package wire

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

const depth = 32

func library(t *testing.T, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Skip takes whole values, and nothing else.
func TestSkip(t *testing.T) {
	for _, v := range []any{nil, true, 1, -1, 200, -200, 70000, -70000, 1 << 40, -1 << 40, uint64(math.MaxUint64), 1.5, float32(1.5), "short", string(make([]byte, 40)),
		string(make([]byte, 300)), string(make([]byte, 70000)), make([]byte, 5), make([]byte, 300), make([]byte, 70000), []int{1, 2}, make([]int, 20), make([]string, 70000),
		map[string]int{"a": 1}, map[int][]int{1: {2}, 3: nil}, time.Now(), struct{ A, B []map[string]int }{}} {
		b := library(t, v)
		for _, after := range []string{"", "more"} {
			if end, err := Skip(append([]byte("x"), append(b, after...)...), 1, depth); err != nil || end != 1+len(b) {
				t.Errorf("%T %.30v of %d bytes ends at %d, %v", v, v, len(b), end-1, err)
			}
		}
		if end, err := Skip(b[:len(b)-1], 0, depth); err == nil {
			t.Errorf("%T %.30v ends at %d, without its last byte", v, v, end)
		}
	}
	for name, x := range map[string]struct {
		b    []byte
		want error
	}{
		"nothing": {nil, ErrTruncated}, "unused code": {[]byte{Unused}, ErrMalformed}, "deep nest": {bytes.Repeat([]byte{FixArray | 1}, 1<<20), ErrTooDeep},
		"huge array": {[]byte{Array32, 0xff, 0xff, 0xff, 0xff, 1}, ErrTruncated}, "huge map": {[]byte{Map32, 0x80, 0, 0, 0, 1}, ErrTruncated},
		"huge text": {[]byte{Str32, 0xff, 0xff, 0xff, 0xff, 1}, ErrTruncated}, "cut length": {[]byte{Array32, 0xff}, ErrTruncated},
		"huge extension": {[]byte{Ext32, 0xff, 0xff, 0xff, 0xff, 1}, ErrTruncated},
	} {
		if end, err := Skip(x.b, 0, depth); err != x.want {
			t.Errorf("%s ends at %d, %v; want %v", name, end, err, x.want)
		}
	}
	if end, err := Skip([]byte{FixArray | 1, FixArray}, 0, 2); err != nil || end != 2 {
		t.Errorf("as deep as allowed: %d, %v", end, err)
	}
	if _, err := Skip([]byte{FixArray | 1, FixArray}, 0, 1); err != ErrTooDeep {
		t.Errorf("one deeper: %v", err)
	}
}

// Appended values are read alike by the library and by the readers.
func TestAppendAndRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shift := rapid.IntRange(0, 63).Draw(t, "shift")
		n, x := rapid.Int64().Draw(t, "n")>>shift, rapid.Float64().Draw(t, "x")
		u := rapid.Uint64().Draw(t, "u") >> shift
		when := time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "nsec")>>shift).UTC()
		text := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "text")
		decode := func(b []byte, ptr any) {
			if err := msgpack.Unmarshal(b, ptr); err != nil {
				t.Fatalf("%x: %v", b, err)
			}
			if end, err := Skip(b, 0, 0); err != nil || end != len(b) {
				t.Fatalf("%x ends at %d, %v", b, end, err)
			}
		}
		var gotN int64
		b := AppendInt(nil, n)
		decode(b, &gotN)
		if m, negative, ok := Integer(b); gotN != n || int64(m) != n || negative != (n < 0) || !ok {
			t.Fatalf("%d is %d, %v, to us and %d to the library", n, int64(m), negative, gotN)
		}
		var gotU uint64
		b = AppendUint(nil, u)
		decode(b, &gotU)
		if m, negative, ok := Integer(b); gotU != u || m != u || negative || !ok {
			t.Fatalf("%d is %d, %v, to us and %d to the library", u, m, negative, gotU)
		}
		var gotX float64
		b = AppendFloat(nil, x)
		decode(b, &gotX)
		if y, ok := Number(b); gotX != x || y != x || !ok {
			t.Fatalf("%v is %v to us and %v to the library", x, y, gotX)
		}
		var gotWhen time.Time
		b = AppendTime(nil, when)
		decode(b, &gotWhen)
		if w, ok := Timestamp(b); !gotWhen.Equal(when) || w != when || !ok {
			t.Fatalf("%v is %v to us and %v to the library", when, w, gotWhen)
		}
		var gotText string
		b = append(AppendStr(nil, len(text)), text...)
		decode(b, &gotText)
		if c, ok := Content(b); gotText != string(text) || !bytes.Equal(c, text) || !ok {
			t.Fatalf("%q is %q to us and %q to the library", text, c, gotText)
		}
		var gotBytes []byte
		b = append(AppendBin(nil, len(text)), text...)
		decode(b, &gotBytes)
		if c, ok := Content(b); !bytes.Equal(gotBytes, text) || !bytes.Equal(c, text) || !ok || !IsBinary(b[0]) {
			t.Fatalf("%q is %q to us and %q to the library", text, c, gotBytes)
		}
		if y, ok := Number(AppendInt(nil, n)); y != float64(n) || !ok {
			t.Fatalf("%d is %v", n, y)
		}
	})
}

func TestHeads(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536, 1 << 20} {
		for _, x := range []struct {
			head        []byte
			size, count uint64
			nest, aMap  bool
		}{
			{AppendArray(nil, n), 0, uint64(n), true, false},
			{AppendMap(nil, n), 0, 2 * uint64(n), true, true},
			{AppendBin(nil, n), uint64(n), 0, false, false},
			{AppendStr(nil, n), uint64(n), 0, false, false},
		} {
			if IsNest(x.head[0]) != x.nest || IsMap(x.head[0]) != x.aMap || IsArray(x.head[0]) != (x.nest && !x.aMap) {
				t.Errorf("%x is taken for another kind", x.head)
			}
			if Width[x.head[0]] != 0 {
				if int(Width[x.head[0]]) != 1+n {
					t.Errorf("%x has width %d, want %d", x.head, Width[x.head[0]], 1+n)
				}
				continue
			}
			if head, size, count := Measure(x.head); head != len(x.head) || size != x.size || count != x.count {
				t.Errorf("%x: %d, %d, %d; want %d, %d, %d", x.head, head, size, count, len(x.head), x.size, x.count)
			}
		}
	}
}

func TestNotANumberHasOneForm(t *testing.T) {
	if !bytes.Equal(AppendFloat(nil, math.Float64frombits(0xfff8000000000123)), AppendFloat(nil, math.NaN())) {
		t.Error("two NaNs differ")
	}
	if bytes.Equal(AppendFloat(nil, math.Copysign(0, -1)), AppendFloat(nil, 0)) {
		t.Error("-0 is 0")
	}
}
