package tuple

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/wire"
)

func TestSummary(t *testing.T) {
	long := strings.Repeat("a long line, ", 100)
	when := time.Date(2026, 9, 21, 14, 13, 0, 5, time.UTC)
	for _, c := range []struct {
		max    int
		fields string
		values []any
		want   string
	}{
		{100, "word n", []any{"to", 3}, `{word: "to", n: 3}`},
		{100, "", nil, `{}`},
		{1, "", nil, ``},
		{100, "a b c d", []any{nil, true, -7, uint64(math.MaxUint64)}, `{a: nil, b: true, c: -7, d: 18446744073709551615}`},
		{100, "a b c", []any{1.5, when, "a \"b\"\n"}, `{a: 1.5, b: 2026-09-21T14:13:00.000000005Z, c: "a \"b\"\n"}`},
		{100, "text odd bin none", []any{[]byte("text"), []byte("\xff\x00"), lies{[]byte{wire.Bin8, 2, 'h', 'i'}}, lies{[]byte{wire.Bin8, 0}}},
			`{text: "text", odd: 0xff00, bin: 0x6869, none: 0x}`},
		{100, "list map", []any{[]any{1, "two", []any{}}, map[string]any{"b": 1, "a": nil}}, `{list: [1, "two", []], map: {"a": nil, "b": 1}}`},
		{60, "before line after", []any{1, long, "end"}, `{before: 1, line: "a long li…" (1300 bytes), after: "end"}`},
		{60, "line other", []any{long, long}, `{line: "a l…" (1300 bytes), other: "a l…" (1300 bytes)}`},
		{40, "odd", []any{strings.Repeat("\xff", 50)}, `{odd: 0xffffffffffffffff… (50 bytes)}`},
		{40, "list", []any{make([]int, 1000)}, `{list: [0, 0, …] (1000 elements)}`},
		{50, "map", []any{map[string]any{"a": 1, "b": long}}, `{map: {"a": 1, "b": …}}`},
		{80, "map", []any{map[string]any{"a": 1, "b": long}}, `{map: {"a": 1, "b": "a long line, a long lin…" (1300 bytes)}}`},
		{40, "ext", []any{lies{append([]byte{wire.Ext8, 40, 7}, make([]byte, 40)...)}}, `{ext: extension of 43 bytes}`},
		{30, "a b c d", []any{"one", "two", "three", "four"}, `{a: "one", … 3 more}`},
		{20, "first second", []any{long, long}, `{…} (2 fields)`},
		{6, "first second", []any{long, long}, `{…}`},
		{4, "first second", []any{long, long}, ``},
		{-1, "first", []any{1}, ``},
		{28, "euro", []any{strings.Repeat("€", 20)}, `{euro: "€…" (60 bytes)}`},
	} {
		v, err := New(fields(t, strings.Fields(c.fields)...), c.values...)
		if err != nil {
			t.Fatal(err)
		}
		if got := v.Summary(c.max); got != c.want || len(got) > max(0, c.max) {
			t.Errorf("in %d bytes %s\nwant        %s", c.max, got, c.want)
		}
		if v.Err() != nil {
			t.Errorf("Summary left an error: %v", v.Err())
		}
	}
	if got := (Tuple{}).Summary(10); got != "{}" {
		t.Errorf("the zero tuple is %s", got)
	}
}

func TestSummaryWithoutNames(t *testing.T) {
	v, err := New(fields(t, "a", "b"), "x", 1)
	if err != nil {
		t.Fatal(err)
	}
	var c Cursor
	c.Reset(v.Encoded(), Origin{First: 1})
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	c.Tuple().Int(0) // a wrong type
	if got := c.Tuple().Summary(100); got != `{#0: "x", #1: 1}` {
		t.Error(got)
	}
	if _, err := c.Next(); err != nil || c.Tuple().Summary(100) != "{}" {
		t.Errorf("at the end: %s, %v", c.Tuple().Summary(100), err)
	}
}

// A summary keeps to its length, is UTF-8, and with enough room holds every field and no ellipsis.
func TestSummaryKeepsToItsLength(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{1, 2, 5, 16, 40, MaxFields}).Draw(t, "width")
		names := make([]string, width)
		for i := range names {
			names[i] = fmt.Sprintf("f%d", i)
		}
		f, err := NewFields(names...)
		if err != nil {
			t.Fatal(err)
		}
		var out keeper
		row := NewRow(f, &out).Begin()
		for range width {
			if width > 40 {
				row.Int(7)
			} else {
				writeAny(t, row)
			}
		}
		if err := row.Emit(); err != nil {
			t.Fatal(err)
		}
		var c Cursor
		c.Reset(out, Origin{First: 1, Fields: f})
		if _, err := c.Next(); err != nil {
			t.Fatal(err)
		}
		room := rapid.IntRange(-1, 300).Draw(t, "max")
		got := c.Tuple().Summary(room)
		if len(got) > max(0, room) || !utf8.ValidString(got) {
			t.Fatalf("%d bytes in %d: %q", len(got), room, got)
		}
		whole := c.Tuple().Summary(1 << 20)
		if !strings.HasPrefix(whole, "{f0: ") || !strings.Contains(whole, names[width-1]+": ") || strings.HasSuffix(whole, "more}") {
			t.Fatalf("not whole: %q", whole)
		}
		if len(whole) <= room && got != whole {
			t.Fatalf("cut without need: %q, %q", got, whole)
		}
	})
}
