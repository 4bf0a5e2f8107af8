package barrier_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/internal/recovery/recoverytest"
	"github.com/askback/askback/msgid"
)

func TestConformance(t *testing.T) {
	recoverytest.Run(t, barrier.New, recoverytest.Features{ExactlyOnce: true, Base: &barrier.Base})
}

const every = 100 // ms between checkpoints

// world makes a world in which an epoch runs.
func world(t *testing.T, settings recovery.Config, channels ...string) *recoverytest.World {
	settings.SnapshotEvery = every
	w := recoverytest.NewOn(t, barrier.New, &barrier.Base, settings, channels...)
	if testing.Verbose() {
		w.Trace = func(line string) { t.Log(line) }
	}
	w.Start()
	w.Settle()
	return w
}

func consumed(t *testing.T, w *recoverytest.World, task string, want ...string) {
	t.Helper()
	if got := w.Consumed(task); !slices.Equal(got, want) {
		t.Errorf("%s has consumed %v, want %v", task, got, want)
	}
}

// A task with two inputs waits with the one on which the barrier has come first, until it has come on the other.
func TestAlignment(t *testing.T) {
	w := world(t, recovery.Config{}, "a>c", "b>c")
	w.Emit("a", 1)
	w.Emit("b", 1)
	w.Deliver()
	w.Tick(every)
	w.Deliver(barrier.Operator+">a", barrier.Operator+">b") // the checkpoint begins: the barriers are on their way
	w.Emit("a", 1)
	w.Emit("b", 1)
	w.Deliver("a>c")
	consumed(t, w, "c", "a1", "b1") // a2 is behind the barrier
	if w.Status("c").Queued == 0 {
		t.Error("a2 does not wait at c")
	}
	w.Deliver("b>c")
	consumed(t, w, "c", "a1", "b1", "a2", "b2")
	if !w.Status("c").Tentative {
		t.Error("c says that all it did is committed")
	}
	w.Settle()
	if w.Status("c").Tentative || w.Status("c").Counters.Snapshots == 0 {
		t.Error("no checkpoint was committed")
	}
}

// The mark of a barrier is lost, and a frame from behind it comes: it tells of the barrier.
func TestBarrierInFrame(t *testing.T) {
	w := world(t, recovery.Config{MarkEvery: 10_000, MarkMax: 10_000}, "a>c", "b>c")
	w.Emit("a", 1)
	w.Deliver()
	w.Tick(every)
	w.Deliver(barrier.Operator+">a", barrier.Operator+">b")
	w.Drop("a>c", "mark")
	w.Emit("a", 1)
	w.Deliver("a>c")
	consumed(t, w, "c", "a1")
	w.Deliver("b>c")
	consumed(t, w, "c", "a1", "a2")
	w.Settle()
}

// What was done since the last checkpoint is undone everywhere, and done again.
func TestRollback(t *testing.T) {
	w := world(t, recovery.Config{}, "a>b", "b>c")
	w.Emit("a", 2)
	w.Settle() // committed
	w.Emit("a", 1)
	w.Deliver()
	consumed(t, w, "c", "a1", "a2", "a3")
	w.Crash("b")
	w.Deliver()
	consumed(t, w, "c", "a1", "a2", "a3") // nobody knows yet
	w.Restart("b")
	w.Deliver()
	w.Store(barrier.Operator) // the next epoch
	w.Deliver(barrier.Operator + ">c")
	consumed(t, w, "c", "a1", "a2") // and c is fresh
	w.Settle()
	consumed(t, w, "c", "a1", "a2", "a3")
}

// A task crashes after it has reported its snapshot. Whether the checkpoint counts is what the coordinator's log
// says, and all restore the same one.
func TestCrashBeforeCommit(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprintf("decided=%v", durable), func(t *testing.T) {
			w := world(t, recovery.Config{}, "a>b")
			w.Emit("a", 2)
			w.Deliver()
			w.Tick(every)
			w.Deliver()
			w.Store("a")
			w.Store("b")
			w.Deliver() // all have reported: the coordinator stores its decision
			w.Crash("b")
			if durable {
				w.Store(barrier.Operator)
			} else {
				w.Crash(barrier.Operator)
				w.Restart(barrier.Operator)
			}
			w.Restart("b")
			want := []string{"a1", "a2"}
			if !durable {
				want = nil
			}
			consumed(t, w, "b", want...)
			w.Settle()
			consumed(t, w, "b", "a1", "a2")
			w.End("a")
			w.Settle()
			if !w.Done("a") || !w.Done("b") || !w.Done(barrier.Operator) {
				t.Errorf("does not end:\n%s", w)
			}
		})
	}
}

