package core_test

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/nimbus/core"
	"github.com/askback/askback/msgid"
)

// fatal is the common interface of tests and properties.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A world is a cluster without processes: its supervisors and workers send heartbeats as long as they are not silent,
// and every write of the core succeeds.
type world struct {
	fatal
	core     *core.Core
	now      time.Time
	revision uint64
	records  map[string]cluster.Change
	hosts    map[string]cluster.Host
	silent   map[string]bool                   // hosts, with their workers
	apart    bool                              // hosts send heartbeats at different moments
	state    map[msgid.Alias]cluster.TaskState // of tasks; "" is running
	problem  map[msgid.Alias]string            // of tasks
	fenced   map[msgid.Alias]bool
	failure  map[msgid.Alias]*cluster.Failure
	lost     map[msgid.Alias][2]uint64  // dead and dropped tuples
	dead     map[string]bool            // workers that send no heartbeats, by slot, and supervisors, by name
	process  map[string]cluster.Process // states that supervisors report of workers, by slot
	events   []cluster.Event
	keeps    map[string]cluster.StateKind // the state that operators keep
	stands   map[msgid.Alias]uint64       // where tasks stand still when they are to
	rooted   bool                         // all tasks have snapshots of their own
}

func newWorld(f fatal, hosts ...string) *world {
	w := &world{
		fatal: f, now: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), records: map[string]cluster.Change{}, hosts: map[string]cluster.Host{},
		silent: map[string]bool{}, state: map[msgid.Alias]cluster.TaskState{}, problem: map[msgid.Alias]string{}, fenced: map[msgid.Alias]bool{},
		failure: map[msgid.Alias]*cluster.Failure{}, lost: map[msgid.Alias][2]uint64{}, dead: map[string]bool{},
		process: map[string]cluster.Process{}, keeps: map[string]cluster.StateKind{}, stands: map[msgid.Alias]uint64{},
	}
	w.lead()
	for _, name := range hosts {
		w.join(name, 2)
	}
	w.pass(cluster.HeartbeatEvery)
	return w
}

// lead begins with the records.
func (w *world) lead() {
	w.core = core.New(core.Config{})
	var records []cluster.Change
	for _, r := range w.records {
		records = append(records, r)
	}
	var hosts []cluster.Host
	for _, h := range w.hosts {
		hosts = append(hosts, h)
	}
	w.core.Load(w.now, records, hosts)
}

func (w *world) join(name string, slots int) {
	w.Helper()
	h, err := w.core.Join(w.now, &cluster.Host{Name: name, Slots: slots, Runtime: cluster.Runtime, Started: w.now})
	if err != nil {
		w.Fatalf("join %s: %v", name, err)
	}
	w.hosts[name] = *h
	w.core.Joined(w.now, h)
}

// pass lets time pass, in steps of 100 ms, with heartbeats.
func (w *world) pass(d time.Duration) {
	w.Helper()
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(100 * time.Millisecond)
		for name := range w.hosts {
			phase := int64(0)
			if w.apart {
				phase = 100 * int64(name[0]-'a')
			}
			if w.now.UnixMilli()%cluster.HeartbeatEvery.Milliseconds() == phase {
				w.heartbeat(name)
			}
		}
		w.settle()
	}
}

