package state

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/must"
)

// The types of one value, as a program grows.
type (
	corner  struct{ X, Y int32 }
	corner2 struct {
		Z    string
		Y, X int64
	}
	visits1 struct {
		Count int
		Last  string
		Where corner
		Path  [2]corner
	}
	visits2 struct { // more fields, in another order
		First []byte
		Where corner2
		Last  string
		Path  [2]corner2
		Ratio float64
		Count int64
	}
	visits3 struct { // one that is stored by msgpack
		When  time.Time
		Tags  []string
		Count int
		Last  string
		Where corner2
		Path  [2]corner
	}
)

func (v visits1) later() visits2 {
	c := func(c corner) corner2 { return corner2{"", int64(c.Y), int64(c.X)} }
	return visits2{Where: c(v.Where), Last: v.Last, Path: [2]corner2{c(v.Path[0]), c(v.Path[1])}, Count: int64(v.Count)}
}

func drawVisits(t *rapid.T) visits1 {
	c := func() corner { return corner{rapid.Int32().Draw(t, "x"), rapid.Int32().Draw(t, "y")} }
	return visits1{rapid.Int().Draw(t, "count"), rapid.String().Draw(t, "last"), c(), [2]corner{c(), c()}}
}

// A program grows while its state goes on: full snapshot and increments of the old type, then increments of the new one
// on top of them, and so on. Every restore gives what there was, with zero for what is new.
func TestValuesGainFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewStore()
		old := must.Get(Open[string, visits1](s, "visits"))
		want := newTwin[string, visits1]()
		key := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"})
		change := func(label string) {
			for range rapid.IntRange(0, 4).Draw(t, label) {
				k, v := key.Draw(t, "key"), drawVisits(t)
				if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
					old.Delete(k)
					want.delete(k)
					continue
				}
				old.Put(k, v)
				want.put(k, v)
			}
		}
		change("before")
		chain := [][]byte{snapRapid(t, s, true)}
		for range rapid.IntRange(0, 2).Draw(t, "increments") {
			change("between")
			chain = append(chain, snapRapid(t, s, false))
		}

		// The second program: restored before or after it opens its map.
		later := newTwin[string, visits2]()
		for _, k := range want.keys {
			later.put(k, want.vals[k].later())
		}
		s2, m2 := restoreAs[visits2](t, chain)
		sameValues(t, m2, later)
		for range rapid.IntRange(1, 3).Draw(t, "increments") {
			k, v := key.Draw(t, "key"), drawVisits(t).later()
			v.Where.Z, v.First, v.Ratio = "new", []byte{1}, 0.5
			m2.Put(k, v)
			later.put(k, v)
			chain = append(chain, snapRapid(t, s2, false))
		}
		s3, m3 := restoreAs[visits2](t, chain)
		sameValues(t, m3, later)

		// A full snapshot of it, for the first program, would lose fields.
		full := snapRapid(t, s3, true)
		if later.keys != nil {
			_, _, err := tryRestore[visits1](t, [][]byte{full})
			if !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), "state.visits1.First is stored and state.visits1 has no such field") {
				t.Fatalf("an older program: %v", err)
			}
		}
	})
}

func snapRapid(t *rapid.T, s *Store, full bool) []byte {
	s.Begin(full)
	for !must.Get(s.Step(1 << 20)) {
	}
	return s.Take()
}

// tryRestore restores a chain before or after it opens the map.
func tryRestore[V any](t *rapid.T, chain [][]byte) (s *Store, m *Map[string, V], err error) {
	s = NewStore()
	first := rapid.Bool().Draw(t, "open first")
	if first {
		m = must.Get(Open[string, V](s, "visits"))
	}
	for _, data := range chain {
		if err := s.Apply(data); err != nil {
			return nil, nil, err
		}
	}
	if !first {
		m, err = Open[string, V](s, "visits")
	}
	return s, m, err
}

func restoreAs[V any](t *rapid.T, chain [][]byte) (*Store, *Map[string, V]) {
	t.Helper()
	s, m, err := tryRestore[V](t, chain)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return s, m
}

func sameValues[V any](t *rapid.T, m *Map[string, V], want *twin[string, V]) {
	t.Helper()
	i := 0
	for k, v := range m.All() {
		if i >= len(want.keys) || k != want.keys[i] || !reflect.DeepEqual(v, want.vals[k]) {
			t.Fatalf("entry %d is %s: %+v, want %+v", i, k, v, want.vals[k])
		}
		i++
	}
	if i != len(want.keys) || m.Len() != i {
		t.Fatalf("%d entries, want %d", i, len(want.keys))
	}
}

// reread stores a value as an Old and reads it as a New.
func reread[Old, New any](t *testing.T, v Old) (New, error) {
	t.Helper()
	s := NewStore()
	must.Get(Open[int, Old](s, "m")).Put(1, v)
	data := snap(t, s, true)
	m, err := Open[int, New](restore(t, data), "m")
	s = NewStore()
	must.Get(Open[int, New](s, "m"))
	if applied := s.Apply(data); (applied == nil) != (err == nil) {
		t.Errorf("opened before: %v, opened after: %v", applied, err)
	}
	if err != nil {
		var zero New
		return zero, err
	}
	got, _ := m.Get(1)
	return got, nil
}

