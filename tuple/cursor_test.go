package tuple

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/msgid"
)

var split1 = msgid.Channel{Source: msgid.Alias{Operator: "split", Index: 1}, Stream: "errors", Target: msgid.Alias{Operator: "count", Index: 3}}

// Rows and marks come back item by item, each with its number and place.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{0, 1, 2, 5, 15, 16, 40}).Draw(t, "width")
		names := make([]string, width)
		for i := range names {
			names[i] = fmt.Sprintf("f%d", i)
		}
		f, err := NewFields(names...)
		if err != nil {
			t.Fatal(err)
		}
		type wanted struct {
			item   Item
			end    int
			time   int64
			root   uint64
			values []any
		}
		var payload []byte
		var want []wanted
		row := NewRow(f, sinkFunc(func(r *Row) error { payload = append(payload, r.Encoded()...); return nil }))
		for range rapid.IntRange(0, 6).Draw(t, "items") {
			w := wanted{item: rapid.SampledFrom([]Item{Data, Data, End, Watermark, Root}).Draw(t, "item")}
			switch w.item {
			case Data:
				row.Begin()
				for range width {
					w.values = append(w.values, writeAny(t, row))
				}
				if err := row.Emit(); err != nil {
					t.Fatal(err)
				}
			case End:
				payload = AppendEnd(payload)
			case Watermark:
				w.time = rapid.Int64().Draw(t, "time")
				payload = AppendWatermark(payload, w.time)
			case Root:
				w.root = rapid.Uint64().Draw(t, "root")
				payload = AppendRoot(payload, w.root)
			}
			w.end = len(payload)
			want = append(want, w)
		}

		var o Origin
		if rapid.Bool().Draw(t, "with fields") {
			o.Fields = f
		}
		o.Channel, o.First = &split1, msgid.Seq(rapid.Uint64Range(0, 1<<63).Draw(t, "first"))
		var c Cursor
		c.Reset(payload, o)
		start := 0
		for i, w := range want {
			item, err := c.Next()
			if err != nil || item != w.item || c.Start() != start || c.Offset() != w.end || c.Watermark() != w.time || c.Root() != w.root || c.Seq() != o.First+msgid.Seq(i) {
				t.Fatalf("item %d is a %v, %d to %d, time %d, #%d, %v; want %+v", i, item, c.Start(), c.Offset(), c.Watermark(), c.Seq(), err, w)
			}
			if n, item, err := Skip(payload[start:]); n != w.end-start || item != w.item || err != nil {
				t.Fatalf("Skip says %d, %v, %v of item %d, want %+v", n, item, err, i, w)
			}
			v := c.Tuple()
			if v.Len() != len(w.values) || !bytes.Equal(v.Encoded(), payload[start:w.end]) {
				t.Fatalf("item %d has %d fields in %x", i, v.Len(), v.Encoded())
			}
			for j, x := range w.values {
				if got := v.Any(j); !reflect.DeepEqual(got, x) || v.Err() != nil {
					t.Fatalf("field %d is %T %v, want %T %v; %v", j, got, got, x, x, v.Err())
				}
				readAs(t, v, j, x)
			}
			start = w.end
		}
		for range 2 {
			if item, err := c.Next(); item != None || err != nil || c.Offset() != len(payload) || c.Start() != len(payload) || c.Tuple().Len() != 0 {
				t.Fatalf("at the end: %v, %v", item, err)
			}
		}
	})
}

// writeAny writes a value in one of the ways there are, and returns what Any should give for it.
func writeAny(t *rapid.T, r *Row) any {
	switch rapid.IntRange(0, 8).Draw(t, "kind") {
	case 0:
		r.Nil()
		return nil
	case 1:
		x := rapid.Bool().Draw(t, "bool")
		r.Bool(x)
		return x
	case 2:
		x := rapid.Int64().Draw(t, "int")
		r.Int(x)
		return x
	case 3:
		x := rapid.Uint64().Draw(t, "uint")
		if r.Uint(x); x <= math.MaxInt64 {
			return int64(x)
		}
		return x
	case 4:
		x := rapid.Float64().Draw(t, "float")
		r.Float(x)
		return x
	case 5:
		x := rapid.String().Draw(t, "string")
		r.String(x)
		return x
	case 6:
		x := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
		r.Binary(x)
		return bytes.Clone(append([]byte{}, x...))
	case 7:
		x := time.Unix(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "nsec")).UTC()
		r.Time(x)
		return x
	}
	x := map[string]any{"list": []any{int64(-1), "x", nil, 2.5}, rapid.String().Draw(t, "key"): []any{}}
	r.Any(x)
	return x
}

