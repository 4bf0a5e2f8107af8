package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/tuple"
)

// A keeper keeps the bytes of the last row.
type keeper struct{ b []byte }

func (k *keeper) Take(r *tuple.Row) error { k.b = append(k.b[:0], r.Encoded()...); return nil }

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// encode returns the bytes of the tuple that carries v.
func encode[T any](t fataler, c *Codec[T], v *T) []byte {
	t.Helper()
	var k keeper
	r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), &k)
	c.Append(r.Begin(), v)
	if err := r.Emit(); err != nil {
		t.Fatalf("%+v: %v", *v, err)
	}
	return k.b
}

// at returns the first tuple of a payload.
func at(t fataler, payload []byte, fields ...string) tuple.Tuple {
	t.Helper()
	c := new(tuple.Cursor)
	c.Reset(payload, tuple.Origin{First: 1, Fields: must.Get(tuple.NewFields(fields...))})
	if item, err := c.Next(); item != tuple.Data {
		t.Fatalf("%x begins with %v, %v", payload, item, err)
	}
	return c.Tuple()
}

func tupleOf[T any](t fataler, c *Codec[T], v *T) tuple.Tuple {
	t.Helper()
	return at(t, encode(t, c, v), c.Fields()...)
}

// back returns v as it comes back from a tuple, read over what was in old.
func back[T any](t fataler, v, old T) T {
	t.Helper()
	c := must.Get(Of[T]())
	in := tupleOf(t, c, &v)
	if err := must.Get(c.Bind(in.Fields())).Decode(in, &old); err != nil {
		t.Fatalf("%+v: %v", v, err)
	}
	return old
}

type (
	level int8
	name  string
	blob  []byte
	stamp time.Time
	flags [3]bool
	place struct{ X, Y int32 }
	item  struct {
		Name  string
		Price float64
		Tags  []string
		Data  []byte
		Next  *place
	}
	// A shade has a form as text.
	shade struct{ r, g, b uint8 }
	base  struct {
		ID   uint64
		Kind name
	}
	everything struct {
		B       bool
		I       int
		I8      int8
		I16     int16
		I32     int32
		I64     int64
		U       uint
		U8      uint8
		U16     uint16
		U32     uint32
		U64     uint64
		F32     float32
		F64     float64
		S       string
		Raw     []byte
		Sum     [5]byte
		When    time.Time
		Took    time.Duration
		Level   level `askback:"level"`
		Name    name
		Blob    blob
		Stamp   stamp
		Flags   flags
		Item    item
		Ptr     *item
		Count   *int
		PtrRaw  *[]byte
		Items   []item
		Lists   [][]string
		Blobs   [][]byte
		Grid    [2][2]float32
		Items2  [2]item
		Totals  map[string]int64
		ByPlace map[place]item
		ByTime  map[int64][]byte
		Addr    netip.Addr
		Addrs   map[netip.Addr]*shade
		Shade   shade
		Big     *big.Int
		base
		Left chan int `askback:"-"`
		gone int      `askback:"-"`
		_    int
	}
)

func (s shade) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "#%02x%02x%02x", s.r, s.g, s.b), nil
}
func (s *shade) UnmarshalText(b []byte) error {
	_, err := fmt.Sscanf(string(b), "#%02x%02x%02x", &s.r, &s.g, &s.b)
	return err
}

func drawTime(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(-1<<36, 1<<36).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "nsec")).UTC()
}

func drawBytes(t *rapid.T) []byte {
	if b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes"); len(b) > 0 {
		return b
	}
	return nil
}

func drawItem(t *rapid.T) (v item) {
	v = item{Name: rapid.String().Draw(t, "name"), Price: rapid.Float64().Draw(t, "price"), Data: drawBytes(t)}
	v.Tags = drawList(t, func(t *rapid.T) string { return rapid.String().Draw(t, "tag") })
	v.Next = drawPointer(t, func(t *rapid.T) place { return place{rapid.Int32().Draw(t, "x"), 7} })
	return v
}

// drawList draws a slice that may be nil or empty.
func drawList[T any](t *rapid.T, one func(t *rapid.T) T) (list []T) {
	n := rapid.IntRange(-1, 3).Draw(t, "len")
	if n >= 0 {
		list = []T{}
	}
	for range n {
		list = append(list, one(t))
	}
	return list
}

