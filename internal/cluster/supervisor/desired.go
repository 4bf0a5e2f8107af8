package supervisor

import (
	"slices"
	"strings"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// A desired is the record's content for one slot of this host.
type desired struct {
	record    *cluster.Record
	revision  uint64
	placement *cluster.Placement
}

// desiredBy returns the slots that a change desires of a supervisor. A record that is gone, or done, asks for nothing.
func desiredBy(c *cluster.Change, supervisor string) map[cluster.WorkerSlot]*desired {
	wants := map[cluster.WorkerSlot]*desired{}
	if c.Record == nil || !c.Record.Status.Running() {
		return wants
	}
	for i := range c.Record.Placement {
		p := &c.Record.Placement[i]
		slot := c.Record.WorkerSlot(p)
		if p.Supervisor != supervisor || slot.Check() != nil {
			continue
		}
		wants[slot] = &desired{record: c.Record, revision: c.Revision, placement: p}
	}
	return wants
}

// assignment returns the worker's tasks and their circumstances. Lost is how its last process ended, if it was here;
// jwt, which may be empty, is of the tasks.
func (w *desired) assignment(lost *cluster.Loss, jwt string) *cluster.Assignment {
	r := w.record
	if lost == nil || w.placement.Lost != nil && w.placement.Lost.DetectedAt.After(lost.DetectedAt) {
		lost = w.placement.Lost
	}
	return &cluster.Assignment{
		Instance: r.Instance, Revision: w.revision, Epoch: r.Epoch, Tasks: w.placement.Tasks,
		Active: r.Status == cluster.Active, Quiesce: r.Rescale != nil, Level: r.Level, Lost: lost, JWT: jwt,
	}
}

// tasks returns the names of the tasks, sorted.
func (w *desired) tasks() []string { return names(w.placement.Tasks) }

func names(tasks []msgid.Alias) []string {
	all := make([]string, len(tasks))
	for i, t := range tasks {
		all[i] = t.String()
	}
	slices.Sort(all)
	return all
}

// String lists the tasks.
func (w *desired) String() string { return strings.Join(w.tasks(), " ") }

// defaultTaskMemory is the memory of a task without a demand, in a worker in which another has one.
const defaultTaskMemory = 64 << 20

// A need is the resources that a worker may use; 0 is no limit.
type need struct {
	Memory int64 `json:"memory,omitempty"` // bytes
	CPU    int64 `json:"cpu,omitempty"`    // percent of a core
}

// need adds up the needs of the tasks.
func (w *desired) need() (n need) {
	memory, cpu := false, true
	for _, t := range w.placement.Tasks {
		o := w.record.Spec.Operator(t.Operator)
		if o == nil {
			o = &cluster.Operator{}
		}
		if o.Memory > 0 {
			memory = true
			n.Memory += o.Memory
		} else {
			n.Memory += defaultTaskMemory
		}
		cpu = cpu && (o.CPU > 0 || o.System)
		n.CPU += o.CPU
	}
	if !memory {
		n.Memory = 0
	}
	if !cpu {
		n.CPU = 0
	}
	return n
}
