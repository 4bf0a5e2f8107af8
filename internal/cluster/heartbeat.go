package cluster

import (
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// Times of a cluster.
const (
	HeartbeatEvery = 500 * time.Millisecond
	// Detection is the silence after which a supervisor and its workers are declared lost, unless configured.
	Detection = 3 * time.Second
)

// A Heartbeat is a worker's report of itself, sent every HeartbeatEvery.
type Heartbeat struct {
	Slot     WorkerSlot `json:"slot"`
	PID      int        `json:"pid"`
	Started  time.Time  `json:"started"`
	Revision uint64     `json:"revision"`     // of the assignment that it has carried out
	JWT      time.Time  `json:"jwt,omitzero"` // when its JWT expires
	Tasks    []Task     `json:"tasks"`
	Runtime  string     `json:"runtime"`
	Sent     uint64     `json:"sent"`   // messages, of all kinds
	Memory   int64      `json:"memory"` // resident bytes
}

// A Task is the state of one task, as its worker reports it.
type Task struct {
	Alias       msgid.Alias       `json:"alias"`
	State       TaskState         `json:"state"`
	Incarnation msgid.Incarnation `json:"incarnation"`
	Restarts    int               `json:"restarts"`
	Done        int64             `json:"done,omitempty"` // a spout's progress, in its own unit
	Total       int64             `json:"total,omitempty"`
	Retained    int               `json:"retained"`            // bytes kept for resending
	Blocked     string            `json:"blocked,omitempty"`   // the channel without credit
	Dead        uint64            `json:"dead,omitempty"`      // tuples given up as dead letters, by all incarnations
	Dropped     uint64            `json:"dropped,omitempty"`   // tuples dropped as declared, by all incarnations
	Error       string            `json:"error,omitempty"`     // its last failure
	Failure     *Failure          `json:"failure,omitempty"`   // the error with which it has failed for good
	Fenced      bool              `json:"fenced,omitempty"`    // Error is that another incarnation runs elsewhere
	LogError    string            `json:"log_error,omitempty"` // why its log rejects appends: CHECKPOINT_FAILING
	Counters    Counters          `json:"counters"`
	KeepsState  StateKind         `json:"keeps_state,omitempty"`
	HasSnapshot bool              `json:"has_snapshot,omitempty"` // its own log has a snapshot: it needs no Origin
	// QuiescePositions is the hash of its channels' positions, if it has quiesced as the assignment asks; else 0.
	QuiescePositions uint64 `json:"quiesce_positions,string,omitempty"`
}

// Counters are the counters of a task's incarnations in one process.
type Counters = recovery.Counters

// A TaskState is the state of a task. Heartbeats carry the names that package task gives to its states.
type TaskState string

// The states on which nimbus decides.
const (
	StateFinishing TaskState = "finishing"
	StateComplete  TaskState = "complete"
	StateFailed    TaskState = "FAILED"
)

// A StateKind is the state that an operator keeps from tuple to tuple; "" is none. Heartbeats carry the words of package
// task.
type StateKind string

// AnchoredState is state outside the cluster under the topology's name: the topology cannot go on under another.
const AnchoredState StateKind = "effects outside under the topology's name"

// A HostHeartbeat is a supervisor's report of itself, sent every HeartbeatEvery.
type HostHeartbeat struct {
	Name    string    `json:"name"`
	Runtime string    `json:"runtime"`
	Started time.Time `json:"started"`
	Workers []Process `json:"workers"`
}

// A Process is the state of a worker, as its supervisor reports it.
type Process struct {
	Slot     WorkerSlot   `json:"slot"`
	State    ProcessState `json:"state"`
	PID      int          `json:"pid,omitempty"`
	Started  time.Time    `json:"started,omitzero"`
	Restarts int          `json:"restarts"`
	Error    string       `json:"error,omitempty"`   // how it ended last, or why it cannot start
	Fenced   bool         `json:"fenced,omitempty"`  // it ended since its tasks run elsewhere
	Limits   string       `json:"limits"`            // how its memory and CPU are limited, in words
	Adopted  bool         `json:"adopted,omitempty"` // started by an earlier run of the supervisor
}

// A ProcessState is the state of a worker for its supervisor.
type ProcessState string

// The states of a process.
const (
	ProcessFetching ProcessState = "fetching" // the program, and the login
	ProcessStarting ProcessState = "starting" // no heartbeat yet
	ProcessRunning  ProcessState = "running"
	ProcessWaiting  ProcessState = "waiting" // before a restart
	ProcessFailed   ProcessState = "failed"  // not started again before its assignment changes
)
