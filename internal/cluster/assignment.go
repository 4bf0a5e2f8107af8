package cluster

import (
	"fmt"
	"time"

	"github.com/askback/askback/msgid"
)

// Runtime is the version of the messages in this package. Nimbus, supervisors and workers refuse each other if theirs
// differ.
const Runtime = "1"

// RoleVariable is the environment variable by which a topology program takes another role than that of a local run:
// "worker", or "describe", which prints its Spec as JSON.
const RoleVariable = "ASKBACK_ROLE"

// LaunchFD is the file descriptor on which a worker finds its Launch.
const LaunchFD = 3

// A Launch is the first message to a worker: JSON on file descriptor LaunchFD, which is then closed. No other way carries
// a secret to a worker.
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
	// StopWait is how long the supervisor waits for the worker to end before it kills it.
	StopWait time.Duration `json:"stop_wait"`
}

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

// An Assignment lists the tasks that a worker is to run, and how. A later Revision replaces an earlier one; it is the
// bucket's revision of the record.
type Assignment struct {
	Instance Instance      `json:"instance"`
	Revision uint64        `json:"revision"`
	Epoch    uint64        `json:"epoch"`
	Tasks    []msgid.Alias `json:"tasks"`
	Active   bool          `json:"active"`            // whether spouts emit
	Quiesce  bool          `json:"quiesce,omitempty"` // timers do not fire either, so that the topology comes to a standstill
	Stop     bool          `json:"stop"`              // the worker is to end
	Level    Level         `json:"level,omitzero"`
	// Lost is the reason why the tasks have left their previous worker.
	Lost *Loss `json:"lost,omitempty"`
	// JWT replaces the one of the Login when it is not empty: permissions follow the tasks.
	JWT string `json:"jwt,omitempty"`
}

// Exit statuses of a worker.
const (
	ExitDone    = 0 // it was ordered to stop
	ExitError   = 1
	ExitFenced  = 75 // its tasks run elsewhere: it has committed nothing more
	ExitRefused = 76 // it cannot run its assignment: another plan, another runtime
)

// Check returns an error if a launch cannot be a worker's. The error shows nothing of the login.
func (l *Launch) Check() error {
	if err := l.Slot.Check(); err != nil {
		return err
	}
	if err := CheckName("prefix", l.Prefix, msgid.MaxName); err != nil {
		return err
	}
	if l.Assignment.Instance != l.Slot.Instance {
		return fmt.Errorf("cluster: the assignment is for instance %.80q, the slot is of %s", string(l.Assignment.Instance), l.Slot.Instance)
	}
	if l.From != nil {
		return l.From.Check(l.Slot.Instance)
	}
	return nil
}
