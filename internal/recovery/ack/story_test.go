package ack_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

// world makes one whose tasks take snapshots every tenth of a second and send again after a quarter.
func world(t *testing.T, window int, channels ...string) *recoverytest.World {
	w := recoverytest.New(t, ack.New, recovery.Config{SnapshotEvery: 100, RetryEvery: 250, RetryMax: 1000, AckWindow: window}, channels...)
	if testing.Verbose() {
		w.Trace = func(line string) { t.Log(line) }
	}
	w.Start()
	w.Deliver()
	return w
}

func consumed(t *testing.T, w *recoverytest.World, task string, want ...string) {
	t.Helper()
	if got := w.Consumed(task); !slices.Equal(got, want) {
		t.Errorf("%s consumed %v, want %v", task, got, want)
	}
}

// A tuple is sent when the one before is acknowledged, though both were emitted in one frame.
func TestOneAtATime(t *testing.T) {
	w := world(t, 1, "a>b")
	w.Emit("a", 3)
	w.Deliver("a>b")
	consumed(t, w, "b", "a1")
	w.Deliver("a>b")
	consumed(t, w, "b", "a1")
	w.Deliver("b>a")
	w.Deliver("a>b")
	consumed(t, w, "b", "a1", "a2")
	w.Deliver()
	consumed(t, w, "b", "a1", "a2", "a3")
	if c := w.Status("a").Counters; c.Resent != 0 {
		t.Errorf("%d tuples were resent, though nothing was lost", c.Resent)
	}
}

// With a larger window as many go at once, and each acknowledgement lets others go.
func TestWindow(t *testing.T) {
	w := world(t, 2, "a>b")
	w.Emit("a", 5)
	w.Deliver("a>b")
	consumed(t, w, "b", "a1", "a2")
	w.Deliver("b>a")
	w.Deliver("a>b")
	consumed(t, w, "b", "a1", "a2", "a3", "a4")
}

// What is lost, tuple or acknowledgement, is sent again after a time that doubles; a duplicate is acknowledged again.
func TestResend(t *testing.T) {
	w := world(t, 1, "a>b")
	w.Emit("a", 1)
	w.Drop("a>b", "1")
	for _, wait := range []recovery.Tick{250, 500, 1000} {
		w.Tick(wait - 1)
		if n := w.InFlight("a>b"); n != 0 {
			t.Fatalf("%d bytes are in flight before %d ms have passed", n, wait)
		}
		w.Tick(1)
		w.Drop("a>b", "1")
	}
	w.Tick(1000)
	w.Deliver("a>b")
	consumed(t, w, "b", "a1")
	w.Drop("b>a", "ack")
	w.Tick(1000)
	w.Deliver()
	consumed(t, w, "b", "a1")
	if c := w.Status("b").Counters; c.Duplicates != 1 {
		t.Errorf("%d duplicates, want 1", c.Duplicates)
	}
	if c := w.Status("a").Counters; c.Resent != 5 {
		t.Errorf("%d tuples were resent, want 5", c.Resent)
	}
}

// A restored target is sent again what its snapshot does not cover, and no other task does anything twice.
func TestTargetRestored(t *testing.T) {
	w := world(t, 3, "a>b", "b>c")
	w.Emit("a", 2)
	w.Settle()
	w.Emit("a", 3)
	w.Deliver()
	w.Crash("c")
	w.Restart("c")
	w.Deliver()
	consumed(t, w, "c", "a1", "a2", "a3", "a4", "a5")
	rec := w.Status("c").Recovery
	if !rec.CaughtUp || rec.Missed != 3 || rec.Replayed != 3 {
		t.Errorf("the account of the recovery is %+v, want 3 missed and replayed", rec)
	}
	if c := w.Status("b").Counters; c.Consumed != 5 {
		t.Errorf("b consumed %d tuples, want 5", c.Consumed)
	}
}

// A restored source merges its inputs in another order than before. Its target steps back to what both incarnations
// have in common; what it had consumed beyond counts again, under other numbers, and nothing is lost.
func TestSourceRestored(t *testing.T) {
	w := world(t, 3, "a>c", "b>c", "c>d")
	w.Emit("a", 1)
	w.Settle()
	w.Emit("a", 1)
	w.Deliver("a>c")
	w.Emit("b", 1)
	w.Deliver()
	consumed(t, w, "d", "a1:1", "a2:2", "b1:3")
	w.Crash("c")
	w.Restart("c")
	for range 3 {
		w.Deliver("c>b")
		w.Deliver("b>c")
	}
	w.Settle()
	consumed(t, w, "c", "a1", "b1", "a2")
	consumed(t, w, "d", "a1:1", "a2:2", "b1:3", "b1:2", "a2:3")
	if at := w.Status("d").Inputs[0].Seq; at != 3 {
		t.Errorf("d stands at #%d, want #3", at)
	}
}

// An end mark waits until the source's last snapshot is durable: a target that has ended cannot step back.
func TestEndWaits(t *testing.T) {
	w := world(t, 3, "a>b")
	w.Emit("a", 1)
	w.Deliver()
	w.End("a")
	w.Deliver()
	w.Tick(300)
	w.Deliver()
	if w.Status("b").Finished {
		t.Error("b has finished though the end of a is not durable")
	}
	w.Store("a")
	w.Deliver()
	if !w.Status("b").Finished {
		t.Error("b has not finished though the end of a is durable")
	}
}

// A target whose log is older than what it declared stable is refused: its source has forgotten what it would need.
func TestTargetWentBack(t *testing.T) {
	w := world(t, 3, "a>b")
	w.Emit("a", 2)
	w.Settle()
	w.Emit("a", 1)
	w.Settle()
	w.Crash("b")
	w.Forget("b", 1)
	w.Restart("b")
	w.Deliver()
	var back *recovery.WentBackError
	if err := w.Err("b"); !errors.As(err, &back) || back.Source || back.Restored != 2 || back.Stable != 3 {
		t.Errorf("b failed with %v", err)
	}
}

// So is a source whose log is older than the end that it told.
func TestSourceWentBack(t *testing.T) {
	w := world(t, 3, "a>b")
	w.Emit("a", 1)
	w.Settle()
	w.End("a")
	w.Settle()
	w.Crash("a")
	w.Forget("a", 1)
	w.Restart("a")
	w.Deliver()
	var back *recovery.WentBackError
	if err := w.Err("b"); !errors.As(err, &back) || !back.Source || back.Restored != 1 || back.Stable != 2 {
		t.Errorf("b failed with %v", err)
	}
}

// Who hears of a successor stops.
func TestSuperseded(t *testing.T) {
	w := world(t, 1, "a>b")
	w.Emit("a", 1)
	w.Deliver()
	w.Pause("b")
	w.Restart("b")
	w.Deliver()
	w.Emit("a", 2)
	w.Resume("b")
	w.Settle()
	consumed(t, w, "b", "a1", "a2", "a3")
}
