package topology

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/tuple"
)

// rows makes rows of two fields, without a runtime.
type rows struct{ *tuple.Row }

func newRows(t testing.TB) rows {
	fields, err := tuple.NewFields("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	return rows{tuple.NewRow(fields, nil)}
}

func (r rows) of(a, b string) *tuple.Row { return r.Begin().String(a).String(b) }

// router returns the router of one edge of the given grouping, at the source task of that index of three.
func router(t testing.TB, targets, source int, group func(*Node)) *Router {
	p := build(t, edge(targets, group))
	return NewRouter(p.Operators[1].Inputs[0], p.Operators[0].Tasks[source])
}

func edge(targets int, group func(*Node)) *Builder {
	b := New("t")
	b.Spout("in", source).Parallel(3).Fields("a", "b")
	bolt := b.Bolt("x", factory).Parallel(targets)
	group(bolt)
	bolt.All("in:more") // so that Global may be to many
	b.nodes[0].Stream("more", "a")
	return b
}

// picks returns the targets of the rows a, b.
func picks(t testing.TB, r *Router, row rows, keys ...string) (targets []int) {
	t.Helper()
	for _, key := range keys {
		target, err := r.Pick(row.of(key, ""))
		if err != nil {
			t.Fatal(err)
		}
		targets = append(targets, target)
	}
	return targets
}

func TestShuffle(t *testing.T) {
	row := newRows(t)
	for source, want := range [][]int{{0, 1, 2, 3, 0, 1}, {1, 2, 3, 0, 1, 2}, {2, 3, 0, 1, 2, 3}} {
		r := router(t, 4, source, func(n *Node) { n.Shuffle("in") })
		if got := picks(t, r, row, make([]string, 6)...); !slices.Equal(got, want) {
			t.Errorf("source %d: %v, want %v", source, got, want)
		}
	}
	r := router(t, 2, 2, func(n *Node) { n.Shuffle("in") })
	if got := picks(t, r, row, "", ""); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("source 2 of 2 targets: %v", got)
	}
}

func TestAllAndGlobal(t *testing.T) {
	row := newRows(t)
	all := router(t, 3, 1, func(n *Node) { n.All("in") })
	if got := picks(t, all, row, "p", "q"); !slices.Equal(got, []int{AllTargets, AllTargets}) {
		t.Errorf("all: %v", got)
	}
	if got := fmt.Sprint(apply(all.Outs(), id)); got != "[in.1>x.0 in.1>x.1 in.1>x.2]" {
		t.Errorf("all: %v", got)
	}
	global := router(t, 3, 1, func(n *Node) { n.Global("in") })
	if got := picks(t, global, row, "p", "q"); !slices.Equal(got, []int{0, 0}) {
		t.Errorf("global: %v", got)
	}
	if got := fmt.Sprint(apply(global.Outs(), id)); got != "[in.1>x.0]" {
		t.Errorf("global: %v", got)
	}
}

func TestGroupBy(t *testing.T) {
	const n = 4
	row := newRows(t)
	byOne := router(t, n, 0, func(n *Node) { n.GroupBy("in", "b") })
	byTwo := router(t, n, 0, func(n *Node) { n.GroupBy("in", "a", "b") })
	elsewhere := router(t, n, 2, func(n *Node) { n.GroupBy("in", "a", "b") })
	pick := func(r *Router, a, b string) int {
		target, err := r.Pick(row.of(a, b))
		if err != nil || target < 0 || target >= n {
			t.Fatalf("%d, %v", target, err)
		}
		return target
	}
	var load [n]int
	shifted, swapped := 0, 0
	const keys = 4000
	for i := range keys {
		key := fmt.Sprintf("key%d", i)
		if pick(byOne, "p", key) != pick(byOne, "q", key) {
			t.Fatalf("%s: the target depends on fields beside the key", key)
		}
		target := pick(byTwo, key, "end")
		if target != pick(byTwo, key, "end") || target != pick(elsewhere, key, "end") {
			t.Fatalf("%s: two targets", key)
		}
		load[target]++
		if target != pick(byTwo, key+"e", "nd") {
			shifted++
		}
		if target != pick(byTwo, "end", key) {
			swapped++
		}
	}
	for target, n := range load {
		if n < 900 || n > 1100 { // 1000 ± 3.6 σ, of fixed keys
			t.Errorf("target %d gets %d of %d keys", target, n, keys)
		}
	}
	// Unrelated keys part three times in four.
	if shifted < 2900 || swapped < 2900 {
		t.Errorf("of %d keys only %d part from their shifted twin, %d from their swapped", keys, shifted, swapped)
	}
}