func drawPointer[T any](t *rapid.T, one func(t *rapid.T) T) *T {
	if rapid.Bool().Draw(t, "nil") {
		return nil
	}
	v := one(t)
	return &v
}

func drawMap[K comparable, V any](t *rapid.T, key func(t *rapid.T) K, one func(t *rapid.T) V) (m map[K]V) {
	n := rapid.IntRange(-1, 20).Draw(t, "len")
	if n >= 0 {
		m = map[K]V{}
	}
	for range n {
		m[key(t)] = one(t)
	}
	return m
}

func drawAddr(t *rapid.T) (a netip.Addr) {
	switch b := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address"); rapid.IntRange(0, 2).Draw(t, "kind") {
	case 0:
		a, _ = netip.AddrFromSlice(b)
	case 1:
		a, _ = netip.AddrFromSlice(b[:4])
	}
	return a
}

func drawShade(t *rapid.T) shade { return shade{rapid.Byte().Draw(t, "r"), 2, 255} }

func drawEverything(t *rapid.T) (v everything) {
	number := rapid.Int64().Draw(t, "number")
	text := rapid.String().Draw(t, "text")
	v = everything{
		B: rapid.Bool().Draw(t, "b"), I: int(number), I8: int8(number), I16: int16(number), I32: int32(number), I64: number,
		U: uint(number), U8: uint8(number), U16: uint16(number), U32: uint32(number), U64: uint64(number),
		F32: rapid.Float32().Draw(t, "f32"), F64: rapid.Float64().Draw(t, "f64"), S: text, Raw: drawBytes(t), Sum: [5]byte{byte(number), 5},
		When: drawTime(t), Took: time.Duration(number), Level: level(number), Name: name(text), Blob: drawBytes(t), Stamp: stamp(drawTime(t)),
		Flags: flags{number%2 == 0, true}, Item: drawItem(t), Ptr: drawPointer(t, drawItem), PtrRaw: drawPointer(t, drawBytes),
		Count: drawPointer(t, func(t *rapid.T) int { return rapid.Int().Draw(t, "count") }), Items: drawList(t, drawItem),
		Lists: drawList(t, func(t *rapid.T) []string {
			return drawList(t, func(t *rapid.T) string { return rapid.String().Draw(t, "s") })
		}),
		Blobs: drawList(t, drawBytes), Grid: [2][2]float32{{1.5, 2}, {-3, float32(number)}}, Items2: [2]item{drawItem(t), drawItem(t)},
		Totals:  drawMap(t, func(t *rapid.T) string { return rapid.String().Draw(t, "key") }, func(t *rapid.T) int64 { return rapid.Int64().Draw(t, "value") }),
		ByPlace: drawMap(t, func(t *rapid.T) place { return place{rapid.Int32().Draw(t, "x"), rapid.Int32().Draw(t, "y")} }, drawItem),
		ByTime:  drawMap(t, func(t *rapid.T) int64 { return rapid.Int64().Draw(t, "t") }, drawBytes),
		Addr:    drawAddr(t), Addrs: drawMap(t, drawAddr, func(t *rapid.T) *shade { return drawPointer(t, drawShade) }), Shade: drawShade(t),
		Big:  drawPointer(t, func(t *rapid.T) big.Int { return *big.NewInt(rapid.Int64().Draw(t, "big")) }),
		base: base{ID: uint64(number), Kind: name(text)},
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, old := drawEverything(t), drawEverything(t)
		old.Left, old.gone = make(chan int), 7
		if got := back(t, v, old); !reflect.DeepEqual(got, v) {
			t.Fatalf("%+v\ncame back as\n%+v", v, got)
		}
	})
}

// The same value gives the same bytes, and so does what it comes back as.
func TestTheSameValueGivesTheSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawEverything(t)
		c := must.Get(Of[everything]())
		first := encode(t, c, &v)
		copied := v
		copied.Totals = map[string]int64{}
		if v.Totals == nil {
			copied.Totals = nil
		}
		for k, n := range v.Totals { // in another order
			copied.Totals[k] = n
		}
		again := back(t, v, everything{})
		if !bytes.Equal(first, encode(t, c, &copied)) || !bytes.Equal(first, encode(t, c, &again)) {
			t.Fatalf("other bytes for %+v", v)
		}
	})
}