// heartbeat delivers the heartbeats of a supervisor and its workers.
func (w *world) heartbeat(name string) {
	if w.silent[name] {
		return
	}
	b := &cluster.HostHeartbeat{Name: name, Runtime: cluster.Runtime, Started: w.hosts[name].Started}
	for _, p := range w.process {
		if p.Slot.Supervisor == name {
			b.Workers = append(b.Workers, p)
		}
	}
	if !w.dead[name] {
		w.core.HostHeartbeat(w.now, b)
	}
	for _, r := range w.records {
		for i := range r.Record.Placement {
			p := &r.Record.Placement[i]
			slot := r.Record.WorkerSlot(p)
			if p.Supervisor != name || w.dead[slot.String()] {
				continue
			}
			b := &cluster.Heartbeat{Slot: slot, PID: 1, Revision: r.Revision}
			for _, alias := range p.Tasks {
				state := w.state[alias]
				if state == "" {
					state = "running"
				}
				t := cluster.Task{Alias: alias, State: state, Error: w.problem[alias], Fenced: w.fenced[alias], Failure: w.failure[alias], Dead: w.lost[alias][0], Dropped: w.lost[alias][1],
					Incarnation: 1, KeepsState: w.keeps[alias.Operator], HasSnapshot: w.rooted}
				if r.Record.Rescale != nil {
					t.QuiescePositions = w.stands[alias]
				}
				b.Tasks = append(b.Tasks, t)
			}
			w.core.WorkerHeartbeat(w.now, b)
		}
	}
}

// settle writes decisions until there are no more.
func (w *world) settle() {
	w.Helper()
	for range 20 {
		writes := w.core.Decide(w.now)
		w.events = append(w.events, w.core.Events()...)
		if len(writes) == 0 {
			return
		}
		for i := range writes {
			w.write(&writes[i])
		}
	}
	w.Fatalf("Decide has more and more to write: %+v", w.core.Decide(w.now))
}

func (w *world) write(x *core.Write) {
	w.Helper()
	if x == nil {
		return
	}
	w.revision++
	if x.Record == nil {
		delete(w.records, x.Name)
	} else {
		w.records[x.Name] = cluster.Change{Name: x.Name, Record: x.Record, Revision: w.revision}
	}
	w.core.Stored(w.now, x, w.revision)
	w.events = append(w.events, x.Events...)
}

// spec is a pipeline of a spout with two tasks and a bolt with two.
func spec(name string) cluster.Spec {
	return cluster.Spec{
		Name:      name,
		Operators: []cluster.Operator{{Name: "lines", Spout: true, Parallel: 2}, {Name: "count", Parallel: 2, Log: true}},
		Edges:     []cluster.Edge{{From: "lines", To: "count", Grouping: "group by", Targets: 2}},
	}
}

func request(name string, workers int) *cluster.SubmitRequest {
	return &cluster.SubmitRequest{
		Spec: spec(name), Workers: workers, Nonce: "n-" + name,
		Artefact: cluster.Artefact{SHA256: strings.Repeat("ab", 32), Size: 1},
	}
}

func (w *world) submit(name string, workers int) *cluster.Record {
	w.Helper()
	s, _, _, err := w.core.Admit(request(name, workers))
	if err != nil {
		w.Fatalf("submit %s: %v", name, err)
	}
	w.accept(s, "anna")
	w.settle()
	return w.core.Record(name)
}

// accept writes a submission that was prepared.
func (w *world) accept(s *core.Submission, by string) {
	w.Helper()
	x, err := w.core.Accept(w.now, s, by, "process")
	if err != nil {
		w.Fatalf("accept: %v", err)
	}
	w.write(x)
}

func (w *world) kill(name string, wait time.Duration) *cluster.Record {
	w.Helper()
	x, r, err := w.core.Kill(w.now, &cluster.KillRequest{Name: name, Wait: wait})
	if err != nil {
		w.Fatalf("kill %s: %v", name, err)
	}
	w.write(x)
	return r
}

// places returns where a topology's workers are, such as "a/0 b/1".
func (w *world) places(name string) string {
	r := w.core.Record(name)
	if r == nil {
		return "gone"
	}
	var all []string
	for _, p := range r.Placement {
		all = append(all, p.Supervisor+"/"+string(rune('0'+p.Slot)))
	}
	return strings.Join(all, " ")
}

func (w *world) published(kind cluster.EventKind, text string) bool {
	return slices.ContainsFunc(w.events, func(e cluster.Event) bool { return e.Kind == kind && strings.Contains(e.Text, text) })
}

// refused returns the code that an error of a request has.
func refused(err error) cluster.ErrCode {
	var r *cluster.RequestError
	if errors.As(err, &r) {
		return r.Code
	}
	return ""
}
