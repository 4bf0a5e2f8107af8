package topology

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/tuple"
)

func TestLocalOrShuffle(t *testing.T) {
	row := newRows(t)
	r := router(t, 4, 1, func(n *Node) { n.LocalOrShuffle("in") })
	for _, step := range []struct {
		set   uint64
		picks uint64
		want  []int
	}{
		{0b0000, 3, []int{1, 2, 3}},    // none is local: all of them, beginning at the source's own
		{0b0000, 2, []int{0, 1}},       // the same answer: the answer still holds
		{0b1010, 4, []int{3, 1, 3, 1}}, // source 1 of two targets
		{0b1010, 1, []int{3}},
		{0b0100, 2, []int{2, 2}},
		{0b1111, 5, []int{1, 2, 3, 0, 1}},
	} {
		if !r.Asks() {
			t.Fatalf("%04b: it does not ask", step.set)
		}
		r.Prefer([]uint64{step.set}, step.picks)
		var got []int
		for !r.Asks() {
			got = append(got, picks(t, r, row, "x")...)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%04b: %v, want %v", step.set, got, step.want)
		}
	}
	if got := picks(t, r, row, "", ""); !slices.Equal(got, []int{2, 3}) {
		t.Errorf("nobody answers: %v", got) // it keeps its targets
	}
	if one := router(t, 1, 0, func(n *Node) { n.LocalOrShuffle("in") }); one.Asks() || one.Stateful() {
		t.Error("it asks although there is no choice")
	}
}

// While an answer holds, the local targets get the same, but for one, and the others none, for any number of targets.
func TestLocalBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		targets := rapid.IntRange(2, 200).Draw(t, "targets")
		p, err := edge(targets, func(n *Node) { n.LocalOrShuffle("in") }).Build()
		if err != nil {
			t.Fatal(err)
		}
		fields := p.Operators[0].Streams[0].Fields
		row := rows{tuple.NewRow(fields, nil)}
		r := NewRouter(p.Operators[1].Inputs[0], p.Operators[0].Tasks[rapid.IntRange(0, 2).Draw(t, "source")])
		for range rapid.IntRange(1, 4).Draw(t, "answers") {
			local := rapid.SliceOfNDistinct(rapid.IntRange(0, targets-1), 0, targets, rapid.ID).Draw(t, "local")
			set := make([]uint64, (targets+63)/64)
			for _, i := range local {
				set[i/64] |= 1 << (i % 64)
			}
			n := rapid.Uint64Range(1, 500).Draw(t, "picks")
			r.Prefer(set, n)
			load := make([]int, targets)
			for range n {
				target, err := r.Pick(row.of("a", "b"))
				if err != nil {
					t.Fatal(err)
				}
				load[target]++
			}
			if !r.Asks() {
				t.Fatalf("it does not ask after %d picks", n)
			}
			if len(local) == 0 {
				local = apply(load, func(int) int { return 0 })
				for i := range local {
					local[i] = i
				}
			}
			got := apply(local, func(i int) int { return load[i] })
			sum := 0
			for _, n := range got {
				sum += n
			}
			if uint64(sum) != n || slices.Max(got)-slices.Min(got) > 1 {
				t.Fatalf("of %d picks, local targets %v got %v", n, local, got)
			}
		}
	})
}
