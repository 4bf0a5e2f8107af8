package tuple

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/askback/askback/internal/wire"
)

// The bytes of values are a contract: groupings hash them, and a replay must repeat them.
func TestRowBytes(t *testing.T) {
	for _, c := range []struct {
		want  string // hexadecimal, after the array header
		write func(r *Row) *Row
	}{
		{"c0", (*Row).Nil},
		{"c2", func(r *Row) *Row { return r.Bool(false) }},
		{"c3", func(r *Row) *Row { return r.Bool(true) }},
		{"00", func(r *Row) *Row { return r.Int(0) }},
		{"7f", func(r *Row) *Row { return r.Int(127) }},
		{"cc80", func(r *Row) *Row { return r.Int(128) }},
		{"ccff", func(r *Row) *Row { return r.Int(255) }},
		{"cd0100", func(r *Row) *Row { return r.Int(256) }},
		{"cdffff", func(r *Row) *Row { return r.Int(65535) }},
		{"ce00010000", func(r *Row) *Row { return r.Int(65536) }},
		{"ceffffffff", func(r *Row) *Row { return r.Int(math.MaxUint32) }},
		{"cf0000000100000000", func(r *Row) *Row { return r.Int(1 << 32) }},
		{"cfffffffffffffffff", func(r *Row) *Row { return r.Uint(math.MaxUint64) }},
		{"ff", func(r *Row) *Row { return r.Int(-1) }},
		{"e0", func(r *Row) *Row { return r.Int(-32) }},
		{"d0df", func(r *Row) *Row { return r.Int(-33) }},
		{"d080", func(r *Row) *Row { return r.Int(-128) }},
		{"d1ff7f", func(r *Row) *Row { return r.Int(-129) }},
		{"d18000", func(r *Row) *Row { return r.Int(-32768) }},
		{"d2ffff7fff", func(r *Row) *Row { return r.Int(-32769) }},
		{"d280000000", func(r *Row) *Row { return r.Int(math.MinInt32) }},
		{"d3ffffffff7fffffff", func(r *Row) *Row { return r.Int(math.MinInt32 - 1) }},
		{"d38000000000000000", func(r *Row) *Row { return r.Int(math.MinInt64) }},
		{"cb3ff0000000000000", func(r *Row) *Row { return r.Float(1) }},
		{"a0", func(r *Row) *Row { return r.Bytes(nil) }},
		{"a26162", func(r *Row) *Row { return r.Bytes([]byte("ab")) }},
		{"a26162", func(r *Row) *Row { return r.String("ab") }},
		{"c4026162", func(r *Row) *Row { return r.Binary([]byte("ab")) }},
		{"d6ff00000001", func(r *Row) *Row { return r.Time(time.Unix(1, 0)) }},
		{"d6ffffffffff", func(r *Row) *Row { return r.Time(time.Unix(math.MaxUint32, 0)) }},
		{"d7ff0000000100000000", func(r *Row) *Row { return r.Time(time.Unix(1<<32, 0)) }},
		{"d7ff0000000400000001", func(r *Row) *Row { return r.Time(time.Unix(1, 1)) }},
		{"c70cff000000010000000400000000", func(r *Row) *Row { return r.Time(time.Unix(1<<34, 1)) }},
		{"c70cff3b9ac9ffffffffffffffffff", func(r *Row) *Row { return r.Time(time.Unix(-1, 999999999)) }},
		{"82a16101a16202", func(r *Row) *Row { return r.Any(map[string]int8{"b": 2, "a": 1}) }},
	} {
		var got keeper
		if err := c.write(NewRow(fields(t, "x"), &got).Begin()).Emit(); err != nil {
			t.Errorf("%s: %v", c.want, err)
		} else if hex.EncodeToString(got) != "91"+c.want {
			t.Errorf("got %x, want 91%s", []byte(got), c.want)
		}
	}
}

