package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

var count0 = msgid.Alias{Operator: "count"}

func TestPlacesWhatIsSubmitted(t *testing.T) {
	w := newWorld(t, "a", "b")
	r := w.submit("words", 2)
	if got := w.places("words"); got != "a/0 b/0" || r.Status != cluster.Active || r.Shortage != "" || r.By != "anna" {
		t.Errorf("placed in %q, %s, shortage %q, by %q", got, r.Status, r.Shortage, r.By)
	}
	if !w.published(cluster.Submitted, "4 tasks") || !w.published(cluster.Assigned, "a/0 (2 tasks) b/0 (2 tasks)") {
		t.Errorf("events %v", w.events)
	}
}

func TestWaitsForSupervisors(t *testing.T) {
	w := newWorld(t)
	w.pass(2 * time.Second)
	if r := w.submit("words", 2); !strings.Contains(r.Shortage, "no supervisor is there: start one") {
		t.Errorf("shortage %q", r.Shortage)
	}
	w.join("a", 2)
	w.pass(time.Second)
	if r := w.core.Record("words"); w.places("words") != "a/0 a/1" || r.Shortage != "" {
		t.Errorf("placed in %q, shortage %q", w.places("words"), r.Shortage)
	}
}

// A host is given up when it is silent for the detection time; its workers move, the others do not.
func TestLostHost(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.submit("words", 2)
	before := w.core.Record("words").Placement[1]
	w.pass(time.Second)
	w.silent["a"] = true
	w.pass(2900 * time.Millisecond)
	if got := w.places("words"); got != "a/0 b/0" {
		t.Fatalf("moved too early: %s", got)
	}
	w.pass(300 * time.Millisecond)
	r := w.core.Record("words")
	if got := w.places("words"); got != "b/0 c/0" {
		t.Fatalf("placed in %s", got)
	}
	if fmt.Sprint(r.Placement[0]) != fmt.Sprint(before) {
		t.Errorf("the healthy worker changed from %v to %v", before, r.Placement[0])
	}
	loss := r.Placement[1].Lost
	if loss == nil || !strings.Contains(loss.Cause, "supervisor a and its worker a/0 were silent for 3s") || loss.DetectedAt.Sub(loss.LastSeen) < 3*time.Second {
		t.Errorf("loss %+v", loss)
	}
	if !w.published(cluster.WorkerLost, "silent for 3s") || !w.published(cluster.HostLost, "supervisor a") {
		t.Errorf("events %v", w.events)
	}
	w.silent["a"] = false
	w.pass(time.Second)
	if got := w.places("words"); got != "b/0 c/0" || !w.published(cluster.HostJoined, "supervisor a is back") {
		t.Errorf("after it came back: %s, %v", got, w.events)
	}
}

// A lost task without a free slot stays where it is: if its worker comes back, nothing has happened to it.
func TestLostWithoutReplacement(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 2)
	before := fmt.Sprint(w.core.Record("words").Placement)
	w.silent["a"] = true
	w.pass(10 * time.Second)
	r := w.core.Record("words")
	if fmt.Sprint(r.Placement) != before || !strings.Contains(r.Shortage, "4 tasks wait") {
		t.Errorf("placement %v, shortage %q", r.Placement, r.Shortage)
	}
	w.silent["a"] = false
	w.pass(time.Second)
	if r = w.core.Record("words"); fmt.Sprint(r.Placement) != before || r.Shortage != "" {
		t.Errorf("placement %v, shortage %q", r.Placement, r.Shortage)
	}
	if w.published(cluster.WorkerLost, "") {
		t.Error("reports a loss")
	}
}

// A silent worker is its supervisor's business, and a silent supervisor does not matter to workers that send
// heartbeats.
func TestHalfSilent(t *testing.T) {
	w := newWorld(t, "a", "b")
	r := w.submit("words", 2)
	w.dead[r.WorkerSlot(&r.Placement[0]).String()] = true
	w.pass(10 * time.Second)
	if got := w.places("words"); got != "a/0 b/0" {
		t.Errorf("with a silent worker: %s", got)
	}
	delete(w.dead, r.WorkerSlot(&r.Placement[0]).String())
	w.pass(time.Second)
	w.dead["a"] = true // only its workers send heartbeats
	w.pass(10 * time.Second)
	if got := w.places("words"); got != "a/0 b/0" {
		t.Errorf("with a silent supervisor: %s", got)
	}
}

