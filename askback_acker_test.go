package askback_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Under strategy acker every tuple of the spout arrives at the sink although tasks are killed; some arrive twice.
func TestAckerRunKills(t *testing.T) {
	const n = 20_000
	seed := uint64(time.Now().UnixNano())
	var mu sync.Mutex
	times := map[int64]int{}
	b := topology.New("squares")
	b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("square", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(0) * t.Int(0)).Emit()
	})).
		Parallel(2).Shuffle("numbers").Fields("square")
	b.Bolt("sink", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
		mu.Lock()
		times[t.Int(0)]++
		mu.Unlock()
		return nil
	})).Global("square")
	r, err := askback.Run(t.Context(), b, askback.WithStrategy(strategy.Acker), faults.Kill(6, seed),
		askback.WithMessageTimeout(300*time.Millisecond))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	for i := range int64(n) {
		if times[i*i] == 0 {
			t.Fatalf("seed %d: %d never came to the sink", seed, i*i)
		}
	}
	again := uint64(0)
	for _, task := range r.Tasks {
		again += task.Counts.Reemitted
	}
	t.Logf("seed %d: %v, %d tuples emitted again after a timeout, %d lost on the way", seed, r.Elapsed, again, r.Totals().Lost)
	if r.Kills != 6 || r.Strategy != strategy.Acker || len(times) != n {
		t.Errorf("seed %d: %d kills, %d squares: %+v", seed, r.Kills, len(times), r)
	}
}

// told is a spout that notes which of its tuples were acknowledged and which failed.
type told struct {
	spout.Spout
	ledger *ledger
}

type ledger struct {
	mu            sync.Mutex
	acked, failed map[uint64]int
}

// Open implements spout.Opener for the spout within.
func (s told) Open(ctx bolt.Context) error {
	if o, ok := s.Spout.(spout.Opener); ok {
		return o.Open(ctx)
	}
	return nil
}

func (s told) Ack(n uint64) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.acked[n]++
}

func (s told) Fail(n uint64) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.failed[n]++
}

// A spout receives one Ack for each tuple, and before it a Fail for a tuple that was lost with its bolt.
func TestAckerTellsSpout(t *testing.T) {
	const n, fatal = 1000, 500
	heard := &ledger{acked: map[uint64]int{}, failed: map[uint64]int{}}
	var died sync.Once
	b := topology.New("told")
	numbers := spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })
	b.Spout("numbers", spout.Func(func() spout.Spout { return told{numbers.New(), heard} })).Fields("n")
	b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0) == fatal {
			died.Do(func() { panic("once") })
		}
		return out.Row().Int(t.Int(0)).Emit()
	})).Global("numbers").Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("pass")
	if _, err := askback.Run(t.Context(), b, askback.WithStrategy(strategy.Acker), askback.WithMessageTimeout(500*time.Millisecond), askback.WithMaxPending(2000)); err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= n; i++ {
		if heard.acked[i] != 1 {
			t.Errorf("tuple %d is acknowledged %d times", i, heard.acked[i])
		}
	}
	if heard.failed[fatal+1] == 0 {
		t.Error("the one that was lost has not failed")
	}
}

// A run goes on with the tuples that a stopped one had not processed, and repeats hardly any others.
func TestAckerResume(t *testing.T) {
	const n = 20_000
	dir := t.TempDir()
	var mu sync.Mutex
	times := map[int64]int{}
	run := func(ctx context.Context, until int) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		count := 0
		b := topology.New("resume")
		b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
		b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Int(t.Int(0)).Emit() })).
			Parallel(2).Shuffle("numbers").Fields("n")
		b.Bolt("sink", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
			mu.Lock()
			defer mu.Unlock()
			times[t.Int(0)]++
			if count++; count == until {
				cancel()
			}
			return nil
		})).Global("pass")
		r, err := askback.Run(ctx, b, askback.WithStrategy(strategy.Acker), askback.WithDir(dir),
			askback.WithMessageTimeout(time.Second), askback.WithMaxPending(500), askback.WithSnapshotEvery(time.Millisecond))
		if err == nil && !r.Resumed {
			t.Error("the last run has not gone on from the one before")
		}
		return err
	}
	for _, until := range []int{3000, 6000} {
		if err := run(t.Context(), until); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if err := run(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	again := 0
	for i := range int64(n) {
		if times[i] == 0 {
			t.Fatalf("%d was never processed", i)
		}
		again += times[i] - 1
	}
	if again > n/2 {
		t.Errorf("%d of %d tuples were processed again", again, n)
	}
	if err := run(t.Context(), 1); err != nil {
		t.Errorf("a run that had ended does not end at once: %v", err)
	}
}
