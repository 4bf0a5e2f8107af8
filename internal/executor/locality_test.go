package executor_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

func nearby(source spout.Source) (*topology.Builder, *bolt.Collector) {
	b, sink := topology.New("nearby"), bolt.NewCollector()
	b.Spout("numbers", source).Fields("n")
	b.Bolt("near", bolt.Func(pass)).Parallel(3).LocalOrShuffle("numbers").Fields("n")
	b.Bolt("far", bolt.Func(pass)).Parallel(2).LocalOrShuffle("near").Fields("n")
	b.Bolt("sink", sink.New).Global("far")
	return b, sink
}

// hasEach checks that a sink has each number once, in whatever order.
func hasEach(t *testing.T, sink *bolt.Collector, n int) {
	t.Helper()
	count := make([]int, n)
	for _, row := range sink.Rows() {
		count[row[0].(int64)]++
	}
	for i, k := range count {
		if k != 1 {
			t.Fatalf("number %d arrived %d times", i, k)
		}
	}
}

// Tuples stay in the worker if a target is there.
func TestLocalOrShuffle(t *testing.T) {
	b, sink := nearby(numbers(4000))
	h := open(t, b, memlog.Options{}, func(o *executor.Options) {
		o.Config.Local = func(a msgid.Alias) bool { return a.String() == "near.1" }
	})
	h.complete()
	hasEach(t, sink, 4000)
	for alias, want := range map[string]uint64{
		"near.0": 1, "near.1": 4001, "near.2": 1, // the end mark counts too
		"far.0": 2003, "far.1": 2003, // none is local: one after another
	} {
		if got := h.tasks[alias].Info().Counters.Consumed; got != want {
			t.Errorf("%s has consumed %d, want %d", alias, got, want)
		}
	}
}

// Tasks move while others of them crash: a restored one first sends every tuple to its old target, whatever is local by
// then.
func TestLocalityChanges(t *testing.T) {
	const kills, step = 12, 300
	var moved, allowed atomic.Int64
	allowed.Store(step)
	b, sink := nearby(gated(kills*step, &allowed))
	h := open(t, b, memlog.Options{}, func(o *executor.Options) {
		o.Config.LocalFor = 7
		o.Config.Local = func(a msgid.Alias) bool { return int64(a.Index) == moved.Load()%4 }
		o.Config.Settings.SnapshotEvery = 60_000 // so that much is done again
	})
	for n := range kills {
		h.until("all has arrived", func() bool {
			return h.tasks["sink.0"].Info().Counters.Consumed >= uint64(allowed.Load())
		})
		moved.Add(1)
		h.tasks[[]string{"near.0", "numbers.0", "far.1", "near.2"}[n%4]].Kill()
		allowed.Add(step)
	}
	h.complete()
	hasEach(t, sink, kills*step)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.failures) > 0 {
		t.Errorf("failures: %v", h.failures)
	}
}

// The answers to a failed call are forgotten before the next tuple; a call that is tried again gets the same answers. Here
// every tuple asks, and every answer differs.
func TestLocalityOfFailures(t *testing.T) {
	const rounds, step = 6, 100
	var answers, allowed atomic.Int64
	var failed sync.Map
	allowed.Store(step)
	b, sink := topology.New("failures"), bolt.NewCollector()
	b.Spout("numbers", gated(rounds*step, &allowed)).Fields("n")
	b.Bolt("flaky", bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if err := pass(ctx, t, out); err != nil {
			return err
		}
		n := t.Int(0)
		_, before := failed.LoadOrStore(n, true)
		if n%4 == 1 || n%4 == 2 && !before {
			return errors.New("not this one")
		}
		return nil
	})).Shuffle("numbers").Fields("n").Retry(1, 0).DeadLetter()
	b.Bolt("near", bolt.Func(pass)).Parallel(3).LocalOrShuffle("flaky").Fields("n")
	b.Bolt("dead", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Parallel(2).LocalOrShuffle("flaky:dead")
	b.Bolt("sink", sink.New).Global("near")
	h := open(t, b, memlog.Options{}, func(o *executor.Options) {
		o.Config.LocalFor = 1
		o.Config.Local = func(msgid.Alias) bool { n := answers.Add(1); return n*n%11 < 5 }
		o.Config.Settings.SnapshotEvery = 60_000
	})
	for range rounds {
		h.until("all has arrived", func() bool {
			return h.tasks["sink.0"].Info().Counters.Consumed >= uint64(allowed.Load()*3/4)
		})
		h.tasks["flaky.0"].Kill()
		allowed.Add(step)
	}
	h.complete()
	count := map[any]int{}
	for _, row := range sink.Rows() {
		count[row[0]]++
	}
	for n := range int64(rounds * step) {
		if want := n%4 != 1; count[n] > 1 || (count[n] == 1) != want {
			t.Errorf("number %d arrived %d times", n, count[n])
		}
	}
}

// gated emits 0 to n-1, each when it is allowed.
func gated(n int64, allowed *atomic.Int64) spout.Source {
	return spout.Generate(n, func(i int64, out spout.Emitter) error {
		if i >= allowed.Load() {
			return spout.ErrIdle
		}
		return out.Row().Int(i).Emit()
	})
}
