package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// child runs a supervisor as a process of its own. It is killed by the returned function.
func (s *site) child() (kill func()) {
	s.Helper()
	cfg := s.config()
	text, err := json.Marshal(cfg)
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "SUPERVISOR_TEST_CONFIG="+string(text))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	s.Cleanup(kill)
	return kill
}

// Row 9: the supervisor dies, and its workers live on.
func TestAdoption(t *testing.T) {
	s := newSite(t)
	kill := s.child()
	r := s.record("words", "beat")
	s.put(r)
	slot := slotOf(r)
	was := s.shows(slot, cluster.ProcessRunning, nil)
	dead := s.record("dead", "beat")
	dead.Placement[0].Slot = 2
	s.put(dead)
	dying := s.shows(slotOf(dead), cluster.ProcessRunning, nil)
	gone := s.record("gone", "beat")
	gone.Placement[0].Slot = 3
	s.put(gone)
	leaving := s.shows(slotOf(gone), cluster.ProcessRunning, nil)
	kill()

	if err := syscall.Kill(dying.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := s.leader.DeleteRecord(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	r.Status = cluster.Inactive
	revision := s.put(r)
	time.Sleep(200 * time.Millisecond)
	kill = s.child()

	p := s.shows(slot, cluster.ProcessRunning, func(p cluster.Process) bool { return p.Adopted })
	if p.PID != was.PID || !p.Started.Equal(was.Started) || p.Limits != was.Limits {
		t.Errorf("adopted %+v, was %+v", p, was)
	}
	s.happened(cluster.WorkerAdopted, "lives on")
	s.testimony(slot, func(t *testimony) bool { return len(t.Orders) > 0 && t.Orders[len(t.Orders)-1].Revision == revision })
	now := s.testimony(slotOf(dead), func(t *testimony) bool { return t.PID != dying.PID })
	if lost := now.Launch.Assignment.Lost; lost == nil || !strings.Contains(lost.Cause, "while the supervisor was away") || lost.DetectedAt.Sub(lost.LastSeen) > 5*time.Second {
		t.Errorf("the loss is %+v", lost)
	}
	s.dies(leaving.PID)

	t.Log("an adopted worker is watched as any other")
	killed := time.Now()
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := s.testimony(slot, func(t *testimony) bool { return t.PID != was.PID })
	t.Logf("started again after %v: %s", time.Since(killed), again.Launch.Assignment.Lost.Cause)
	kill()

	t.Log("the next one finds all, and stops them as its Config has it")
	stop := s.supervise(nil)
	s.shows(slot, cluster.ProcessRunning, func(p cluster.Process) bool { return p.Adopted && p.PID == again.PID })
	s.shows(slotOf(dead), cluster.ProcessRunning, func(p cluster.Process) bool { return p.Adopted })
	stop()
	s.dies(again.PID)
	s.dies(now.PID)
}

// Without NATS and nimbus an adopted worker lives on.
func TestAdoptionWithoutNATS(t *testing.T) {
	s := newSite(t)
	stop := s.supervise(func(c *Config) { c.StopWorkers = false })
	r := s.record("words", "beat")
	s.put(r)
	was := s.shows(slotOf(r), cluster.ProcessRunning, nil)
	stop()
	if err := s.server.Stop(); err != nil {
		t.Fatal(err)
	}
	stop = s.supervise(nil)
	time.Sleep(time.Second)
	if s, there := statOf(was.PID); !there || s.state == 'Z' {
		t.Error("the worker was killed because NATS was away")
	}
	stop()
	s.dies(was.PID)
}

// A process that has reused a dead worker's number is left alone; files that the worker left behind are removed.
func TestAdoptionOfTheDead(t *testing.T) {
	bystander := exec.Command("/proc/self/exe", "child")
	bystander.Env = []string{cluster.RoleVariable + "=worker"}
	bystander.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = out.WriteString("{}")
	_ = out.Close()
	bystander.ExtraFiles, bystander.Dir = []*os.File{in}, t.TempDir()
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	defer func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	}()
	s, there := statOf(bystander.Process.Pid)
	if !there {
		t.Fatal("the process is not there")
	}
	if p, err := find(bystander.Process.Pid, s.born-1); p != nil || err != nil {
		t.Errorf("found %+v, %v", p, err)
	}
	if s, there := statOf(bystander.Process.Pid); !there || s.state == 'Z' {
		t.Error("a bystander was killed")
	}
	p, err := find(bystander.Process.Pid, s.born)
	if p == nil || err != nil {
		t.Fatalf("found %+v, %v", p, err)
	}
	p.kill()
	if e, ended := p.wait(); !ended || e.signal != syscall.SIGKILL {
		t.Errorf("it ended %v, %v", e, ended)
	}
	p.close()
	if p, err := find(bystander.Process.Pid, s.born); p != nil || err != nil {
		t.Errorf("found %+v, %v", p, err)
	}
}

func TestOneSupervisorForEachDirectory(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	s.within(10*time.Second, "a beat", func() bool { return s.last().Name == host })
	other, err := New(s.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(context.Background()); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), filepath.Base(s.dir)) {
		t.Errorf("the second returns %v", err)
	}
}
