package askback_test

import (
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/strategy"
)

// Under strategy ack nothing is lost when tasks are killed; some may count again.
func TestRunAck(t *testing.T) {
	for _, window := range []int{1, 100} {
		const n = 3_000
		seed := uint64(time.Now().UnixNano())
		b, sink := squares("ack", n)
		r, err := askback.Run(t.Context(), b, askback.WithStrategy(strategy.Ack), faults.Kill(4, seed),
			askback.WithAckWindow(window))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		times := make(map[int64]int)
		for _, row := range sink.Rows() {
			times[row[0].(int64)]++
		}
		for i := range int64(n) {
			if times[i*i] == 0 {
				t.Fatalf("window %d, seed %d: %d is missing", window, seed, i*i)
			}
		}
		if r.Kills != 4 || r.Strategy != strategy.Ack {
			t.Errorf("seed %d: %+v", seed, r)
		}
		t.Logf("window %d: %d rows of %d, %v", window, sink.Len(), n, r.Elapsed)
	}
}
