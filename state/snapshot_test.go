package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"testing"

	"github.com/askback/askback/internal/must"
)

// snap takes a snapshot.
func snap(t testing.TB, s *Store, full bool) []byte {
	t.Helper()
	s.Begin(full)
	for {
		done, err := s.Step(100)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return s.Take()
		}
	}
}

func restore(t testing.TB, chain ...[]byte) *Store {
	t.Helper()
	s := NewStore()
	for _, data := range chain {
		if err := s.Apply(data); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestIncrementHoldsWhatChanged(t *testing.T) {
	s := NewStore()
	m := must.Get(Open[int, int](s, "m"))
	must.Get(Open[int, int](s, "idle"))
	for i := range 10_000 {
		m.Put(i, i)
	}
	full := snap(t, s, false) // the first is full all the same
	if s.Changed() {
		t.Error("changed after a snapshot of everything")
	}
	none := snap(t, s, false)
	if len(none) > 20 {
		t.Errorf("an increment of nothing is %d bytes", len(none))
	}
	m.Put(5, -5)
	m.Delete(6)
	m.Put(10_000, 1)
	m.Delete(7)
	m.Put(7, -7)
	m.Put(-1, 0)
	m.Delete(-1)
	if !s.Changed() {
		t.Error("not changed after changes")
	}
	some := snap(t, s, false)
	if _, sections, err := parse(some); err != nil || len(sections) != 1 || sections[0].count != 5 {
		t.Errorf("increment: %v, %+v, want 1 section of 5 records: 5, 6 and 7 gone, 7 and 10000 new", err, sections)
	}
	var want, got []string
	for k, v := range m.All() {
		want = append(want, fmt.Sprint(k, v))
	}
	for k, v := range must.Get(Open[int, int](restore(t, full, none, some), "m")).All() {
		got = append(got, fmt.Sprint(k, v))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Error("the chain does not restore what was there, in its order")
	}
}

// A task that ran through and one restored halfway go on alike.
func TestRestoredGoesOnAlike(t *testing.T) {
	s := NewStore()
	m := must.Get(Open[string, int](s, "m"))
	work := func(m *Map[string, int], from, to int) {
		for i := from; i < to; i++ {
			*m.Entry(fmt.Sprint(i * 7919 % 20_011))++
			m.Delete(fmt.Sprint(i * 104_729 % 20_011))
		}
	}
	work(m, 0, 30_000)
	full := snap(t, s, true)
	work(m, 30_000, 60_000)
	s.Begin(false)
	at := 60_000
	for done := false; !done; at += 100 { // changes while it is encoded
		work(m, at, at+100)
		done = must.Get(s.Step(200))
	}
	work(m, at, 100_000)
	other := must.Get(Open[string, int](restore(t, full, s.Take()), "m"))
	work(other, 60_000, 100_000)
	want := newTwin[string, int]()
	for k, v := range m.All() {
		want.put(k, v)
	}
	same(t, other, want)
}

func TestAbortKeepsChanges(t *testing.T) {
	for _, when := range []string{"before Step", "half done", "done", "taken", "by Begin"} {
		s := NewStore()
		m := must.Get(Open[int, int](s, "m"))
		for i := range 1000 {
			m.Put(i, i)
		}
		full := snap(t, s, true)
		m.Put(1, -1)
		m.Delete(2)
		m.Put(1000, 1000)
		s.Begin(false)
		switch when {
		case "half done":
			must.Get(s.Step(2))
		case "done", "taken":
			for !must.Get(s.Step(100)) {
			}
			if when == "taken" {
				s.Take()
			}
		}
		m.Put(3, -3)
		if when != "by Begin" {
			s.Abort()
		}
		if !s.Changed() {
			t.Errorf("%s: not changed after Abort", when)
		}
		want := newTwin[int, int]()
		for k, v := range m.All() {
			want.put(k, v)
		}
		same(t, must.Get(Open[int, int](restore(t, full, snap(t, s, false)), "m")), want)
	}
}

// Pages are joined when a snapshot has been encoded, and at deletions otherwise. No record of that snapshot
// or of the ones after it is lost by it.
func TestPagesAreJoinedAroundSnapshots(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, aborted := range []bool{false, true} {
			s := NewStore()
			m := must.Get(Open[int, int](s, "m"))
			want := newTwin[int, int]()
			for i := range 2 * pageSize {
				m.Put(i, i)
				if i%8 == 0 {
					want.put(i, i)
				}
			}
			chain := [][]byte{snap(t, s, true)}
			for i := range 2 * pageSize {
				if i%8 != 0 {
					m.Delete(i)
				}
			}
			chain = append(chain, snap(t, s, false)) // the deletions are needed until the next Begin
			if len(m.order) != 2 {
				t.Fatalf("%d pages, want 2", len(m.order))
			}
			change := func(i int) {
				m.Delete(i)
				want.delete(i)
				m.Put(i+8, -i)
				want.put(i+8, -i)
			}
			change(32)
			change(pageSize + 32)
			s.Begin(full)
			before := want.clone()
			must.Get(s.Step(10))
			for i := 0; i < pageSize; i += 16 { // down to 256, where a page is looked at; it may not be joined yet
				change(i)
			}
			for !must.Get(s.Step(100)) {
			}
			if len(m.order) != 1 {
				t.Fatalf("%d pages, want them joined", len(m.order))
			}
			data := s.Take()
			taken := append(slices.Clone(chain), data)
			if full {
				taken = [][]byte{data}
			}
			same(t, must.Get(Open[int, int](restore(t, taken...), "m")), before)
			if aborted {
				s.Abort()
				taken = chain
			}
			same(t, must.Get(Open[int, int](restore(t, append(taken, snap(t, s, false))...), "m")), want)
			same(t, m, want)
		}
	}
}

func TestWantFull(t *testing.T) {
	s := NewStore()
	m := must.Get(Open[int, int](s, "m"))
	if !s.WantFull() {
		t.Error("no full snapshot yet, and none is wanted")
	}
	for i := range 10_000 {
		m.Put(i, i)
	}
	size, increments := len(snap(t, s, true)), 0
	for !s.WantFull() {
		for i := range 1000 {
			*m.Entry(i)++
		}
		increments += max(minIncrement, len(snap(t, s, false)))
	}
	if increments < size || increments > size+10_000 {
		t.Errorf("a full snapshot of %d bytes is wanted again after %d bytes of increments", size, increments)
	}
	s.Abort()
	if s.WantFull() {
		t.Error("the increment that was one too many is aborted, and a full snapshot still wanted")
	}
}

func TestMapsNotOpened(t *testing.T) {
	s := NewStore()
	a, b := must.Get(Open[int, int](s, "a")), must.Get(Open[int, string](s, "b"))
	a.Put(1, 1)
	b.Put(1, "one")
	b.Put(2, "two")
	first := snap(t, s, true)
	b.Delete(1)
	b.Put(3, "three")
	second := snap(t, s, false)

	s = restore(t, first, second)
	*must.Get(Open[int, int](s, "a")).Entry(1) = 5
	third := snap(t, s, false)
	b = must.Get(Open[int, string](restore(t, first, second, third), "b"))
	want := newTwin[int, string]()
	want.put(2, "two")
	want.put(3, "three")
	same(t, b, want)

	full := snap(t, s, true) // b is written as it came
	s = restore(t, full)
	b = must.Get(Open[int, string](s, "b"))
	same(t, b, want)
	b.Put(2, "zwei")
	want.put(2, "zwei")
	same(t, must.Get(Open[int, string](restore(t, full, snap(t, s, false)), "b")), want)
	if s.Size() <= 0 {
		t.Error("a store with entries takes no memory")
	}
}

func TestApplyRefuses(t *testing.T) {
	s := NewStore()
	m := must.Get(Open[string, int](s, "m"))
	m.Put("a", 1)
	full := snap(t, s, true)
	m.Put("b", 2)
	second := snap(t, s, false)
	m.Put("c", 3)
	third := snap(t, s, false)

	check := func(what string, s *Store, data []byte, want error) {
		t.Helper()
		if err := s.Apply(data); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	check("increment first", NewStore(), second, ErrOrder)
	check("one left out", restore(t, full), third, ErrOrder)
	check("twice", restore(t, full, second), second, ErrOrder)
	changed := restore(t, full)
	must.Get(Open[string, int](changed, "m")).Put("x", 1)
	check("after a change", changed, second, ErrOrder)
	busy := restore(t, full)
	busy.Begin(false)
	check("during a snapshot", busy, full, ErrBusy)
	other := NewStore()
	must.Get(Open[string, string](other, "m"))
	check("other values", other, full, ErrKind)
	other = NewStore()
	must.Get(Open[int, int](other, "m"))
	check("other keys", other, full, ErrKind)
	if _, err := Open[int, int](restore(t, full), "m"); !errors.Is(err, ErrKind) {
		t.Errorf("Open with other keys: %v", err)
	}

	// Damage anywhere changes nothing.
	s = restore(t, full)
	m = must.Get(Open[string, int](s, "m"))
	for i := range second {
		damaged := bytes.Clone(second)
		damaged[i] ^= 1 << (i % 8)
		check(fmt.Sprint("bit of byte ", i), s, damaged, ErrCorrupt)
		check(fmt.Sprint("cut at ", i), s, second[:i], ErrCorrupt)
	}
	if m.Len() != 1 || s.Changed() {
		t.Error("a damaged increment has changed something")
	}
	if err := s.Apply(second); err != nil || m.Len() != 2 {
		t.Errorf("the undamaged one after them: %v", err)
	}
	if _, err := NewStore().Step(1); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("Step without Begin: %v", err)
	}
}

// sealed puts the checksum under a body, so that damage gets past it.
func sealed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
}

