package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/askback/askback/internal/must"
)

func TestOpenRefuses(t *testing.T) {
	type loop struct{ Next []loop }
	s := NewStore()
	must.Get(Open[string, int](s, "taken"))
	for _, c := range []struct {
		what string
		open func() error
		want error
	}{
		{"no opener", func() error { _, err := Open[string, int](nil, "a"); return err }, ErrNoStore},
		{"no store", func() error { _, err := Open[string, int]((*Store)(nil), "a"); return err }, ErrNoStore},
		{"empty name", func() error { _, err := Open[string, int](s, ""); return err }, ErrName},
		{"bad name", func() error { _, err := Open[string, int](s, "a.b"); return err }, ErrName},
		{"long name", func() error { _, err := Open[string, int](s, strings.Repeat("a", 65)); return err }, ErrName},
		{"twice", func() error { _, err := Open[string, int](s, "taken"); return err }, ErrOpen},
		{"channel", func() error { _, err := Open[string, chan int](s, "a"); return err }, ErrValue},
		{"function", func() error { _, err := Open[string, []func()](s, "a"); return err }, ErrValue},
		{"interface", func() error { _, err := Open[string, any](s, "a"); return err }, ErrValue},
		{"interface inside", func() error { _, err := Open[string, map[string]error](s, "a"); return err }, ErrValue},
		{"lost field", func() error { _, err := Open[string, struct{ a []int }](s, "a"); return err }, ErrValue},
		{"contains itself", func() error { _, err := Open[string, loop](s, "a"); return err }, ErrValue},
	} {
		if err := c.open(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if _, err := Open[string, int](s, "a"); err != nil {
		t.Errorf("a name that was refused before: %v", err)
	}
}

func TestKeys(t *testing.T) {
	type name string
	names := must.Get(Open[name, int](NewStore(), "names"))
	long := strings.Repeat("long", 10_000)
	keys := []string{"", "a", "a\x00", "ab", "abc", "abcd", "abcdefg", "abcdefgh", "abcdefgh\x00", "abcdefghi", "abcdefghj", "12345678abcdefghi", long, long + "r"}
	for i, k := range keys {
		*names.At([]byte(k)) = i
	}
	if names.Len() != len(keys) {
		t.Fatalf("%d keys are %d entries", len(keys), names.Len())
	}
	for i, k := range keys {
		if v, ok := names.Get(name(k)); !ok || v != i {
			t.Errorf("Get(%.20q) = %d, %v, want %d", k, v, ok, i)
		}
		if v, ok := names.Peek([]byte(k)); !ok || v != i {
			t.Errorf("Peek(%.20q) = %d, %v, want %d", k, v, ok, i)
		}
	}
	testIntegers(t, -1<<31, -1, 0, 1, 1<<31-1, int32(5))
	testIntegers(t, -1<<63, -1, 0, 1<<63-1, int64(5))
	testIntegers(t, 0, 1, 1<<32-1, uint32(5))
	testIntegers(t, 0, 1, 1<<64-1, uint64(5))
	testIntegers(t, -1<<63, 0, 1<<63-1, 5)
}

func testIntegers[K Key](t *testing.T, keys ...K) {
	s := NewStore()
	m := must.Get(Open[K, int](s, "m"))
	for i, k := range keys {
		m.Put(k, i)
	}
	restored := must.Get(Open[K, int](restore(t, snap(t, s, true)), "m"))
	for i, k := range keys {
		if v, ok := restored.Get(k); !ok || v != i {
			t.Errorf("Get(%v) = %d, %v, want %d", k, v, ok, i)
		}
	}
}

func TestTextMethodsOnIntegers(t *testing.T) {
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "use Entry, not At") {
			t.Errorf("panic says %q, want what to use instead", r)
		}
	}()
	must.Get(Open[int, int](NewStore(), "m")).At([]byte("1"))
}

func TestAllWhileChanging(t *testing.T) {
	m := must.Get(Open[int, int](NewStore(), "m"))
	const n = 3 * pageSize
	for i := range n {
		m.Put(i, 0)
	}
	var seen []int
	for k, v := range m.All() {
		seen = append(seen, k)
		if want := k % 2; v != want {
			t.Fatalf("entry %d has %d, want %d, which was put during the iteration", k, v, want)
		}
		m.Put(k+n, 0)     // is not reached
		*m.Entry(k | 1)++ // is seen if ahead
		if k%100 == 0 {   // leaves a few, so that pages are joined underfoot
			for d := k + 4; d < k+100; d++ {
				m.Delete(d)
			}
		}
	}
	var want []int
	for i := range n {
		if i%100 < 4 {
			want = append(want, i)
		}
	}
	if !slices.Equal(seen, want) {
		t.Errorf("saw %d entries, want %d: each that was there and not deleted, once and in order", len(seen), len(want))
	}
}

