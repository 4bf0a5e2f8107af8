package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/nimbus/core"
	"github.com/askback/askback/msgid"
)

// A submission is known by its nonce: the same one is answered again, another of its name is refused.
func TestSubmitTwice(t *testing.T) {
	w := newWorld(t, "a")
	s, first, _, err := w.core.Admit(request("words", 1))
	if err != nil || !first {
		t.Fatal(err)
	}
	if again, first, _, err := w.core.Admit(request("words", 1)); again != s || first || err != nil {
		t.Errorf("the same while it is prepared: %v, %v", first, err)
	}
	other := request("words", 1)
	other.Nonce = "other"
	if _, _, _, err := w.core.Admit(other); refused(err) != cluster.CodeConflict {
		t.Errorf("another while it is prepared: %v", err)
	}
	w.accept(s, "")
	if _, _, r, err := w.core.Admit(request("words", 1)); r != w.core.Record("words") || err != nil {
		t.Errorf("the same afterwards: %v", err)
	}
	_, _, _, err = w.core.Admit(other)
	if refused(err) != cluster.CodeConflict || !strings.Contains(err.Error(), "exists: words has been running since 2026-11-21T08:00:00Z; submit with --resume") {
		t.Errorf("another afterwards: %v", err)
	}
	// A submission that comes to nothing leaves its name free.
	s, _, _, _ = w.core.Admit(request("more", 1))
	w.core.Reject(s)
	if _, first, _, err := w.core.Admit(request("more", 2)); !first || err != nil {
		t.Errorf("after a rejection: %v", err)
	}
}

// A topology that has failed goes on from its log with a repaired program of the same plan, in its place. Its record keeps
// the instance, so its workers find the log.
func TestResume(t *testing.T) {
	w := newWorld(t, "a")
	repaired := request("words", 1)
	repaired.Resume, repaired.Nonce, repaired.Args, repaired.Artefact.SHA256 = true, "repaired", []string{"now"}, strings.Repeat("cd", 32)
	if _, _, _, err := w.core.Admit(repaired); refused(err) != cluster.CodeNotFound {
		t.Errorf("there is nothing to go on from: %v", err)
	}
	before := *w.submit("words", 1)
	for name, change := range map[string]func(*cluster.SubmitRequest){
		"plan":     func(q *cluster.SubmitRequest) { q.Spec.Plan++ },
		"strategy": func(q *cluster.SubmitRequest) { q.Spec.Strategy = "barrier" },
	} {
		other := *repaired
		change(&other)
		if _, _, _, err := w.core.Admit(&other); refused(err) != cluster.CodeConflict || !strings.Contains(err.Error(), name) {
			t.Errorf("another %s: %v", name, err)
		}
	}
	w.state[count0], w.problem[count0] = cluster.StateFailed, "task count.0 could not"
	w.pass(cluster.HeartbeatEvery)
	s, first, _, err := w.core.Admit(repaired)
	if err != nil || !first || s.Instance != before.Instance {
		t.Fatalf("admitted as %+v, %v", s, err)
	}
	delete(w.state, count0)
	w.pass(cluster.HeartbeatEvery) // records are written meanwhile, and the submission stays
	if again, first, _, err := w.core.Admit(repaired); again != s || first || err != nil {
		t.Errorf("the same while it is prepared: %v, %v", first, err)
	}
	w.accept(s, "anna")
	r := w.core.Record("words")
	if r.Status != cluster.Active || r.Failure != nil || r.Reason != "" || r.Instance != before.Instance || r.Artefact.SHA256 != repaired.Artefact.SHA256 ||
		!slices.Equal(r.Args, repaired.Args) || len(r.Placement) != len(before.Placement) || r.By != "anna" {
		t.Errorf("the record is %+v", r)
	}
	if !w.published(cluster.Submitted, "goes on with program cdcd") {
		t.Errorf("events: %+v", w.events)
	}
	if _, _, now, err := w.core.Admit(repaired); now != r || err != nil {
		t.Errorf("the same afterwards: %v", err)
	}
	// A topology that is killed while its program is prepared does not come back.
	repaired = &cluster.SubmitRequest{Spec: r.Spec, Artefact: r.Artefact, Workers: 1, Resume: true, Nonce: "third"}
	if s, _, _, err = w.core.Admit(repaired); err != nil {
		t.Fatal(err)
	}
	w.kill("words", 0)
	if _, err := w.core.Accept(w.now, s, "", "process"); refused(err) != cluster.CodeConflict {
		t.Errorf("killed meanwhile: %v", err)
	}
}