// Lengths at which the form of a string changes.
func TestRowStringLengths(t *testing.T) {
	for _, n := range []int{0, 31, 32, 255, 256, 65535, 65536, 1 << 20} {
		text := bytes.Repeat([]byte{0xfe}, n)
		for name, write := range map[string]func(r *Row) *Row{
			"bytes":  func(r *Row) *Row { return r.Bytes(text) },
			"string": func(r *Row) *Row { return r.String(string(text)) },
			"binary": func(r *Row) *Row { return r.Binary(text) },
		} {
			var got keeper
			row := NewRow(fields(t, "a", "b"), &got).Begin()
			if err := write(row.Int(5)).Emit(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(row.Content(1), text) || string(row.Content(0)) != "\x05" {
				t.Errorf("%s of %d bytes has another content", name, n)
			}
			var c Cursor
			c.Reset(got, Origin{})
			if item, err := c.Next(); item != Data || err != nil {
				t.Fatal(item, err)
			}
			if v := c.Tuple(); !bytes.Equal(v.Bytes(1), text) || v.Err() != nil {
				t.Errorf("%s of %d bytes came back as %d, %v", name, n, len(v.Bytes(1)), v.Err())
			}
		}
	}
}

// Values writes what the typed methods write, and integers are written as the library's shortest form.
func TestRowValues(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 7, time.FixedZone("x", 3600))
	values := []any{nil, true, "s", []byte("b"), -1, int8(-2), int16(-3), int32(-4), int64(-5), uint(1), uint8(2),
		uint16(3), uint32(4), uint64(5), 1.5, float32(2.5), now, time.Second}
	names := strings.Split("abcdefghijklmnopqr", "")
	var typed, loose keeper
	err1 := NewRow(fields(t, names...), &typed).Begin().Nil().Bool(true).String("s").Bytes([]byte("b")).
		Int(-1).Int(-2).Int(-3).Int(-4).Int(-5).Uint(1).Uint(2).Uint(3).Uint(4).Uint(5).
		Float(1.5).Float(2.5).Time(now).Int(1e9).Emit()
	err2 := NewRow(fields(t, names...), &loose).Begin().Values(values...).Emit()
	if err1 != nil || err2 != nil || !bytes.Equal(typed, loose) {
		t.Errorf("typed %x %v\nloose %x %v", []byte(typed), err1, []byte(loose), err2)
	}

	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64().Draw(t, "n")
		var want bytes.Buffer
		enc := msgpack.NewEncoder(&want)
		enc.UseCompactInts(true)
		if err := enc.Encode(n); err != nil {
			t.Fatal(err)
		}
		r := NewRow(&Fields{names: []string{"n"}}, new(keeper)).Begin().Int(n)
		if got := r.Content(0); !bytes.Equal(got, want.Bytes()) {
			t.Fatalf("%d is %x, the library has %x", n, got, want.Bytes())
		}
	})
}

func TestRowCountsValues(t *testing.T) {
	var out keeper
	r := NewRow(fields(t, "a", "b", "c"), &out)
	err := r.Begin().Int(1).Int(2).Emit()
	if !errors.Is(err, ErrValueCount) || !strings.HasSuffix(err.Error(), "2 for 3 fields (a, b, c)") {
		t.Errorf("too few: %v", err)
	}
	r.Begin()
	for range 1000 {
		r.String("something long enough to show that it is not kept")
	}
	if err := r.Emit(); !errors.Is(err, ErrValueCount) || !strings.Contains(err.Error(), "1000 for 3 fields") || len(r.Encoded()) > 200 {
		t.Errorf("too many: %v, %d bytes", err, len(r.Encoded()))
	}
	if r.Content(3) != nil || r.Content(-1) != nil || string(r.Content(2)) == "" {
		t.Error("contents of too many values")
	}
	if out != nil {
		t.Errorf("the sink got %x", []byte(out))
	}
	if err := r.Begin().Int(1).Int(2).Int(3).Emit(); err != nil || hex.EncodeToString(out) != "93010203" {
		t.Errorf("after errors: %x, %v", []byte(out), err)
	}
	if err := NewRow(nil, &out).Begin().Emit(); err != nil || hex.EncodeToString(out) != "90" {
		t.Errorf("no fields: %x, %v", []byte(out), err)
	}
}

func TestRowSinkAndTarget(t *testing.T) {
	full := errors.New("full")
	r := NewRow(fields(t, "a"), sinkFunc(func(r *Row) error {
		if task, ok := r.Direct(); !ok || task != 3 {
			t.Errorf("direct to %d, %v", task, ok)
		}
		return full
	}))
	if err := r.Begin().To(3).Int(1).Emit(); err != full {
		t.Errorf("got %v", err)
	}
	if _, ok := r.Begin().Direct(); ok {
		t.Error("Begin kept the target of the tuple before")
	}
	if hash, ok := r.Key(0).Int(1).KeyHash(); !ok || hash != 0 {
		t.Errorf("the key's hash is %d, %v", hash, ok)
	}
	if hash, ok := r.Begin().Key(1<<63 + 5).KeyHash(); !ok || hash != 1<<63+5 {
		t.Errorf("the key's hash is %d, %v", hash, ok)
	}
	if _, ok := r.Begin().KeyHash(); ok {
		t.Error("Begin kept the key of the tuple before")
	}
	unknown := errors.New("no stream x")
	b := NewBrokenRow(unknown, nil)
	for range 2 {
		if err := b.Begin().String("v").Any(struct{}{}).Emit(); err != unknown {
			t.Errorf("got %v", err)
		}
	}
}