// plain is the twin, too simple to be wrong: the result of Tuple.Any for a value, and the argument of Row.Any.
func plain(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Time:
		return x
	case stamp:
		return time.Time(x)
	case shade:
		return string(must.Get(x.MarshalText()))
	case netip.Addr:
		return must.Get(x.MarshalBinary())
	case []byte:
		return string(x)
	case blob:
		return string(x)
	case *big.Int:
		if x == nil {
			return nil
		}
		return x.String()
	}
	switch v.Kind() {
	case reflect.Bool:
		return v.Bool()
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return v.Int()
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if n := v.Uint(); n > math.MaxInt64 {
			return n
		}
		return int64(v.Uint())
	case reflect.Float32, reflect.Float64:
		return v.Float()
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	case reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return bytes.Clone(v.Slice(0, v.Len()).Bytes())
		}
	case reflect.Slice, reflect.Map:
		if v.IsNil() {
			return nil
		}
	}
	m := map[string]any{}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			m[v.Type().Field(i).Name] = plain(v.Field(i))
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			m[i.Key().String()] = plain(i.Value())
		}
	default:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plain(v.Index(i))
		}
		return list
	}
	return m
}

// With its twin: the codec writes what Tuple.Any reads as the same values, and reads what Row.Any writes.
func TestAgainstAny(t *testing.T) {
	// Tuple.Any reads maps with text for keys only.
	leftOut := map[string]bool{"ByPlace": true, "ByTime": true, "Addrs": true, "base": true, "Left": true, "gone": true, "_": true}
	rapid.Check(t, func(t *rapid.T) {
		v := drawEverything(t)
		c := must.Get(Of[everything]())
		in := tupleOf(t, c, &v)
		var names []string
		var values []any
		rv := reflect.New(reflect.TypeFor[everything]()).Elem()
		rv.Set(reflect.ValueOf(v))
		for i := range rv.NumField() {
			field := rv.Type().Field(i)
			if leftOut[field.Name] {
				continue
			}
			want := plain(rv.Field(i))
			name := field.Name
			if name == "Level" {
				name = "level"
			}
			if got := in.Field(name).Any(); !reflect.DeepEqual(got, want) || in.Err() != nil {
				t.Fatalf("field %s is %#v, want %#v, %v", name, got, want, in.Err())
			}
			names, values = append(names, name), append(values, want)
		}
		// And back, in the order of the names reversed.
		for i, j := 0, len(names)-1; i < j; i, j = i+1, j-1 {
			names[i], names[j], values[i], values[j] = names[j], names[i], values[j], values[i]
		}
		var k keeper
		if err := tuple.NewRow(must.Get(tuple.NewFields(names...)), &k).Begin().Values(values...).Emit(); err != nil {
			t.Fatalf("%v", err)
		}
		out := at(t, k.b, names...)
		got := drawEverything(t)
		if err := must.Get(c.Bind(out.Fields())).Decode(out, &got); err != nil {
			t.Fatalf("%v", err)
		}
		v.ByPlace, v.ByTime, v.Addrs, v.base = nil, nil, nil, base{}
		if !reflect.DeepEqual(got, v) {
			t.Fatalf("%+v\ncame back as\n%+v", v, got)
		}
	})
}

// The bytes of simple fields are those that a row's methods write, byte for byte.
func TestBytesAreThoseOfARow(t *testing.T) {
	c := must.Get(Of[event]())
	var k keeper
	r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), &k)
	v := someEvent
	if err := r.Begin().Int(v.User).Float(v.Price).Uint(uint64(v.Amount)).Uint(uint64(v.Flags)).Time(v.When).Bool(v.Open).Uint(uint64(v.Kind)).Emit(); err != nil {
		t.Fatal(err)
	}
	if got := encode(t, c, &v); !bytes.Equal(got, k.b) {
		t.Errorf("%x, want %x", got, k.b)
	}
	n := tuple.NewRow(must.Get(tuple.NewFields("value")), &k)
	if err := n.Begin().Any(map[string]any{"Name": "x", "Price": 1.5, "Tags": []string{"a"}, "Data": "d", "Next": map[string]int{"X": 1, "Y": -2}}).Emit(); err != nil {
		t.Fatal(err)
	}
	i := item{"x", 1.5, []string{"a"}, []byte("d"), &place{1, -2}}
	p := &i
	if got := encode(t, must.Get(Of[*item]()), &p); !bytes.Equal(got, k.b) {
		t.Errorf("nested: %x, want %x", got, k.b)
	}
}

