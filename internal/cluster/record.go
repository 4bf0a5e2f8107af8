package cluster

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/askback/askback/msgid"
)

// An Artefact is the program of a topology.
type Artefact struct {
	SHA256    string `json:"sha256"` // in hex; it is also the object's name
	Size      int64  `json:"size"`   // bytes
	Signer    string `json:"signer"` // public nkey of the user who submitted it
	Signature []byte `json:"signature"`
	// Proof is the signer's JWT, by which the cluster's account vouches for the key; empty in an open cluster.
	Proof string `json:"proof,omitempty"`
}

// Check returns an error unless the digest and the size are well-formed. It does not verify the signature.
func (a *Artefact) Check() error {
	if sum, err := hex.DecodeString(a.SHA256); err != nil || len(sum) != 32 || strings.ToLower(a.SHA256) != a.SHA256 || a.Size <= 0 {
		return fmt.Errorf("cluster: artefact %.80q of %d bytes: want a SHA-256 in lower-case hex, and a size", a.SHA256, a.Size)
	}
	return nil
}

// A Status is the state of a topology.
type Status string

// The statuses.
const (
	Active    Status = "active"
	Inactive  Status = "inactive"  // its spouts emit nothing
	Killing   Status = "killing"   // inactive, and removed at KillAt
	Completed Status = "completed" // all its tasks have come to their end
	Failed    Status = "failed"    // a task cannot go on: see Reason
)

// Running reports whether a topology of that status has workers.
func (s Status) Running() bool { return s != Completed }

// A Record holds all decisions about a topology.
type Record struct {
	Instance   Instance  `json:"instance"`
	Spec       Spec      `json:"spec"`
	Artefact   Artefact  `json:"artefact"`
	Args       []string  `json:"args,omitempty"`  // of the program
	Durability string    `json:"durability"`      // natslog.Durability of the servers
	Workers    int       `json:"workers"`         // number requested
	Tags       []string  `json:"tags,omitempty"`  // required of its supervisors
	By         string    `json:"by,omitempty"`    // the submitter
	Nonce      string    `json:"nonce,omitempty"` // of the submission: the same request again gets the same answer
	Submitted  time.Time `json:"submitted"`
	Status     Status    `json:"status"`
	Since      time.Time `json:"since"` // of the status
	KillAt     time.Time `json:"kill_at,omitzero"`
	Reason     string    `json:"reason,omitempty"`  // of the status, in words
	Failure    *Failure  `json:"failure,omitempty"` // the task's error, if a task has failed
	// LostTuples are those that no task counts any more: of operators whose number of tasks has changed, and all of a
	// completed topology.
	LostTuples []LostTuples `json:"lost_tuples,omitempty"`
	Rebalance  bool         `json:"rebalance,omitempty"`
	Placement  []Placement  `json:"placement,omitempty"`
	Shortage   string       `json:"shortage,omitempty"` // resources that were requested and are missing
	Level      Level        `json:"level,omitzero"`
	// Parallel holds the numbers of tasks that differ from the program's own, by operator.
	Parallel map[string]int `json:"parallel,omitempty"`
	Rescale  *Rescale       `json:"rescale,omitempty"` // the topology quiesces, to become another instance
	From     *Origin        `json:"from,omitempty"`    // its previous instance, until all tasks have snapshots of their own
	Epoch    uint64         `json:"epoch"`             // of the nimbus that wrote it
}

// WorkerSlot returns the slot of one of the record's workers.
func (r *Record) WorkerSlot(p *Placement) WorkerSlot {
	return WorkerSlot{Instance: r.Instance, Supervisor: p.Supervisor, Number: p.Slot}
}

// Check returns an error unless the record can be that of a topology of that name.
func (r *Record) Check(name string) error {
	if r.Instance.Name() != name || r.Instance.Check() != nil {
		return fmt.Errorf("cluster: the record is of instance %.80q", string(r.Instance))
	}
	return nil
}

// A Placement lists the tasks of one worker.
type Placement struct {
	Supervisor string        `json:"supervisor"`
	Slot       int           `json:"slot"`
	Tasks      []msgid.Alias `json:"tasks"`
	Lost       *Loss         `json:"lost,omitempty"` // why some of its tasks have left their previous worker
}

// A Loss is how the tasks' previous worker was lost.
type Loss struct {
	Cause      string    `json:"cause"`
	LastSeen   time.Time `json:"last_seen"`   // its last sign of life
	DetectedAt time.Time `json:"detected_at"` // when it was declared lost
}

// A Level is how much workers log, until a moment.
type Level struct {
	Name  string    `json:"name"` // debug, info, warn or error
	Until time.Time `json:"until"`
}

// A Host is a supervisor that has joined.
type Host struct {
	Name    string    `json:"name"`
	Slots   int       `json:"slots"`  // numbered from 0
	CPU     int64     `json:"cpu"`    // percent of a core for all workers together; 0 is no limit
	Memory  int64     `json:"memory"` // bytes for all workers together; 0 is no limit
	Tags    []string  `json:"tags,omitempty"`
	Runtime string    `json:"runtime"`
	Joined  time.Time `json:"joined"`
	// Started is that of its HostHeartbeat: of two live processes of one name, the second is refused.
	Started time.Time `json:"started,omitzero"`
}

// Bounds of a host.
const (
	maxSlots = 10_000
	maxTags  = 100
)

// Check returns an error that names the rule which an invalid host breaks.
func (h *Host) Check() error {
	if err := CheckName("supervisor", h.Name, msgid.MaxName); err != nil {
		return err
	}
	if h.Slots < 1 || h.Slots > maxSlots || h.CPU < 0 || h.Memory < 0 {
		return fmt.Errorf("cluster: supervisor %s has %d slots, %d %% of a core and %d bytes: want 1 to %d slots, and nothing negative",
			h.Name, h.Slots, h.CPU, h.Memory, maxSlots)
	}
	return checkTags(h.Tags)
}

func checkTags(tags []string) error {
	if len(tags) > maxTags {
		return fmt.Errorf("cluster: %d tags: want at most %d", len(tags), maxTags)
	}
	for _, tag := range tags {
		if err := CheckName("tag", tag, msgid.MaxName); err != nil {
			return err
		}
	}
	return nil
}
