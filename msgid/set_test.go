package msgid

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var channels = []Channel{
	{Alias{"split", 0}, "", Alias{"count", 1}},
	{Alias{"split", 1}, "", Alias{"count", 1}},
	{Alias{"split", 10}, "", Alias{"count", 1}},
	{Alias{"split", 1}, "errors", Alias{"count", 1}},
	{Alias{"a", 0}, "", Alias{"split", 0}},
}

// ids is the dumb Set: every member by itself.
type ids map[ID]bool

func genSet(t *rapid.T) (Set, ids) {
	var s Set
	w := ids{}
	for range rapid.IntRange(0, 10).Draw(t, "steps") {
		c := rapid.SampledFrom(channels).Draw(t, "channel")
		x := genRange(t, 0)
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			s.Add(c, x)
		case 1:
			x = Range{x.First, x.First}
			s.AddID(ID{c, x.First})
		case 2:
			x = Range{1, x.First}
			s.Advance(c, x.Last)
		}
		for seq := max(x.First, 1); seq <= x.Last; seq++ {
			w[ID{c, seq}] = true
		}
	}
	checkSet(t, s, w)
	return s, w
}

func checkSet(t *rapid.T, s Set, w ids) {
	t.Helper()
	if s.Count() != uint64(len(w)) || s.Empty() != (len(w) == 0) {
		t.Fatalf("%v has %d members, want %d", s, s.Count(), len(w))
	}
	want := map[Channel]bool{}
	for id := range w {
		if want[id.Channel] = true; !s.Contains(id) || !s.Of(id.Channel).Contains(id.Seq) {
			t.Fatalf("%v lacks %v", s, id)
		}
	}
	got := s.Channels()
	if len(got) != len(want) || !slices.IsSortedFunc(got, Channel.Compare) {
		t.Fatalf("%v has channels %v, want %v in order", s, got, want)
	}
	i := 0
	for c, r := range s.All() {
		if c != got[i] || !r.Equal(s.Of(c)) || r.Empty() {
			t.Fatalf("%v yields %v %v", s, c, r)
		}
		i++
	}
}

func bothIDs(a, b ids, keep func(inA, inB bool) bool) ids {
	w := ids{}
	for _, side := range []ids{a, b} {
		for id := range side {
			if keep(a[id], b[id]) {
				w[id] = true
			}
		}
	}
	return w
}

func TestSetAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, wa := genSet(t)
		b, wb := genSet(t)
		textA, textB := a.String(), b.String()
		or, minus, and := a.Union(b), a.Minus(b), a.Intersect(b)
		checkSet(t, or, bothIDs(wa, wb, func(x, y bool) bool { return x || y }))
		checkSet(t, minus, bothIDs(wa, wb, func(x, y bool) bool { return x && !y }))
		checkSet(t, and, bothIDs(wa, wb, func(x, y bool) bool { return x && y }))

		for law, holds := range map[string]bool{
			"union commutes":           or.Equal(b.Union(a)),
			"intersection commutes":    and.Equal(b.Intersect(a)),
			"a = (a-b) + (a&b)":        minus.Union(and).Equal(a),
			"a-b and b share nothing":  minus.Intersect(b).Empty(),
			"a & (a+b) = a":            a.Intersect(or).Equal(a),
			"a - a is empty":           a.Minus(a).Empty(),
			"a + nothing = a":          a.Union(Set{}).Equal(a),
			"equal has equal text":     a.Equal(b) == (textA == textB),
			"equal has equal bytes":    a.Equal(b) == bytes.Equal(a.AppendBinary(nil), b.AppendBinary(nil)),
			"|a+b| = |a| + |b| - |ab|": or.Count() == a.Count()+b.Count()-and.Count(),
		} {
			if !holds {
				t.Fatalf("%s does not hold for a = %q, b = %q", law, textA, textB)
			}
		}

		for _, own := range []Set{or, minus, and, a.Clone()} {
			for _, c := range channels {
				own.Add(c, Range{1, span})
			}
		}
		if a.String() != textA || b.String() != textB {
			t.Fatalf("an operation changed what it read")
		}
	})
}

