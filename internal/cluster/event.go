package cluster

import (
	"time"

	"github.com/askback/askback/msgid"
)

// An EventKind says what happened.
type EventKind string

// The kinds of event.
const (
	Submitted       EventKind = "submitted"
	StatusChanged   EventKind = "status"
	Assigned        EventKind = "assigned" // tasks were placed, or moved
	WorkerStarted   EventKind = "worker-started"
	WorkerExited    EventKind = "worker-exited"
	WorkerAdopted   EventKind = "worker-adopted"
	WorkerFenced    EventKind = "worker-fenced" // it came back after its tasks had been moved
	WorkerLost      EventKind = "worker-lost"
	HostJoined      EventKind = "host-joined"
	HostLost        EventKind = "host-lost"
	LeaderChanged   EventKind = "leader"
	TaskFailed      EventKind = "task-failed" // and will be restarted, or not
	TaskRecovered   EventKind = "recovered"
	Refused         EventKind = "refused" // an artefact, a worker, a request
	Denied          EventKind = "denied"  // by permissions: somebody may have forged something
	CheckpointError EventKind = "checkpoint-failing"
)

// An Event is something that happened. The stream of events keeps the newest of each instance.
type Event struct {
	At       time.Time   `json:"at"`
	Kind     EventKind   `json:"kind"`
	Instance Instance    `json:"instance,omitempty"`
	Slot     *WorkerSlot `json:"slot,omitempty"`
	Task     string      `json:"task,omitempty"`
	Text     string      `json:"text"` // in words, one line
	Recovery *Recovery   `json:"recovery,omitempty"`
}

// A Recovery is how a task came back. Times are in milliseconds.
type Recovery struct {
	Alias       msgid.Alias       `json:"alias"`
	Incarnation msgid.Incarnation `json:"incarnation"`
	Cause       string            `json:"cause"`
	Asked       string            `json:"asked"` // a message-id set
	Missed      uint64            `json:"missed"`
	Replayed    uint64            `json:"replayed"`
	Reprocessed uint64            `json:"reprocessed"`
	Duplicates  uint64            `json:"duplicates"`

	// The phases, one after another.
	Detect float64 `json:"detect_ms"` // from the last sign of life until the loss was noticed
	Start  float64 `json:"start_ms"`  // until the task was begun again, perhaps in a new process
	Load   float64 `json:"load_ms"`   // until its log was read
	Replay float64 `json:"replay_ms"` // until it had caught up
	Took   float64 `json:"took_ms"`   // all together
}