type (
	inner  struct{ M map[int]map[string]float64 }
	ring   struct{ Next *ring }
	panics struct{}
	lies   struct{ b []byte }
)

func (panics) MarshalMsgpack() ([]byte, error) { panic("mine") }
func (l lies) MarshalMsgpack() ([]byte, error) { return l.b, nil }

func deep(n int) any {
	v := any("bottom")
	for range n {
		v = []any{v}
	}
	return v
}

func TestRowAnyRefuses(t *testing.T) {
	self := &ring{}
	self.Next = self
	list := []any{nil}
	list[0] = list
	for name, v := range map[string]any{
		"a channel":       make(chan int),
		"a ring":          self,
		"a list in self":  list,
		"a panic":         panics{},
		"no value":        lies{},
		"two values":      lies{[]byte{1, 2}},
		"a control byte":  lies{[]byte{controlByte, endByte}},
		"half a value":    lies{[]byte{wire.Str8, 200}},
		"too many parts":  make([]int, maxParts),
		"nested too deep": deep(MaxDepth),
	} {
		var out keeper
		r := NewRow(fields(t, "a", "b"), &out)
		if err := r.Begin().Any(v).Int(7).Emit(); !errors.Is(err, ErrEncode) || !strings.Contains(err.Error(), "field a") {
			t.Errorf("%s: %v", name, err)
		}
		if len(r.Encoded()) != 3 || out != nil {
			t.Errorf("%s left %x", name, r.Encoded())
		}
		if err := r.Begin().Int(1).Int(2).Emit(); err != nil {
			t.Errorf("%s spoilt the next: %v", name, err)
		}
	}
	if err := NewRow(fields(t, "a"), new(keeper)).Begin().Any(deep(MaxDepth - 1)).Emit(); err != nil {
		t.Errorf("just deep enough: %v", err)
	}
}

// Go ranges over maps in random order; the bytes of a row must not depend on it.
func TestRowMapsHaveOneOrder(t *testing.T) {
	value := func() any {
		m := inner{M: map[int]map[string]float64{}}
		for i := range 40 {
			m.M[i*i*7919-3000] = map[string]float64{"x": 1, "y": 2, strings.Repeat("z", i): 3}
		}
		return []any{m, map[any]any{"s": 1, 2: "i", true: nil}}
	}
	var first keeper
	for i := range 30 {
		var out keeper
		if err := NewRow(fields(t, "a"), &out).Begin().Any(value()).Emit(); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = out
		} else if !bytes.Equal(out, first) {
			t.Fatal("the same map gave other bytes")
		}
	}
	var c Cursor
	c.Reset(first, Origin{})
	c.Next()
	var got []msgpack.RawMessage
	var back inner
	if err := c.Tuple().Decode(0, &got); err != nil {
		t.Fatal(err)
	}
	if err := msgpack.Unmarshal(got[0], &back); err != nil || len(back.M) != 40 || back.M[39*39*7919-3000][strings.Repeat("z", 39)] != 3 {
		t.Errorf("came back as %v, %v", back, err)
	}
}

