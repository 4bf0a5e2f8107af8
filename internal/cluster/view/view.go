package view

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// A List is the cluster: askback list.
type List struct {
	Leader      string       `json:"leader"`
	Epoch       uint64       `json:"epoch"`
	Topologies  []Summary    `json:"topologies"`
	Supervisors []Supervisor `json:"supervisors"`
}

// A Summary is one topology of a List.
type Summary struct {
	Name          string           `json:"name"`
	Instance      cluster.Instance `json:"instance"`
	Status        cluster.Status   `json:"status"`
	Reason        string           `json:"reason,omitempty"` // of the status, in words
	SubmittedAt   time.Time        `json:"submitted_at"`
	Workers       int              `json:"workers"`
	Tasks         int              `json:"tasks"`
	HealthyTasks  int              `json:"healthy_tasks"` // that have not failed, in workers that send heartbeats
	DeadTuples    uint64           `json:"dead_tuples"`   // given to dead letters
	DroppedTuples uint64           `json:"dropped_tuples"`
	Losses        []OperatorLoss   `json:"losses"`             // of operators that have lost tuples
	Shortage      string           `json:"shortage,omitempty"` // resources that it lacks, in words
	Failure       *Failure         `json:"failure,omitempty"`  // the error that failed it
}

// A Supervisor is one host of a List.
type Supervisor struct {
	Name            string    `json:"name"`
	State           string    `json:"state"` // up, silent
	Slots           int       `json:"slots"`
	UsedSlots       int       `json:"used_slots"`
	CPUPercent      int64     `json:"cpu_percent,omitempty"`  // of one core, for all workers together; left out: no limit
	MemoryBytes     int64     `json:"memory_bytes,omitempty"` // for all workers together; left out: no limit
	Tags            []string  `json:"tags,omitempty"`
	JoinedAt        time.Time `json:"joined_at"`
	LastHeartbeatAt time.Time `json:"last_heartbeat_at,omitzero"`
	Processes       []Process `json:"processes"`
}

// A Process is a worker as its supervisor sees it.
type Process struct {
	Instance  cluster.Instance     `json:"instance"`
	Slot      int                  `json:"slot"`
	State     cluster.ProcessState `json:"state"`
	PID       int                  `json:"pid,omitempty"`
	StartedAt time.Time            `json:"started_at,omitzero"`
	Restarts  int                  `json:"restarts"`
	Error     string               `json:"error,omitempty"`  // how it ended last, or why it cannot start
	Limits    string               `json:"limits,omitempty"` // in words
}

// A Failure is the error with which a task has failed for good.
type Failure struct {
	Operator  string      `json:"operator"`
	Step      string      `json:"step,omitempty"` // of a fused operator
	Task      msgid.Alias `json:"task"`
	MessageID string      `json:"message_id,omitempty"` // left out if no tuple is at fault
	Tuple     string      `json:"tuple,omitempty"`      // its fields, shortened
	Cause     string      `json:"cause"`
}

// A Topology is the decisions about one topology: the answer to kill, activate, rebalance and other commands.
type Topology struct {
	Name            string           `json:"name"`
	Instance        cluster.Instance `json:"instance"`
	Status          cluster.Status   `json:"status"`
	StatusChangedAt time.Time        `json:"status_changed_at"`
	Reason          string           `json:"reason,omitempty"`
	Failure         *Failure         `json:"failure,omitempty"`
	SubmittedAt     time.Time        `json:"submitted_at"`
	SubmittedBy     string           `json:"submitted_by,omitempty"`
	KillAt          time.Time        `json:"kill_at,omitzero"`
	Plan            string           `json:"plan"`
	Strategy        string           `json:"strategy"`
	Durability      string           `json:"durability"`
	Program         Program          `json:"program"`
	Workers         int              `json:"workers"` // number requested
	Tags            []string         `json:"tags,omitempty"`
	Shortage        string           `json:"shortage,omitempty"`
	DeadTuples      *uint64          `json:"dead_tuples,omitempty"` // left out where it is not known: describe has it
	DroppedTuples   *uint64          `json:"dropped_tuples,omitempty"`
	Operators       []Operator       `json:"operators"`
	Edges           []Edge           `json:"edges"`
	Placement       []Placement      `json:"placement"`
	LogLevel        *LogLevel        `json:"log_level,omitempty"` // left out: info
	Rescale         *Rescale         `json:"rescale,omitempty"`   // other numbers of tasks, as soon as it has quiesced
}

