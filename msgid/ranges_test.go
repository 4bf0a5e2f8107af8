package msgid

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// twin is the dumb Ranges: every member by itself.
type twin map[Seq]bool

// The tests count from a base, so that they meet both ends of the numbers: the highest numbers are top-span+1 to
// top.
const (
	span = 40
	top  = math.MaxUint64
)

func genBase(t *rapid.T) Seq {
	return rapid.SampledFrom([]Seq{0, 1000, top - span}).Draw(t, "base")
}

func genRange(t *rapid.T, base Seq) Range {
	first := base + Seq(rapid.IntRange(0, span).Draw(t, "first"))
	last := base + Seq(rapid.IntRange(0, span).Draw(t, "last"))
	if rapid.IntRange(0, 9).Draw(t, "may be empty") > 0 && last < first {
		first, last = last, first
	}
	return Range{first, last}
}

func (w twin) set(x Range, member bool) {
	for i := range Seq(span + 1) {
		for _, base := range []Seq{0, 1000, top - span} {
			if s := base + i; s > 0 && x.First <= s && s <= x.Last {
				if w[s] = member; !member {
					delete(w, s)
				}
			}
		}
	}
}

func genRanges(t *rapid.T, base Seq) (Ranges, twin) {
	var r Ranges
	w := twin{}
	for range rapid.IntRange(0, 8).Draw(t, "steps") {
		x := genRange(t, base)
		if rapid.Bool().Draw(t, "add") {
			r.Add(x)
			w.set(x, true)
		} else {
			r.Remove(x)
			w.set(x, false)
		}
	}
	check(t, r, w)
	return r, w
}

// check checks that r keeps its invariant and has exactly w's members.
func check(t *rapid.T, r Ranges, w twin) {
	t.Helper()
	for i, x := range r {
		if x.First == 0 || x.Last < x.First || i > 0 && (x.First <= r[i-1].Last || x.First-r[i-1].Last < 2) {
			t.Fatalf("%v breaks the invariant", []Range(r))
		}
	}
	if r.Count() != uint64(len(w)) || r.Empty() != (len(w) == 0) {
		t.Fatalf("%v has %d members, want %d", r, r.Count(), len(w))
	}
	first, last := Seq(0), Seq(0)
	for s := range w {
		if !r.Contains(s) {
			t.Fatalf("%v lacks %d", r, s)
		}
		if last = max(last, s); first == 0 || s < first {
			first = s
		}
	}
	if r.First() != first || r.Last() != last {
		t.Fatalf("%v: First %d, Last %d, want %d, %d", r, r.First(), r.Last(), first, last)
	}
}

func both(a, b twin, keep func(inA, inB bool) bool) twin {
	w := twin{}
	for s := range a {
		if keep(true, b[s]) {
			w[s] = true
		}
	}
	for s := range b {
		if keep(a[s], true) {
			w[s] = true
		}
	}
	return w
}

func TestRangesAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := genBase(t)
		a, wa := genRanges(t, base)
		b, wb := genRanges(t, base)
		keptA, keptB := slices.Clone(a), slices.Clone(b)
		check(t, a.Union(b), both(wa, wb, func(x, y bool) bool { return x || y }))
		check(t, a.Minus(b), both(wa, wb, func(x, y bool) bool { return x && !y }))
		check(t, a.Intersect(b), both(wa, wb, func(x, y bool) bool { return x && y }))
		x := genRange(t, base)
		in := twin{}
		in.set(x, true)
		check(t, a.Clip(x), both(wa, in, func(x, y bool) bool { return x && y }))

		for _, own := range []Ranges{a.Union(b), a.Union(nil), a.Minus(nil), a.Intersect(a), a.Clip(Range{0, top})} {
			own.Remove(genRange(t, base))
			own.Add(genRange(t, base))
		}
		if !a.Equal(keptA) || !b.Equal(keptB) {
			t.Fatalf("an operation changed what it read: %v %v, before %v %v", a, b, keptA, keptB)
		}
	})
}

func TestRangesForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, w := genRanges(t, genBase(t))
		text, err := ParseRanges(r.String())
		if err != nil || !text.Equal(r) {
			t.Fatalf("%v read back as %v, %v", r, text, err)
		}
		check(t, text, w)
		prefix := []byte("kept")
		bin := r.AppendBinary(prefix)
		got, rest, err := ReadRanges(append(bin, "rest"...)[len(prefix):])
		if err != nil || !got.Equal(r) || string(rest) != "rest" {
			t.Fatalf("%v read back as %v, rest %q, %v", r, got, rest, err)
		}
		for n := range len(bin) - len(prefix) {
			if got, _, err := ReadRanges(bin[len(prefix) : len(prefix)+n]); !errors.Is(err, ErrRanges) {
				t.Fatalf("%d of %d bytes read as %v, %v", n, len(bin)-len(prefix), got, err)
			}
		}
	})
}