func TestValuesGainFieldsOfAnyKind(t *testing.T) {
	v := visits1{3, "x", corner{1, 2}, [2]corner{{3, 4}, {5, 6}}}
	if got, err := reread[visits1, visits3](t, v); err != nil || !reflect.DeepEqual(got, visits3{Count: 3, Last: "x", Where: corner2{"", 2, 1}, Path: v.Path}) {
		t.Errorf("plain to msgpack: %+v, %v", got, err)
	}
	type pair struct {
		A []string
		B map[string]corner
	}
	type triple struct {
		C time.Duration
		B map[string]corner2
		A []string
		D map[int]int
	}
	p := pair{[]string{"a"}, map[string]corner{"k": {1, 2}}}
	if got, err := reread[pair, triple](t, p); err != nil || !reflect.DeepEqual(got, triple{A: p.A, B: map[string]corner2{"k": {"", 2, 1}}}) {
		t.Errorf("msgpack to msgpack: %+v, %v", got, err)
	}
	type listed struct {
		N     int
		Since *int
	}
	type counted struct{ More, N int16 }
	type fuller struct {
		N     uint32
		Since int
	}
	since := 5
	if got, err := reread[listed, fuller](t, listed{7, &since}); err != nil || got != (fuller{7, 5}) {
		t.Errorf("msgpack to plain: %+v, %v", got, err)
	}
	_, err := reread[listed, counted](t, listed{7, nil})
	if !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), `unknown field "Since"`) {
		t.Errorf("msgpack to plain, with a field less: %v", err)
	}
}

func TestStoredFieldsAreNotLost(t *testing.T) {
	type renamed struct {
		Count int
		Final string
		Where corner
		Path  [2]corner
	}
	type retyped struct {
		Count string
		Last  string
		Where corner
		Path  [2]corner
	}
	type hiding struct {
		Count int `msgpack:"-"`
		Last  string
		Where corner
		Path  [2]corner
	}
	type longer struct {
		Count int
		Last  string
		Where corner
		Path  [3]corner
	}
	type shallow struct {
		Count int
		Last  string
		Where int
		Path  [2]corner
	}
	type deepLoss struct {
		Count int
		Last  string
		Where struct{ X int }
		Path  [2]corner
	}
	type own struct {
		Count int
		Last  string
		Where clock
		Path  [2]corner
	}
	for what, x := range map[string]struct {
		err  error
		want string
	}{
		"renamed":          {second(reread[visits1, renamed](t, visits1{})), "state.renamed.Last is stored and state.renamed has no such field, so it would be lost: keep the old type"},
		"retyped":          {second(reread[visits1, retyped](t, visits1{})), `state.retyped.Count is stored as "int" and is string now`},
		"not stored":       {second(reread[visits1, hiding](t, visits1{})), "state.hiding.Count is stored and state.hiding has no such field"},
		"longer":           {second(reread[visits1, longer](t, visits1{})), "state.longer.Path is stored as an array of 2 and is [3]state.corner now"},
		"no struct":        {second(reread[visits1, shallow](t, visits1{})), "state.shallow.Where is stored as a struct and is int now"},
		"nested":           {second(reread[visits1, deepLoss](t, visits1{})), "state.deepLoss.Where.Y is stored and struct { X int } has no such field"},
		"own form within":  {second(reread[visits1, own](t, visits1{})), "state.own.Where is state.clock now, which has a form of its own"},
		"own form":         {second(reread[visits1, clock](t, visits1{})), "and their type has MarshalBinary and UnmarshalBinary now: give the map a new name"},
		"no own form":      {second(reread[clock, visits1](t, clock{})), "state.visits1 wrote its values itself, and has no MarshalBinary and UnmarshalBinary now"},
		"no struct at all": {second(reread[visits1, int](t, visits1{})), "int is stored as a struct and is int now"},
		"a struct now":     {second(reread[int, visits1](t, 1)), `state.visits1 is stored as "int" and is state.visits1 now`},
		"a list now":       {second(reread[[2]int, []int](t, [2]int{})), "[]int is stored as an array of 2 and is []int now"},
	} {
		if !errors.Is(x.err, ErrKind) || !strings.Contains(x.err.Error(), `map "m"`) || !strings.Contains(x.err.Error(), x.want) {
			t.Errorf("%s: %v\nwant %s", what, x.err, x.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Names of kinds come from snapshots, so they may be anything.
func FuzzMatchStored(f *testing.F) {
	for _, name := range []string{"{Count:int Last:string Where:{X:int Y:int} Path:[2]{X:int Y:int}}", "int", "{}", "[2]int", "[0]", "{Count:int Count:int}", "{Path:[2]{X:int}}", "{:int}", "{Count"} {
		f.Add(name, []byte{2, 1, 'x', 4, 6, 8, 10})
	}
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		typ := reflect.TypeFor[visits2]()
		fields, err := matchStored(name, typ)
		if err != nil {
			if !errors.Is(err, ErrKind) {
				t.Fatalf("%q: %v", name, err)
			}
			return
		}
		// Each field is there once, and inside of the value.
		seen := map[uintptr]bool{}
		for _, f := range fields {
			if seen[f.offset] || f.offset >= typ.Size() {
				t.Fatalf("%q: field at %d of %d, in %v", name, f.offset, typ.Size(), fields)
			}
			seen[f.offset] = true
		}
		var v, again visits2
		kind := plainKind(name, fields)
		if readValue(&kind, value, &v) != nil {
			return
		}
		// Written in the order of the old type, it is read as the same value.
		b, err := kind.write(nil, unsafe.Pointer(&v))
		if err != nil {
			t.Fatal(err)
		}
		if err := readValue(&kind, b, &again); err != nil || !reflect.DeepEqual(v, again) && v.Ratio == v.Ratio {
			t.Fatalf("%q: %+v comes back as %+v, %v", name, v, again, err)
		}
	})
}
