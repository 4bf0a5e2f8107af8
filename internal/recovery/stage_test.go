package recovery_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/recovery"
)

// Whatever is reported in whatever order: an operator that has finished never runs again, a task that has failed stays so,
// and Done comes once, when the operator has finished, its end is durable and all outputs are safe.
func TestStage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s recovery.Stage
		var do recovery.Actions
		finished, failed, done := false, false, 0
		outputs := make([]bool, rapid.IntRange(0, 3).Draw(t, "outputs"))
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			do.Reset()
			switch rapid.SampledFrom([]string{"run", "consumed", "finish", "fail", "safe", "check"}).Draw(t, "step") {
			case "run":
				if s == recovery.StageWaiting {
					s.Run(&do, recovery.Action{Kind: recovery.Poll})
					if s != recovery.StageRunning || len(do.List) != 1 || do.List[0].Kind != recovery.Poll {
						t.Fatalf("after Run: stage %d, %+v", s, do.List)
					}
				}
			case "consumed":
				s.Consumed()
				if s == recovery.StageRunning {
					t.Fatal("still running after Consumed")
				}
			case "finish":
				s.Finish()
				finished = true
			case "fail":
				s.Fail(&do, errors.New("x"))
				failed = true
			case "safe":
				if len(outputs) > 0 {
					outputs[rapid.IntRange(0, len(outputs)-1).Draw(t, "output")] = true
				}
			case "check":
				durable := rapid.Bool().Draw(t, "durable")
				recovery.CheckDone(&s, &do, durable, outputs, func(safe *bool) bool { return *safe })
				want := finished && !failed && durable && done == 0
				for _, safe := range outputs {
					want = want && safe
				}
				if got := len(do.List) > 0; got != want || got && do.List[0].Kind != recovery.Done {
					t.Fatalf("Done was added: %v, want %v", got, want)
				}
				done += len(do.List)
			}
			if failed != (s == recovery.StageFailed) || s.Finished() != (finished && !failed) || done > 1 {
				t.Fatalf("stage %d, finished %v, failed %v, %d times done", s, finished, failed, done)
			}
		}
	})
}
