package askback_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Two runs of one topology name on one server: one counts every tuple once, and the other one returns ErrExists and leaves
// frames and log alone. When the first has ended, the name is free.
func TestExists(t *testing.T) {
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	const n = 3000
	count := func(sum *atomic.Int64) *topology.Builder {
		b := topology.New("twice")
		b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Emit(i) }).Rate(10_000)).Fields("n")
		b.Bolt("sum", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
			sum.Add(t.Int(0))
			return nil
		})).Global("numbers")
		return b
	}
	for round := range 3 {
		var all sync.WaitGroup
		var sums [3]atomic.Int64
		var errs [3]error
		for i := range errs {
			all.Go(func() { _, errs[i] = askback.Run(t.Context(), count(&sums[i]), askback.WithServer(server.URL())) })
		}
		all.Wait()
		won := 0
		for i, err := range errs {
			switch {
			case err == nil:
				won++
				if got := sums[i].Load(); got != n*(n-1)/2 {
					t.Errorf("round %d: the run that won added up %d", round, got)
				}
			case !errors.Is(err, askback.ErrExists) || sums[i].Load() != 0:
				t.Errorf("round %d: %v, after %d", round, err, sums[i].Load())
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d runs won: %v", round, won, errs)
		}
	}
}