// A coordinator that was taken for dead comes back with a decision to store: it is fenced, and decides nothing.
func TestOldCoordinator(t *testing.T) {
	w := world(t, recovery.Config{}, "a>b")
	w.Emit("a", 2)
	w.Deliver()
	w.Tick(every)
	w.Deliver()
	w.Store("a")
	w.Store("b")
	w.Deliver()
	w.Pause(barrier.Operator)
	w.Restart(barrier.Operator)
	w.Store(barrier.Operator) // the old one's decision
	w.Emit("a", 1)
	w.Settle()
	consumed(t, w, "b", "a1", "a2", "a3")
	if n := w.Status(barrier.Operator).Counters.Snapshots; n != 2 {
		t.Errorf("the new coordinator has stored %d decisions, want an epoch and a checkpoint", n)
	}
}

// After the end of a task, and before the last checkpoint, it may have to run again.
func TestRollbackAfterEnd(t *testing.T) {
	w := world(t, recovery.Config{}, "a>b", "b>c")
	w.Emit("a", 2)
	w.End("a")
	w.Deliver()
	if !w.Status("c").Finished || w.Done("a") {
		t.Errorf("want all finished, and nobody done:\n%s", w)
	}
	w.Crash("c")
	w.Restart("c")
	w.Deliver()
	w.Store(barrier.Operator)
	w.Deliver()
	if w.Status("a").Counters.Emitted != 2+2 { // two end marks
		t.Errorf("a has emitted %d items again, want all", w.Status("a").Counters.Emitted)
	}
	w.Settle()
	consumed(t, w, "c", "a1", "a2")
}

// When the last checkpoint is committed a task that is restored has nothing left to do, and says so.
func TestRestartAfterEnd(t *testing.T) {
	w := world(t, recovery.Config{}, "a>b")
	w.Emit("a", 2)
	w.End("a")
	w.Settle()
	for _, task := range []string{"b", barrier.Operator, "a"} {
		w.Crash(task)
		w.Restart(task)
		w.Settle()
	}
	consumed(t, w, "b", "a1", "a2")
}

func TestRestoreErrors(t *testing.T) {
	a, coordinator := msgid.Alias{Operator: "a"}, msgid.Alias{Operator: barrier.Operator}
	control := []recovery.Port{{ID: msgid.Channel{Source: a, Target: coordinator}}}
	for name, c := range map[string]struct {
		cfg   recovery.Config
		chain [][]byte
	}{
		"no coordinator": {cfg: recovery.Config{Self: a}},
		"empty":          {recovery.Config{Self: a, Outputs: control}, [][]byte{{}}},
		"version":        {recovery.Config{Self: a, Outputs: control}, [][]byte{{9, 0}}},
		"cut short":      {recovery.Config{Self: a, Outputs: control}, [][]byte{{1, 0, 1}}},
		"other role":     {recovery.Config{Self: coordinator, Inputs: control}, [][]byte{{1, 0, 1, 2, 3}}},
		"decision":       {recovery.Config{Self: coordinator, Inputs: control}, [][]byte{{1, 1, 1, 2, 3}}},
	} {
		_, err := barrier.New(c.cfg, recovery.History{Incarnation: 2, Chain: c.chain})
		if err == nil || c.chain != nil && !errors.Is(err, checkpoint.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzBase: whatever is in a log, deciding from which snapshot to restore does not panic, and nothing damaged counts.
func FuzzBase(f *testing.F) {
	f.Add([]byte{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, []byte{1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, decision, snapshot []byte) {
		if barrier.Base.Accepts(decision, snapshot) && (len(decision) != 15 || len(snapshot) < 10) && decision != nil && snapshot != nil {
			t.Errorf("%x accepts %x", decision, snapshot)
		}
	})
}
