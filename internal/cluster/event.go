package cluster

import (
	"time"

	"github.com/askback/askback/msgid"
)

// An EventKind classifies an event.
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
	TaskStuck       EventKind = "task-stuck"  // ordered to stop, it has not returned from a call of its operator
	TaskRecovered   EventKind = "recovered"
	Refused         EventKind = "refused" // an artefact, a worker, a request
	Denied          EventKind = "denied"  // by permissions: a message may have been forged
	CheckpointError EventKind = "checkpoint-failing"
)

// ClusterEvents is the name under which events of no topology are kept.
const ClusterEvents = "cluster"

// An Event records something that happened. The stream of events keeps the newest of each instance.
type Event struct {
	At       time.Time   `json:"at"`
	Kind     EventKind   `json:"kind"`
	Instance Instance    `json:"instance,omitempty"` // "" is the cluster
	Slot     *WorkerSlot `json:"slot,omitempty"`
	Task     string      `json:"task,omitempty"`
	Text     string      `json:"text"` // in words, one line
	Recovery *Recovery   `json:"recovery,omitempty"`
	Failure  *Failure    `json:"failure,omitempty"` // of a task that has failed for good
}

// A Recovery describes how a task was restored. Times are in milliseconds.
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
	Detect float64 `json:"detect_ms"` // from the last sign of life until the loss was detected
	Start  float64 `json:"start_ms"`  // until the task was started again, perhaps in a new process
	Load   float64 `json:"load_ms"`   // until its log was read
	Replay float64 `json:"replay_ms"` // until it had caught up
	Took   float64 `json:"took_ms"`   // all together
}

// Bounds of an event, in bytes.
const (
	maxEventText  = 4 << 10
	maxEventAsked = 32 << 10
)

// Shorten cuts the texts of an event that are too long to be kept.
func (e *Event) Shorten() {
	e.Text = shorten(e.Text, maxEventText)
	if r := e.Recovery; r != nil && len(r.Asked) > maxEventAsked {
		short := *r
		short.Asked = shorten(r.Asked, maxEventAsked)
		e.Recovery = &short
	}
}

func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return s[:most] + " …"
}
