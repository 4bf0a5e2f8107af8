package askback_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A link of a random pipeline: every one reads and emits a number.
type link struct {
	name    string
	factory func() bolt.Bolt
	keeps   bool // it keeps state, or emits at the end
	policy  func(n *topology.Node)
}

// pipelineLinks are what random pipelines are made of.
var pipelineLinks = []link{
	{name: "twice", factory: bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		for i := range 1 + t.Int(0)&1 {
			if err := out.Row().Int(t.Int(0) + i).Emit(); err != nil {
				return err
			}
		}
		return nil
	})},
	{name: "some", factory: bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Field("n").Int()%3 == 0 {
			return nil
		}
		return out.Row().Tuple(t).Emit()
	})},
	{name: "number", factory: bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(0) ^ int64(t.ID().Seq)).Emit()
	})},
	{name: "sum", keeps: true, factory: func() bolt.Bolt { return &runningSum{} }},
	{name: "count", keeps: true, factory: func() bolt.Bolt { return &runningCount{} }},
	{name: "flaky", factory: func() bolt.Bolt { return &flaky{} }, policy: func(n *topology.Node) { n.Retry(1, 0) }},
	{name: "picky", factory: bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0)%11 == 5 {
			return errors.New("not this one")
		}
		return out.Row().Tuple(t).Emit()
	}), policy: func(n *topology.Node) { n.Drop() }},
}

// runningSum emits sums by the last digit, which are keyed state, and all of them at the end.
type runningSum struct{ sums *state.Map[int64, int64] }

func (b *runningSum) Prepare(ctx bolt.Context) (err error) {
	b.sums, err = state.Open[int64, int64](ctx, "numbers")
	return err
}

func (b *runningSum) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	sum := b.sums.Entry(t.Int(0) % 10)
	*sum = (*sum + t.Int(0)) % 1_000_003
	return out.Row().Int(*sum).Emit()
}

func (b *runningSum) Finish(_ context.Context, out bolt.Emitter) error {
	for _, sum := range b.sums.All() {
		if err := out.Row().Int(sum).Emit(); err != nil {
			return err
		}
	}
	return nil
}

// runningCount mixes its count, which is its own snapshot, into the numbers, and emits it at the end.
type runningCount struct{ n int64 }

func (b *runningCount) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	b.n++
	return out.Row().Int(t.Int(0) ^ b.n).Emit()
}

func (b *runningCount) Finish(_ context.Context, out bolt.Emitter) error {
	return out.Row().Int(b.n).Emit()
}

func (b *runningCount) Snapshot() ([]byte, error) {
	return binary.AppendUvarint(nil, uint64(b.n)), nil
}

func (b *runningCount) Restore(data []byte) error {
	n, _ := binary.Uvarint(data)
	b.n = int64(n)
	return nil
}

// flaky fails at the first try of some numbers.
type flaky struct{ failed bool }

func (b *flaky) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	if t.Int(0)%7 == 0 && !b.failed {
		b.failed = true
		return errors.New("not at the first try")
	}
	b.failed = false
	return out.Row().Tuple(t).Emit()
}

// A fused pipeline comes to the same rows, in the same order, as one whose bolts are operators of their own, whatever is killed.
func TestFusedLikeSeparate(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	seed := uint64(time.Now().UnixNano())
	for round := range rounds {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		var links []link
		for _, i := range r.Perm(len(pipelineLinks))[:2+r.IntN(4)] {
			links = append(links, pipelineLinks[i])
		}
		rows := int64(200 + r.IntN(3000))
		separate, fused := make([]bool, len(links)), make([]bool, len(links))
		for i, l := range links {
			fused[i] = l.policy == nil && r.IntN(4) > 0 // a link with a policy begins an operator
		}
		var names []string
		for i, l := range links {
			names = append(names, fmt.Sprintf("%s (fused %v)", l.name, fused[i]))
		}
		under := strategy.Backtrack
		if r.IntN(3) == 0 {
			under = strategy.Barrier
		}
		what := fmt.Sprintf("seed %d, round %d, %v, %d rows through %s", seed, round, under, rows, strings.Join(names, ", "))
		want, lost := runPipeline(t, what, links, separate, rows, 0)
		// The rate leaves time for snapshots between the kills.
		got, gotLost := runPipeline(t, what, links, fused, rows, 20_000, faults.Kill(1+r.IntN(3), seed+uint64(round)), askback.WithSnapshotEvery(5*time.Millisecond), askback.WithStrategy(under))
		if len(want) == 0 || lost != gotLost {
			t.Errorf("%s: %d rows, %d dropped, want %d, more than 0, and %d", what, len(got), gotLost, len(want), lost)
		}
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Fatalf("%s: %d rows, want %d, and the same ones", what, len(got), len(want))
		}
	}
}