// A Program is the executable of a topology.
type Program struct {
	SHA256    string   `json:"sha256"`
	SizeBytes int64    `json:"size_bytes"`
	Args      []string `json:"args,omitempty"`
}

// An Operator is one operator of a topology.
type Operator struct {
	Name          string  `json:"name"`
	Kind          string  `json:"kind"` // spout, bolt, system
	Tasks         int     `json:"tasks"`
	CPUPercent    int64   `json:"cpu_percent,omitempty"`  // of one core, for each task
	MemoryBytes   int64   `json:"memory_bytes,omitempty"` // for each task
	DeadTuples    *uint64 `json:"dead_tuples,omitempty"`  // left out where it is not known: describe has it
	DroppedTuples *uint64 `json:"dropped_tuples,omitempty"`
}

// An Edge is one subscription.
type Edge struct {
	From     string `json:"from"`
	Stream   string `json:"stream,omitempty"` // left out: the default stream
	To       string `json:"to"`
	Grouping string `json:"grouping"`
}

// A Placement is the tasks of one worker.
type Placement struct {
	Supervisor string        `json:"supervisor"`
	Slot       int           `json:"slot"`
	Tasks      []msgid.Alias `json:"tasks"`
}

// A LogLevel is how much workers log, until a moment.
type LogLevel struct {
	Name   string    `json:"name"`
	EndsAt time.Time `json:"ends_at"`
}

// A Rescale is a change of numbers of tasks that is under way.
type Rescale struct {
	Instance cluster.Instance `json:"instance"`
	BeganAt  time.Time        `json:"began_at"`
	Tasks    map[string]int   `json:"tasks"` // by operator
}

// A Description is one topology with its workers and tasks: askback describe.
type Description struct {
	Topology Topology `json:"topology"`
	Workers  []Worker `json:"workers"`
	Tasks    []Task   `json:"tasks"` // in the order of the plan
}

// A Worker is one worker of a Description.
type Worker struct {
	Supervisor      string        `json:"supervisor"`
	Slot            int           `json:"slot"`
	State           string        `json:"state"` // running, starting, silent, or the state that its supervisor reports
	PID             int           `json:"pid,omitempty"`
	StartedAt       time.Time     `json:"started_at,omitzero"`
	LastHeartbeatAt time.Time     `json:"last_heartbeat_at,omitzero"`
	MemoryBytes     int64         `json:"memory_bytes,omitempty"`
	SentMessages    uint64        `json:"sent_messages"`
	Restarts        int           `json:"restarts"`
	Adopted         bool          `json:"adopted,omitempty"` // started by an earlier run of its supervisor
	Error           string        `json:"error,omitempty"`
	Limits          string        `json:"limits,omitempty"`
	LoginExpiresAt  time.Time     `json:"login_expires_at,omitzero"` // left out in a cluster without credentials
	Tasks           []msgid.Alias `json:"tasks"`
}

// A Task is one task of a Description. Counts are those of the present process, except dead and dropped tuples, which
// outlive restores.
type Task struct {
	Task            msgid.Alias       `json:"task"`
	Supervisor      string            `json:"supervisor"`
	Slot            int               `json:"slot"`
	State           string            `json:"state"` // starting, running, restoring, finishing, complete, restarting, failed; unknown before the first heartbeat
	Incarnation     msgid.Incarnation `json:"incarnation"`
	Restarts        int               `json:"restarts"`
	Consumed        uint64            `json:"consumed"`
	Emitted         uint64            `json:"emitted"`
	Missed          uint64            `json:"missed"`
	Replayed        uint64            `json:"replayed"`
	Duplicates      uint64            `json:"duplicates"`
	DeadTuples      uint64            `json:"dead_tuples"`
	DroppedTuples   uint64            `json:"dropped_tuples"`
	Snapshots       uint64            `json:"snapshots"`
	RetainedBytes   int               `json:"retained_bytes"`            // kept for resending
	Done            int64             `json:"done,omitempty"`            // a spout's progress, in its own unit
	Total           int64             `json:"total,omitempty"`           // a spout's input, in the same unit
	BlockedChannel  string            `json:"blocked_channel,omitempty"` // the channel without credit
	Error           string            `json:"error,omitempty"`           // its last failure
	CheckpointError string            `json:"checkpoint_error,omitempty"`
	Failure         *Failure          `json:"failure,omitempty"`
}