func TestSetForms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := genSet(t)
		text, err := ParseSet(s.String())
		if err != nil || !text.Equal(s) {
			t.Fatalf("%q read back as %v, %v", s, text, err)
		}
		checkSet(t, text, w)
		words := strings.Fields(s.String())
		slices.Reverse(words)
		if text, err = ParseSet("\n " + strings.Join(words, "\t ")); err != nil || !text.Equal(s) {
			t.Fatalf("%q read backwards as %v, %v", s, text, err)
		}
		bin, _ := s.MarshalBinary()
		var got Set
		if err := got.UnmarshalBinary(bin); err != nil || !got.Equal(s) {
			t.Fatalf("%v read back as %v, %v", s, got, err)
		}
		if err := got.UnmarshalBinary(append(bin, 0)); !errors.Is(err, ErrSet) || !got.Equal(s) {
			t.Fatalf("a byte too many: %v, %v", got, err)
		}
		for n := range bin {
			if _, _, err := ReadSet(bin[:n]); !errors.Is(err, ErrSet) {
				t.Fatalf("%d of %d bytes read, %v", n, len(bin), err)
			}
		}
	})
}

func TestSetCountSaturates(t *testing.T) {
	var s Set
	s.Advance(channels[0], top)
	s.Advance(channels[1], top)
	if s.Count() != math.MaxUint64 {
		t.Errorf("got %d", s.Count())
	}
}

func TestParseSetRefuses(t *testing.T) {
	for _, text := range []string{"x", "a.1>b.2", "a.1>b.2#", "a.1>b.2#0", "a.1>b.2#3,1", "#1", "a.1>b.2#1 a.1>b.2#5", "a.1>b.2#1#2"} {
		if s, err := ParseSet(text); !errors.Is(err, ErrSet) {
			t.Errorf("ParseSet(%q) = %v, %v", text, s, err)
		}
	}
}

func TestReadSetRefuses(t *testing.T) {
	one := Ranges{{1, 1}}.AppendBinary(nil)
	channel := func(name string) []byte {
		return append(binary.AppendUvarint(nil, uint64(len(name))), name...)
	}
	for name, b := range map[string][]byte{
		"huge count":     binary.AppendUvarint(nil, 1<<60),
		"huge name":      append([]byte{1}, binary.AppendUvarint(nil, 1<<60)...),
		"long name":      slices.Concat([]byte{1}, channel(strings.Repeat("x", 1000)), one),
		"no channel":     slices.Concat([]byte{1}, channel("nonsense"), one),
		"out of order":   slices.Concat([]byte{2}, channel("b.1>c.1"), one, channel("a.1>c.1"), one),
		"given twice":    slices.Concat([]byte{2}, channel("a.1>c.1"), one, channel("a.1>c.1"), one),
		"without ranges": slices.Concat([]byte{1}, channel("a.1>c.1"), []byte{0}),
		"bad ranges":     slices.Concat([]byte{1}, channel("a.1>c.1"), []byte{1, 0, 0}),
	} {
		if s, _, err := ReadSet(b); !errors.Is(err, ErrSet) {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
}

func FuzzReadSet(f *testing.F) {
	var s Set
	f.Add(s.AppendBinary(nil))
	s.Add(channels[1], Range{17, 42})
	s.Add(channels[1], Range{45, 45})
	s.Add(channels[3], Range{1, top})
	f.Add(s.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, rest, err := ReadSet(b)
		if err != nil {
			return
		}
		if again := s.AppendBinary(nil); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x is a second form of %v, %x", b[:len(b)-len(rest)], s, again)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, text := range []string{"", "split.0>count.1#48211-51002 split.1>count.1#47990-50781", "a.1:x>b.2#1,3", "a.1>b.2#1 a.1>b.2#1", " a.1>b.2#9 "} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSet(text)
		if err != nil {
			return
		}
		if again, err := ParseSet(s.String()); err != nil || !again.Equal(s) {
			t.Fatalf("%q read as %v, and that as %v, %v", text, s, again, err)
		}
		words := strings.Fields(text)
		slices.Sort(words)
		out := strings.Fields(s.String())
		slices.Sort(out)
		if !slices.Equal(words, out) {
			t.Fatalf("%q is a second form of %v", text, s)
		}
	})
}
