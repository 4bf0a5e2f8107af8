package supervisor

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

func TestLife(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat", "--flag=of the user's")
	slot, revision := slotOf(r), s.put(r)
	was := s.shows(slot, cluster.ProcessRunning, nil)

	launched := s.testimony(slot, nil)
	if l := launched.Launch; l.Slot != slot || l.Assignment.Revision != revision || !l.Assignment.Active || len(l.Assignment.Tasks) != 2 || l.Detection != time.Second {
		t.Errorf("the launch is %+v", l)
	}
	if !slices.Equal(launched.Args, r.Args) || launched.PID != was.PID {
		t.Errorf("arguments %q of process %d, want %q of %d", launched.Args, launched.PID, r.Args, was.PID)
	}
	if os.Geteuid() == 0 && launched.UID == 0 {
		t.Error("the worker is root")
	}
	for _, line := range launched.Env {
		name, value, _ := strings.Cut(line, "=")
		if !slices.Contains([]string{"PATH", "HOME", "TMPDIR", "LANG", "TZ", cluster.RoleVariable, "PWD"}, name) || strings.Contains(value, "canary") {
			t.Errorf("the worker's environment has %s", line)
		}
	}
	for _, fd := range launched.FDs {
		if strings.Contains(fd, s.dir) && !strings.HasSuffix(fd, "/output") || strings.Contains(fd, "memfd") {
			t.Errorf("the worker has inherited %s", fd)
		}
	}

	t.Log("an order is followed by the same process")
	r.Status, r.Placement[0].Tasks = cluster.Inactive, append(r.Placement[0].Tasks, msgid.Alias{Operator: "count", Index: 1})
	revision = s.put(r)
	now := s.testimony(slot, func(t *testimony) bool { return len(t.Orders) > 0 })
	if o := now.Orders[0]; o.Revision != revision || o.Active || len(o.Tasks) != 3 || now.PID != was.PID {
		t.Errorf("the order is %+v, process %d was %d", o, now.PID, was.PID)
	}

	t.Log("the record goes, and so does the worker; its output stays")
	if err := s.leader.DeleteRecord(t.Context(), "words"); err != nil {
		t.Fatal(err)
	}
	s.dies(was.PID)
	s.within(10*time.Second, "no worker", func() bool { return len(s.last().Workers) == 0 })
	for kind, want := range map[string]bool{"workers": false, "slots": false, "logs": true} {
		if _, err := os.Stat(dir(s.dir).of(kind, slot)); (err == nil) != want {
			t.Errorf("%s of the slot: %v", kind, err)
		}
	}
	s.happened(cluster.WorkerStarted, "with tasks count.0 lines.0")
	s.happened(cluster.WorkerExited, "was stopped")
}

// A topology that goes on with another program, or with other arguments, has its worker's process replaced at once: that is
// neither a failure nor a restart. The same program and arguments in a new order keep the process.
func TestReplacedProgram(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat", "first")
	slot := slotOf(r)
	s.put(r)
	was := s.shows(slot, cluster.ProcessRunning, nil)
	r.Args = slices.Clone(r.Args)
	s.put(r)
	if kept := s.testimony(slot, func(t *testimony) bool { return len(t.Orders) > 0 }); kept.PID != was.PID {
		t.Errorf("process %d was replaced by %d for an order with the same program", was.PID, kept.PID)
	}
	r.Args = []string{"beat", "second"}
	revision := s.put(r)
	now := s.testimony(slot, func(t *testimony) bool { return slices.Equal(t.Args, r.Args) })
	if l := now.Launch.Assignment; l.Revision != revision || l.Lost == nil || l.Lost.Cause != "the program was replaced" {
		t.Errorf("the launch is %+v, lost %+v", l, l.Lost)
	}
	p := s.shows(slot, cluster.ProcessRunning, func(p cluster.Process) bool { return p.PID == now.PID })
	if p.Restarts != 0 || p.Error != "" {
		t.Errorf("the supervisor reports %+v", p)
	}
	s.happened(cluster.WorkerExited, "the topology goes on with another program")
}

func TestCompletedAndMovedAway(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	done, moved, again := s.record("done", "beat"), s.record("moved", "beat"), s.record("again", "beat")
	for i, r := range []*cluster.Record{done, moved, again} {
		r.Placement[0].Slot = i
		s.put(r)
		s.shows(slotOf(r), cluster.ProcessRunning, nil)
	}
	old := slotOf(again)
	done.Status = cluster.Completed
	moved.Placement[0].Supervisor = "host-2"
	again.Instance = cluster.NewInstance("again")
	for _, r := range []*cluster.Record{done, moved, again} {
		s.put(r)
	}
	s.shows(slotOf(again), cluster.ProcessRunning, nil)
	s.within(10*time.Second, "only the new instance's worker", func() bool {
		return len(s.last().Workers) == 1 && s.last().Workers[0].Slot != old
	})
}

// Row 3, as far as the supervisor is concerned.
func TestKilledWorkerIsStartedAtOnce(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat")
	slot := slotOf(r)
	s.put(r)
	was := s.shows(slot, cluster.ProcessRunning, nil)
	killed := time.Now()
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	now := s.testimony(slot, func(t *testimony) bool { return t.PID != was.PID })
	t.Logf("started again after %v", time.Since(killed))
	lost := now.Launch.Assignment.Lost
	if lost == nil || !strings.Contains(lost.Cause, "signal 9") || lost.DetectedAt.Before(killed) || lost.LastSeen.Before(killed) || time.Since(lost.DetectedAt) > 10*time.Second {
		t.Errorf("the loss is %+v", lost)
	}
	p := s.shows(slot, cluster.ProcessRunning, func(p cluster.Process) bool { return p.Restarts == 1 })
	if p.PID != now.PID || !strings.Contains(p.Error, "signal 9") {
		t.Errorf("the supervisor reports %+v", p)
	}
	s.happened(cluster.WorkerExited, "signal 9")
}

