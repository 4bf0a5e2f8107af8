package executor

import (
	"testing"
	"time"

	"github.com/askback/askback/internal/channel"
)

// A full inbox drops messages and counts them, never an answer of the log, and takes messages again when it was
// emptied.
func TestInboxBound(t *testing.T) {
	b := newInbox()
	big := channel.Message{Payload: make([]byte, 1<<20)}
	for range inboxBytes >> 20 {
		b.deliver(big)
	}
	if b.lost() != 0 {
		t.Fatalf("%d lost below the bound", b.lost())
	}
	b.deliver(big)
	b.post(&answer{})
	if b.lost() != 1 {
		t.Fatalf("%d lost beyond the bound, want 1", b.lost())
	}
	taken := b.take(nil)
	if n := len(taken); n != inboxBytes>>20+1 || taken[n-1].answer == nil {
		t.Fatalf("%d letters", n)
	}
	b.deliver(big)
	if again := b.take(taken); len(again) != 1 || b.lost() != 1 {
		t.Fatalf("%d letters, %d lost", len(again), b.lost())
	}
	for range inboxLetters + 3 {
		b.deliver(channel.Message{})
	}
	if b.lost() != 4 {
		t.Fatalf("%d lost beyond the bound, want 4", b.lost())
	}
}

// The watchdog barks once for each time that a task is stuck on a channel.
func TestWatchdog(t *testing.T) {
	var w watchdog
	now := time.Unix(0, 0)
	i := &Info{}
	for k, step := range []struct {
		blocked, starved string
		consumed         uint64
		seconds          int
		barks            bool
	}{
		{seconds: 100},
		{blocked: "a.0>b.0"},
		{blocked: "a.0>b.0", seconds: 9},
		{blocked: "a.0>b.0", seconds: 1, barks: true},
		{blocked: "a.0>b.0", seconds: 50},
		{blocked: "a.0>b.0", seconds: 50, consumed: 1},
		{blocked: "a.0>b.0", seconds: 9, consumed: 1},
		{blocked: "a.0>c.0", seconds: 9, consumed: 1},
		{blocked: "a.0>c.0", seconds: 10, consumed: 1, barks: true},
		{consumed: 1, seconds: 1},
		{starved: "a.0>c.0", consumed: 1},
		{starved: "a.0>c.0", seconds: 10, consumed: 1, barks: true},
	} {
		now = now.Add(time.Duration(step.seconds) * time.Second)
		i.Blocked, i.Starved, i.Counters.Consumed = step.blocked, step.starved, step.consumed
		if barks := w.look(i, now, 10*time.Second); barks != step.barks {
			t.Errorf("step %d: barks %v", k, barks)
		}
	}
}
