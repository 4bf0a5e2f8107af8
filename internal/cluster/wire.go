package cluster

import (
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// Runtime is the version of what nimbus, supervisors and workers say to each other. They refuse each other if it
// differs.
const Runtime = "1"

// Times of a cluster.
const (
	HeartbeatEvery = 500 * time.Millisecond
	// Detection is after how long without a heartbeat a supervisor and its workers are given up, unless configured.
	Detection = 3 * time.Second
)

// A Launch is what a worker is told when it is started: JSON on file descriptor 3, which is then closed. It is the only
// way by which a secret reaches a worker.
type Launch struct {
	Slot       WorkerSlot `json:"slot"`
	Prefix     string     `json:"prefix"`
	Servers    string     `json:"servers"`      // URLs, separated by commas
	CA         []byte     `json:"ca,omitempty"` // PEM
	Login      Login      `json:"login,omitzero"`
	Spec       Spec       `json:"spec"`
	Assignment Assignment `json:"assignment"`
	// Parallel and From are those of the Record.
	Parallel   map[string]int `json:"parallel,omitempty"`
	From       *Origin        `json:"from,omitempty"`
	Durability string         `json:"durability"`
	Runtime    string         `json:"runtime"`
	Detection  time.Duration  `json:"detection"`
}

// RoleVariable is the environment variable by which a topology program is told to be something else than a local run:
// "worker", or "describe", which prints its Spec as JSON.
const RoleVariable = "ASKBACK_ROLE"

// LaunchFD is the file descriptor on which a worker finds its Launch.
const LaunchFD = 3

// A Login is a NATS user: a JWT and the seed of its key. It is empty in an open cluster. It does not print its seed.
type Login struct {
	JWT  string `json:"jwt,omitempty"`
	Seed string `json:"seed,omitempty"`
}

// String keeps the seed out of logs and errors.
func (l Login) String() string {
	if l.JWT == "" && l.Seed == "" {
		return "no login"
	}
	return "login"
}

// GoString keeps the seed out of %#v.
func (l Login) GoString() string { return l.String() }

// An Assignment is what a worker is to do. A later Revision replaces an earlier one; it is the bucket's revision of the record.
type Assignment struct {
	Instance Instance      `json:"instance"`
	Revision uint64        `json:"revision"`
	Epoch    uint64        `json:"epoch"`
	Tasks    []msgid.Alias `json:"tasks"`
	Active   bool          `json:"active"`            // whether spouts emit
	Quiesce  bool          `json:"quiesce,omitempty"` // whether timers do not fire either, so that all comes to a standstill
	Stop     bool          `json:"stop"`              // the worker is not wanted any more, and ends
	Level    Level         `json:"level,omitzero"`
	// Lost says why the tasks are not where they were.
	Lost *Loss `json:"lost,omitempty"`
	// JWT replaces the one of the Login when it is not empty: permissions follow the tasks.
	JWT string `json:"jwt,omitempty"`
}

// A Heartbeat is what a worker tells of itself every BeatEvery.
type Heartbeat struct {
	Slot     WorkerSlot `json:"slot"`
	PID      int        `json:"pid"`
	Started  time.Time  `json:"started"`
	Revision uint64     `json:"revision"`     // of the order that it follows
	JWT      time.Time  `json:"jwt,omitzero"` // until when its JWT holds
	Tasks    []Task     `json:"tasks"`
	Runtime  string     `json:"runtime"`
	Sent     uint64     `json:"sent"`   // messages, of all kinds
	Memory   int64      `json:"memory"` // resident bytes
}

// A Task is how one task stands, as its worker tells it.
type Task struct {
	Alias            msgid.Alias       `json:"alias"`
	State            string            `json:"state"` // of task.State
	Incarnation      msgid.Incarnation `json:"incarnation"`
	Restarts         int               `json:"restarts"`
	Done             int64             `json:"done,omitempty"` // a spout's progress, in its own unit
	Total            int64             `json:"total,omitempty"`
	Retained         int               `json:"retained"`            // bytes kept for resending
	Blocked          string            `json:"blocked,omitempty"`   // the channel without credit
	Error            string            `json:"error,omitempty"`     // why it failed last
	LogError         string            `json:"log_error,omitempty"` // why its log takes nothing: CHECKPOINT_FAILING
	Counters         recovery.Counters `json:"counters"`
	KeepsState       string            `json:"keeps_state,omitempty"`              // what its operator keeps
	HasSnapshot      bool              `json:"has_snapshot,omitempty"`             // it has a snapshot of its own, and needs no Origin
	QuiescePositions uint64            `json:"quiesce_positions,string,omitempty"` // where it stands still, as the order wants; 0: it does not
}

// A HostHeartbeat is what a supervisor tells of itself every BeatEvery.
type HostHeartbeat struct {
	Name    string    `json:"name"`
	Runtime string    `json:"runtime"`
	Started time.Time `json:"started"`
	Workers []Process `json:"workers"`
}

// A Process is how a supervisor sees one of its workers.
type Process struct {
	Slot     WorkerSlot `json:"slot"`
	State    string     `json:"state"` // fetching, starting, running, waiting (before a restart), failed
	PID      int        `json:"pid,omitempty"`
	Started  time.Time  `json:"started,omitzero"`
	Restarts int        `json:"restarts"`
	Error    string     `json:"error,omitempty"`   // how it ended last, or why it cannot start
	Limits   string     `json:"limits"`            // how its memory and CPU are limited, in words
	Adopted  bool       `json:"adopted,omitempty"` // started by an earlier run of the supervisor
}

// Exit statuses of a worker.
const (
	ExitDone    = 0 // it was told to stop
	ExitError   = 1
	ExitFenced  = 75 // its tasks run elsewhere: it has committed nothing more
	ExitRefused = 76 // it cannot run what it was told to: another plan, another runtime
)
