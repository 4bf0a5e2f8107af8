package supervisor

import (
	"slices"
	"strings"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// A want is what a record says of one seat of this host.
type want struct {
	record   *cluster.Record
	revision uint64
	placed   *cluster.Placed
}

// wantsOf returns what a change asks of a supervisor. A record that is gone, or done, asks for nothing.
func wantsOf(c *cluster.Change, supervisor string) map[cluster.Seat]*want {
	wants := map[cluster.Seat]*want{}
	if c.Record == nil || !c.Record.Status.Running() {
		return wants
	}
	for i := range c.Record.Placement {
		p := &c.Record.Placement[i]
		seat := c.Record.Seat(p)
		if p.Supervisor != supervisor || seat.Check() != nil {
			continue
		}
		wants[seat] = &want{record: c.Record, revision: c.Revision, placed: p}
	}
	return wants
}

// order is what a worker is to do. Lost says how its last process ended, if it was here; jwt, which may be empty, is of
// the tasks.
func (w *want) order(lost *cluster.Loss, jwt string) *cluster.Order {
	r := w.record
	if lost == nil || w.placed.Lost != nil && w.placed.Lost.Noted.After(lost.Noted) {
		lost = w.placed.Lost
	}
	return &cluster.Order{
		Instance: r.Instance, Revision: w.revision, Epoch: r.Epoch, Tasks: w.placed.Tasks,
		Active: r.Status == cluster.Active, Still: r.Reshape != nil, Level: r.Level, Lost: lost, JWT: jwt,
	}
}

// tasks returns the names of the tasks, sorted.
func (w *want) tasks() []string { return names(w.placed.Tasks) }

func names(tasks []msgid.Alias) []string {
	all := make([]string, len(tasks))
	for i, t := range tasks {
		all[i] = t.String()
	}
	slices.Sort(all)
	return all
}

// String lists the tasks.
func (w *want) String() string { return strings.Join(w.tasks(), " ") }

// unsaid is the memory of a task that does not say what it needs, in a worker in which another does.
const unsaid = 64 << 20

// A need is what a worker may use; 0 is no limit.
type need struct {
	Memory int64 `json:"memory,omitempty"` // bytes
	CPU    int64 `json:"cpu,omitempty"`    // percent of a core
}

// need adds up what the tasks need.
func (w *want) need() (n need) {
	memory, cpu := false, true
	for _, t := range w.placed.Tasks {
		o := w.record.Spec.Operator(t.Operator)
		if o == nil {
			o = &cluster.Operator{}
		}
		if o.Memory > 0 {
			memory = true
			n.Memory += o.Memory
		} else {
			n.Memory += unsaid
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