func TestBackoff(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "exit", "1")
	began := time.Now()
	s.put(r)
	p := s.shows(slotOf(r), cluster.ProcessWaiting, func(p cluster.Process) bool { return p.Restarts >= 4 })
	if took := time.Since(began); took < 300*time.Millisecond { // at once, after 100, after 200 ms
		t.Errorf("%d restarts in %v", p.Restarts, took)
	}
	if p.Error != "exit status 1: the last words" {
		t.Errorf("the error is %q", p.Error)
	}
}

func TestFinalExits(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	for slot, test := range []struct {
		code        int
		fenced      bool
		text, event string
		kind        cluster.EventKind
	}{
		{cluster.ExitFenced, true, "fenced by a newer incarnation", "tasks run elsewhere", cluster.WorkerFenced},
		{cluster.ExitRefused, false, "exit status 76: the last words", "the last words", cluster.WorkerExited},
	} {
		r := s.record("words"+strconv.Itoa(slot), "exit", strconv.Itoa(test.code))
		r.Placement[0].Slot = slot
		s.put(r)
		p := s.shows(slotOf(r), cluster.ProcessFailed, nil)
		if !strings.Contains(p.Error, test.text) || p.Fenced != test.fenced {
			t.Errorf("the error is %q, fenced %v; want %q, %v", p.Error, p.Fenced, test.text, test.fenced)
		}
		s.happened(test.kind, test.event)
		time.Sleep(300 * time.Millisecond)
		if p = s.shows(slotOf(r), cluster.ProcessFailed, nil); p.Restarts != 1 {
			t.Errorf("it was started %d times", p.Restarts)
		}
		r.Args = []string{"beat"}
		s.put(r)
		s.shows(slotOf(r), cluster.ProcessRunning, nil)
	}
}

// Row 47: a worker that stops when ordered to and one that must be killed both leave no forked process behind, also
// where there are no cgroups.
func TestWorkersChildren(t *testing.T) {
	s := newSite(t)
	s.supervise(func(c *Config) { c.Cgroup = "none" })
	for _, kind := range []string{"stubborn", "messy"} {
		r := s.record("words", kind)
		s.put(r)
		was := s.shows(slotOf(r), cluster.ProcessRunning, nil)
		var family []int
		s.within(10*time.Second, "three children", func() bool {
			family = []int{was.PID}
			for pid, child := range everybody() {
				if child.parent == was.PID {
					family = append(family, pid)
				}
			}
			return len(family) == 4
		})
		if err := s.leader.DeleteRecord(t.Context(), "words"); err != nil {
			t.Fatal(err)
		}
		for _, pid := range family {
			s.dies(pid)
		}
		s.within(10*time.Second, "no worker", func() bool { return len(s.last().Workers) == 0 })
	}
}

// A worker that is stopped is killed and started again; one that has just begun is not.
func TestHungWorker(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat")
	s.put(r)
	slot := slotOf(r)
	was := s.shows(slot, cluster.ProcessRunning, nil)
	if err := syscall.Kill(was.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	now := s.testimony(slot, func(t *testimony) bool { return t.PID != was.PID })
	if took := time.Since(stopped); took < 900*time.Millisecond || took > 5*time.Second {
		t.Errorf("started again after %v, want one to two seconds", took)
	}
	lost := now.Launch.Assignment.Lost
	if lost == nil || !strings.Contains(lost.Cause, "stopped and silent for 1") || lost.DetectedAt.Sub(lost.LastSeen) < 900*time.Millisecond {
		t.Errorf("the loss is %+v", lost)
	}
}

// Without NATS a worker that dies is started again.
func TestWithoutNATS(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat")
	s.put(r)
	slot := slotOf(r)
	was := s.shows(slot, cluster.ProcessRunning, nil)
	address := strings.TrimPrefix(s.server.URL(), "nats://")
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // longer than the detection time
	if s, there := statOf(was.PID); !there || s.state == 'Z' {
		t.Fatal("the worker was killed because NATS was away")
	}
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	now := s.testimony(slot, func(t *testimony) bool { return t.PID != was.PID })
	s.serve(address)
	s.shows(slot, cluster.ProcessRunning, func(p cluster.Process) bool { return p.PID == now.PID })
	joins := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.asked[cluster.VerbJoin]
	}
	s.within(10*time.Second, "it joins again", func() bool { return joins() > 1 })
}

// Row 43: a program that is not the one submitted is not run.
func TestRefusedArtefact(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat")
	r.Artefact.Size++
	s.put(r)
	p := s.shows(slotOf(r), cluster.ProcessFailed, nil)
	if p.Restarts != 0 || p.PID != 0 || !strings.Contains(p.Error, "artefact") {
		t.Errorf("the supervisor reports %+v", p)
	}
	s.happened(cluster.Refused, "is not started")
}

func TestNothingIsStartedBeforeJoining(t *testing.T) {
	s := newSite(t)
	admit := make(chan struct{})
	s.answers(func(string, []byte) any {
		select {
		case <-admit:
			return cluster.JoinReply{}
		default:
			return nil
		}
	})
	s.supervise(nil)
	r := s.record("words", "beat")
	s.put(r)
	s.within(10*time.Second, "three beats", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.heartbeats) >= 3
	})
	if w := s.last().Workers; len(w) != 0 {
		t.Errorf("workers before it has joined: %+v", w)
	}
	close(admit)
	s.shows(slotOf(r), cluster.ProcessRunning, nil)
}