func TestSingleValues(t *testing.T) {
	single(t, "text", "")
	single(t, []byte("bytes"), nil)
	single(t, -1, 0)
	single(t, uint16(60000))
	single(t, 1.5, math.Inf(1))
	single(t, true)
	single(t, time.Unix(1, 2).UTC(), time.Time{})
	single(t, time.Hour)
	single(t, [2]string{"a", "b"})
	single(t, []place{{1, 2}}, nil, []place{})
	single(t, map[string]place{"a": {1, 2}}, nil, map[string]place{})
	single(t, &place{1, 2}, nil)
	single(t, netip.MustParseAddr("::1"), netip.Addr{})
	single(t, stamp(time.Unix(3, 4).UTC()))
	single(t, [0]int{}, [0]int{})
	single(t, []struct{}{{}, {}})
	if c := must.Get(Of[struct{}]()); len(c.Fields()) != 0 || len(encode(t, c, &struct{}{})) != 1 {
		t.Error("a struct without fields has some")
	}
}

func single[T any](t *testing.T, values ...T) {
	t.Helper()
	c := must.Get(Of[T]())
	if got := c.Fields(); len(got) != 1 || got[0] != ValueField {
		t.Errorf("%T has fields %v", *new(T), got)
	}
	for i, v := range values {
		if got := back(t, v, values[len(values)-1-i]); !reflect.DeepEqual(got, v) {
			t.Errorf("%T came back as %#v, want %#v", v, got, v)
		}
	}
}

// Values that differ in Go and not in tuples, and the other way round.
func TestEqualValues(t *testing.T) {
	odd := math.Float64frombits(0xfff8000000000123)
	here := time.FixedZone("here", 3600)
	c := must.Get(Of[everything]())
	equal := func(a, b everything) bool { return bytes.Equal(encode(t, c, &a), encode(t, c, &b)) }
	if !equal(everything{F64: odd, F32: float32(odd)}, everything{F64: math.NaN(), F32: float32(math.NaN())}) {
		t.Error("two NaNs differ")
	}
	if equal(everything{F64: math.Copysign(0, -1)}, everything{}) {
		t.Error("-0 is 0")
	}
	if !equal(everything{Raw: []byte{}, Blob: blob{}}, everything{}) {
		t.Error("empty bytes differ from nil")
	}
	if got := back(t, everything{Raw: []byte{}}, everything{}); got.Raw != nil {
		t.Error("empty bytes do not come back as nil")
	}
	if equal(everything{Items: []item{}}, everything{}) || equal(everything{Totals: map[string]int64{}}, everything{}) {
		t.Error("an empty slice or map is nil")
	}
	now := time.Now()
	if !equal(everything{When: now}, everything{When: now.Round(0).In(here)}) {
		t.Error("one instant differs from itself")
	}
	if got := back(t, everything{F64: odd}, everything{}); got.F64 == got.F64 {
		t.Error("NaN came back as a number")
	}
	nans := map[float64]string{}
	for i := range 20 {
		nans[math.NaN()] = fmt.Sprint(i)
	}
	mc := must.Get(Of[map[float64]string]())
	first := encode(t, mc, &nans)
	for range 5 {
		if !bytes.Equal(encode(t, mc, &nans), first) {
			t.Fatal("a map with NaNs for keys has no one order")
		}
	}
}