func TestRowAllocatesNothing(t *testing.T) {
	sink := countSink(0)
	r := NewRow(fields(t, "a", "b", "c", "d", "e", "f", "g", "h"), &sink)
	word, now, err := []byte("word"), time.Unix(1, 2), error(nil)
	n := testing.AllocsPerRun(100, func() {
		err = errors.Join(err, r.Begin().Bytes(word).String("s").Int(-70000).Uint(9).Float(1).Bool(true).Nil().Time(now).Emit())
	})
	if n != 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

// These figures are a contract too: a change sends keys to other tasks than before.
func TestHashIsStable(t *testing.T) {
	for text, want := range map[string]uint64{
		"":             0x1eb244682e62ca05,
		"a":            0xa8030cce4690a75e,
		"backtracking": 0x34205be28be9dd07,
	} {
		if got := Hash([]byte(text)); got != want {
			t.Errorf("Hash(%q) = %#x, want %#x", text, got, want)
		}
	}
}

func TestRowRaw(t *testing.T) {
	var out keeper
	r := NewRow(fields(t, "a", "b"), &out)
	nested := r.Begin().AvailableBuffer()
	nested = append(nested, wire.FixArray|2, 1, 2)
	if err := r.Raw(nested).Int(3).Emit(); err != nil || hex.EncodeToString(out) != "9292010203" {
		t.Errorf("%x, %v", []byte(out), err)
	}
	big := append(wire.AppendStr(r.Begin().AvailableBuffer(), 1000), make([]byte, 1000)...) // beyond the free room
	if err := r.Raw(big).Raw([]byte{wire.Nil}).Emit(); err != nil || len(out) != 1+3+1000+1 {
		t.Errorf("%d bytes, %v", len(out), err)
	}
	for name, v := range map[string][]byte{
		"nothing": {}, "two values": {1, 2}, "half a value": {wire.Str8, 4, 'x'}, "no value": {wire.Unused}, "too deep": bytes.Repeat([]byte{wire.FixArray | 1}, MaxDepth),
	} {
		err := r.Begin().Int(1).Raw(v).Emit()
		if !errors.Is(err, ErrEncode) || !strings.Contains(err.Error(), "field b ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	bad := errors.New("bad")
	if err := r.Begin().Fail(bad).Int(1).Emit(); err != bad {
		t.Errorf("after Fail: %v", err)
	}
	if err := r.Begin().Int(1).Int(1).Emit(); err != nil {
		t.Errorf("after a failed tuple: %v", err)
	}
	if n := testing.AllocsPerRun(100, func() {
		r.Begin().Raw(append(r.AvailableBuffer(), wire.FixArray|1, 7)).Int(1).Emit()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Machines make different NaNs of the same calculation.
func TestRowHasOneNaN(t *testing.T) {
	odd, odd32 := math.Float64frombits(0xfff8000000000001), math.Float32frombits(0xffc00001)
	var a, b keeper
	if err := NewRow(fields(t, "a", "b", "c", "d"), &a).Begin().Values(math.NaN(), float32(math.NaN()), []float64{math.NaN()}, []float32{float32(math.NaN())}).Emit(); err != nil {
		t.Fatal(err)
	}
	if err := NewRow(fields(t, "a", "b", "c", "d"), &b).Begin().Values(odd, odd32, []float64{odd}, []float32{odd32}).Emit(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("%x and %x", []byte(a), []byte(b))
	}
}

// A row that takes over a tuple, and a cursor that views a row, show the same values as the payload.
func TestRowTuple(t *testing.T) {
	for _, n := range []int{1, 2, 15, 16, 40} {
		names, values := make([]string, n), make([]any, n)
		for i := range n {
			names[i], values[i] = "f"+strings.Repeat("x", i), strings.Repeat("v", 3*i)
		}
		from, err := New(fields(t, names...), values...)
		if err != nil {
			t.Fatal(err)
		}
		var got keeper
		row := NewRow(fields(t, append([]string{"first"}, append(names, "last")...)...), &got)
		var view Cursor
		view.Reset(nil, Origin{First: 7, Fields: row.Fields()})
		if err := row.Begin().Int(1000).Tuple(from).Int(-1).Emit(); err != nil {
			t.Fatal(err)
		}
		whole, err := Parse(row.Fields(), got)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			view.View(row)
		}
		if view.Seq() != 8 || view.Tuple().ID().Seq != 8 {
			t.Errorf("the second row is number %d", view.Seq())
		}
		for _, to := range []Tuple{whole, view.Tuple()} {
			if to.Len() != n+2 || to.Int(0) != 1000 || to.Field("last").Int() != -1 || !bytes.Equal(to.Encoded(), got) {
				t.Errorf("%d fields: %s", n, to.Summary(100))
			}
			for i, v := range values {
				if to.String(i+1) != v || to.Field(names[i]).String() != v || string(row.Content(i+1)) != v {
					t.Errorf("%d fields: field %d is %q", n, i, to.String(i+1))
				}
			}
			to.Bool(0)
			if to.Err() == nil {
				t.Error("a wrong reading was not noted")
			}
		}
		if view.View(row); view.Tuple().Err() != nil {
			t.Errorf("the error of the row before is still there: %v", view.Tuple().Err())
		}
		if err := row.Begin().Int(1).Int(2).Int(3).Tuple(from).Emit(); !errors.Is(err, ErrValueCount) {
			t.Errorf("too many values: %v", err)
		}
		if item, err := view.Next(); item != None || err != nil {
			t.Errorf("behind the row is %v, %v", item, err)
		}
	}
}
