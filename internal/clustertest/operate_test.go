package clustertest

import (
	"encoding/json"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/internal/netlab"
	"github.com/askback/askback/msgid"
)

// TestOperate does to a topology under load what operators do.
func TestOperate(t *testing.T) {
	unlessCI(t)
	parts(t, start, []part{
		{"rebalance from one worker to three", (*fixture).rebalanced},
		{"deactivate and activate", (*fixture).deactivated},
		{"logs", (*fixture).logged},
		{"log-level", (*fixture).leveled},
		{"tap", (*fixture).tapped},
	})
}

func (f *fixture) rebalanced() {
	r := f.submitTo("rebalanced", 1, 150_000)
	r.harmAll()
	operate[view.Topology](f, "rebalance", r.name, "--workers", "3")
	f.eventually(20*time.Second, "three workers run", func() bool { return len(r.workers()) == 3 })
	r.settle()
}

// deactivated: while a topology is inactive its spout emits nothing.
func (f *fixture) deactivated() {
	r := f.submit("deactivated")
	operate[view.Topology](f, "deactivate", r.name)
	was := r.emitted("lines")
	f.eventually(10*time.Second, "the spout is quiet", func() bool {
		before := was
		time.Sleep(2 * cluster.HeartbeatEvery)
		was = r.emitted("lines")
		return was == before
	})
	if p := r.progress(); p >= 100 {
		f.t.Fatalf("%d %% are read already: there is nothing to hold back", p)
	}
	time.Sleep(3 * time.Second)
	if now := r.emitted("lines"); now != was {
		f.t.Errorf("it has emitted %d while it was inactive", now-was)
	}
	operate[view.Topology](f, "activate", r.name)
	r.settle()
}

// emitted returns what the first task of an operator has emitted.
func (r *run) emitted(operator string) uint64 {
	r.f.t.Helper()
	for _, t := range r.look().Tasks {
		if t.Task == (msgid.Alias{Operator: operator}) {
			return t.Emitted
		}
	}
	return 0
}

// logged: --task shows lines of that task only, and --follow those of a process that has just begun.
func (f *fixture) logged() {
	r := f.submit("logged")
	out, err := f.askback("view", "logs", r.name, "--task", "count.0", "--json")
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for text := range strings.Lines(string(out)) {
		var shown struct{ Line string }
		var line struct{ Task string }
		if err := json.Unmarshal([]byte(text), &shown); err != nil {
			f.t.Fatalf("%q: %v", text, err)
		}
		if err := json.Unmarshal([]byte(shown.Line), &line); err != nil || line.Task != "count.0" {
			f.t.Errorf("of another task: %q", shown.Line)
		}
		n++
	}
	if n == 0 {
		f.t.Error("count.0 has logged nothing")
	}

	follow := f.command("view", "logs", r.name, "--follow")
	f.eventually(10*time.Second, "the beginning is shown", func() bool { return strings.Count(follow.Tail(1<<20), "worker begins") == 3 })
	r.kill(r.worker())
	f.eventually(20*time.Second, "the next process is shown", func() bool { return strings.Count(follow.Tail(1<<20), "worker begins") == 4 })
	for _, pid := range pidsOf(f.op, "logs") {
		_ = syscall.Kill(pid, syscall.SIGINT)
	}
	<-follow.Ended()
	r.settle()
}

// command starts the command line on the operator's host.
func (f *fixture) command(as string, args ...string) *netlab.Process {
	f.t.Helper()
	return f.op.Start(args[0], append(append([]string{f.program("askback"), args[0]}, f.connection(as)...), args[1:]...)...)
}

// leveled: messages below the level are not logged for a while.
func (f *fixture) leveled() {
	r := f.submit("leveled")
	recovered := func() int {
		out, err := f.askback("view", "logs", r.name, "--task", "count.1")
		if err != nil {
			f.t.Fatal(err)
		}
		return strings.Count(string(out), "task recovered")
	}
	restart := func(times int) {
		r.hurt[msgid.Alias{Operator: "count", Index: 1}] = true
		operate[view.Topology](f, "restart", r.name, "count.1")
		f.eventually(20*time.Second, "it is back", func() bool {
			n := 0
			for _, e := range f.explain(r.name) {
				if e.Recovery != nil && e.Task == "count.1" {
					n++
				}
			}
			return n == times
		})
	}
	const length = 8 * time.Second
	operate[view.Topology](f, "log-level", r.name, "error", "--for", length.String())
	since := time.Now()
	time.Sleep(time.Second) // the order is on its way
	restart(1)
	if n := recovered(); n != 0 {
		f.t.Errorf("at level error %d recoveries are logged", n)
	}
	time.Sleep(time.Until(since.Add(length + 2*cluster.HeartbeatEvery)))
	restart(2)
	f.eventually(5*time.Second, "later messages are logged", func() bool { return recovered() == 1 })
	r.settle()
}

// tapped: tuples are shown as they pass, to users who may see them.
func (f *fixture) tapped() {
	r := f.submit("tapped")
	out, err := f.askback("operate", "tap", r.name, "lines>split", "--sample", "1/100", "--count", "5")
	if err != nil {
		f.t.Fatal(err)
	}
	n := 0
	for text := range strings.Lines(string(out)) {
		var shown struct {
			ID     string
			Fields struct{ Value *string }
		}
		if err := json.Unmarshal([]byte(text), &shown); err != nil || shown.ID == "" || shown.Fields.Value == nil {
			f.t.Errorf("%q: %v", text, err)
		}
		n++
	}
	if n != 5 {
		f.t.Errorf("%d tuples instead of 5", n)
	}
	if out, err := f.askback("view", "tap", r.name, "lines>split", "--for", "2s"); err == nil || !strings.Contains(err.Error(), "operate") {
		f.t.Errorf("a user of role view sees tuples: %v\n%s", err, out)
	}
	r.settle()
}
