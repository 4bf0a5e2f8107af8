package clustertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/internal/netlab"
)

// TestFaults hurts a cluster in the ways of the table of faults, one after another. The numbers are the table's.
func TestFaults(t *testing.T) {
	unlessCI(t)
	parts(t, start, []part{
		{"03 worker killed", (*fixture).workerKilled},
		{"04 worker paused, its tasks restored elsewhere", (*fixture).workerPaused},
		{"08 all workers killed", (*fixture).allWorkersKilled},
		{"09 supervisor killed, its workers live", (*fixture).supervisorKilled},
		{"10 host lost", (*fixture).hostLost},
		{"11 nimbus killed", (*fixture).nimbusKilled},
		{"12 13 leader paused past its lease", (*fixture).leaderPaused},
		{"14 NATS restarts cleanly, one server after another", (*fixture).natsRestarted},
		{"15 NATS server killed", (*fixture).natsKilled},
		{"16 the store of a NATS server wiped", (*fixture).storeWiped},
		{"17 host cut off", (*fixture).cutOff},
		{"18 host cut off in one direction", (*fixture).mute},
		{"34 processor starved", (*fixture).starved},
		{"41 the same name submitted twice", (*fixture).submittedTwice},
		{"42 kill and rebalance race submit", (*fixture).raced},
		{"rolling restart of everything", (*fixture).rollingRestart},
		{"parallelism changed under load", (*fixture).rescaled},
	})
}

func (f *fixture) workerKilled() {
	r := f.submit("worker-killed")
	r.kill(r.worker())
	r.settle()
}

// rescaled changes the number of tasks that split lines, up and down, and kills a worker each time as soon as the topology
// goes on.
func (f *fixture) rescaled() {
	r := f.submit("rescaled")
	for _, n := range []int{4, 1} {
		before := r.look().Topology
		r.harmAll()
		operate[view.Topology](f, "rebalance", r.name, "--parallel", fmt.Sprintf("split=%d", n))
		after := r.look().Topology
		if now := tasksOf(&after, "split"); after.Instance == before.Instance || now != n {
			f.t.Errorf("%s with %d tasks of split has become %s with %d, want %d", before.Instance, tasksOf(&before, "split"), after.Instance, now, n)
		}
		r.kill(r.worker())
	}
	r.settle()
}

// tasksOf returns the number of tasks of an operator.
func tasksOf(t *view.Topology, operator string) int {
	i := slices.IndexFunc(t.Operators, func(o view.Operator) bool { return o.Name == operator })
	return t.Operators[i].Tasks
}

func (f *fixture) allWorkersKilled() {
	r := f.submit("all-killed")
	for _, w := range r.workers() {
		r.kill(w)
	}
	r.settle()
}

// workerPaused pauses a whole host: its supervisor would otherwise kill the worker that is silent.
func (f *fixture) workerPaused() {
	r := f.submit("worker-paused")
	w := r.worker()
	host := f.host(w)
	r.harm(w)
	f.hosts[host].Signal(syscall.SIGSTOP)
	f.eventually(30*time.Second, "its tasks are elsewhere", func() bool { return !r.has(w) && len(r.workers()) > 0 })
	time.Sleep(time.Second) // they have begun
	f.hosts[host].Signal(syscall.SIGCONT)
	f.eventually(30*time.Second, "the old worker is gone", func() bool {
		return errors.Is(syscall.Kill(w.PID, 0), syscall.ESRCH)
	})
	f.up(host)
	r.settle()
}

// has reports whether the topology has a worker in the slot of another.
func (r *run) has(w view.Worker) bool {
	return slices.ContainsFunc(r.look().Workers, func(now view.Worker) bool { return place(now) == place(w) })
}

// up waits until a supervisor sends heartbeats.
func (f *fixture) up(n int) {
	f.t.Helper()
	name := fmt.Sprintf("s%d", n+1)
	f.eventually(30*time.Second, name+" is up", func() bool {
		return slices.ContainsFunc(f.list().Supervisors, func(h view.Supervisor) bool { return h.Name == name && h.State == "up" })
	})
}

func (f *fixture) supervisorKilled() {
	r := f.submit("supervisor-killed")
	w := r.worker()
	host := f.host(w)
	f.supervisors[host].Kill()
	time.Sleep(detection + time.Second) // the worker goes on, so nothing moves
	if err := syscall.Kill(w.PID, 0); err != nil {
		f.t.Errorf("the worker has not outlived its supervisor: %v", err)
	}
	f.startSupervisor(host)
	f.up(host)
	f.eventually(20*time.Second, "the worker is adopted", func() bool {
		for _, now := range r.look().Workers {
			if place(now) == place(w) {
				return now.Adopted && now.PID == w.PID
			}
		}
		return false
	})
	r.settle()
}

func (f *fixture) hostLost() {
	r := f.submit("host-lost")
	w := r.worker()
	host := f.host(w)
	r.harm(w)
	f.hosts[host].Signal(syscall.SIGKILL)
	r.settle()
	f.startSupervisor(host)
	f.up(host)
}

// leader returns the number of the nimbus that leads.
func (f *fixture) leader() int {
	f.t.Helper()
	return int(f.list().Leader[1] - '1')
}

func (f *fixture) nimbusKilled() {
	r := f.submit("nimbus-killed")
	first := f.leader()
	f.nimbus[first].Kill()
	began := time.Now()
	f.eventually(5*time.Second, "the other leads", func() bool { return f.leader() == 1-first })
	f.t.Logf("the other leads after %v", time.Since(began).Round(10*time.Millisecond))
	f.nimbus[1-first].Kill()
	_, err := f.askback("operate", "submit", f.program("wordcount"), "--name", "unplaced", "--timeout", "3s", "--", "-out", f.dir, text)
	if err == nil || !strings.Contains(err.Error(), "nimbus") {
		f.t.Errorf("without a nimbus submit fails with: %v", err)
	}
	time.Sleep(2 * time.Second) // running topologies go on
	f.startNimbus(0)
	f.startNimbus(1)
	r.settle()
}

