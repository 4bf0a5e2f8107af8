package schedule

import (
	"cmp"
	"math"
	"strconv"

	"github.com/askback/askback/msgid"
)

// A State is all that the scheduler knows. Names are unique in it, no number is negative, and each
// channel joins two tasks that exist.
type State struct {
	Supervisors []Supervisor // in any order
	Topologies  []Topology   // in the order of their submission, which is that of their claims
	Workers     []Worker     // the present assignment, in any order
}

// A Supervisor runs workers on one host.
type Supervisor struct {
	Name  string
	Slots []int     // the numbers of its slots; each takes one worker
	Room  Resources // limit of its workers together; 0: no limit
	Tags  []string  // its properties, such as "gpu"
	Gone  bool      // it is given no new workers; those that it has are judged by Worker.Lost
}

// Resources are a task's needs or a supervisor's room.
type Resources struct {
	CPU    int64 // in percent of a core; 0: unspecified
	Memory int64 // in bytes; 0: unspecified
}

// A Slot is a place for one worker.
type Slot struct {
	Supervisor string
	Number     int
}

// A Topology asks for workers.
type Topology struct {
	Name     string
	Tasks    []msgid.Alias        // in the order of the plan
	Channels []Channel            // traffic that should not cross the workers' boundaries
	Workers  int                  // how many at most; less than 1 is 1
	Needs    map[string]Resources // of each task of an operator
	Tags     []string             // which its supervisors must have

	// Rebalance lets healthy tasks move. Take it back once the assignment is in force.
	Rebalance bool
}

// A Channel is the traffic from one task to another.
type Channel struct {
	Source, Target int // indices in Topology.Tasks
	// Weight is its share of the traffic, such as tuples a second; 0 is not known, and counts as 1. A channel with
	// local-or-shuffle grouping weighs all that its source sends along the edge: one such target at hand takes it.
	Weight int64
}

// A Worker is one process of a topology.
type Worker struct {
	Topology string
	Slot     Slot
	Tasks    []msgid.Alias // in the order of the plan
	Lost     bool          // it is dead for good where it is: its tasks move
}

// An Assignment maps slots to workers.
type Assignment struct {
	Workers   []Worker // topology by topology, then by slot; none is lost
	Shortages []Shortage
}

// A Shortage is an unmet request of a topology.
type Shortage struct {
	Topology string
	Waiting  []msgid.Alias // the tasks that run nowhere; none if there are merely fewer workers than asked for
	Reason   string        // what is missing, and the remedy
}

// Compare orders slots by supervisor, then by number: it returns -1, 0 or +1.
func (s Slot) Compare(other Slot) int {
	return cmp.Or(cmp.Compare(s.Supervisor, other.Supervisor), cmp.Compare(s.Number, other.Number))
}

// String returns the text form, "host-1/6701".
func (s Slot) String() string { return s.Supervisor + "/" + strconv.Itoa(s.Number) }

func (r Resources) plus(other Resources) Resources {
	return Resources{CPU: r.CPU + other.CPU, Memory: r.Memory + other.Memory}
}

func (r Resources) minus(other Resources) Resources {
	return Resources{CPU: r.CPU - other.CPU, Memory: r.Memory - other.Memory}
}

// String returns the resources that are specified, such as "8 GiB and 150 % of a core".
func (r Resources) String() string {
	cpu := strconv.FormatInt(r.CPU, 10) + " % of a core"
	switch {
	case r.Memory == 0:
		return cpu
	case r.CPU == 0:
		return bytes(r.Memory)
	}
	return bytes(r.Memory) + " and " + cpu
}

// bytes returns a size in the greatest unit of which it has one, such as "1.5 GiB".
func bytes(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size {
			// Tenths are cut off, not rounded: free room must not look larger than it is.
			tenths := math.Floor(10 * float64(n) / float64(unit.size))
			return strconv.FormatFloat(tenths/10, 'f', -1, 64) + " " + unit.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