func TestFieldsComeAndGo(t *testing.T) {
	type newer struct {
		Added   string
		Renamed int `askback:"Price"`
		Name    string
		More    []place
	}
	type older struct {
		Name  string
		Gone  map[string][]int
		Price int
	}
	in := tupleOf(t, must.Get(Of[older]()), &older{"x", map[string][]int{"a": {1}}, 5})
	got := newer{"old", 1, "old", []place{{1, 2}}}
	if err := must.Get(must.Get(Of[newer]()).Bind(in.Fields())).Decode(in, &got); err != nil || !reflect.DeepEqual(got, newer{Name: "x", Renamed: 5}) {
		t.Errorf("%+v, %v", got, err)
	}

	// The same inside of other values.
	nested := tupleOf(t, must.Get(Of[[]older]()), &[]older{{"x", nil, 5}, {"y", nil, 6}})
	lists := []newer{{Added: "old"}}
	if err := must.Get(must.Get(Of[[]newer]()).Bind(nested.Fields())).Decode(nested, &lists); err != nil ||
		!reflect.DeepEqual(lists, []newer{{Name: "x", Renamed: 5}, {Name: "y", Renamed: 6}}) {
		t.Errorf("%+v, %v", lists, err)
	}
	arrays := tupleOf(t, must.Get(Of[[1]older]()), &[1]older{{"x", nil, 5}})
	array := [1]newer{{Added: "old"}}
	if err := must.Get(must.Get(Of[[1]newer]()).Bind(arrays.Fields())).Decode(arrays, &array); err != nil || !reflect.DeepEqual(array, [1]newer{{Name: "x", Renamed: 5}}) {
		t.Errorf("%+v, %v", array, err)
	}

	// An entry of a map has nothing of the one before.
	var k keeper
	if err := tuple.NewRow(must.Get(tuple.NewFields("value")), &k).Begin().Any(map[string]any{"a": map[string]int{"X": 1, "Y": 2}, "b": map[string]int{"X": 3}}).Emit(); err != nil {
		t.Fatal(err)
	}
	var places map[string]place
	entries := at(t, k.b, "value")
	if err := must.Get(must.Get(Of[map[string]place]()).Bind(entries.Fields())).Decode(entries, &places); err != nil || !reflect.DeepEqual(places, map[string]place{"a": {1, 2}, "b": {3, 0}}) {
		t.Errorf("%+v, %v", places, err)
	}

	// A map whose keys are not all text.
	if err := tuple.NewRow(must.Get(tuple.NewFields("value")), &k).Begin().Any(map[any]any{1: 2, "Name": "z", nil: []int{1}}).Emit(); err != nil {
		t.Fatal(err)
	}
	odd := at(t, k.b, "value")
	var p *newer
	if err := must.Get(must.Get(Of[*newer]()).Bind(odd.Fields())).Decode(odd, &p); err != nil || !reflect.DeepEqual(p, &newer{Name: "z"}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// Decode sets all of a value, the fields that are not carried included.
func TestNothingIsLeftOfTheValueBefore(t *testing.T) {
	type partly struct {
		A    int
		Left string `askback:"-"`
	}
	if got := back(t, partly{A: 1, Left: "not carried"}, partly{2, "old"}); got != (partly{A: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestBind(t *testing.T) {
	c := must.Get(Of[place]())
	_, err := c.Bind(must.Get(tuple.NewFields("word", "n")))
	if !errors.Is(err, ErrFields) || !strings.Contains(err.Error(), "codec.place has (X, Y), and the stream has (word, n)") {
		t.Errorf("no field in common: %v", err)
	}
	if _, err := c.Bind(nil); !errors.Is(err, ErrFields) {
		t.Errorf("a stream without fields: %v", err)
	}
	if _, err := must.Get(Of[string]()).Bind(must.Get(tuple.NewFields("a", "b"))); !errors.Is(err, ErrFields) {
		t.Errorf("a text of two fields: %v", err)
	}
	if _, err := must.Get(Of[struct{}]()).Bind(nil); err != nil {
		t.Errorf("a type without fields: %v", err)
	}
	word, err := must.Get(Of[string]()).Bind(must.Get(tuple.NewFields("word")))
	if err != nil {
		t.Fatal(err)
	}
	var s string
	if err := word.Decode(at(t, []byte("\x91\xa2hi"), "word"), &s); err != nil || s != "hi" {
		t.Errorf("the only field: %q, %v", s, err)
	}

	// A cursor without fields shows tuples of any width.
	r := must.Get(c.Bind(must.Get(tuple.NewFields("a", "Y", "b", "X", "c"))))
	for payload, want := range map[string]place{"\x94\x01\x02\x03\x04": {4, 2}, "\xdc\x00\x04\x01\x02\x03\x04": {4, 2}, "\x93\x01\x02\x03": {}, "\x90": {}} {
		var cursor tuple.Cursor
		cursor.Reset([]byte(payload), tuple.Origin{First: 1})
		if _, err := cursor.Next(); err != nil {
			t.Fatal(err)
		}
		var v place
		err := r.Decode(cursor.Tuple(), &v)
		var wrong *tuple.FieldError
		if want == (place{}) && !errors.As(err, &wrong) || want != (place{}) && (err != nil || v != want) {
			t.Errorf("%x: %+v, %v", payload, v, err)
		}
	}
}

func TestWrongTypes(t *testing.T) {
	type all struct {
		I8    int8
		U8    uint8
		I     int64
		U     uint64
		F     float32
		S     string
		B     bool
		T     time.Time
		Raw   []byte
		Sum   [4]byte
		List  []item
		Three [3]int
		M     map[string]place
		Addr  netip.Addr
		Shade shade
	}
	c := must.Get(Of[all]())
	for _, x := range []struct {
		field string
		value any
		want  string
	}{
		{"I8", 128, "field I8: want integer of 8 bits with sign, got 128"},
		{"I8", -129, "field I8: want integer of 8 bits with sign, got -129"},
		{"U8", 256, "field U8: want integer of 8 bits from 0 up, got 256"},
		{"U8", -1, "field U8: want integer from 0 up, got a negative integer"},
		{"I", uint64(1 << 63), "field I: want integer of 64 bits with sign, got an integer above 2^63-1"},
		{"I", "1", "field I: want integer of 64 bits with sign, got a string"},
		{"I", 1.0, "field I: want integer of 64 bits with sign, got a floating-point number"},
		{"U", nil, "field U: want integer from 0 up, got nil"},
		{"F", 1e300, "field F: want number within the range of 32 bits, got 1e+300"},
		{"F", true, "field F: want number, got a boolean"},
		{"S", 1, "field S: want string, got an integer"},
		{"B", 1, "field B: want boolean, got an integer"},
		{"T", 1, "field T: want timestamp, got an integer"},
		{"Raw", []int{1}, "field Raw: want string, got an array"},
		{"Sum", "abc", "field Sum: want binary of 4 bytes, got 3 bytes"},
		{"Sum", 1, "field Sum: want binary of 4 bytes, got an integer"},
		{"List", map[string]int{}, "field List: want array, got a map"},
		{"List", []any{map[string]any{}, map[string]any{"Next": map[string]any{"Y": "here"}}}, "field List[1].Next.Y: want integer of 64 bits with sign, got a string"},
		{"List", []any{1}, "field List[0]: want map, got an integer"},
		{"Three", []int{1, 2}, "field Three: want array of 3, got array of 2"},
		{"Three", []any{1, 2, "x"}, "field Three[2]: want integer of 64 bits with sign, got a string"},
		{"M", map[string]any{"a": map[string]any{"X": 1 << 40}}, `field M["a"].X: want integer of 32 bits with sign, got 1099511627776`},
		{"M", map[int]any{1: nil}, "field M[key]: want string, got an integer"},
		{"M", 1, "field M: want map, got an integer"},
		{"Addr", "x", "field Addr: want binary form of netip.Addr, got a string that it rejects: unexpected slice size"},
		{"Shade", "red", "field Shade: want text form of codec.shade, got a string that it rejects: input does not match format"},
		{"Shade", 7, "field Shade: want text form of codec.shade, got an integer"},
	} {
		var k keeper
		if err := tuple.NewRow(must.Get(tuple.NewFields(x.field)), &k).Begin().Any(x.value).Emit(); err != nil {
			t.Fatal(err)
		}
		in := at(t, k.b, x.field)
		var v all
		err := must.Get(c.Bind(in.Fields())).Decode(in, &v)
		var wrong *tuple.FieldError
		if !errors.As(err, &wrong) || err.Error() != "tuple: "+x.want {
			t.Errorf("%v for %s: %v, want %s", x.value, x.field, err, x.want)
		}
		if in.Err() != nil {
			t.Errorf("the tuple has an error: %v", in.Err())
		}
	}
	// Narrower and wider numbers, as far as the values fit.
	in := at(t, []byte("\x93\xcc\xc8\x05\xca\x3f\xc0\x00\x00"), "U8", "F", "I")
	if err := must.Get(c.Bind(in.Fields())).Decode(in, new(all)); err == nil || !strings.Contains(err.Error(), "field I:") {
		t.Errorf("got %v", err)
	}
}

type moody struct{ Mood int8 }

func (m moody) MarshalBinary() ([]byte, error) {
	switch m.Mood {
	case 1:
		return nil, errors.New("bad mood")
	case 2:
		panic("very bad mood")
	}
	return []byte{byte(m.Mood)}, nil
}

func (m *moody) UnmarshalBinary(b []byte) error {
	m.Mood = int8(b[0]) // panics without any
	return nil
}

func TestMethodsThatFail(t *testing.T) {
	c := must.Get(Of[struct {
		A int
		M map[string][]moody
	}]())
	var k keeper
	r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), &k)
	v := struct {
		A int
		M map[string][]moody
	}{1, map[string][]moody{"x": {{0}, {1}}}}
	c.Append(r.Begin(), &v)
	if err := r.Emit(); !errors.Is(err, tuple.ErrEncode) || !strings.HasSuffix(err.Error(), "field M: MarshalBinary of codec.moody: bad mood") {
		t.Errorf("an error: %v", err)
	}
	v.M["x"][1].Mood = 2
	c.Append(r.Begin(), &v)
	if err := r.Emit(); !errors.Is(err, tuple.ErrEncode) || !strings.HasSuffix(err.Error(), "field M: MarshalBinary of codec.moody: panic: very bad mood") {
		t.Errorf("a panic: %v", err)
	}
	v.M["x"][1].Mood = 3
	c.Append(r.Begin(), &v)
	if err := r.Emit(); err != nil {
		t.Errorf("after errors: %v", err)
	}
	in := at(t, []byte("\x91\x81\xa1x\x92\xc4\x01\x05\xa0"), "M")
	if err := must.Get(c.Bind(in.Fields())).Decode(in, &v); err == nil || !strings.Contains(err.Error(), `field M["x"][1]: want binary form of codec.moody, got a string at which it panics: runtime error`) {
		t.Errorf("a panic while reading: %v", err)
	}
}

func TestViewsAndCopies(t *testing.T) {
	type held struct {
		Text  string
		Raw   []byte
		Blobs [][]byte
		Names []string
		M     map[string]string
	}
	c := must.Get(Of[held]())
	v := held{"text", []byte("raw"), [][]byte{[]byte("blob")}, []string{"name"}, map[string]string{"k": "v"}}
	payload := encode(t, c, &v)
	in := at(t, payload, c.Fields()...)
	var got held
	if err := must.Get(c.Bind(in.Fields())).Decode(in, &got); err != nil {
		t.Fatal(err)
	}
	_ = append(got.Raw, "overwritten"...)
	if !reflect.DeepEqual(got, v) {
		t.Fatalf("appending to a view changes the tuple: %+v", got)
	}
	for i := range payload {
		payload[i] = '!'
	}
	if want := (held{"text", []byte("!!!"), [][]byte{[]byte("!!!!")}, []string{"name"}, map[string]string{"k": "v"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("after the tuple is gone: %+v", got)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	type flat struct {
		event
		Text  []byte
		Sum   [20]byte
		Place struct{ X, Y float32 }
		Path  [3]struct{ N int }
	}
	c := must.Get(Of[flat]())
	v := flat{event: someEvent, Text: []byte("a text that is longer than a short string is"), Path: [3]struct{ N int }{{1}, {-2}, {300}}}
	r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), new(discard))
	if n := testing.AllocsPerRun(100, func() { c.Append(r.Begin(), &v); r.Emit() }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
	in := tupleOf(t, c, &v)
	reader := must.Get(c.Bind(in.Fields()))
	if n := testing.AllocsPerRun(100, func() {
		if err := reader.Decode(in, &v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Decode allocates %v times", n)
	}
}

func TestOfIsDerivedOnce(t *testing.T) {
	type mine struct{ A, B int }
	var first [8]*Codec[mine]
	var keys [8]*Key[mine]
	var wait sync.WaitGroup
	for i := range first {
		wait.Go(func() { first[i], keys[i] = must.Get(Of[mine]()), must.Get(KeyOf[mine]()) })
	}
	wait.Wait()
	for i := range first {
		if first[i] != first[0] || keys[i] != keys[0] {
			t.Fatal("two codecs for one type")
		}
	}
	names := first[0].Fields()
	names[0] = "changed"
	if first[0].Fields()[0] != "A" {
		t.Error("the names are shared")
	}
}