// Events are the events of a topology, or of the cluster, oldest first: askback explain.
type Events struct {
	Topology      string         `json:"topology,omitempty"` // left out: the cluster
	DeadTuples    uint64         `json:"dead_tuples"`
	DroppedTuples uint64         `json:"dropped_tuples"`
	Losses        []OperatorLoss `json:"losses"` // of operators that have lost tuples
	Failure       *Failure       `json:"failure,omitempty"`
	Events        []Event        `json:"events"`
}

// An OperatorLoss counts the tuples that one operator has lost, as its program declares.
type OperatorLoss struct {
	Operator      string `json:"operator"`
	DeadTuples    uint64 `json:"dead_tuples"`
	DroppedTuples uint64 `json:"dropped_tuples"`
}

// An Event is one thing that happened. With --follow each is a line of its own.
type Event struct {
	At         time.Time         `json:"at"`
	Kind       cluster.EventKind `json:"kind"`
	Instance   cluster.Instance  `json:"instance,omitempty"`
	Supervisor string            `json:"supervisor,omitempty"`
	Slot       *int              `json:"slot,omitempty"`
	Task       string            `json:"task,omitempty"`
	Text       string            `json:"text"`
	Recovery   *Recovery         `json:"recovery,omitempty"`
	Failure    *Failure          `json:"failure,omitempty"`
}

// A Recovery describes how a task was restored. The four phases follow one another, and add up to TotalSeconds.
type Recovery struct {
	Task          msgid.Alias       `json:"task"`
	Incarnation   msgid.Incarnation `json:"incarnation"`
	Cause         string            `json:"cause"`
	Asked         []string          `json:"asked"`                // message-id sets, one for each channel
	AskedMore     bool              `json:"asked_more,omitempty"` // asked is cut short
	Missed        uint64            `json:"missed"`
	Replayed      uint64            `json:"replayed"`
	Reprocessed   uint64            `json:"reprocessed"`
	Duplicates    uint64            `json:"duplicates"`
	DetectSeconds float64           `json:"detect_seconds"` // from the last sign of life until the loss was detected
	StartSeconds  float64           `json:"start_seconds"`  // until the task was started again
	LoadSeconds   float64           `json:"load_seconds"`   // until its log was read
	ReplaySeconds float64           `json:"replay_seconds"` // until it had caught up
	TotalSeconds  float64           `json:"total_seconds"`
}

// OfList returns the view of a list.
func OfList(l *cluster.ListReply) *List {
	v := &List{Leader: l.Leader, Epoch: l.Epoch, Topologies: []Summary{}, Supervisors: []Supervisor{}}
	for i := range l.Topologies {
		t := &l.Topologies[i]
		s := Summary{
			Name: t.Name, Instance: t.Instance, Status: t.Status, Reason: t.Reason, SubmittedAt: t.Submitted, Workers: t.Workers, Tasks: t.Tasks,
			HealthyTasks: t.Healthy, Losses: losses(t.Lost), Shortage: t.Shortage, Failure: ofFailure(t.Failure),
		}
		s.DeadTuples, s.DroppedTuples = cluster.SumLost(t.Lost)
		v.Topologies = append(v.Topologies, s)
	}
	for i := range l.Hosts {
		h := &l.Hosts[i]
		s := OfHost(&h.Host)
		s.State, s.UsedSlots, s.LastHeartbeatAt = h.State, h.Used, h.LastHeartbeat
		for _, p := range h.Workers {
			s.Processes = append(s.Processes, Process{
				Instance: p.Slot.Instance, Slot: p.Slot.Number, State: p.State, PID: p.PID, StartedAt: p.Started, Restarts: p.Restarts,
				Error: p.Error, Limits: p.Limits,
			})
		}
		v.Supervisors = append(v.Supervisors, *s)
	}
	return v
}

