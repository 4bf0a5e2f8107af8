package executor_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// A task that is rolled back has not failed: it starts again at once, as often as it takes, and names the task that caused
// the rollback.
func TestRollback(t *testing.T) {
	s, err := strategies.Named("barrier")
	if err != nil {
		t.Fatal(err)
	}
	var all atomic.Bool
	b, sink := topology.New("chain"), bolt.NewCollector()
	b.Spout("numbers", spout.Generate(3000, func(i int64, out spout.Emitter) error {
		if i == 2000 && !all.Load() {
			return spout.ErrIdle // after its end there would be no rollback
		}
		return out.Row().Int(i).Emit()
	})).Fields("n")
	b.Bolt("middle", bolt.Func(pass)).Shuffle("numbers").Fields("n")
	b.Bolt("sink", sink.New).Global("middle")
	plan, err := b.BuildWith(s.Extension, s.Described())
	if err != nil {
		t.Fatal(err)
	}
	h := openPlan(t, plan, memlog.Options{}, func(o *executor.Options) {
		o.Config.Strategy, o.Base, o.Failures = s.New, s.Base, 1
	})
	const killed = "middle.0"
	for n := range 6 {
		h.until("all tasks run", func() bool {
			for _, k := range h.tasks {
				if st := k.Info().State; st == executor.Restoring || st == executor.Restarting || st == executor.Starting {
					return false
				}
			}
			sink := h.tasks["sink.0"].Info() // when it has received a tuple all have joined
			return sink.Restarts >= n && sink.Counters.Consumed > 0
		})
		if !h.tasks[killed].Kill() {
			t.Fatalf("kill %d: no incarnation to kill", n)
		}
	}
	all.Store(true)
	h.complete()
	has(t, sink, 3000)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.failures) > 0 {
		t.Errorf("a rollback counts as a failure: %v", h.failures)
	}
	back := 0
	for _, r := range h.recoveries {
		if r.RolledBack() {
			back++
			if !strings.Contains(r.Cause.Error(), killed) {
				t.Errorf("the cause does not name %s: %v", killed, r.Cause)
			}
		}
	}
	if back == 0 {
		t.Error("no recovery reports a rollback")
	}
}

// A task without its snapshot of the decided checkpoint must not begin anew, as if there were no decision.
func TestOpenWithoutSnapshot(t *testing.T) {
	ctx, log := context.Background(), memlog.New(memlog.Options{})
	base := &recovery.Base{
		Coordinator: barrier.Operator,
		Accepts:     func(decision, snapshot []byte) bool { return string(decision) == string(snapshot) },
	}
	counts := msgid.Alias{Operator: "count"}
	if _, h, err := task.Open(ctx, log, counts, base, checkpoint.Options{}); err != nil || len(h.Chain) != 0 {
		t.Fatalf("no checkpoint is decided: %v, %v", h, err)
	}
	w, _, err := checkpoint.Open(ctx, log, msgid.Alias{Operator: base.Coordinator}, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	up := w.Begin([][]byte{{0}, {1}, []byte("7")}, true) // the core's part is empty, the machine's is 7
	for done := false; !done && err == nil; {
		done, err = up.Step(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = task.Open(ctx, log, counts, base, checkpoint.Options{}); !errors.Is(err, checkpoint.ErrDamaged) || !strings.Contains(err.Error(), "count.0") {
		t.Errorf("want an error that names the task: %v", err)
	}
}
