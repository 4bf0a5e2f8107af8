package none_test

import (
	"slices"
	"testing"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

func TestConformance(t *testing.T) {
	recoverytest.Run(t, none.New, recoverytest.Features{AtMostOnce: true})
}

// TestLossIsCounted: lost tuples are passed over, and counted exactly; the end mark too, but the task still ends.
func TestLossIsCounted(t *testing.T) {
	w := recoverytest.New(t, none.New, recovery.Config{}, "a>b")
	w.Start()
	w.Deliver()
	for range 5 {
		w.Emit("a", 2)
	}
	w.Drop("a>b", "3")
	w.Drop("a>b", "8")
	w.End("a")
	w.Drop("a>b", "11")
	w.Settle()
	if got := w.Consumed("b"); !slices.Equal(got, []string{"a1", "a2", "a5", "a6", "a9", "a10"}) {
		t.Errorf("consumed %v", got)
	}
	if got := w.Status("b").Counters.Lost; got != 5 {
		t.Errorf("%d tuples and marks count as lost, want 5", got)
	}
	if !w.Done("a") || !w.Done("b") {
		t.Errorf("does not end:\n%s", w)
	}
}

// TestRestartBeginsAnew: a restarted task has empty state, and accepts the frames from then on.
func TestRestartBeginsAnew(t *testing.T) {
	w := recoverytest.New(t, none.New, recovery.Config{}, "a>b")
	w.SpoutsGoOn = true
	w.Start()
	w.Emit("a", 2)
	w.Settle()
	w.Crash("b")
	w.Emit("a", 2)
	w.Deliver()
	w.Restart("b")
	w.Deliver()
	w.Emit("a", 2)
	w.Settle()
	w.Crash("a")
	w.Restart("a")
	w.Emit("a", 1)
	w.Settle()
	if got := w.Consumed("b"); !slices.Equal(got, []string{"a5", "a6", "a7"}) {
		t.Errorf("consumed %v", got)
	}
}
