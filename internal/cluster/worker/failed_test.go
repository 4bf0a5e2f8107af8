package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

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
		tasks := s.heartbeat(0).Tasks
		return len(tasks) == 3 && tasks[1].State == "FAILED" && strings.Contains(tasks[1].Error, "panicked: no")
	})
	s.until("the other one has all", func() bool { return good.Len() == 100 })
	s.until("it is published", func() bool {
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

// A tuple that cannot be processed fails its task at once, and the heartbeat names the tuple. Declared losses are counted.
func TestTupleError(t *testing.T) {
	s := newSite(t, 0)
	b := topology.New("failing")
	b.Spout("numbers", spout.Generate(100, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("picky", bolt.Func(func(_ context.Context, in tuple.Tuple, _ bolt.Emitter) error {
		if in.Int(0)%10 == 7 {
			return errors.New("seven is forbidden")
		}
		return nil
	})).Shuffle("numbers").Drop()
	b.Bolt("strict", bolt.Func(func(_ context.Context, in tuple.Tuple, _ bolt.Emitter) error {
		if in.Int(0) == 41 {
			return errors.New("a prime too many")
		}
		return nil
	})).Shuffle("numbers")
	spec, err := worker.Describe(b, "backtrack", recovery.Config{}, 0)
	check(t, err)
	s.spec = spec
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int)
	go func() {
		exit, _ := worker.Run(ctx, b, encode(t, s.launch(0, "numbers", "picky", "strict")))
		ended <- exit
	}()
	s.until("ten tuples are dropped, and the other task has FAILED", func() bool {
		tasks := s.heartbeat(0).Tasks
		return len(tasks) == 3 && tasks[1].Dropped == 10 && tasks[2].State == cluster.StateFailed
	})
	failed := s.heartbeat(0).Tasks[2]
	want := cluster.Failure{Task: alias("strict", 0), MessageID: "numbers.0>strict.0#42", Cause: "a prime too many"}
	if f := failed.Failure; f == nil || f.Task != want.Task || f.MessageID != want.MessageID || f.Cause != want.Cause || !strings.Contains(f.Tuple, "41") {
		t.Errorf("the failure is %+v, want %+v with the tuple", f, want)
	}
	if failed.Restarts != 0 || failed.Dead+failed.Dropped != 0 {
		t.Errorf("the failed task was restarted %d times, and lost %d and %d tuples", failed.Restarts, failed.Dead, failed.Dropped)
	}
	s.until("the event names the failure", func() bool {
		events := s.happened(cluster.TaskFailed)
		return len(events) == 1 && events[0].Failure != nil && events[0].Failure.MessageID == want.MessageID
	})
	stop()
	if exit := <-ended; exit != cluster.ExitDone {
		t.Errorf("exit %d", exit)
	}
}

// A worker that is ordered to stop names the task and the call that keep it from ending.
func TestStuck(t *testing.T) {
	s := newSite(t, 0)
	blocked, release := make(chan struct{}), make(chan struct{})
	b := topology.New("stuck")
	b.Spout("numbers", spout.Generate(1, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("bad", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error {
		close(blocked)
		<-release // it does not heed its context
		return nil
	})).Shuffle("numbers")
	spec, err := worker.Describe(b, "backtrack", recovery.Config{}, 0)
	check(t, err)
	s.spec = spec
	launch := s.launch(0, "numbers", "bad")
	launch.StopWait = 300 * time.Millisecond
	ctx, stop := context.WithCancel(t.Context())
	type result struct {
		exit int
		err  error
	}
	ended := make(chan result)
	go func() {
		exit, err := worker.Run(ctx, b, encode(t, launch))
		ended <- result{exit, err}
	}()
	<-blocked
	s.until("the event names the call", func() bool {
		s.publish(0, s.order(2, "numbers")) // the task moves elsewhere
		events := s.happened(cluster.TaskStuck)
		return len(events) > 0 && events[0].Task == "bad.0" && strings.Contains(events[0].Text, `operator "bad", task bad.0 has not returned from Execute`)
	})
	stop()
	got := <-ended
	close(release)
	if got.exit != cluster.ExitError || got.err == nil || !strings.Contains(got.err.Error(), "task bad.0 has not returned from Execute") ||
		!strings.Contains(got.err.Error(), "numbers.0>bad.0#1") {
		t.Errorf("exit %d, %v", got.exit, got.err)
	}
}