// hostile is a full snapshot and an increment with a bit of everything, without their checksums.
func hostile(t testing.TB) (first, second []byte) {
	s := NewStore()
	points, nests := openHostile(s)
	for i := range 10 {
		points.Put(fmt.Sprint("point ", i), point{int32(i), "p"})
		nests.Put(int32(-i), map[string]int{"a": i})
	}
	first = snap(t, s, true)
	points.Delete("point 3")
	points.Put("point 3", point{3, "again"})
	nests.Put(-4, nil)
	nests.Put(1, nil)
	s.Begin(false)
	nests.Put(1, map[string]int{"b": 1}) // out of turn
	points.Put("point 3", point{})
	for !must.Get(s.Step(1)) {
	}
	second = s.Take()
	return first[:len(first)-4], second[:len(second)-4]
}

func openHostile(s *Store) (*Map[string, point], *Map[int32, map[string]int]) {
	return must.Get(Open[string, point](s, "points")), must.Get(Open[int32, map[string]int](s, "nests"))
}

// applyHostile restores what claims to be snapshots. Each is refused, or makes a sound state.
func applyHostile(t testing.TB, bodies ...[]byte) {
	t.Helper()
	s := NewStore()
	points, nests := openHostile(s)
	for _, body := range bodies {
		if err := s.Apply(sealed(body)); err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrOrder) && !errors.Is(err, ErrKind) {
				t.Fatalf("error without a kind: %v", err)
			}
			continue
		}
		count := 0
		for k, v := range points.All() {
			count++
			if got, ok := points.Get(k); !ok || got != v {
				t.Fatalf("All yields %q: %v, and Get %v, %v", k, v, got, ok)
			}
		}
		if count != points.Len() {
			t.Fatalf("All yields %d entries of %d", count, points.Len())
		}
		again := NewStore()
		other, nest := openHostile(again)
		if err := again.Apply(snap(t, s, true)); err != nil {
			t.Fatalf("a snapshot of what was applied: %v", err)
		}
		if other.Len() != points.Len() || nest.Len() != nests.Len() {
			t.Fatal("lost entries")
		}
		s.Abort() // so that the increment still follows
	}
}