// readAs reads field j, whose value is x, by the method of its type.
func readAs(t *rapid.T, v Tuple, j int, x any) {
	got := x
	switch x := x.(type) {
	case nil:
		if !v.IsNil(j) {
			t.Fatalf("field %d is not nil", j)
		}
	case bool:
		got = v.At(j).Bool()
	case int64:
		if got = v.Int(j); v.Int(j) >= 0 {
			got = int64(v.Uint(j))
		}
		if v.Float(j) != float64(x) {
			t.Fatalf("field %d as a float is %v, want %v", j, v.Float(j), x)
		}
	case uint64:
		got = v.At(j).Uint()
	case float64:
		got = v.Float(j)
	case string:
		got = v.String(j)
	case []byte:
		got = append([]byte{}, v.Bytes(j)...)
	case time.Time:
		got = v.Time(j)
	}
	if !reflect.DeepEqual(got, x) || v.Err() != nil {
		t.Fatalf("field %d reads as %v, want %v; %v", j, got, x, v.Err())
	}
}

func TestReaders(t *testing.T) {
	payload, want := keeper(nil), []string{"line", "n"}
	row := NewRow(fields(t, want...), &payload)
	if err := row.Begin().String("to be").Int(-3).Emit(); err != nil {
		t.Fatal(err)
	}
	var c Cursor
	c.Reset(payload, Origin{Channel: &split1, First: 9, Fields: row.Fields()})
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	v := c.Tuple()
	if v.ID().String() != "split.1:errors>count.3#9" || v.Source() != split1.Source || v.Stream() != "errors" || v.Fields() != row.Fields() {
		t.Errorf("it comes from %v, %v, %q", v.ID(), v.Source(), v.Stream())
	}
	line, n := v.Field("line"), v.At(1)
	if line.String() != "to be" || string(line.Bytes()) != "to be" || line.Any() != "to be" || n.Int() != -3 || n.Float() != -3 || n.IsNil() || string(n.Raw()) != "\xfd" {
		t.Errorf("read %v and %v, %v", line, n.Int(), v.Err())
	}
	var k int8
	if err := n.Decode(&k); err != nil || k != -3 || v.Err() != nil {
		t.Errorf("decoded %d, %v", k, err)
	}
	if b := v.Bytes(0); cap(b) != len(b) || cap(v.Raw(0)) != len(v.Raw(0)) || cap(v.Encoded()) != len(payload) {
		t.Error("an append to a view would overwrite what follows it")
	}
}