// Workers and hosts are not given up for the time in which nimbus itself was asleep or cut off.
func TestOwnSleepIsNoSilence(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.submit("words", 2)
	w.pass(time.Second)
	w.now = w.now.Add(time.Hour)
	w.settle()
	w.pass(2 * time.Second)
	if got := w.places("words"); got != "a/0 b/0" || w.published(cluster.HostLost, "") {
		t.Errorf("after sleep: %s, %v", got, w.events)
	}
	w.silent["a"], w.silent["b"], w.silent["c"] = true, true, true
	w.pass(2500 * time.Millisecond)
	w.core.RestartDetection(w.now)
	w.silent = map[string]bool{}
	w.pass(2 * time.Second)
	if got := w.places("words"); got != "a/0 b/0" || w.published(cluster.HostLost, "") {
		t.Errorf("after being cut off: %s, %v", got, w.events)
	}
}

// A new leader gives up no worker before the detection time, and places no task on a silent host.
func TestFailover(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	w.submit("words", 2)
	w.silent["a"] = true
	w.lead()
	w.submit("more", 3)
	if got := w.places("more"); got != "" {
		t.Errorf("placed before any heartbeat: %s", got)
	}
	w.pass(2900 * time.Millisecond)
	if got := w.places("words") + ", " + w.places("more"); got != "a/0 b/0, b/1 c/0 c/1" {
		t.Fatalf("before detection: %s", got)
	}
	w.kill("more", 0)
	w.pass(500 * time.Millisecond)
	if got := w.places("words"); got != "b/0 c/0" {
		t.Errorf("after detection: %s", got)
	}
}

func TestCompletes(t *testing.T) {
	w := newWorld(t, "a", "b")
	r := w.submit("words", 2)
	for _, alias := range r.Spec.Tasks()[:3] {
		w.state[alias] = "complete"
	}
	w.pass(5 * time.Second)
	if r = w.core.Record("words"); r.Status != cluster.Active {
		t.Fatalf("three of four tasks complete: %s", r.Status)
	}
	w.state[r.Spec.Tasks()[3]] = "complete"
	w.pass(time.Second)
	r = w.core.Record("words")
	if r.Status != cluster.Completed || len(r.Placement) != 0 || !strings.HasPrefix(r.Reason, "all 4 tasks complete after") {
		t.Errorf("%s, %v, %q", r.Status, r.Placement, r.Reason)
	}
	w.pass(11 * time.Second)
	if got := w.core.DeletableLogs(w.now); len(got) != 1 || len(w.core.Logs()) != 0 {
		t.Errorf("its log: %v", got)
	}
	w.kill("words", time.Minute)
	if w.places("words") != "gone" {
		t.Error("a complete topology is not killed at once")
	}
}

func TestFails(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	w.state[count0], w.problem[count0] = "FAILED", "failed 5 times in a row, last: boom"
	w.pass(time.Second)
	r := w.core.Record("words")
	if r.Status != cluster.Failed || r.Reason != "task count.0: failed 5 times in a row, last: boom" || w.places("words") != "a/0" {
		t.Errorf("%s, %q, %s", r.Status, r.Reason, w.places("words"))
	}
	if _, _, err := w.core.Activate(w.now, "words", false); refused(err) != cluster.CodeConflict {
		t.Errorf("deactivate: %v", err)
	}
	// It may be tried again: without effect, then with.
	for _, status := range []cluster.Status{cluster.Failed, cluster.Active} {
		x, r, err := w.core.Activate(w.now, "words", true)
		w.write(x)
		if err != nil || r.Status != cluster.Active || r.Reason != "" {
			t.Fatalf("activate: %+v, %v", r, err)
		}
		w.pass(time.Second)
		if r = w.core.Record("words"); r.Status != status {
			t.Errorf("tried again: %s, want %s", r.Status, status)
		}
		delete(w.state, count0)
	}
}

// A task that is fenced runs elsewhere: the topology has not failed.
func TestFencedIsNotFailed(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	w.state[count0], w.problem[count0], w.fenced[count0] = cluster.StateFailed, "task count.0: fenced", true
	w.pass(5 * time.Second)
	if r := w.core.Record("words"); r.Status != cluster.Active {
		t.Errorf("%s, %q", r.Status, r.Reason)
	}
}

