package cluster

import (
	"fmt"
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Spec is what a topology program says of its topology.
type Spec struct {
	Name      string          `json:"name"`
	Plan      uint64          `json:"plan,string"` // topology.Plan.Version, with the strategy's extension
	Strategy  string          `json:"strategy"`
	Settings  recovery.Config `json:"settings"`
	FrameSize int             `json:"frame_size,omitempty"` // bytes; 0 is the default
	Operators []Operator      `json:"operators"`            // in the order of the plan
	Edges     []Edge          `json:"edges"`                // in the order in which the plan numbers their channels
}

// An Operator is one operator of a Spec.
type Operator struct {
	Name     string   `json:"name"`
	Spout    bool     `json:"spout,omitempty"`
	System   bool     `json:"system,omitempty"` // the strategy's, not the user's
	Parallel int      `json:"parallel"`
	Streams  []Stream `json:"streams,omitempty"`
	CPU      int64    `json:"cpu,omitempty"`    // percent of a core for each task; 0 is not said
	Memory   int64    `json:"memory,omitempty"` // bytes for each task; 0 is not said
	Log      bool     `json:"log,omitempty"`    // its tasks keep a log
}

// A Stream is what an operator emits.
type Stream struct {
	Name   string   `json:"name,omitempty"` // "" is the default stream
	Fields []string `json:"fields"`
}

// An Edge is one subscription. Its channels are numbered from First on: source by source, target by target.
type Edge struct {
	From     string `json:"from"`
	Stream   string `json:"stream,omitempty"`
	To       string `json:"to"`
	Grouping string `json:"grouping"`
	Targets  int    `json:"targets"` // how many tasks of To it can send to
	First    uint32 `json:"first"`
}

// Tasks returns all tasks in the order of the plan.
func (s *Spec) Tasks() (all []msgid.Alias) {
	for _, o := range s.Operators {
		for i := range o.Parallel {
			all = append(all, msgid.Alias{Operator: o.Name, Index: i})
		}
	}
	return all
}

// Operator returns the operator of that name, or nil.
func (s *Spec) Operator(name string) *Operator {
	for i := range s.Operators {
		if s.Operators[i].Name == name {
			return &s.Operators[i]
		}
	}
	return nil
}

// maxTasks bounds what a Spec may ask for.
const maxTasks = 100_000

// Check returns an error if a Spec, as it comes from outside, cannot be one.
func (s *Spec) Check() error {
	if err := CheckName("topology", s.Name, MaxName); err != nil {
		return err
	}
	if len(s.Operators) == 0 {
		return fmt.Errorf("cluster: topology %s has no operators", s.Name)
	}
	seen, tasks := map[string]int{}, 0
	for _, o := range s.Operators {
		if err := CheckName("operator", o.Name, msgid.MaxName); err != nil {
			return err
		}
		if tasks += o.Parallel; o.Parallel < 1 || tasks > maxTasks {
			return fmt.Errorf("cluster: operator %s has %d tasks: want at least 1, and at most %d in all", o.Name, o.Parallel, maxTasks)
		}
		if _, twice := seen[o.Name]; twice || o.CPU < 0 || o.Memory < 0 {
			return fmt.Errorf("cluster: operator %s is there twice, or needs less than nothing", o.Name)
		}
		seen[o.Name] = o.Parallel
	}
	for _, e := range s.Edges {
		if seen[e.From] == 0 || e.Targets < 1 || e.Targets > seen[e.To] {
			return fmt.Errorf("cluster: the edge %s to %s joins tasks that do not exist", e.From, e.To)
		}
	}
	return nil
}

// An Artefact is the program of a topology.
type Artefact struct {
	SHA256    string `json:"sha256"` // in hex; it is also the object's name
	Size      int64  `json:"size"`   // bytes
	Signer    string `json:"signer"` // public nkey of the user who submitted it
	Signature []byte `json:"signature"`
	// Proof is the signer's JWT, which says that the cluster's account knows him; empty in an open cluster.
	Proof string `json:"proof,omitempty"`
}

// A Status is what is to become of a topology.
type Status string

// The statuses.
const (
	Active    Status = "active"
	Inactive  Status = "inactive"  // its spouts emit nothing
	Killing   Status = "killing"   // inactive, and gone at KillAt
	Completed Status = "completed" // all its tasks have come to their end
	Failed    Status = "failed"    // a task cannot go on: see Reason
)

// Running reports whether workers of a topology of that status are to run.
func (s Status) Running() bool { return s != Completed }

// A Record is all that is decided of a topology. Its key in the bucket is "topology." and its name.
type Record struct {
	Instance   Instance    `json:"instance"`
	Spec       Spec        `json:"spec"`
	Artefact   Artefact    `json:"artefact"`
	Args       []string    `json:"args,omitempty"`  // of the program
	Durability string      `json:"durability"`      // natslog.Durability of the servers
	Workers    int         `json:"workers"`         // how many are asked for
	Tags       []string    `json:"tags,omitempty"`  // which its supervisors must have
	By         string      `json:"by,omitempty"`    // who submitted it
	Nonce      string      `json:"nonce,omitempty"` // of the submission: asked for again, it is answered again
	Submitted  time.Time   `json:"submitted"`
	Status     Status      `json:"status"`
	Since      time.Time   `json:"since"` // of the status
	KillAt     time.Time   `json:"kill_at,omitzero"`
	Reason     string      `json:"reason,omitempty"` // of the status, in words
	Rebalance  bool        `json:"rebalance,omitempty"`
	Placement  []Placement `json:"placement,omitempty"`
	Shortage   string      `json:"shortage,omitempty"` // what was asked for and is not there
	Level      Level       `json:"level,omitzero"`
	// Parallel are the numbers of tasks that are others than the program declares, by operator.
	Parallel map[string]int `json:"parallel,omitempty"`
	Rescale  *Rescale       `json:"rescale,omitempty"` // the topology comes to a standstill, to become another
	From     *Origin        `json:"from,omitempty"`    // what it was before, until all its tasks have snapshots of their own
	Epoch    uint64         `json:"epoch"`             // of the nimbus that wrote it
}

// A Placement says which tasks a worker is to run.
type Placement struct {
	Supervisor string        `json:"supervisor"`
	Slot       int           `json:"slot"`
	Tasks      []msgid.Alias `json:"tasks"`
	Lost       *Loss         `json:"lost,omitempty"` // why some of its tasks have come from elsewhere
}

// A Loss says what became of the tasks' last worker.
type Loss struct {
	Cause      string    `json:"cause"`
	LastSeen   time.Time `json:"last_seen"`   // when it was heard last
	DetectedAt time.Time `json:"detected_at"` // when it was given up
}

// WorkerSlot returns the slot of one of the record's workers.
func (r *Record) WorkerSlot(p *Placement) WorkerSlot {
	return WorkerSlot{Instance: r.Instance, Supervisor: p.Supervisor, Number: p.Slot}
}

// A Level is how much workers log, until a moment.
type Level struct {
	Name  string    `json:"name"` // debug, info, warn or error
	Until time.Time `json:"until"`
}

// A Host is what a supervisor says of itself when it joins. Its key in the bucket is "supervisor." and its name.
type Host struct {
	Name    string    `json:"name"`
	Slots   int       `json:"slots"`  // numbered from 0
	CPU     int64     `json:"cpu"`    // percent of a core for all workers together; 0 is no limit
	Memory  int64     `json:"memory"` // bytes for all workers together; 0 is no limit
	Tags    []string  `json:"tags,omitempty"`
	Runtime string    `json:"runtime"` // of this library: those of another major version are refused
	Joined  time.Time `json:"joined"`
	// Started is that of its HostHeartbeat: of two processes of one name that both live, the second is refused.
	Started time.Time `json:"started,omitzero"`
}