func (f *fixture) leaderPaused() {
	r := f.submit("leader-paused")
	first := f.leader()
	epoch := f.list().Epoch
	f.nimbus[first].Signal(syscall.SIGSTOP)
	f.eventually(10*time.Second, "the other leads", func() bool { return f.leader() == 1-first })
	f.nimbus[first].Signal(syscall.SIGCONT)
	time.Sleep(2 * time.Second)
	if l := f.list(); f.leader() != 1-first || l.Epoch != epoch+1 {
		f.t.Errorf("the paused leader is back: %s leads, epoch %d after %d", l.Leader, l.Epoch, epoch)
	}
	r.settle()
}

func (f *fixture) natsRestarted() {
	r := f.submit("nats-restarted")
	for n := range f.nats {
		f.nats[n].Signal(syscall.SIGTERM)
		<-f.nats[n].Ended()
		f.startNATS(n)
		time.Sleep(3 * time.Second)
	}
	r.settle()
}

func (f *fixture) natsKilled() {
	r := f.submit("nats-killed")
	f.nats[0].Kill()
	time.Sleep(3 * time.Second)
	f.startNATS(0)
	r.settle()
}

func (f *fixture) storeWiped() {
	r := f.submit("store-wiped")
	f.nats[1].Kill()
	stores, err := filepath.Glob(filepath.Join(f.dir, "store", "*2*"))
	if err != nil || len(stores) != 1 {
		f.t.Fatalf("the store of the second server: %q, %v", stores, err)
	}
	if err := os.RemoveAll(stores[0]); err != nil {
		f.t.Fatal(err)
	}
	f.startNATS(1)
	r.settle()
}

func (f *fixture) cutOff() { f.silenced("cut-off", (*netlab.Host).Down, (*netlab.Host).Up) }

func (f *fixture) mute() { f.silenced("mute", (*netlab.Host).Mute, (*netlab.Host).Unmute) }

// silenced keeps a host silent until its tasks are elsewhere.
func (f *fixture) silenced(name string, begin, end func(*netlab.Host)) {
	r := f.submit(name)
	w := r.worker()
	host := f.host(w)
	r.harm(w)
	begin(f.hosts[host])
	f.eventually(30*time.Second, "its tasks are elsewhere", func() bool { return !r.has(w) })
	end(f.hosts[host])
	f.up(host)
	r.settle()
}

// starved has ten processes compete for each processor for longer than the detection time: no worker is given up for
// that.
func (f *fixture) starved() {
	r := f.submit("starved")
	var hogs []func()
	for n := range 10 {
		p := f.op.Start(fmt.Sprintf("hog%d", n), "sh", "-c", "while :; do :; done")
		hogs = append(hogs, p.Kill)
	}
	time.Sleep(3 * detection)
	for _, kill := range hogs {
		kill()
	}
	r.settle() // no incarnation may have changed
}

func (f *fixture) submittedTwice() {
	r := f.submit("twice")
	_, err := f.askback("operate", "submit", f.program("wordcount"), "--name", "twice", "--", "-out", r.out, text)
	if err == nil || !strings.Contains(err.Error(), "exists") {
		f.t.Errorf("the second submission fails with: %v", err)
	}
	r.settle()
}

// raced has several commands race. Whichever wins, the topology is there or not, and the cluster goes on.
func (f *fixture) raced() {
	out := f.shared("raced")
	for range 3 {
		done := make(chan error, 4)
		for _, args := range [][]string{
			{"submit", f.program("wordcount"), "--name", "raced", "--json", "--", "-out", out, "-rate", "1000", text},
			{"submit", f.program("wordcount"), "--name", "raced", "--json", "--", "-out", out, "-rate", "1000", text},
			{"rebalance", "raced", "--workers", "1", "--json"},
			{"kill", "raced", "--wait", "0s", "--json"},
		} {
			go func() {
				_, err := f.askback("operate", args...)
				done <- err
			}()
		}
		for range 4 {
			if err := <-done; err != nil {
				f.t.Log(err)
			}
		}
		if out, err := f.askback("operate", "kill", "raced", "--wait", "0s", "--json"); err == nil {
			var r view.Topology
			if err := json.Unmarshal(out, &r); err != nil {
				f.t.Errorf("%s: %v", out, err)
			}
		}
		f.eventually(20*time.Second, "it is gone", func() bool {
			return !slices.ContainsFunc(f.list().Topologies, func(s view.Summary) bool { return s.Name == "raced" })
		})
	}
}

func (f *fixture) rollingRestart() {
	r := f.submit("rolling")
	r.harmAll()
	for n := range f.nimbus {
		f.nimbus[n].Signal(syscall.SIGTERM)
		<-f.nimbus[n].Ended()
		f.startNimbus(n)
		time.Sleep(time.Second)
	}
	for n := range f.supervisors {
		f.supervisors[n].Signal(syscall.SIGTERM)
		<-f.supervisors[n].Ended()
		f.startSupervisor(n)
		f.up(n)
	}
	for n := range f.nats {
		f.nats[n].Signal(syscall.SIGTERM)
		<-f.nats[n].Ended()
		f.startNATS(n)
		time.Sleep(3 * time.Second)
	}
	for _, w := range r.workers() {
		if err := syscall.Kill(w.PID, syscall.SIGTERM); err != nil {
			f.t.Logf("restart worker %s: %v", place(w), err)
		}
		time.Sleep(time.Second)
	}
	r.settle()
}