func TestYieldedKeysStay(t *testing.T) {
	m := must.Get(Open[string, int](NewStore(), "m"))
	var keys []string
	for i := range 3 * pageSize {
		m.Put(fmt.Sprint("key-", i), i)
	}
	for k := range m.All() {
		keys = append(keys, k)
	}
	for i, k := range keys {
		if i%50 != 0 {
			m.Delete(k)
		}
	}
	for i := range 3 * pageSize {
		m.Put(fmt.Sprint("other-", i), i)
	}
	for i, k := range keys {
		if k != fmt.Sprint("key-", i) {
			t.Fatalf("key %d has become %q", i, k)
		}
	}
}

// Memory follows what is there, not what has been there, whether snapshots are taken or not.
func TestMemoryOfDeleted(t *testing.T) {
	for _, snapshots := range []bool{false, true} {
		s := NewStore()
		m := must.Get(Open[int, int](s, "m"))
		for i := range 100 * pageSize {
			m.Put(i, i)
			if i >= 1000 && (i-1000)%10 != 0 { // a window of 1000, and every tenth for longer
				m.Delete(i - 1000)
			}
			if i >= 10_000 {
				m.Delete(i - 10_000)
			}
			if snapshots && i%pageSize == 0 {
				snap(t, s, i%3 == 0)
			}
		}
		if most := 4 + m.Len()/(pageSize/4); len(m.order) > most || len(m.pages) > 20 {
			t.Errorf("snapshots %v: %d entries take %d pages and %d numbers, want at most %d pages", snapshots, m.Len(), len(m.order), len(m.pages), most)
		}
		if m.text != 0 || s.Size() > 2<<20 {
			t.Errorf("snapshots %v: Size says %d bytes", snapshots, s.Size())
		}
	}
}

func TestAtDoesNotAllocate(t *testing.T) {
	s := NewStore()
	m := must.Get(Open[string, int64](s, "m"))
	key, long := []byte("word"), []byte("a word that is longer than eight bytes")
	*m.At(key)++
	*m.At(long)++
	if n := testing.AllocsPerRun(100, func() { *m.At(key)++; *m.At(long)++; m.Peek(long) }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
	i := 0
	if n := testing.AllocsPerRun(10*pageSize, func() { i++; key = fmt.Append(key[:0], i); *m.At(key)++ }); n > 1 { // fmt's own
		t.Errorf("a new key allocates %v times", n)
	}
}

// Views of a store keep maps of equal names apart, also in snapshots, whether they are restored before or after opening.
func TestViews(t *testing.T) {
	s := NewStore()
	own, a, b := must.Get(Open[string, int](s, "n")), must.Get(Open[string, int](s.Within("a"), "n")), must.Get(Open[string, int](s.Within("b"), "n"))
	inner := must.Get(Open[string, int](s.Within("a").Within("n"), "n"))
	for i, m := range []*Map[string, int]{own, a, b, inner} {
		m.Put("k", i)
	}
	if _, err := Open[string, int](s.Within("a"), "n"); !errors.Is(err, ErrOpen) {
		t.Errorf("opened twice: %v", err)
	}
	for _, name := range []string{"", "a b", strings.Repeat("a", 65)} {
		if _, err := Open[string, int](s.Within(name), "m"); !errors.Is(err, ErrName) {
			t.Errorf("a view called %.10q: %v", name, err)
		}
	}
	if !s.Within("b").Used() || s.Within("c").Used() || s.Within("").Used() {
		t.Error("a view reports the maps of others, or not its own")
	}

	r := restore(t, snap(t, s, true))
	if !r.Within("a").Used() || r.Within("c").Used() {
		t.Error("a view reports what was restored for others, or not its own")
	}
	for i, v := range []*Store{r, r.Within("a"), r.Within("b"), r.Within("a").Within("n")} {
		if n, ok := must.Get(Open[string, int](v, "n")).Get("k"); n != i || !ok {
			t.Errorf("view %d: restored %d, %v", i, n, ok)
		}
	}
}
