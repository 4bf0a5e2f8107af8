package acker_test

import (
	"testing"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

// TestConformance: the machine by itself promises no more than the machine below it. Task and
// ledger together lose nothing; the simulator tests that.
func TestConformance(t *testing.T) {
	recoverytest.Run(t, acker.Over(none.New), recoverytest.Features{AtMostOnce: true})
}

// A task is one machine and the actions that it has asked for.
type task struct {
	t *testing.T
	m recovery.Machine
}

func newTask(t *testing.T, cfg recovery.Config) task {
	m, err := acker.Over(none.New)(cfg, recovery.History{Incarnation: 1})
	if err != nil {
		t.Fatal(err)
	}
	return task{t, m}
}

// asks gives the machine an event and reports whether it asks for an action of that kind.
func (x task) asks(ev recovery.Event, want recovery.ActionKind) bool {
	var do recovery.Actions
	x.m.Step(ev, &do)
	for _, a := range do.List {
		if a.Kind == want {
			return true
		}
	}
	return false
}

// A spout's position is stored on the interval while the spout works, one at a time, and at once when it has ended.
func TestSpoutStoresItsPosition(t *testing.T) {
	x := newTask(t, recovery.Config{Spout: true, SnapshotEvery: 100})
	x.asks(recovery.Event{Kind: recovery.Started}, 0)
	tick := func(now recovery.Tick) bool {
		return x.asks(recovery.Event{Kind: recovery.Ticked, Now: now}, recovery.Freeze)
	}
	work := func() { x.asks(recovery.Event{Kind: recovery.Consumed}, 0) }
	if tick(1) {
		t.Error("a snapshot without a change")
	}
	work()
	if !tick(2) {
		t.Error("no first snapshot")
	}
	if !x.asks(recovery.Event{Kind: recovery.Frozen}, recovery.Upload) {
		t.Error("the frozen snapshot is not uploaded")
	}
	work()
	if tick(200) {
		t.Error("a snapshot while one is being stored")
	}
	x.asks(recovery.Event{Kind: recovery.Uploaded}, 0)
	if !tick(201) {
		t.Error("no second snapshot")
	}
	x.asks(recovery.Event{Kind: recovery.Uploaded}, 0)
	work()
	if wake := x.m.Status().Wake; tick(202) || wake != 301 {
		t.Errorf("a snapshot too early, or the machine wants to be woken at %d for it", wake)
	}
	x.m.(tracking.Machine).Tracker().Pending().InputEnded()
	if !x.asks(recovery.Event{Kind: recovery.Idle}, recovery.Freeze) {
		t.Error("no last snapshot")
	}
	if !x.asks(recovery.Event{Kind: recovery.LogLost}, 0) && !tick(203) {
		t.Error("a lost log is not made up for")
	}
}

// A bolt keeps no log.
func TestBoltStoresNothing(t *testing.T) {
	x := newTask(t, recovery.Config{SnapshotEvery: 1})
	for now := range recovery.Tick(20) {
		x.asks(recovery.Event{Kind: recovery.Consumed}, 0)
		if x.asks(recovery.Event{Kind: recovery.Ticked, Now: now}, recovery.Freeze) {
			t.Fatal("a bolt takes a snapshot")
		}
	}
}