// A topology goes on with another program unless it has ended or is about to, or its numbers of tasks are no program's. That
// holds when the program is submitted, and once more when it has been prepared.
func TestResumeOfEveryStatus(t *testing.T) {
	// changes brings a running topology into another status, after which a submission is refused with a code; "" it is not.
	changes := map[string]struct {
		change func(w *world)
		code   cluster.ErrCode
	}{
		"active": {func(*world) {}, ""},
		"inactive": {func(w *world) {
			x, _, err := w.core.Activate(w.now, "words", false)
			if err != nil {
				t.Fatal(err)
			}
			w.write(x)
		}, ""},
		"failed": {func(w *world) {
			w.state[count0], w.failure[count0] = cluster.StateFailed, &cluster.Failure{Task: count0, Cause: "no"}
			w.pass(cluster.HeartbeatEvery)
			delete(w.state, count0)
			delete(w.failure, count0)
		}, ""},
		"killing": {func(w *world) { w.kill("words", time.Minute) }, cluster.CodeConflict},
		"completed": {func(w *world) {
			for _, alias := range w.core.Record("words").Spec.Tasks() {
				w.state[alias] = cluster.StateComplete
			}
			w.pass(2 * cluster.HeartbeatEvery)
		}, cluster.CodeConflict},
		"gone": {func(w *world) { w.kill("words", 0); w.pass(time.Second) }, cluster.CodeConflict},
		"another of its name": {func(w *world) {
			w.kill("words", 0)
			w.pass(time.Second)
			q := request("words", 1)
			q.Spec, q.Nonce = three(2), "later"
			s, _, _, err := w.core.Admit(q)
			if err != nil {
				s = &core.Submission{Instance: cluster.NewInstance("words"), Request: q} // while the name is reserved
			}
			w.accept(s, "bert")
			w.settle()
		}, cluster.CodeConflict},
		"rescaling": {func(w *world) { w.rescale(4) }, cluster.CodeUnavailable},
		"rescaled": {func(w *world) {
			as := w.rescale(4)
			w.stand(7)
			for range 50 {
				if w.core.Record("words").Instance == as {
					return
				}
				w.pass(100 * time.Millisecond)
			}
			t.Fatal("it is not rescaled")
		}, cluster.CodeConflict},
	}
	repaired := func() *cluster.SubmitRequest {
		q := request("words", 2)
		q.Spec, q.Resume, q.Nonce, q.Args = three(2), true, "repaired", []string{"now"}
		return q
	}
	for name, c := range changes {
		t.Run(name+" before", func(t *testing.T) {
			w := begun(t, nil)
			c.change(w)
			want := c.code
			switch name {
			case "gone":
				want = cluster.CodeNotFound
			case "another of its name":
				want = "" // it is that one which goes on
			}
			q := repaired()
			if name == "rescaled" {
				q.Spec = three(4) // even that one's numbers
			}
			if _, _, _, err := w.core.Admit(q); refused(err) != want || (err == nil) != (want == "") {
				t.Errorf("admitted with %v, want code %q", err, want)
			}
		})
		t.Run(name+" meanwhile", func(t *testing.T) {
			w := begun(t, nil)
			s, _, _, err := w.core.Admit(repaired())
			if err != nil {
				t.Fatal(err)
			}
			c.change(w)
			before := w.core.Record("words")
			x, err := w.core.Accept(w.now, s, "anna", "process")
			if refused(err) != c.code || (err == nil) != (c.code == "") {
				t.Fatalf("accepted with %v, want code %q", err, c.code)
			}
			if err != nil {
				return
			}
			r := x.Record
			if r.Instance != before.Instance || !slices.Equal(r.Args, []string{"now"}) || r.Failure != nil || r.Reason != "" {
				t.Errorf("the record is %+v", r)
			}
			want, since := before.Status, before.Since
			if name == "failed" {
				want, since = cluster.Active, w.now
			}
			if r.Status != want || !r.Since.Equal(since) {
				t.Errorf("it is %s since %v, want %s since %v", r.Status, r.Since, want, since)
			}
		})
	}
}