// OfHost returns the view of a supervisor that has joined, and sent no heartbeat.
func OfHost(h *cluster.Host) *Supervisor {
	return &Supervisor{
		Name: h.Name, State: "silent", Slots: h.Slots, CPUPercent: h.CPU, MemoryBytes: h.Memory, Tags: h.Tags, JoinedAt: h.Joined,
		Processes: []Process{},
	}
}

// OfRecord returns the view of a record. It has no counts of lost tuples unless the topology is complete: while it runs, only
// its tasks know them.
func OfRecord(r *cluster.Record) *Topology {
	return ofRecord(r, r.LostTuples, r.Status == cluster.Completed)
}

func ofRecord(r *cluster.Record, lost []cluster.LostTuples, known bool) *Topology {
	v := &Topology{
		Name: r.Spec.Name, Instance: r.Instance, Status: r.Status, StatusChangedAt: r.Since, Reason: r.Reason, Failure: ofFailure(r.Failure),
		SubmittedAt: r.Submitted, SubmittedBy: r.By, KillAt: r.KillAt, Plan: PlanID(r.Spec.Plan), Strategy: r.Spec.Strategy, Durability: r.Durability,
		Program: Program{SHA256: r.Artefact.SHA256, SizeBytes: r.Artefact.Size, Args: r.Args},
		Workers: r.Workers, Tags: r.Tags, Shortage: r.Shortage, Operators: []Operator{}, Edges: []Edge{}, Placement: []Placement{},
	}
	for i := range r.Spec.Operators {
		v.Operators = append(v.Operators, ofOperator(&r.Spec.Operators[i]))
	}
	if known {
		v.count(lost)
	}
	for _, e := range r.Spec.Edges {
		v.Edges = append(v.Edges, Edge{From: e.From, Stream: e.Stream, To: e.To, Grouping: e.Grouping})
	}
	for _, p := range r.Placement {
		v.Placement = append(v.Placement, Placement{Supervisor: p.Supervisor, Slot: p.Slot, Tasks: p.Tasks})
	}
	if r.Level.Name != "" {
		v.LogLevel = &LogLevel{Name: r.Level.Name, EndsAt: r.Level.Until}
	}
	if s := r.Rescale; s != nil {
		v.Rescale = &Rescale{Instance: s.Instance, BeganAt: s.Since, Tasks: s.Spec.Parallelism(nil)}
	}
	return v
}

// PlanID returns the text form of a plan's id.
func PlanID(id uint64) string { return fmt.Sprintf("%016x", id) }

// count sets the counts of lost tuples.
func (v *Topology) count(lost []cluster.LostTuples) {
	dead, dropped := cluster.SumLost(lost)
	v.DeadTuples, v.DroppedTuples = &dead, &dropped
	for i := range v.Operators {
		o := &v.Operators[i]
		o.DeadTuples, o.DroppedTuples = new(uint64), new(uint64)
		for _, l := range lost {
			if l.Operator == o.Name {
				*o.DeadTuples, *o.DroppedTuples = l.Dead, l.Dropped
			}
		}
	}
}

func ofOperator(o *cluster.Operator) Operator {
	v := Operator{Name: o.Name, Kind: "bolt", Tasks: o.Parallel, CPUPercent: o.CPU, MemoryBytes: o.Memory}
	switch {
	case o.System:
		v.Kind = "system"
	case o.Spout:
		v.Kind = "spout"
	}
	return v
}

// OfDescription returns the view of a description.
func OfDescription(d *cluster.Description) *Description {
	v := &Description{Topology: *ofRecord(&d.Record, d.Lost, true), Workers: []Worker{}, Tasks: []Task{}}
	tasks := map[msgid.Alias]Task{}
	for i := range d.Workers {
		w := &d.Workers[i]
		v.Workers = append(v.Workers, ofWorker(w))
		for _, alias := range w.Tasks {
			tasks[alias] = Task{Task: alias, Supervisor: w.Slot.Supervisor, Slot: w.Slot.Number, State: "unknown"}
		}
		if w.Heartbeat == nil {
			continue
		}
		for j := range w.Heartbeat.Tasks {
			t := &w.Heartbeat.Tasks[j]
			if _, its := tasks[t.Alias]; its {
				tasks[t.Alias] = ofTask(w, t)
			}
		}
	}
	for _, alias := range d.Record.Spec.Tasks() {
		if t, placed := tasks[alias]; placed {
			v.Tasks = append(v.Tasks, t)
		}
	}
	return v
}