// runPipeline runs numbers through links. Those that are fused join the operator before them, or the source.
func runPipeline(t *testing.T, what string, links []link, fused []bool, rows int64, rate float64, options ...askback.Option) (got [][]any, dropped uint64) {
	t.Helper()
	b, sink := topology.New("pipeline"), bolt.NewCollector()
	source := spout.Through(spout.Generate(rows, func(i int64, out spout.Emitter) error {
		return out.Row().Int(i * 7919 % 10007).Emit()
	}).Rate(rate))
	from, i := "in", 0
	for ; i < len(links) && fused[i] && !links[i].keeps; i++ {
		source = source.Fields("n").Then(links[i].name, links[i].factory)
	}
	b.Spout("in", source).Fields("n")
	for i < len(links) {
		first := links[i]
		chain := bolt.Chain(first.name, first.factory)
		for i++; i < len(links) && fused[i]; i++ {
			chain = chain.Fields("n").Then(links[i].name, links[i].factory)
		}
		factory := first.factory
		if len(chain.New().(bolt.Composition).Steps()) > 1 {
			factory = chain.New
		}
		n := b.Bolt(first.name, factory).Global(from).Fields("n")
		if first.policy != nil {
			first.policy(n)
		}
		from = first.name
	}
	b.Bolt("sink", sink.New).Global(from)
	report, err := askback.Run(t.Context(), b, options...)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return sink.Rows(), report.Totals().Dropped
}

// A step that fails is named, with its tuple, and the repaired program goes on at the row that failed: nothing was emitted for it.
func TestFusedRepaired(t *testing.T) {
	const n, bad = 3000, 1000
	for _, inSpout := range []bool{true, false} {
		t.Run(fmt.Sprintf("in the spout: %v", inSpout), func(t *testing.T) {
			dir := t.TempDir()
			run := func(broken bool, sink *bolt.Collector) error {
				square := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
					i := t.Field("n").Int()
					switch {
					case i != bad:
						return out.Row().Int(i).Int(i * i).Emit()
					case broken:
						_ = out.Row().Int(i).Int(0).Emit() // the repaired one emits nothing
						t.Field("n").Bool()
					}
					return nil
				})
				same := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Tuple(t).Emit() })
				source := spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })
				b := topology.New("repaired")
				if inSpout {
					b.Spout("fused", spout.Through(source).Fields("n").Then("same", same).Fields("n").Then("square", square)).Fields("n", "square")
				} else {
					b.Spout("numbers", source).Fields("n")
					b.Bolt("fused", bolt.Chain("same", same).Fields("n").Then("square", square).New).Shuffle("numbers").Fields("n", "square")
				}
				b.Bolt("sink", sink.New).Global("fused")
				_, err := askback.Run(t.Context(), b, askback.WithDir(dir))
				return err
			}
			err := run(true, bolt.NewCollector())
			if err == nil {
				t.Fatal("the broken program ends well")
			}
			for _, part := range []string{`operator "fused", step "square", task fused.0 could not process tuple`, "{n: 1000}", "field n: want boolean, got an integer"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoes not name %q", err, part)
				}
			}
			sink := bolt.NewCollector()
			if err := run(false, sink); err != nil {
				t.Fatal(err)
			}
			rows := sink.Rows()
			if len(rows) != n-1 {
				t.Fatalf("%d rows, want %d", len(rows), n-1)
			}
			for k, row := range rows {
				i := int64(k)
				if i >= bad {
					i++
				}
				if row[0] != i || row[1] != i*i {
					t.Fatalf("row %d is %v", k, row)
				}
			}
		})
	}
}

// A sink of files at the end of a chain writes each line once, under its own name.
func TestChainedSink(t *testing.T) {
	const n = 4000
	seed := uint64(time.Now().UnixNano())
	dir := t.TempDir()
	lines := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		for i := range t.Int(0) % 3 {
			if err := out.Emit(t.Int(0), i); err != nil {
				return err
			}
		}
		return nil
	})
	b := topology.New("chained")
	b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() }).Rate(20_000)).Fields("n")
	b.Bolt("write", bolt.Chain("lines", lines).Fields("n", "i").Then("out", files.Bolt(filepath.Join(dir, "out"))).New).Shuffle("numbers")
	if _, err := askback.Run(t.Context(), b, faults.Kill(3, seed), askback.WithSnapshotEvery(20*time.Millisecond)); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	var got, want []byte
	for i := range n {
		for k := range i % 3 {
			want = fmt.Appendf(want, "%d\t%d\n", i, k)
		}
	}
	parts, err := filepath.Glob(filepath.Join(dir, "out*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(parts)
	for _, part := range parts {
		data, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, data...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("seed %d: %d bytes in %q, want %d", seed, len(got), parts, len(want))
	}
}

// Without faults a fused pipeline comes to the same rows under every strategy.
func TestFusedUnderEveryStrategy(t *testing.T) {
	var links []link
	for _, name := range []string{"number", "some", "twice", "sum"} {
		i := slices.IndexFunc(pipelineLinks, func(l link) bool { return l.name == name })
		links = append(links, pipelineLinks[i])
	}
	want, _ := runPipeline(t, "separate", links, make([]bool, 4), 1000, 0)
	for _, s := range strategy.All() {
		got, _ := runPipeline(t, s.String(), links, []bool{true, true, false, true}, 1000, 0, askback.WithStrategy(s))
		if !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%v: %d rows, want %d, and the same ones", s, len(got), len(want))
		}
	}
}
