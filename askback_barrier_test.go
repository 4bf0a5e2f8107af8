package askback_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
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

// When a task is killed all go back, and in the end the state is that of each tuple once.
func TestBarrierKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	b, sink := squares("squares", 60_000)
	r, err := askback.Run(t.Context(), b, askback.WithStrategy(strategy.Barrier), faults.Kill(4, seed),
		askback.WithSnapshotEvery(50*time.Millisecond))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	hasSquares(t, sink, 60_000)
	back := slices.IndexFunc(r.Recoveries, func(x askback.Recovery) bool { return x.RolledBack })
	if r.Kills != 4 || back < 0 || r.Resumed || r.Strategy != strategy.Barrier {
		t.Fatalf("seed %d: %+v", seed, r)
	}
	if cause := r.Recoveries[back].Cause.Error(); !strings.Contains(cause, "was restarted") || strings.Contains(cause, "another task") {
		t.Errorf("the cause of a rollback does not say which task: %s", cause)
	}
	for _, i := range r.Tasks {
		if i.Restarts < 4 && i.Alias.Operator != "_barrier" {
			t.Errorf("%v was restarted %d times for 4 kills", i.Alias, i.Restarts)
		}
	}
}

// The outside sees each batch of a committing sink once, although tasks are killed after they have staged it.
func TestBarrierHeldOutput(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	const n = 60_000
	shop := &shop{seen: map[int]struct{}{}}
	b := topology.New("till")
	b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error {
		if i%200 == 0 {
			time.Sleep(time.Millisecond) // time for some checkpoints
		}
		return out.Row().Int(i).Emit()
	})).Fields("n")
	b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Int(t.Int(0)).Emit() })).
		Parallel(2).Shuffle("numbers").Fields("n")
	b.Bolt("till", func() bolt.Bolt { return &till{shop: shop} }).Global("pass")
	_, err := askback.Run(t.Context(), b, askback.WithStrategy(strategy.Barrier), faults.Kill(5, seed),
		askback.WithSnapshotEvery(20*time.Millisecond))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if len(shop.sold) != n || shop.batches < 3 {
		t.Errorf("seed %d: %d effects in %d batches, want %d", seed, len(shop.sold), shop.batches, n)
	}
	slices.Sort(shop.sold)
	if len(slices.Compact(shop.sold)) != n {
		t.Errorf("seed %d: some effects were made twice", seed)
	}
}

// A shop is what the world outside sees. It knows the batches that it has, as a database would.
type shop struct {
	mu      sync.Mutex
	seen    map[int]struct{}
	sold    []int64
	batches int
}

// A till stages what it gets, and sells it when the checkpoint is committed.
type till struct {
	shop   *shop
	Batch  int
	Closed []int64
	Staged []int64
	sold   bool
}

func (k *till) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	k.Staged = append(k.Staged, t.Int(0))
	return nil
}

func (k *till) Snapshot() ([]byte, error) {
	if k.sold {
		k.Batch, k.Closed, k.sold = k.Batch+1, nil, false
	}
	k.Closed, k.Staged = append(k.Closed, k.Staged...), nil
	return json.Marshal(k)
}

func (k *till) Restore(data []byte) error { return json.Unmarshal(data, k) }

func (k *till) Commit() error {
	k.sold = true
	k.shop.mu.Lock()
	defer k.shop.mu.Unlock()
	if _, again := k.shop.seen[k.Batch]; !again {
		k.shop.seen[k.Batch] = struct{}{}
		k.shop.sold = append(k.shop.sold, k.Closed...)
		k.shop.batches++
	}
	return nil
}

// A run that was ended goes on from its last checkpoint.
func TestBarrierResume(t *testing.T) {
	const n = 40_000
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	options := []askback.Option{askback.WithStrategy(strategy.Barrier), askback.WithDir(dir), askback.WithSnapshotEvery(20 * time.Millisecond)}
	make := func(slow bool) (*topology.Builder, *bolt.Collector) {
		b, sink := topology.New("resumed"), bolt.NewCollector()
		b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error {
			if slow && i%100 == 99 {
				time.Sleep(time.Millisecond)
			}
			if slow && i == n/2 {
				cancel()
			}
			return out.Row().Int(i).Emit()
		})).Fields("n")
		b.Bolt("square", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
			return out.Row().Int(t.Int(0) * t.Int(0)).Emit()
		})).
			Parallel(2).Shuffle("numbers").Fields("square")
		b.Bolt("sink", sink.New).Global("square")
		return b, sink
	}
	b, _ := make(true)
	if _, err := askback.Run(ctx, b, options...); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	b, sink := make(false)
	r, err := askback.Run(t.Context(), b, options...)
	if err != nil {
		t.Fatal(err)
	}
	hasSquares(t, sink, n)
	if !r.Resumed || r.Tasks[0].ResumedAt == 0 {
		t.Errorf("it has begun anew: %+v", r.Tasks[0])
	}
}