// A reader that cannot answer gives zero, and the first such error stays until the next tuple.
func TestStickyErrors(t *testing.T) {
	now := time.Unix(1, 0)
	v, err := New(fields(t, "s", "neg", "big", "f", "b", "nil", "t", "list", "map", "bin"),
		"x", -1, uint64(math.MaxUint64), 1.5, true, nil, now, []any{1}, map[any]any{1: 2}, lies{[]byte{wire.Bin8, 1, 'y'}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		read func() any
		zero any
		want string
	}{
		{func() any { return v.Int(0) }, int64(0), "field s: want integer of 64 bits with sign, got a string"},
		{func() any { return v.Uint(1) }, uint64(0), "field neg: want integer from 0 up, got a negative integer"},
		{func() any { return v.Int(2) }, int64(0), "field big: want integer of 64 bits with sign, got an integer above 2^63-1"},
		{func() any { return v.Int(3) }, int64(0), "field f: want integer of 64 bits with sign, got a floating-point number"},
		{func() any { return v.Float(4) }, 0.0, "field b: want number, got a boolean"},
		{func() any { return v.String(1) }, "", "field neg: want string, got a negative integer"},
		{func() any { return v.Bool(5) }, false, "field nil: want boolean, got nil"},
		{func() any { return v.Time(0) }, time.Time{}, "field s: want timestamp, got a string"},
		{func() any { return v.String(6) }, "", "field t: want string, got an extension"},
		{func() any { return v.Int(7) }, int64(0), "field list: want integer of 64 bits with sign, got an array"},
		{func() any { return v.Bool(8) }, false, "field map: want boolean, got a map"},
		{func() any { return v.Float(9) }, 0.0, "field bin: want number, got binary"},
		{func() any { return v.Any(8) }, nil, "field map: a map has a key of type int64: want strings, or use Decode"},
		{func() any { return v.Int(10) }, int64(0), "field #10: want one of 10, got no such field"},
		{func() any { return v.IsNil(-1) }, false, "field #-1: want one of 10, got no such field"},
		{func() any { return v.Any(10) }, nil, "field #10: want one of 10, got no such field"},
		{func() any { return v.Raw(10) == nil }, true, "field #10: want one of 10, got no such field"},
		{func() any { return v.Field("zz").Float() }, 0.0, "field zz: want one of (s, neg, big, f, b, nil, t, list, map, bin), got no such field"},
		{func() any { var x int; return v.Decode(0, &x) != nil }, true, "decode field s into *int"},
		{func() any { var x int; return v.Decode(99, &x) != nil }, true, "no such field"},
		{func() any { return v.Decode(0, nil) != nil }, true, "decode field s"},
		{func() any { return v.Decode(0, 3) != nil }, true, "decode field s"},
	} {
		v.c.Reset(v.c.b, v.c.origin)
		if item, err := v.c.Next(); item != Data || err != nil || v.Err() != nil {
			t.Fatalf("the error of the last reader stayed: %v, %v, %v", item, err, v.Err())
		}
		if got := c.read(); got != c.zero {
			t.Errorf("%s: read %v", c.want, got)
		}
		v.Bool(-5) // another error, which comes too late
		if v.Err() == nil || !strings.Contains(v.Err().Error(), c.want) {
			t.Errorf("got %v, want %s", v.Err(), c.want)
		}
	}
	v.c.Next()
	if v.Err() != nil || v.Len() != 0 {
		t.Errorf("at the end: %v, %d fields", v.Err(), v.Len())
	}
	var typed *FieldError
	if v.Int(0); !errors.As(v.Err(), &typed) || typed.Field != "s" {
		t.Errorf("got %#v", v.Err())
	}
}

func TestCursorRefuses(t *testing.T) {
	nested := func(n int) string { return strings.Repeat("\x91", n) + "\xc0" }
	two := fields(t, "word", "n")
	for _, c := range []struct {
		name, payload string
		fields        *Fields
		want          error
	}{
		{"no array", "\x01", nil, ErrMalformed},
		{"a map", "\x81\x01\x02", nil, ErrMalformed},
		{"a control byte inside", "\x91\xc1", nil, ErrMalformed},
		{"half a control item", "\xc1", nil, ErrTruncated},
		{"unknown control item", "\xc1\x04", nil, ErrMalformed},
		{"half a watermark", "\xc1\x02\x00\x00\x00\x00\x00\x00\x00", nil, ErrTruncated},
		{"half a root", "\xc1\x03\x00\x00\x00\x00\x00\x00\x00", nil, ErrTruncated},
		{"no fields there", "\x92", nil, ErrTruncated},
		{"a field missing", "\x92\x01", nil, ErrTruncated},
		{"a short string cut", "\x91\xa3ab", nil, ErrTruncated},
		{"a string without length", "\x91\xd9", nil, ErrTruncated},
		{"a string cut", "\x91\xd9\x03ab", nil, ErrTruncated},
		{"a huge string", "\x91\xdb\xff\xff\xff\xffab", nil, ErrTruncated},
		{"a huge array inside", "\x91\xdd\xff\xff\xff\xff", nil, ErrTruncated},
		{"a huge map inside", "\x91\xdf\xff\xff\xff\xff", nil, ErrTruncated},
		{"a huge extension", "\x91\xc9\xff\xff\xff\xff\x01", nil, ErrTruncated},
		{"an integer cut", "\x91\xcf\x00", nil, ErrTruncated},
		{"half a tuple header", "\xdc\x00", nil, ErrTruncated},
		{"a huge tuple", "\xdd\xff\xff\xff\xff", nil, ErrMalformed},
		{"1025 fields", "\xdc\x04\x01" + strings.Repeat("\x00", 1025), nil, ErrMalformed},
		{"too deep", nested(MaxDepth + 1), nil, ErrTooDeep},
		{"far too deep", nested(1 << 20), nil, ErrTooDeep},
		{"a field too many", "\x93\x01\x02\x03", two, ErrFieldCount},
		{"a field too few", "\x91\x01", two, ErrFieldCount},
		{"sixteen fields", "\xdc\x00\x10" + strings.Repeat("\x00", 16), two, ErrFieldCount},
	} {
		if _, item, err := Skip([]byte(c.payload)); c.fields == nil && (item != None || !errors.Is(err, c.want)) {
			t.Errorf("%s: Skip says %v, %v", c.name, item, err)
		}
		var cur Cursor
		for range 2 { // the second time the cursor knows the width
			cur.Reset([]byte("\x92\x01\x02"+c.payload), Origin{Channel: &split1, First: 7, Fields: c.fields})
			if item, err := cur.Next(); item != Data || err != nil {
				t.Fatalf("%s: %v, %v", c.name, item, err)
			}
			for range 2 {
				item, err := cur.Next()
				if item != None || !errors.Is(err, c.want) || !strings.Contains(err.Error(), split1.String()+"#8 at byte 3") {
					t.Errorf("%s: %v, %v", c.name, item, err)
				}
				if cur.Offset() != 3 || cur.Seq() != 7 || cur.Tuple().Len() != 0 {
					t.Errorf("%s: the cursor moved to %d, #%d", c.name, cur.Offset(), cur.Seq())
				}
			}
		}
	}
	var cur Cursor
	cur.Reset([]byte("\x93\x01\x02\x03"), Origin{First: 1, Fields: two})
	if _, err := cur.Next(); err == nil || !strings.Contains(err.Error(), "3, its stream has 2 (word, n)") {
		t.Errorf("got %v", err)
	}
	if _, item, err := Skip([]byte(nested(MaxDepth))); item != Data || err != nil {
		t.Errorf("just deep enough: %v, %v", item, err)
	}
}

func TestManyFields(t *testing.T) {
	names := make([]string, MaxFields)
	values := make([]any, MaxFields)
	for i := range names {
		names[i], values[i] = fmt.Sprintf("f%d", i), i
	}
	f := fields(t, names...)
	v, err := New(f, values...)
	if err != nil || v.Len() != MaxFields {
		t.Fatal(err)
	}
	for i, name := range names {
		if v.Int(i) != int64(i) || v.Field(name).Int() != int64(i) {
			t.Fatalf("field %d is %d", i, v.Int(i))
		}
	}
	if v.Err() != nil || f.Index("f1024") != -1 || len(f.Names()) != MaxFields {
		t.Error(v.Err())
	}
}

func TestFields(t *testing.T) {
	for _, names := range [][]string{{""}, {"a", "a"}, {"a b"}, {"é"}, {strings.Repeat("x", 65)}, make([]string, MaxFields+1)} {
		if f, err := NewFields(names...); !errors.Is(err, ErrFields) {
			t.Errorf("NewFields(%.20q) = %v, %v", names, f, err)
		}
	}
	given := []string{"a", "b"}
	f := fields(t, given...)
	given[0] = "changed"
	f.Names()[1] = "changed"
	if f.String() != "a, b" || f.Index("b") != 1 || f.Index("c") != -1 || f.Len() != 2 {
		t.Errorf("got %v", f)
	}
	var none *Fields
	if none.Len() != 0 || none.Index("a") != -1 || none.Names() != nil || none.String() != "" {
		t.Error("nil Fields has names")
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(fields(t, "a"), 1, 2); !errors.Is(err, ErrValueCount) {
		t.Errorf("got %v", err)
	}
}

func TestCursorAllocatesNothing(t *testing.T) {
	var payload keeper
	f := fields(t, "a", "b", "c", "d", "e", "f")
	if err := NewRow(f, &payload).Begin().Values("a", -5, 2.5, true, time.Unix(1, 2), strings.Repeat("x", 300)).Emit(); err != nil {
		t.Fatal(err)
	}
	payload = AppendWatermark(AppendEnd(payload), 5)
	var c Cursor
	n := testing.AllocsPerRun(100, func() {
		c.Reset(payload, Origin{Channel: &split1, First: 1, Fields: f})
		c.Next()
		v := c.Tuple()
		if len(v.Bytes(0))+int(v.Int(1))+int(v.Float(2))+len(v.Bytes(5)) != 298 || !v.Bool(3) || v.Field("e").Time().Unix() != 1 || v.ID().Seq != 1 {
			t.Fatal("read something else")
		}
		c.Next()
		if item, err := c.Next(); item != Watermark || err != nil || c.Watermark() != 5 {
			t.Fatal(item, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Bytes from a network may be anything. Every reader bears all that the cursor accepts.
func FuzzCursor(f *testing.F) {
	var seed keeper
	row := NewRow(&Fields{names: []string{"a", "b", "c"}}, &seed)
	for _, v := range []any{"text", -70000, 2.5, time.Unix(1<<35, 1), map[string]any{"k": []any{nil, true}}, lies{[]byte{wire.Ext8, 1, 5, 0}},
		lies{[]byte{wire.FixMap | 1, wire.FixArray, 1}}, lies{[]byte{wire.Bin8, 1, 9}}, uint64(math.MaxUint64)} {
		if err := row.Begin().Any(v).Nil().String("x").Emit(); err != nil {
			f.Fatal(err)
		}
		f.Add(AppendWatermark(AppendEnd(bytes.Clone(seed)), -1))
	}
	f.Add([]byte("\xdc\x00\x01\xd6\xff\x00\x00\x00\x01\x91\xd7\xff\xff\xff\xff\xff\x00\x00\x00\x01"))
	f.Add([]byte("\x91\x81\x91\x01\x02"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var c Cursor
		c.Reset(payload, Origin{First: 1})
		for items := msgid.Seq(1); ; items++ {
			before := c.Offset()
			item, err := c.Next()
			n, skipped, skipErr := Skip(payload[before:])
			if skipped != item || n != c.Offset()-before || (skipErr == nil) != (err == nil) {
				t.Fatalf("at %d: Next says %v, %v and moves %d; Skip says %v, %v, %d", before, item, err, c.Offset()-before, skipped, skipErr, n)
			}
			if item == None {
				if err == nil && before != len(payload) {
					t.Fatalf("it ends at %d of %d", before, len(payload))
				}
				return
			}
			if c.Offset() <= before || c.Start() != before || c.Seq() != items {
				t.Fatalf("item %d is from %d to %d, the one before ended at %d", c.Seq(), c.Start(), c.Offset(), before)
			}
			readAll(t, c.Tuple(), item)
		}
	})
}

func readAll(t *testing.T, v Tuple, item Item) {
	if item != Data && v.Len() != 0 {
		t.Fatalf("a mark has %d fields", v.Len())
	}
	for _, max := range []int{len(v.Encoded()), 1 << 16} {
		if got := v.Summary(max); len(got) > max || !utf8.ValidString(got) {
			t.Fatalf("the summary in %d bytes is %q", max, got)
		}
	}
	var joined []byte
	for i := range v.Len() {
		raw := v.Raw(i)
		joined = append(joined, raw...)
		_, _, _, _, _, _ = v.String(i), v.Int(i), v.Uint(i), v.Float(i), v.Bool(i), v.Time(i)
		v.c.err = nil
		got := v.Any(i)
		readable := v.Err() == nil
		var loose any
		var text string
		var m map[string][]int
		_, _, _ = v.Decode(i, &loose), v.Decode(i, &text), v.Decode(i, &m)
		if !readable || got == nil {
			continue
		}
		// Another msgpack reader reads all that Any reads.
		if err := msgpack.NewDecoder(bytes.NewReader(raw)).Skip(); err != nil {
			t.Fatalf("%x is %v to us, and to the library: %v", raw, got, err)
		}
		// And its values are written and read back the same, if no longer in the same bytes.
		again, err := New(&Fields{names: []string{"x"}}, got)
		if err != nil {
			t.Fatalf("%x is %v, which cannot be written: %v", raw, got, err)
		}
		if back := again.Any(0); !same(back, got) {
			t.Fatalf("%v came back as %v, %v", got, back, again.Err())
		}
	}
	if item == Data && !bytes.HasSuffix(v.Encoded(), joined) {
		t.Fatalf("fields %x do not make up the tuple %x", joined, v.Encoded())
	}
}

// same reports whether a and b are equal, with NaN equal to itself and binary at top level equal to a string.
func same(a, b any) bool {
	if x, ok := b.([]byte); ok {
		return a == string(x)
	}
	return reflect.DeepEqual(a, b) || fmt.Sprint(a) == fmt.Sprint(b)
}
