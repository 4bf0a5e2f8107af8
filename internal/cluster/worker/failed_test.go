package worker_test

import (
	"context"
	"strings"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A task that panics at the same tuple twice has FAILED: that is reported with its reason, and takes no other task with it. Faults, row 2.
func TestTaskFailed(t *testing.T) {
	s := newSite(t, 0)
	good := bolt.NewCollector()
	b := topology.New("failing")
	b.Spout("numbers", spout.Generate(100, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("bad", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { panic("no") })).Shuffle("numbers")
	b.Bolt("good", good.New).Global("numbers")
	spec, err := worker.Describe(b, "backtrack", recovery.Config{}, 0)
	check(t, err)
	s.spec = spec
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		exit, _ := worker.Run(ctx, b, encode(t, s.launch(0, "numbers", "bad", "good")))
		ended <- exit
	}()
	s.until("it has FAILED", func() bool {
		tasks := s.beat(0).Tasks
		return len(tasks) == 3 && tasks[1].State == "FAILED" && strings.Contains(tasks[1].Error, "panicked: no")
	})
	s.until("the other one has all", func() bool { return good.Len() == 100 })
	s.until("it is told", func() bool {
		failed := s.happened(cluster.TaskFailed)
		last := ""
		if len(failed) > 0 {
			last = failed[len(failed)-1].Text
		}
		return len(failed) == 2 && strings.HasPrefix(last, "FAILED") && !strings.Contains(last, "\n")
	})
	stop()
	if exit := <-ended; exit != cluster.ExitDone {
		t.Errorf("exit %d", exit)
	}
}
