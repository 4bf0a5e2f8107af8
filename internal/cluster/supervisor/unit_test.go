package supervisor

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

func TestConfig(t *testing.T) {
	for name, c := range map[string]Config{
		"Name":      {Dir: "d", Name: "a.>"},
		"Dir":       {Name: "a"},
		"Tags":      {Dir: "d", Tags: []string{"../x"}},
		"Slots":     {Dir: "d", Slots: -1},
		"Detection": {Dir: "d", Detection: time.Millisecond},
		"MaxLog":    {Dir: "d", MaxLog: -1},
	} {
		if err := c.check(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := Config{Dir: "d"}
	if err := c.check(); err != nil || c.Slots == 0 || c.StopWait != 5*time.Second || c.Name == "" || !filepath.IsAbs(c.Dir) {
		t.Errorf("defaults %+v, %v", c, err)
	}
	if _, err := New(Config{Dir: "d", Name: "a", RunAs: "no-such-user"}); !errors.Is(err, ErrConfig) {
		t.Errorf("RunAs: %v", err)
	}
}

func TestWants(t *testing.T) {
	tasks := []msgid.Alias{{Operator: "a"}}
	r := &cluster.Record{Instance: "words-aaaaaaaa", Status: cluster.Active, Placement: []cluster.Placement{
		{Supervisor: "me", Slot: 0, Tasks: tasks}, {Supervisor: "you", Slot: 0, Tasks: tasks}, {Supervisor: "me", Slot: 3, Tasks: tasks},
		{Supervisor: "me", Slot: -1, Tasks: tasks},
	}}
	slots := func(c *cluster.Change) (all []int) {
		for s := range maps.Keys(desiredBy(c, "me")) {
			all = append(all, s.Number)
		}
		slices.Sort(all)
		return all
	}
	for status, want := range map[cluster.Status][]int{
		cluster.Active: {0, 3}, cluster.Inactive: {0, 3}, cluster.Killing: {0, 3}, cluster.Failed: {0, 3}, cluster.Completed: nil,
	} {
		r.Status = status
		if got := slots(&cluster.Change{Record: r, Revision: 1}); !slices.Equal(got, want) {
			t.Errorf("%s: slots %v, want %v", status, got, want)
		}
		for _, w := range desiredBy(&cluster.Change{Record: r, Revision: 1}, "me") {
			if o := w.assignment(nil, ""); o.Active != (status == cluster.Active) || o.Revision != 1 {
				t.Errorf("%s: order %+v", status, o)
			}
		}
	}
	if got := slots(&cluster.Change{Name: "words"}); got != nil {
		t.Errorf("a removed record wants %v", got)
	}
	r.Instance = "../x"
	if got := slots(&cluster.Change{Record: r}); got != nil {
		t.Errorf("a record of instance %s wants %v", r.Instance, got)
	}
}

func TestNeed(t *testing.T) {
	demanding, undemanding := cluster.Operator{Name: "a", CPU: 50, Memory: 100 << 20}, cluster.Operator{Name: "b"}
	system := cluster.Operator{Name: "s", System: true}
	a, b, c := msgid.Alias{Operator: "a"}, msgid.Alias{Operator: "b"}, msgid.Alias{Operator: "s"}
	for _, test := range []struct {
		tasks []msgid.Alias
		want  need
		words string
	}{
		{[]msgid.Alias{a, a}, need{200 << 20, 100}, "memory 200 MiB by it, CPU 100 % of a core by it"},
		{[]msgid.Alias{b}, need{}, "none: no operator declares a demand"},
		{[]msgid.Alias{a, b}, need{164 << 20, 0}, "memory 164 MiB by it"},
		{[]msgid.Alias{a, c}, need{164 << 20, 50}, "memory 164 MiB by it, CPU 50 % of a core by it"},
	} {
		r := &cluster.Record{Spec: cluster.Spec{Operators: []cluster.Operator{demanding, undemanding, system}}}
		w := desired{record: r, placement: &cluster.Placement{Tasks: test.tasks}}
		if got := w.need(); got != test.want || got.words("by it", "by it") != test.words {
			t.Errorf("%v need %+v, %s", test.tasks, got, got.words("by it", "by it"))
		}
	}
}

func TestCgroups(t *testing.T) {
	base := t.TempDir()
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{base}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if _, err := openCgroups(base); !errors.Is(err, errNoCgroups) {
		t.Errorf("a directory that is no cgroup: %v", err)
	}
	if err := write(filepath.Join(base, "cgroup.controllers"), "cpu io memory\n"); err != nil {
		t.Fatal(err)
	}
	g, err := openCgroups(base)
	if err != nil {
		t.Fatal(err)
	}
	if got := read("cgroup.subtree_control"); got != "+memory +cpu" {
		t.Errorf("subtree_control %q", got)
	}
	slot := cluster.WorkerSlot{Instance: "words-aaaaaaaa", Supervisor: "me", Number: 2}
	if err := g.put(slot, 123, need{512 << 20, 250}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"memory.max": "536870912", "cpu.max": "250000 100000", "cgroup.procs": "123", "memory.oom.group": "1",
	} {
		if got := read("worker-me-words-aaaaaaaa-2", file); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
	if err := g.put(slot, 123, need{}); err != nil || read("worker-me-words-aaaaaaaa-2", "memory.max") != "max" {
		t.Errorf("no limit: %v", err)
	}
	if err := write(filepath.Join(g.of(slot), "memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 1\n"); err != nil {
		t.Fatal(err)
	}
	if n := g.oomKills(slot); n != 2 {
		t.Errorf("%d OOM kills, want 2", n)
	}
	g.kill(slot)
	if got := read("worker-me-words-aaaaaaaa-2", "cgroup.kill"); got != "1" {
		t.Errorf("cgroup.kill %q", got)
	}
	other := slot
	if other.Supervisor = "you"; g.of(other) == g.of(slot) {
		t.Errorf("two supervisors have the same cgroup, %s", g.of(slot))
	}
	if got := ownCgroup("3:cpu:/x\n0::/system.slice/askback.service\n"); got != "/system.slice/askback.service" {
		t.Errorf("own cgroup %q", got)
	}
}

// A heartbeat goes to the worker manager of the slot that its subject names, unread.
func TestHeartbeatsReachTheirManager(t *testing.T) {
	slot := cluster.WorkerSlot{Instance: "words-aaaaaaaa", Supervisor: "me", Number: 2}
	s := &Supervisor{subjects: "askback"}
	m := &workerManager{slot: slot, heartbeats: make(chan *nats.Msg, 1)}
	s.managers = map[cluster.WorkerSlot]*workerManager{slot: m}
	for subject, heard := range map[string]bool{
		s.subjects.WorkerHeartbeat(slot): true, "askback.heartbeat.worker.words-aaaaaaaa.me.1": false, "askback.heartbeat.worker": false, "": false,
		"askback.heartbeat.worker.words-aaaaaaaa.you.2": false,
	} {
		s.onHeartbeat(&nats.Msg{Subject: subject, Data: []byte("not even JSON")})
		if got := len(m.heartbeats) == 1; got != heard {
			t.Errorf("%q is received: %v", subject, got)
		} else if got {
			m.onHeartbeat(<-m.heartbeats)
		}
	}
}

func TestCauses(t *testing.T) {
	for want, e := range map[string]ending{
		"it ended by itself":           {exit: exit{known: true}},
		"exit status 2: panic: x":      {exit: exit{known: true, code: 2}, report: report{line: "panic: x"}},
		"killed by signal 9 (killed)":  {exit: exit{known: true, signal: syscall.SIGKILL}, report: report{line: "x"}},
		"OOM-killed, limit 512 MiB":    {exit: exit{known: true, signal: syscall.SIGKILL}, oom: true, limit: "512 MiB"},
		"ended, it is not known how":   {},
		"it was silent for 3s, killed": {hung: "it was silent for 3s, killed", exit: exit{known: true, signal: syscall.SIGKILL}},
	} {
		if got := e.cause(); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

// A process killed from outside is started again at once; one that has killed itself is not.
func TestBlame(t *testing.T) {
	killed := exit{known: true, signal: syscall.SIGKILL}
	for _, test := range []struct {
		e    ending
		want bool
	}{
		{ending{exit: killed}, true},
		{ending{exit: killed, oom: true}, false},
		{ending{exit: killed, hung: "it was silent"}, false},
		{ending{exit: exit{known: true, signal: syscall.SIGSEGV}}, false},
		{ending{exit: exit{known: true, code: 1}}, false},
		{ending{}, false},
	} {
		if got := test.e.killedByOthers(); got != test.want {
			t.Errorf("%+v: %v", test.e, got)
		}
	}
}

func TestReport(t *testing.T) {
	for want, text := range map[string]string{
		"panic: no":         "hello\npanic: no\n\ngoroutine 1 [running]:\nmain.main()\n",
		"bad: it is so":     `{"level":"error","msg":"bad","error":"it is so"}` + "\n\n",
		"the end":           "a\nthe end",
		"fatal error: heap": "fatal error: heap\nstack\n",
	} {
		o := &output{path: filepath.Join(t.TempDir(), "output")}
		if err := write(o.path, "panic: of an earlier process\n"+text); err != nil {
			t.Fatal(err)
		}
		if got := o.report(29); got.line != want || got.oom {
			t.Errorf("%q: %+v, want %q", text, got, want)
		}
	}
	o := &output{path: filepath.Join(t.TempDir(), "output")}
	if err := write(o.path, "runtime: out of memory: cannot allocate 4194304-byte block (1 in use)\nfatal error: out of memory\n\ngoroutine 1:\n"); err != nil {
		t.Fatal(err)
	}
	if got := o.report(0); !got.oom {
		t.Errorf("%+v, want out of memory", got)
	}
}

// The supervisor's own lateness is not taken for a worker's silence.
func TestPulse(t *testing.T) {
	p, at := pulse{}, time.Now()
	if _, steady := p.steady(at); steady {
		t.Error("steady before the first beat")
	}
	first := at
	for range 10 {
		p.answered(at)
		at = at.Add(cluster.HeartbeatEvery)
	}
	if since, steady := p.steady(at); !steady || !since.Equal(first) {
		t.Errorf("since %v, %v", since.Sub(first), steady)
	}
	at = at.Add(5 * time.Second) // it was stopped
	if _, steady := p.steady(at); steady {
		t.Error("steady after a pause")
	}
	p.answered(at)
	if since, steady := p.steady(at); !steady || !since.Equal(at) {
		t.Error("heartbeats from before the pause count")
	}
}

func TestHangs(t *testing.T) {
	const detection = 3 * time.Second
	began := time.Now()
	for _, test := range []struct {
		name               string
		heard, from, after time.Duration // since it began; heard 0 is never
		stopped            bool
		want               string
	}{
		{"beats", 60 * time.Second, 0, 61 * time.Second, false, ""},
		{"stopped", 60 * time.Second, 0, 63 * time.Second, true, "it was stopped and silent for 3s, and was killed"},
		{"perhaps it looks for a server", 60 * time.Second, 0, 66 * time.Second, false, ""},
		{"runs, and is silent", 60 * time.Second, 0, 67 * time.Second, false, "it was silent for 7s, and was killed"},
		{"the supervisor was late itself", 60 * time.Second, 65 * time.Second, 67 * time.Second, true, ""},
		{"and then not", 60 * time.Second, 65 * time.Second, 68 * time.Second, true, "it was stopped and silent for 3s, and was killed"},
		{"has just begun", 0, 0, 9 * time.Second, true, ""},
		{"never begins", 0, 0, 10 * time.Second, false, "it was silent for 10s, and was killed"},
	} {
		r := &run{since: began}
		if test.heard > 0 {
			r.lastHeartbeat = began.Add(test.heard)
		}
		got := r.hungReason(began.Add(test.after), began.Add(test.from), detection, func() bool { return test.stopped })
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// A process that ended for good blocks starts up to the order that it followed, and no newer one, which may cure it.
func TestRevisionAtMost(t *testing.T) {
	newest := &desired{revision: 9}
	for _, c := range []struct {
		run     run
		desired *desired
		want    uint64
	}{
		{run{assignment: &cluster.Assignment{Revision: 7}, revision: 5}, newest, 7},
		{run{assignment: &cluster.Assignment{Revision: 7}}, newest, 7},
		{run{revision: 5}, newest, 5},
		{run{}, newest, 9},
		{run{revision: 5}, nil, 0},
	} {
		if got := c.run.revisionAtMost(c.desired); got != c.want {
			t.Errorf("%+v: %d, want %d", c.run, got, c.want)
		}
	}
}

// A program that was fetched for a record is not started for the next one, which names another program.
func TestFetchedForAnotherProgram(t *testing.T) {
	s, err := New(Config{Dir: t.TempDir(), Name: "me"})
	if err != nil {
		t.Fatal(err)
	}
	m := s.newManager(cluster.WorkerSlot{Instance: "words-aaaaaaaa", Supervisor: "me"})
	now := func(sha string, revision uint64) *desired {
		r := &cluster.Record{Instance: m.slot.Instance, Artefact: cluster.Artefact{SHA256: sha}, Placement: []cluster.Placement{{Supervisor: "me"}}}
		return &desired{record: r, revision: revision, placement: &r.Placement[0]}
	}
	m.onUpdate(update{desired: now("first", 1)})
	m.preparing = true
	m.onUpdate(update{desired: now("second", 2)})
	m.onPrepared(prepared{path: "of the first", sha: "first"})
	if m.fetched() {
		t.Error("the first program would be started for the second record")
	}
	m.onPrepared(prepared{path: "of the second", sha: "second"})
	if !m.fetched() {
		t.Error("the second program would not be started")
	}
}
