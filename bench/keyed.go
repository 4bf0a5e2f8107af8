package bench

import (
	"context"
	"math/rand/v2"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

const (
	keys      = 1_000_000
	draws     = 1 << 22
	skew      = 1.1
	testDraws = 1 << 12
)

// keyed counts tuples by a skewed key.
func keyed(s *Spec, restores bool) (*job, error) {
	j := numbered(s, restores, s.Parallel, s.Parallel)
	table := zipf(s.Seed, s.draws())
	of := func(n int64) int64 { return int64(table[n&int64(len(table)-1)]) }
	results := make([]map[int64]int64, s.Parallel)
	b := topology.New("keyed")
	b.Spout("source", j.feed(func(n int64, out spout.Emitter) error {
		return out.Row().Int(of(n)).Int(n).Emit()
	})).Parallel(s.Parallel).Fields("key", "n")
	b.Bolt("sum", func() bolt.Bolt { return &keySink{sink: sink{m: j.meter}, results: results} }).
		Parallel(s.Parallel).GroupBy("source", "key")
	j.topology, j.sink = b, "sum"
	j.check = func(*Resume) (verdict, error) {
		want := map[int64]int64{}
		for k := range j.sources {
			for i := range j.sources[k].n.Load() {
				want[of(i*int64(len(j.sources))+int64(k))]++
			}
		}
		return compare(merged(results), want), nil
	}
	return j, nil
}

// draws is how many keys the table has: drawing one takes longer than all that the runtime does with it.
func (s *Spec) draws() int {
	if s.Small {
		return testDraws
	}
	return draws
}

// zipf draws keys, the same for the same seed.
func zipf(seed uint64, n int) []uint32 {
	z := rand.NewZipf(rand.New(rand.NewPCG(seed, 0)), skew, 1, keys-1)
	table := make([]uint32, n)
	for i := range table {
		table[i] = uint32(z.Uint64())
	}
	return table
}

// A keySink counts by key.
type keySink struct {
	sink
	sums    *state.Map[int64, int64]
	results []map[int64]int64
	task    int
}

func (k *keySink) Prepare(ctx bolt.Context) (err error) {
	k.task = ctx.Task().Alias.Index
	if err := k.sink.Prepare(ctx); err != nil {
		return err
	}
	k.sums, err = state.Open[int64, int64](ctx, "sums")
	return err
}

func (k *keySink) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	*k.sums.Entry(t.Int(0))++
	k.tick()
	if n := t.Int(1); k.m.sampled(n) {
		k.time(n)
	}
	return nil
}

// Finish hands the sums over.
func (k *keySink) Finish(ctx context.Context, out bolt.Emitter) error {
	got := make(map[int64]int64, k.sums.Len())
	for key, n := range k.sums.All() {
		got[key] = n
	}
	k.results[k.task] = got
	return k.sink.Finish(ctx, out)
}