// TestGroupByForever pins where keys go: a log written by one release is replayed by the next.
func TestGroupByForever(t *testing.T) {
	row := newRows(t)
	one := router(t, 1000, 0, func(n *Node) { n.GroupBy("in", "a") })
	two := router(t, 1000, 0, func(n *Node) { n.GroupBy("in", "b", "a") })
	part := router(t, 1000, 0, func(n *Node) { n.PartialKey("in", "a") })
	keys := []string{"", "the", "the", "the", "quick brown fox"}
	got := fmt.Sprint(picks(t, one, row, keys...), picks(t, two, row, keys...), picks(t, part, row, keys...))
	if want := "[119 320 320 320 428] [338 546 546 546 909] [119 320 378 320 428]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPartialKey(t *testing.T) {
	row := newRows(t)
	r := router(t, 5, 0, func(n *Node) { n.PartialKey("in", "a") })
	// One key goes to two targets in turn.
	load := make(map[int]int)
	for _, target := range picks(t, r, row, slices.Repeat([]string{"the"}, 100)...) {
		load[target]++
	}
	if len(load) != 2 {
		t.Errorf("one key went to targets %v", load)
	}
	for target, n := range load {
		if n != 50 {
			t.Errorf("target %d got %d of 100", target, n)
		}
	}
	// Each key has two candidates, over all targets.
	pairs := make(map[string]bool)
	for i := range 500 {
		r := router(t, 5, 0, func(n *Node) { n.PartialKey("in", "a") })
		key := fmt.Sprint("key", i)
		two := picks(t, r, row, key, key)
		if two[0] == two[1] {
			t.Fatalf("%s: both candidates are %d", key, two[0])
		}
		pairs[fmt.Sprint(two)] = true
	}
	if len(pairs) != 5*4 {
		t.Errorf("%d pairs of candidates, want 20: %v", len(pairs), pairs)
	}
}

func TestDirect(t *testing.T) {
	row := newRows(t)
	r := router(t, 3, 0, func(n *Node) { n.Direct("in") })
	if target, err := r.Pick(row.of("", "").To(2)); target != 2 || err != nil {
		t.Errorf("To(2): %d, %v", target, err)
	}
	for _, test := range []struct {
		row  func() *tuple.Row
		want string
	}{
		{func() *tuple.Row { return row.of("", "") }, `topology: no such target task: stream "in" is read directly by x: name a task from 0 to 2 with To`},
		{func() *tuple.Row { return row.of("", "").To(3) }, `topology: no such target task: stream "in": To(3): x has tasks 0 to 2`},
		{func() *tuple.Row { return row.of("", "").To(-1) }, `topology: no such target task: stream "in": To(-1): x has tasks 0 to 2`},
	} {
		if _, err := r.Pick(test.row()); !errors.Is(err, ErrTarget) || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestCustom(t *testing.T) {
	row := newRows(t)
	r := router(t, 3, 0, func(n *Node) {
		n.Custom("in", "by-length", func(row *tuple.Row, targets int) int { return len(row.Content(0)) - targets })
	})
	if got := picks(t, r, row, "abc", "abcd", "abcde"); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("%v", got)
	}
	for key, want := range map[string]string{
		"abcdef": `topology: no such target task: stream "in": grouping by-length picked 3: x has tasks 0 to 2`,
		"ab":     `topology: no such target task: stream "in": grouping by-length picked -1: x has tasks 0 to 2`,
	} {
		if _, err := r.Pick(row.of(key, "")); !errors.Is(err, ErrTarget) || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// stateful are the groupings with stateful routers, and one without.
var stateful = map[string]func(*Node){
	"shuffle":          func(n *Node) { n.Shuffle("in") },
	"local or shuffle": func(n *Node) { n.LocalOrShuffle("in") },
	"partial key":      func(n *Node) { n.PartialKey("in", "a", "b") },
	"group by":         func(n *Node) { n.GroupBy("in", "a") },
}

// TestRouterReplay drives routers through random tuples, marks and rollbacks, against the plain rule: the picks between a
// mark and a rollback did not happen; and from any saved state another router picks the same targets, if it gets the same
// answers.
func TestRouterReplay(t *testing.T) {
	for name, group := range stateful {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				targets := rapid.IntRange(1, 6).Draw(t, "targets")
				p, err := edge(targets, group).Build()
				if err != nil {
					t.Fatal(err)
				}
				source := p.Operators[0].Tasks[rapid.IntRange(0, 2).Draw(t, "source")]
				fresh := func() *Router { return NewRouter(p.Operators[1].Inputs[0], source) }
				fields, _ := tuple.NewFields("a", "b")
				row := rows{tuple.NewRow(fields, nil)}
				type emitted struct {
					key    string
					target int
					local  uint64
					picks  uint64 // 0: the router did not ask
				}
				var kept, since []emitted // before the last mark, and after it
				r := fresh()
				for range rapid.IntRange(1, 60).Draw(t, "steps") {
					switch rapid.IntRange(0, 9).Draw(t, "step") {
					case 0:
						r.Mark()
						kept, since = append(kept, since...), nil
					case 1:
						r.Rollback()
						since = nil
					case 2: // restart from the saved state
						state := r.AppendState([]byte("before"))
						r = fresh()
						if err := r.SetState(bytes.TrimPrefix(state, []byte("before"))); err != nil {
							t.Fatal(err)
						}
						kept, since = append(kept, since...), nil
					default:
						key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
						e := emitted{key: key}
						if r.Asks() {
							e.local = rapid.Uint64Range(0, 1<<targets-1).Draw(t, "local")
							e.picks = rapid.Uint64Range(1, 10).Draw(t, "picks")
							r.Prefer([]uint64{e.local}, e.picks)
						}
						e.target, err = r.Pick(row.of(key, "x"))
						if err != nil || e.target < 0 || e.target >= targets {
							t.Fatalf("%d, %v", e.target, err)
						}
						since = append(since, e)
					}
				}
				twin := fresh()
				load := make([]int, targets)
				for i, e := range append(kept, since...) {
					if asks := twin.Asks(); asks != (e.picks > 0) {
						t.Fatalf("emitted %d, %q: asks %v without interruption", i, e.key, asks)
					} else if asks {
						twin.Prefer([]uint64{e.local}, e.picks)
					}
					if target, _ := twin.Pick(row.of(e.key, "x")); target != e.target {
						t.Fatalf("emitted %d, %q: went to %d, to %d without interruption", i, e.key, e.target, target)
					}
					load[e.target]++
				}
				if got, want := r.AppendState(nil), twin.AppendState(nil); !bytes.Equal(got, want) {
					t.Fatalf("state %x, without interruption %x", got, want)
				}
				if name == "shuffle" && slices.Max(load)-slices.Min(load) > 1 {
					t.Fatalf("shuffle loads %v", load)
				}
			})
		})
	}
}