func TestRefusedByItsSupervisor(t *testing.T) {
	w := newWorld(t, "a")
	r := w.submit("words", 1)
	slot := r.WorkerSlot(&r.Placement[0])
	w.process["x"] = cluster.Process{Slot: slot, State: "waiting", Error: "exit status 1"}
	w.pass(10 * time.Second)
	if r = w.core.Record("words"); r.Status != cluster.Active {
		t.Fatalf("a crash loop: %s", r.Status)
	}
	w.process["x"] = cluster.Process{Slot: slot, State: "failed", Error: "artefact does not match its digest"}
	w.pass(2 * time.Second)
	if r = w.core.Record("words"); r.Status != cluster.Failed || !strings.Contains(r.Reason, "a/0 cannot run: artefact does not match") {
		t.Errorf("%s, %q", r.Status, r.Reason)
	}
}

// A worker that gave up a task which has come back to it meanwhile receives the assignment again.
func TestFencedInItsOwnSlot(t *testing.T) {
	w := newWorld(t, "a")
	r := w.submit("words", 1)
	w.pass(3 * time.Second)
	before := w.records["words"].Revision
	w.process["x"] = cluster.Process{Slot: r.WorkerSlot(&r.Placement[0]), State: cluster.ProcessFailed, Error: "its tasks run elsewhere", Fenced: true}
	w.pass(time.Second)
	delete(w.process, "x")
	if after := w.records["words"]; after.Revision == before || after.Record.Status != cluster.Active {
		t.Errorf("revision %d, then %d; %s", before, after.Revision, after.Record.Status)
	}
}

// A task that has FAILED leaves its error in the record, until the topology is tried again.
func TestFailureIsKept(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	failure := &cluster.Failure{Task: count0, MessageID: "lines.0>count.0#7", Tuple: "word=x", Cause: "no"}
	w.state[count0], w.problem[count0], w.failure[count0] = cluster.StateFailed, "task count.0 could not", failure
	w.pass(cluster.HeartbeatEvery)
	r := w.core.Record("words")
	if r.Status != cluster.Failed || r.Failure == nil || *r.Failure != *failure || !strings.Contains(r.Reason, "task count.0 could not") {
		t.Fatalf("%s, %q, %+v", r.Status, r.Reason, r.Failure)
	}
	if s := w.core.List(w.now).Topologies[0]; s.Failure == nil || s.Failure.Cause != "no" {
		t.Errorf("the list has %+v", s.Failure)
	}
	if _, kept := w.core.Lost("words"); kept == nil {
		t.Error("explain does not get the failure")
	}
	write, _, err := w.core.Activate(w.now, "words", true)
	if err != nil || write.Record.Failure != nil || write.Record.Reason != "" {
		t.Errorf("tried again: %v, %+v", err, write)
	}
}

// Lost tuples are counted per operator: through restores, which report less for a moment, and when the topology is complete.
func TestLostTuples(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	all := w.core.Record("words").Spec.Tasks()
	w.lost[count0] = [2]uint64{3, 10}
	w.pass(cluster.HeartbeatEvery)
	w.lost[count0] = [2]uint64{0, 12}
	w.pass(cluster.HeartbeatEvery)
	w.lost[count0] = [2]uint64{2, 11}
	w.pass(cluster.HeartbeatEvery)
	want := []cluster.LostTuples{{Operator: "count", Dead: 3, Dropped: 12}}
	if got := w.core.List(w.now).Topologies[0].Lost; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, alias := range all {
		w.state[alias] = cluster.StateComplete
	}
	w.pass(2 * cluster.HeartbeatEvery)
	r := w.core.Record("words")
	if r.Status != cluster.Completed || !slices.Equal(r.LostTuples, want) || !strings.Contains(r.Reason, "3 tuples became dead letters, 12 were dropped") {
		t.Errorf("%s, %q, %+v", r.Status, r.Reason, r.LostTuples)
	}
	for _, failover := range []bool{false, true} {
		if failover {
			w.lead()
		}
		if d, err := w.core.Describe(w.now, "words"); err != nil || !slices.Equal(d.Lost, want) {
			t.Errorf("failover %v: %v, %+v", failover, err, d)
		}
	}
}
