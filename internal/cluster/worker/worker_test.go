package worker_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Two workers share a topology, over TCP.
func TestTwoWorkers(t *testing.T) {
	s := newSite(t, 5000)
	a := s.start(s.launch(0, "lines", "split.0", "count.1"))
	b := s.start(s.launch(1, "split.1", "count.0", "out"))
	s.done(0, 1)
	heartbeat := s.heartbeat(0)
	if heartbeat.Runtime != cluster.Runtime || heartbeat.PID == 0 || heartbeat.Sent == 0 || heartbeat.Memory < 1<<20 || heartbeat.Revision != 1 || len(heartbeat.Tasks) != 3 {
		t.Errorf("%+v", heartbeat)
	}
	stop := s.order(2)
	stop.Stop = true
	s.send(0, stop)
	if err := a.ends(cluster.ExitDone); err != nil {
		t.Error(err)
	}
	b.stop()
	if err := b.ends(cluster.ExitDone); err != nil {
		t.Error(err)
	}
	if len(s.happened(cluster.TaskRecovered)) > 0 {
		t.Errorf("nothing was lost, and still: %+v", s.events())
	}
}

// A worker is killed, and another one in its place restores its tasks: faults, row 3.
func TestWorkerKilled(t *testing.T) {
	s := newSite(t, 12_000)
	first := s.startProcess(s.launch(0, "split.0", "count"))
	s.start(s.launch(1, "lines", "split.1", "out"))
	s.under(0, "count.1")
	last := time.Now()
	first.kill()

	l := s.launch(0, "split.0", "count")
	l.Assignment.Lost = &cluster.Loss{Cause: "signal: killed", LastSeen: last, DetectedAt: time.Now()}
	s.startProcess(l)
	s.done(0, 1)
	s.until("all three report it", func() bool { return len(s.happened(cluster.TaskRecovered)) == 3 })
	for _, e := range s.happened(cluster.TaskRecovered) {
		r := e.Recovery
		if r == nil || e.Slot == nil || *e.Slot != l.Slot || r.Cause != "signal: killed" || r.Incarnation != 2 || r.Missed != r.Replayed {
			t.Errorf("%+v: %+v", e, r)
			continue
		}
		if r.Start <= 0 || r.Load <= 0 || r.Replay <= 0 || r.Took < r.Start+r.Load+r.Replay-1 {
			t.Errorf("the phases are %+v", r)
		}
	}
	for _, task := range s.heartbeat(1).Tasks {
		if task.Incarnation != 1 || task.Restarts != 0 {
			t.Errorf("it was not killed, and still: %+v", task)
		}
	}
}

// A worker is paused, its tasks are restored elsewhere, and it wakes up: it commits nothing and ends. Faults, row 4.
func TestFenced(t *testing.T) {
	s := newSite(t, 12_000)
	paused := s.startProcess(s.launch(0, "split.0", "count"))
	s.start(s.launch(1, "lines", "split.1", "out"))
	s.under(0, "count.1")
	paused.signal(syscall.SIGSTOP)
	moved := s.order(2, "lines", "split", "count", "out")
	moved.Lost = &cluster.Loss{Cause: "worker lost", LastSeen: time.Now().Add(-time.Second), DetectedAt: time.Now()}
	s.send(1, moved)
	s.under(1, "count.1")
	paused.signal(syscall.SIGCONT)
	err := paused.Wait()
	if code := paused.ProcessState.ExitCode(); code != cluster.ExitFenced {
		t.Errorf("exit %d, %v\n%s", code, err, paused.out.String())
	}
	s.until("it reports that it was fenced", func() bool { return len(s.happened(cluster.WorkerFenced)) == 1 })
	s.done(1)
	for _, e := range s.happened(cluster.TaskRecovered) {
		if e.Recovery.Missed != e.Recovery.Replayed || e.Recovery.Detect < 900 {
			t.Errorf("%+v", e.Recovery)
		}
	}
	for _, task := range s.heartbeat(1).Tasks {
		if task.Incarnation > 2 {
			t.Errorf("its fenced incarnation has disturbed %+v", task)
		}
	}
}

// Assignments move tasks from one worker to another and back. A worker that loses a task which runs elsewhere already
// lets it go.
func TestOrders(t *testing.T) {
	s := newSite(t, 12_000)
	a := s.start(s.launch(0, "lines", "split", "count", "out"))
	s.start(s.launch(1))
	s.under(0, "count.1")

	s.send(1, s.order(2, "count", "split.1")) // they are fenced in slot 0 before it receives the assignment
	s.send(0, s.order(2, "lines", "split.0", "out"))
	s.under(1, "count.1")

	foreign := s.order(9)
	foreign.Instance, foreign.Stop = cluster.NewInstance("words"), true
	old := s.order(1)
	old.Stop = true
	unknown := s.order(3, "lines")
	unknown.Tasks = append(unknown.Tasks, alias("count", 7))
	for _, o := range []cluster.Assignment{foreign, old} {
		s.publish(0, o)
	}
	s.publish(0, unknown)
	s.until("the order for a task that is not there is refused", func() bool { return len(s.happened(cluster.Refused)) == 1 })
	if b := s.heartbeat(0); len(b.Tasks) != 3 || b.Revision != 2 {
		t.Errorf("it follows an assignment that is not its own: %+v", b)
	}

	s.send(1, s.order(4, "count.1"))
	s.send(0, s.order(4, "lines", "split", "count.0", "out"))
	s.done(0, 1)
	select {
	case <-a.done:
		t.Errorf("the worker ended: %v", a.err)
	default:
	}
	moved := s.happened(cluster.TaskRecovered)
	if len(moved) < 5 { // count.0, count.1 and split.1, and two of them back
		t.Errorf("%d tasks report that they were moved", len(moved))
	}
	for _, e := range moved {
		// Replayed need not equal missed here: sources move as well, while those before them live and answer too, and
		// the new output of a source comes by itself.
		if e.Recovery.Cause != "moved here" {
			t.Errorf("%+v", e.Recovery)
		}
	}
}