func TestRefusesBadSubmissions(t *testing.T) {
	for name, spoil := range map[string]func(*cluster.SubmitRequest){
		"name with a dot":      func(q *cluster.SubmitRequest) { q.Spec.Name = "a.>" },
		"path":                 func(q *cluster.SubmitRequest) { q.Spec.Name = "../x" },
		"line break":           func(q *cluster.SubmitRequest) { q.Spec.Name = "a\nb" },
		"5 KB":                 func(q *cluster.SubmitRequest) { q.Spec.Name = strings.Repeat("x", 5000) },
		"operator with a star": func(q *cluster.SubmitRequest) { q.Spec.Operators[0].Name = "*" },
		"no operators":         func(q *cluster.SubmitRequest) { q.Spec.Operators = nil },
		"edge to nowhere":      func(q *cluster.SubmitRequest) { q.Spec.Edges[0].To = "nobody" },
		"no digest":            func(q *cluster.SubmitRequest) { q.Artefact.SHA256 = "abc" },
		"upper case digest":    func(q *cluster.SubmitRequest) { q.Artefact.SHA256 = strings.Repeat("AB", 32) },
		"no nonce":             func(q *cluster.SubmitRequest) { q.Nonce = "" },
		"bad tag":              func(q *cluster.SubmitRequest) { q.Tags = []string{"a b"} },
		"zero byte":            func(q *cluster.SubmitRequest) { q.Args = []string{"a\x00b"} },
		"many workers":         func(q *cluster.SubmitRequest) { q.Workers = 1 << 30 },
	} {
		w := newWorld(t, "a")
		q := request("words", 1)
		spoil(q)
		if _, _, _, err := w.core.Admit(q); refused(err) != cluster.CodeBadRequest || len(err.Error()) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKill(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	r := w.kill("words", 10*time.Second)
	if r.Status != cluster.Killing || !r.KillAt.Equal(w.now.Add(10*time.Second)) {
		t.Errorf("killed: %s at %v", r.Status, r.KillAt)
	}
	if again := w.kill("words", 20*time.Second); again != r {
		t.Error("a later kill moved the end")
	}
	w.kill("words", 5*time.Second)
	w.pass(4900 * time.Millisecond)
	if got := w.places("words"); got != "a/0" {
		t.Fatalf("ended early: %s", got)
	}
	w.pass(200 * time.Millisecond)
	if got := w.places("words"); got != "gone" {
		t.Fatalf("after its time: %s", got)
	}
	if again := w.kill("words", 0); again.Instance != r.Instance {
		t.Error("a kill whose answer was lost cannot be asked again")
	}
	if _, _, err := w.core.Kill(w.now, &cluster.KillRequest{Name: "other"}); refused(err) != cluster.CodeNotFound {
		t.Errorf("kill of nothing: %v", err)
	}
}

// The log of an ended topology is deleted when its workers are quiet, not before.
func TestLogsOfTheEnded(t *testing.T) {
	w := newWorld(t, "a")
	r := w.submit("words", 1)
	w.core.LogsFound(w.now, []cluster.Instance{r.Instance, "left-abcdefgh"})
	w.kill("words", 0)
	if r2 := w.submit("words", 1); r2.Instance == r.Instance {
		t.Fatal("the next one of its name is the same instance")
	}
	w.pass(9 * time.Second)
	w.core.WorkerHeartbeat(w.now, &cluster.Heartbeat{Slot: cluster.WorkerSlot{Instance: r.Instance, Supervisor: "a"}})
	w.pass(2 * time.Second)
	if got := fmt.Sprint(w.core.DeletableLogs(w.now)); got != "[left-abcdefgh]" {
		t.Errorf("ended: %s", got)
	}
	w.core.LogDeleted("left-abcdefgh")
	w.pass(9 * time.Second)
	if got := fmt.Sprint(w.core.DeletableLogs(w.now)); got != fmt.Sprintf("[%s]", r.Instance) {
		t.Errorf("ended: %s", got)
	}
	if logs := w.core.Logs(); len(logs) != 1 || logs[0] != w.core.Record("words") {
		t.Errorf("logs of %v", logs)
	}
}

// A wall clock that jumps does not end a topology early, nor keep it.
func TestKillDespiteClock(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour} {
		w := newWorld(t, "a")
		w.submit("words", 1)
		w.kill("words", 10*time.Second)
		change := w.records["words"]
		moved := *change.Record
		moved.Since, moved.KillAt = moved.Since.Add(jump), moved.KillAt.Add(jump)
		w.records["words"] = cluster.Change{Name: "words", Record: &moved, Revision: change.Revision}
		w.lead()
		w.pass(11 * time.Second)
		if got := w.places("words"); got != "gone" {
			t.Errorf("clock moved by %v: %s", -jump, got)
		}
	}
}

func TestActivate(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	for _, active := range []bool{false, false, true, true} {
		x, r, err := w.core.Activate(w.now, "words", active)
		w.write(x)
		if err != nil || (r.Status == cluster.Active) != active {
			t.Errorf("activate %v: %v, %v", active, r, err)
		}
	}
	w.kill("words", time.Second)
	if _, _, err := w.core.Activate(w.now, "words", true); refused(err) != cluster.CodeConflict {
		t.Errorf("activate a topology that ends: %v", err)
	}
}

func TestRebalance(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 2)
	w.join("b", 2)
	w.pass(time.Second)
	if got := w.places("words"); got != "a/0 a/1" {
		t.Fatalf("moved by itself: %s", got)
	}
	x, r, err := w.core.Rebalance(w.now, &cluster.RebalanceRequest{Name: "words", Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	w.write(x)
	w.pass(time.Second)
	if got := w.places("words"); got != "a/0 a/1 b/0 b/1" || w.core.Record("words") != r || r.Rebalance || r.Workers != 4 {
		t.Errorf("placed in %s, %+v", got, r)
	}
	if r.Placement[2].Lost == nil || r.Placement[2].Lost.Cause != "rebalanced" {
		t.Errorf("tasks moved because of %+v", r.Placement[2].Lost)
	}
	// Invalid requests are refused, and change nothing.
	w.kill("words", 0)
	q := request("big", 2)
	q.Spec.Operators[0].Memory = 1 << 30
	s, _, _, _ := w.core.Admit(q)
	w.accept(s, "")
	w.settle()
	w.silent["a"], w.silent["b"] = true, true
	w.pass(5 * time.Second)
	if _, _, err := w.core.Rebalance(w.now, &cluster.RebalanceRequest{Name: "big", Workers: 1}); refused(err) != cluster.CodeConflict || w.core.Record("big").Workers != 2 {
		t.Errorf("without supervisors: %v", err)
	}
}

func TestLevel(t *testing.T) {
	w := newWorld(t, "a")
	w.submit("words", 1)
	x, r, err := w.core.Level(w.now, &cluster.LevelRequest{Name: "words", Level: "debug", For: time.Minute})
	if err != nil || x == nil || r.Level.Name != "debug" || !r.Level.Until.Equal(w.now.Add(time.Minute)) {
		t.Errorf("%+v, %v", r, err)
	}
	for _, q := range []cluster.LevelRequest{{Name: "words", Level: "loud"}, {Name: "words", Level: "debug", For: -1}} {
		if _, _, err := w.core.Level(w.now, &q); refused(err) != cluster.CodeBadRequest {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// Permissions follow the placement.
func TestTasksOfAWorker(t *testing.T) {
	w := newWorld(t, "a", "b")
	r := w.submit("words", 2)
	if tasks, _, err := w.core.TasksOf(r.WorkerSlot(&r.Placement[0])); err != nil || len(tasks) != 2 {
		t.Errorf("%v, %v", tasks, err)
	}
	for slot, code := range map[cluster.WorkerSlot]cluster.ErrCode{
		{Instance: r.Instance, Supervisor: "a", Number: 1}:          cluster.CodeConflict,
		{Instance: "words-abcdefgh", Supervisor: "a", Number: 0}:    cluster.CodeNotFound,
		{Instance: "words", Supervisor: "a", Number: 0}:             cluster.CodeBadRequest,
		{Instance: r.Instance, Supervisor: "a.>", Number: 0}:        cluster.CodeBadRequest,
		{Instance: r.Instance, Supervisor: "b", Number: 1_000_0000}: cluster.CodeConflict,
	} {
		if _, _, err := w.core.TasksOf(slot); refused(err) != code {
			t.Errorf("%v: %v", slot, err)
		}
	}
	if slot, _, err := w.core.WorkerOf("words", r.Placement[1].Tasks[0]); err != nil || slot.Supervisor != "b" {
		t.Errorf("%v, %v", slot, err)
	}
	if _, _, err := w.core.WorkerOf("words", msgid.Alias{Operator: "nobody"}); refused(err) != cluster.CodeNotFound {
		t.Error(err)
	}
}

func TestListAndDescribe(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.submit("words", 2)
	w.pass(time.Second)
	w.silent["b"] = true
	w.pass(2 * time.Second)
	w.silent["b"] = false
	l := w.core.List(w.now)
	if s := l.Topologies[0]; s.Name != "words" || s.Tasks != 4 || s.Healthy != 4 || s.Workers != 2 {
		t.Errorf("%+v", s)
	}
	if h := l.Hosts[0]; h.Host.Name != "a" || h.State != "up" || h.Used != 1 {
		t.Errorf("%+v", h)
	}
	d, err := w.core.Describe(w.now, "words")
	if err != nil || len(d.Workers) != 2 || d.Workers[0].State != "running" || len(d.Workers[0].Heartbeat.Tasks) != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := w.core.Describe(w.now, "other"); refused(err) != cluster.CodeNotFound {
		t.Error(err)
	}
}
