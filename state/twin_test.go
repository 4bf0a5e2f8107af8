package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/must"
)

// A twin is an ordered map that is too simple to be wrong.
type twin[K comparable, V any] struct {
	keys []K
	vals map[K]V
}

func newTwin[K comparable, V any]() *twin[K, V] { return &twin[K, V]{vals: map[K]V{}} }

func (t *twin[K, V]) put(k K, v V) {
	if _, ok := t.vals[k]; !ok {
		t.keys = append(t.keys, k)
	}
	t.vals[k] = v
}

func (t *twin[K, V]) delete(k K) bool {
	if _, ok := t.vals[k]; !ok {
		return false
	}
	delete(t.vals, k)
	t.keys = slices.Delete(t.keys, slices.Index(t.keys, k), slices.Index(t.keys, k)+1)
	return true
}

func (t *twin[K, V]) clone() *twin[K, V] {
	c := newTwin[K, V]()
	for _, k := range t.keys {
		c.put(k, t.vals[k])
	}
	return c
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func same[K Key, V comparable](t fataler, m *Map[K, V], want *twin[K, V]) {
	t.Helper()
	if m.Len() != len(want.keys) {
		t.Fatalf("map %s: Len is %d, want %d", m.name, m.Len(), len(want.keys))
	}
	i := 0
	for k, v := range m.All() {
		if i >= len(want.keys) || k != want.keys[i] || v != want.vals[k] {
			k2 := want.keys[min(i, len(want.keys)-1)]
			t.Fatalf("map %s: entry %d is %v: %v, want %v: %v", m.name, i, k, v, k2, want.vals[k2])
		}
		if got, ok := m.Get(k); !ok || got != v {
			t.Fatalf("map %s: Get(%v) = %v, %v; All says %v", m.name, k, got, ok, v)
		}
		i++
	}
	if i != len(want.keys) {
		t.Fatalf("map %s: All yields %d entries, want %d", m.name, i, len(want.keys))
	}
}

type point struct {
	X int32
	S string
}

// A rig is a store with three maps, and the twins of what it should hold.
type rig struct {
	store *Store
	words *Map[string, int64]
	ids   *Map[int32, point]
	odd   *Map[uint64, clock] // nil while it is not opened

	twins
	frozen twins    // at Begin
	stored twins    // at the Begin of the last stored snapshot
	chain  [][]byte // the snapshots that a log would hold
	data   []byte   // taken, not known to be stored
}

type twins struct {
	words *twin[string, int64]
	ids   *twin[int32, point]
	odd   *twin[uint64, clock]
}

// A clock has a form of its own.
type clock struct{ hours, minutes int }

func (t clock) MarshalBinary() ([]byte, error) {
	return fmt.Appendf(nil, "%d:%d", t.hours, t.minutes), nil
}
func (t *clock) UnmarshalBinary(b []byte) error {
	_, err := fmt.Sscanf(string(b), "%d:%d", &t.hours, &t.minutes)
	return err
}

func (t twins) clone() twins { return twins{t.words.clone(), t.ids.clone(), t.odd.clone()} }

func newTwins() twins {
	return twins{newTwin[string, int64](), newTwin[int32, point](), newTwin[uint64, clock]()}
}

func (r *rig) open(t *rapid.T, odd bool) {
	r.words = must.Get(Open[string, int64](r.store, "words"))
	r.ids = must.Get(Open[int32, point](r.store, "ids"))
	r.odd = nil
	if odd {
		r.openOdd()
	}
}

func (r *rig) openOdd() { r.odd = must.Get(Open[uint64, clock](r.store, "odd")) }

func (r *rig) check(t fataler) {
	t.Helper()
	same(t, r.words, r.twins.words)
	same(t, r.ids, r.twins.ids)
	if r.odd != nil {
		same(t, r.odd, r.twins.odd)
	}
}

func (r *rig) begin(t *rapid.T) {
	if r.data != nil { // the one before is stored
		r.commit()
	}
	full := rapid.Bool().Draw(t, "full") && r.store.WantFull() || rapid.IntRange(0, 9).Draw(t, "anyway") == 0
	r.store.Begin(full)
	r.frozen = r.twins.clone()
	if r.store.Changed() {
		t.Fatalf("changed right after Begin")
	}
}

func (r *rig) commit() {
	if h, _, err := parse(r.data); err != nil {
		panic(err)
	} else if h.full {
		r.chain = nil
	}
	r.chain, r.stored, r.data = append(r.chain, r.data), r.frozen, nil
}

// crash throws the store away, and restores another from the chain.
func (r *rig) crash(t *rapid.T) {
	r.store = NewStore()
	first := rapid.Bool().Draw(t, "open first")
	odd := rapid.Bool().Draw(t, "open odd")
	if first {
		r.open(t, odd)
		if rapid.Bool().Draw(t, "prepare") && len(r.chain) > 0 {
			r.words.Put("made by Prepare", 1) // a full snapshot replaces it
		}
	}
	for _, data := range r.chain {
		data = bytes.Clone(data)
		if err := r.store.Apply(data); err != nil {
			t.Fatalf("apply: %v", err)
		}
		clear(data) // it must not be kept
	}
	if !first {
		r.open(t, odd)
	}
	r.twins, r.data = r.stored.clone(), nil
	if r.store.Changed() {
		t.Fatalf("changed right after a restore")
	}
	r.check(t)
}

func TestAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &rig{store: NewStore(), twins: newTwins(), stored: newTwins()}
		r.open(t, true)
		word := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("w", rapid.IntRange(0, 30).Draw(t, "n")) })
		serial, inProgress := 0, false
		t.Repeat(map[string]func(*rapid.T){
			"at": func(t *rapid.T) {
				w := word.Draw(t, "word")
				p := r.words.At([]byte(w))
				*p++
				r.twins.words.put(w, r.twins.words.vals[w]+1)
			},
			"put": func(t *rapid.T) {
				k, v := rapid.Int32Range(-20, 20).Draw(t, "id"), point{rapid.Int32().Draw(t, "x"), word.Draw(t, "s")}
				r.ids.Put(k, v)
				r.twins.ids.put(k, v)
			},
			"odd": func(t *rapid.T) {
				if r.odd == nil {
					r.openOdd()
				}
				k, v := rapid.Uint64().Draw(t, "k"), clock{rapid.IntRange(0, 23).Draw(t, "h"), 5}
				r.odd.Put(k, v)
				r.twins.odd.put(k, v)
			},
			"delete": func(t *rapid.T) {
				w := word.Draw(t, "word")
				if got, want := r.words.Delete(w), r.twins.words.delete(w); got != want {
					t.Fatalf("delete %s: %v, want %v", w, got, want)
				}
				k := rapid.Int32Range(-20, 20).Draw(t, "id")
				if got, want := r.ids.Delete(k), r.twins.ids.delete(k); got != want {
					t.Fatalf("delete %d: %v, want %v", k, got, want)
				}
			},
			"read": func(t *rapid.T) {
				w := word.Draw(t, "word")
				got, ok := r.words.Peek([]byte(w))
				want, there := r.twins.words.vals[w]
				if got != want || ok != there {
					t.Fatalf("peek %s: %d, %v, want %d, %v", w, got, ok, want, there)
				}
			},
			"many": func(t *rapid.T) { // enough to fill pages and split segments
				n := rapid.IntRange(1, 3000).Draw(t, "n")
				for range n {
					w := fmt.Sprintf("many-%d", serial)
					serial++
					*r.words.Entry(w) = int64(serial)
					r.twins.words.put(w, int64(serial))
				}
			},
			"thin": func(t *rapid.T) { // enough to join and drop pages
				keep, from := rapid.IntRange(1, 50).Draw(t, "keep"), rapid.IntRange(0, 3000).Draw(t, "from")
				kept := newTwin[string, int64]()
				for i, k := range r.twins.words.keys {
					if i < from || i%keep == 0 {
						kept.put(k, r.twins.words.vals[k])
					} else if !r.words.Delete(k) {
						t.Fatalf("delete %s: not there", k)
					}
				}
				r.twins.words = kept
			},
			"begin": func(t *rapid.T) { r.begin(t); inProgress = true },
			"step": func(t *rapid.T) {
				if !inProgress {
					t.Skip()
				}
				done, err := r.store.Step(rapid.SampledFrom([]int{1, 3, 100, 5000, 1 << 30}).Draw(t, "budget"))
				if err != nil {
					t.Fatalf("step: %v", err)
				}
				if done {
					r.data, inProgress = r.store.Take(), false
				}
			},
			"abort": func(*rapid.T) { r.store.Abort(); r.data, inProgress = nil, false },
			"crash": func(t *rapid.T) {
				if r.data != nil && rapid.Bool().Draw(t, "was stored") {
					r.commit()
				}
				r.crash(t)
				inProgress = false
			},
			"": func(t *rapid.T) { r.check(t) },
		})
	})
}