// Spouts emit nothing while the topology is inactive.
func TestInactive(t *testing.T) {
	s := newSite(t, 2000)
	l := s.launch(0, "lines", "split", "count", "out")
	l.Assignment.Active = false
	s.start(l)
	s.until("all run", func() bool { return len(s.heartbeat(0).Tasks) == 6 && s.heartbeat(0).Tasks[0].State == "running" })
	time.Sleep(100 * time.Millisecond)
	for _, task := range s.heartbeat(0).Tasks {
		if c := task.Counters; c.Emitted+c.Consumed > 0 || task.State != "running" {
			t.Errorf("%+v", task)
		}
	}
	active := s.order(2, "lines", "split", "count", "out")
	s.send(0, active)
	s.until("it emits", func() bool { return s.heartbeat(0).Tasks[0].Counters.Emitted > 0 })
	inactive := active
	inactive.Revision, inactive.Active = 3, false
	s.send(0, inactive)
	emitted := s.heartbeat(0).Tasks[0].Counters.Emitted
	time.Sleep(2 * cluster.HeartbeatEvery)
	if now := s.heartbeat(0).Tasks[0].Counters.Emitted; now > emitted+rate/10 {
		t.Errorf("it emits on: %d, then %d", emitted, now)
	}
	active.Revision = 4
	s.send(0, active)
	s.done(0)
}

// The log vanishes while the workers live, and is made again by another: they write it anew and go on. Faults, row 31.
func TestLogVanishes(t *testing.T) {
	s := newSite(t, 8000)
	s.start(s.launch(0, "lines", "split.0", "count.1"))
	s.start(s.launch(1, "split.1", "count.0", "out"))
	s.under(1, "count.0")
	check(t, natslog.Delete(context.Background(), s.nc, string(s.subjects), string(s.instance)))
	time.Sleep(300 * time.Millisecond)
	if there, err := natslog.Exists(context.Background(), s.nc, string(s.subjects), string(s.instance)); there || err != nil {
		t.Fatalf("a worker has made the log: %v", err)
	}
	s.makeLog()
	s.done(0, 1)
	if failed := s.happened(cluster.TaskFailed); len(failed) > 0 {
		t.Errorf("%+v", failed)
	}
	for slot := range 2 {
		for _, task := range s.heartbeat(slot).Tasks {
			if task.Incarnation != 1 {
				t.Errorf("%+v", task)
			}
		}
	}
}

// A worker that is started before there is a log waits for it, and receives assignments meanwhile.
func TestLogIsLate(t *testing.T) {
	s := newSite(t, 1000)
	check(t, natslog.Delete(context.Background(), s.nc, string(s.subjects), string(s.instance)))
	a := s.start(s.launch(0, "lines", "split", "count", "out"))
	b := s.start(s.launch(1, "out"))
	s.until("both send heartbeats", func() bool { return s.heartbeat(0).PID != 0 && s.heartbeat(1).PID != 0 })
	stop := s.order(2)
	stop.Stop = true
	s.send(1, stop)
	if err := b.ends(cluster.ExitDone); err != nil {
		t.Error(err)
	}
	s.makeLog()
	s.done(0)
	a.stop()
	if err := a.ends(cluster.ExitDone); err != nil {
		t.Error(err)
	}
}

// A task is ended on request as by a crash.
func TestCrash(t *testing.T) {
	s := newSite(t, 8000)
	slot := s.launch(0).Slot
	s.start(s.launch(0, "lines", "split", "count", "out"))
	s.under(0, "count.1")
	ask := func(operator string, index int) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := natscluster.Request[struct{}](ctx, s.nc, s.subjects.Worker(slot, cluster.VerbCrash), cluster.TaskRequest{Task: alias(operator, index)})
		return err
	}
	if err := ask("count", 1); err != nil {
		t.Error(err)
	}
	if err := ask("count", 7); err == nil || !strings.Contains(err.Error(), "count.7") {
		t.Errorf("%v", err)
	}
	s.done(0)
	s.until("it reports it", func() bool { return len(s.happened(cluster.TaskRecovered)) == 1 })
	if e := s.happened(cluster.TaskRecovered)[0]; e.Task != "count.1" || e.Recovery.Detect != 0 || e.Recovery.Missed != e.Recovery.Replayed {
		t.Errorf("%+v %+v", e, e.Recovery)
	}
}