func ofWorker(w *cluster.WorkerStatus) Worker {
	v := Worker{Supervisor: w.Slot.Supervisor, Slot: w.Slot.Number, State: w.State, LastHeartbeatAt: w.LastHeartbeat, Tasks: w.Tasks}
	if p := w.Process; p != nil {
		v.PID, v.StartedAt, v.Restarts, v.Adopted, v.Error, v.Limits = p.PID, p.Started, p.Restarts, p.Adopted, p.Error, p.Limits
	}
	if b := w.Heartbeat; b != nil {
		v.PID, v.StartedAt, v.MemoryBytes, v.SentMessages, v.LoginExpiresAt = b.PID, b.Started, b.Memory, b.Sent, b.JWT
	}
	return v
}

func ofTask(w *cluster.WorkerStatus, t *cluster.Task) Task {
	c := &t.Counters
	return Task{
		Task: t.Alias, Supervisor: w.Slot.Supervisor, Slot: w.Slot.Number, State: strings.ToLower(string(t.State)), Incarnation: t.Incarnation, Restarts: t.Restarts,
		Consumed: c.Consumed, Emitted: c.Emitted, Missed: c.Missed, Replayed: c.Replayed, Duplicates: c.Duplicates,
		DeadTuples: t.Dead, DroppedTuples: t.Dropped, Snapshots: c.Snapshots, RetainedBytes: t.Retained, Done: t.Done, Total: t.Total,
		BlockedChannel: t.Blocked, Error: t.Error, CheckpointError: t.LogError, Failure: ofFailure(t.Failure),
	}
}

// OfEvents returns the view of the events of a topology; "" is the cluster.
func OfEvents(topology string, r *cluster.ExplainReply) *Events {
	v := &Events{Topology: topology, Losses: losses(r.Lost), Failure: ofFailure(r.Failure), Events: []Event{}}
	v.DeadTuples, v.DroppedTuples = cluster.SumLost(r.Lost)
	for i := range r.Events {
		v.Events = append(v.Events, *OfEvent(&r.Events[i]))
	}
	return v
}

func losses(all []cluster.LostTuples) []OperatorLoss {
	v := make([]OperatorLoss, 0, len(all))
	for _, l := range all {
		v = append(v, OperatorLoss{Operator: l.Operator, DeadTuples: l.Dead, DroppedTuples: l.Dropped})
	}
	return v
}

// OfEvent returns the view of one event.
func OfEvent(e *cluster.Event) *Event {
	v := &Event{At: e.At, Kind: e.Kind, Instance: e.Instance, Task: e.Task, Text: e.Text, Failure: ofFailure(e.Failure)}
	if e.Slot != nil {
		v.Supervisor, v.Slot = e.Slot.Supervisor, &e.Slot.Number
	}
	if r := e.Recovery; r != nil {
		asked, more := asked(r.Asked)
		v.Recovery = &Recovery{
			Task: r.Alias, Incarnation: r.Incarnation, Cause: r.Cause, Asked: asked, AskedMore: more,
			Missed: r.Missed, Replayed: r.Replayed, Reprocessed: r.Reprocessed, Duplicates: r.Duplicates,
			DetectSeconds: seconds(r.Detect), StartSeconds: seconds(r.Start), LoadSeconds: seconds(r.Load), ReplaySeconds: seconds(r.Replay),
			TotalSeconds: seconds(r.Took),
		}
	}
	return v
}

// seconds converts milliseconds, rounded to microseconds.
func seconds(ms float64) float64 { return math.Round(ms*1000) / 1e6 }

// asked splits the text of a message-id set by channels. If the text was cut short, so is its last channel, which is left
// out.
func asked(text string) (sets []string, more bool) {
	sets = append([]string{}, strings.Fields(text)...)
	if n := len(sets); n > 1 && sets[n-1] == "…" {
		return sets[:n-2], true
	}
	return sets, false
}

func ofFailure(f *cluster.Failure) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Operator: f.Task.Operator, Step: f.Step, Task: f.Task, MessageID: f.MessageID, Tuple: f.Tuple, Cause: f.Cause}
}