func TestRangesExtremes(t *testing.T) {
	var r Ranges
	r.Add(Range{0, top})
	if r.String() != "1-18446744073709551615" || r.Count() != top || !r.Contains(top) || r.Contains(0) {
		t.Errorf("all: %v, %d", r, r.Count())
	}
	r.Add(Range{top, top})
	r.Remove(Range{2, top - 1})
	if r.String() != "1,18446744073709551615" {
		t.Errorf("ends: %v", r)
	}
	r.Add(Range{0, 0})
	r.Remove(Range{0, 0})
	r.Add(Range{5, 4})
	r.Remove(Range{5, 4})
	if r.String() != "1,18446744073709551615" {
		t.Errorf("empty ranges changed it: %v", r)
	}
	if c := r.Clip(Range{9, 3}); !c.Empty() {
		t.Errorf("clip to nothing: %v", c)
	}
}

func TestParseRangesRefuses(t *testing.T) {
	for _, text := range []string{" ", ",", "1,", ",1", "0", "0-3", "3-3", "4-3", "1,2", "1-3,4", "5,1", "1-5,3-9",
		"01", "+1", "1 ", "1-", "-1", "1-2-3", "18446744073709551616", "x", "1--2"} {
		if r, err := ParseRanges(text); !errors.Is(err, ErrRanges) {
			t.Errorf("ParseRanges(%q) = %v, %v", text, r, err)
		}
	}
}

func TestReadRangesRefuses(t *testing.T) {
	varints := func(n ...uint64) (b []byte) {
		for _, n := range n {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":             {},
		"zero":                varints(1, 0, 0),
		"overlap":             varints(2, 1, 5, 0, 1),
		"adjacent":            varints(2, 1, 5, 1, 1),
		"overflow of a gap":   varints(2, 5, 0, top, 0),
		"overflow of an end":  varints(1, 5, top-4),
		"more than there is":  varints(1<<40, 1, 1),
		"too many":            append(varints(MaxRanges+1), bytes.Repeat([]byte{2, 0}, MaxRanges+1)...),
		"long varint":         {1, 0x81, 0x00, 0},
		"varint of 11 bytes":  append([]byte{1}, bytes.Repeat([]byte{0xff}, 11)...),
		"half a range":        varints(1, 7),
		"second one is short": varints(2, 7, 1, 3),
	} {
		if r, _, err := ReadRanges(b); !errors.Is(err, ErrRanges) {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
	}
	if r, _, err := ReadRanges(varints(1, 5, top-5)); err != nil || r.Last() != top {
		t.Errorf("up to the highest: %v, %v", r, err)
	}
}

func FuzzReadRanges(f *testing.F) {
	f.Add([]byte{})
	f.Add(Ranges{}.AppendBinary(nil))
	f.Add(Ranges{{17, 42}, {45, 45}}.AppendBinary(nil))
	f.Add(Ranges{{1, top}}.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := ReadRanges(b)
		if err != nil {
			return
		}
		if again := r.AppendBinary(nil); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x is a second form of %v, %x", b[:len(b)-len(rest)], r, again)
		}
		var built Ranges
		for _, x := range r {
			built.Add(x)
		}
		if !built.Equal(r) {
			t.Fatalf("%v breaks the invariant: built anew it is %v", r, built)
		}
	})
}

func FuzzParseRanges(f *testing.F) {
	for _, s := range []string{"", "17-42,45", "1-18446744073709551615", "1,2", "9-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseRanges(s); err == nil && r.String() != s {
			t.Fatalf("%q is a second form of %v", s, r)
		}
	})
}

// Positions rise, so the calls of every day touch the end; they allocate nothing.
func TestRangesAllocateNothing(t *testing.T) {
	r := Ranges{{1, 10}, {20, 30}}
	next := Seq(31)
	if n := testing.AllocsPerRun(100, func() {
		r.Add(Range{next, next + 9})
		if next += 10; !r.Contains(next-1) || r.Contains(next) {
			t.Fatal("wrong")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRangesAdd(b *testing.B) {
	r := Ranges{{1, 10}, {20, 30}}
	next := Seq(31)
	for b.Loop() {
		r.Add(Range{next, next + 9})
		next += 10
	}
}