func TestSetStateErrors(t *testing.T) {
	row := newRows(t)
	overlong := bytes.Repeat([]byte{0xff}, 11)
	for name, states := range map[string]map[string]string{
		"shuffle": {
			"":                    "topology: bad routing state: in to x: 0 numbers, want 1",
			"\x04":                "topology: bad routing state: in to x: next target is 4 of 4",
			"\x00\x00":            "topology: bad routing state: in to x: 1 bytes too many",
			string(overlong):      "topology: bad routing state: in to x: 0 numbers, want 1",
			string(huge(1 << 33)): "topology: bad routing state: in to x: next target is 8589934592 of 4",
		},
		"partial key": {
			"\x01\x02\x03":         "topology: bad routing state: in to x: 3 numbers, want 4",
			"\x01\x02\x03\x04\x05": "topology: bad routing state: in to x: 1 bytes too many",
		},
		"local or shuffle": {
			"\x00\x05":         "topology: bad routing state: in to x: 2 numbers, want 3",
			"\x04\x05\x00":     "topology: bad routing state: in to x: next target is 4 of 4",
			"\x02\x05\x0c":     "topology: bad routing state: in to x: next target is 2 of 2",
			"\x01\x05\x0c\x00": "topology: bad routing state: in to x: 1 bytes too many",
		},
		"group by": {"\x00": "topology: bad routing state: in to x: 1 bytes too many"},
	} {
		r := router(t, 4, 0, stateful[name])
		picks(t, r, row, "a", "b", "c")
		before := r.AppendState(nil)
		for state, want := range states {
			if err := r.SetState([]byte(state)); !errors.Is(err, ErrState) || err.Error() != want {
				t.Errorf("%s %x: got %v, want %s", name, state, err, want)
			}
		}
		if after := r.AppendState(nil); !bytes.Equal(before, after) {
			t.Errorf("%s: refused states changed it from %x to %x", name, before, after)
		}
	}
}

func huge(x uint64) []byte { return binary.AppendUvarint(nil, x) }

// TestPickAllocates nothing, and neither do the marks of a task with much output in one Execute.
func TestPickAllocates(t *testing.T) {
	row := newRows(t)
	for name, group := range stateful {
		r := router(t, 4, 0, group)
		if n := testing.AllocsPerRun(100, func() {
			for range 100 {
				r.Pick(row.of("a", "b"))
				r.Pick(row.of("c", "d"))
			}
			r.Rollback()
			r.Pick(row.of("e", "f"))
			r.Mark()
		}); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	row := newRows(b)
	for _, bench := range []struct {
		name  string
		group func(*Node)
	}{
		{"shuffle", func(n *Node) { n.Shuffle("in") }},
		{"local-or-shuffle", func(n *Node) { n.LocalOrShuffle("in") }},
		{"group-by-1", func(n *Node) { n.GroupBy("in", "a") }},
		{"group-by-2", func(n *Node) { n.GroupBy("in", "a", "b") }},
		{"partial-key", func(n *Node) { n.PartialKey("in", "a") }},
		{"global", func(n *Node) { n.Global("in") }},
		{"custom", func(n *Node) { n.Custom("in", "first", first) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := router(b, 4, 0, bench.group)
			tuple := row.of("backtrack", "channel")
			b.ReportAllocs()
			for b.Loop() {
				r.Mark()
				r.Pick(tuple)
			}
		})
	}
}