// applyGrown restores what claims to be snapshots in a program whose types have gained fields. Each is refused, or is
// the state that the program before would restore.
func applyGrown(t testing.TB, bodies ...[]byte) {
	t.Helper()
	type grown struct {
		More float64
		S    string
		X    int64
		List []int
	}
	before, after := NewStore(), NewStore()
	points, nests := openHostile(before)
	grownPoints := must.Get(Open[string, grown](after, "points"))
	grownNests := must.Get(Open[int32, map[string]uint64](after, "nests"))
	for _, body := range bodies {
		old, err := before.Apply(sealed(body)), after.Apply(sealed(body))
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrOrder) && !errors.Is(err, ErrKind) {
			t.Fatalf("error without a kind: %v", err)
		}
		if err != nil || old != nil {
			return // each has read as far as it could
		}
	}
	if points.Len() != grownPoints.Len() || nests.Len() != grownNests.Len() {
		t.Fatalf("%d and %d entries, want %d and %d", grownPoints.Len(), grownNests.Len(), points.Len(), nests.Len())
	}
	for k, v := range points.All() {
		if got, _ := grownPoints.Get(k); got.S != v.S || got.X != int64(v.X) || got.More != 0 || got.List != nil {
			t.Fatalf("%q is %+v, want %+v", k, got, v)
		}
	}
}

func TestDamageThatTheChecksumMisses(t *testing.T) {
	first, second := hostile(t)
	applyHostile(t, first, second)
	applyGrown(t, first, second)
	for which := range 2 {
		for i := range [][]byte{first, second}[which] {
			for _, b := range []byte{0, 1, 2, 3, 4, 0x7f, 0x80, 0x91, 0xdd, 0xff} {
				bodies := [][]byte{bytes.Clone(first), bytes.Clone(second)}
				bodies[which][i] = b
				applyHostile(t, bodies...)
				applyGrown(t, bodies...)
			}
			bodies := [][]byte{first, second}
			bodies[which] = bodies[which][:i]
			applyHostile(t, bodies...)
			applyGrown(t, bodies...)
		}
	}
}

func FuzzApply(f *testing.F) {
	first, second := hostile(f)
	f.Add(first, second)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		applyHostile(t, a, b)
		applyGrown(t, a, b)
	})
}
