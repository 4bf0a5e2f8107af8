package cluster

import (
	"fmt"
	"maps"
	"reflect"
	"time"

	"github.com/askback/askback/msgid"
)

// A Rescale is what a topology is to become when it stands still: another instance, with other numbers of tasks.
type Rescale struct {
	Instance Instance       `json:"instance"`
	Spec     Spec           `json:"spec"`
	Parallel map[string]int `json:"parallel"`
	Since    time.Time      `json:"since"`
	// Stands says where each task stood when all stood still first; see Task.Still. If they stand there still when they
	// have heard of this, nothing was on its way between them.
	QuiescePositions map[string]uint64 `json:"quiesce_positions,omitempty"`
}

// An Origin is what an instance was before a Rescale, and where its tasks stood: each one begins with the state that it
// had, but those of operators whose number of tasks is another.
type Origin struct {
	Instance         Instance          `json:"instance"`
	Plan             uint64            `json:"plan,string"`
	Parallel         map[string]int    `json:"parallel,omitempty"`
	QuiescePositions map[string]uint64 `json:"quiesce_positions"` // by task; one that is not there begins empty
}

// Check returns an error if an origin, as it comes from outside, cannot be that of an instance.
func (o *Origin) Check(of Instance) error {
	if err := o.Instance.Check(); err != nil {
		return err
	}
	if o.Instance.Name() != of.Name() || o.Instance == of {
		return fmt.Errorf("%w: %s cannot go on from %s", ErrName, of, o.Instance)
	}
	return nil
}

// CheckParallelism returns an error unless another number of tasks can be asked for.
func CheckParallelism(parallel map[string]int) error {
	for name, tasks := range parallel {
		if err := CheckName("operator", name, msgid.MaxName); err != nil {
			return err
		}
		if tasks < 1 || tasks > maxTasks {
			return fmt.Errorf("cluster: %d tasks of operator %s: want 1 to %d", tasks, name, maxTasks)
		}
	}
	return nil
}

// SameProgram reports whether two specs are of the same program, whatever the numbers of tasks.
func (s *Spec) SameProgram(other *Spec) bool {
	if s.Name != other.Name || s.Strategy != other.Strategy || !reflect.DeepEqual(s.Settings, other.Settings) || s.FrameSize != other.FrameSize ||
		len(s.Operators) != len(other.Operators) || len(s.Edges) != len(other.Edges) {
		return false
	}
	for i, o := range s.Operators {
		if p := other.Operators[i]; o.Name != p.Name || o.Spout != p.Spout || o.System != p.System || o.Log != p.Log {
			return false
		}
	}
	return true
}

// Parallelism returns the numbers of tasks by operator, with others in place of some.
func (s *Spec) Parallelism(other map[string]int) map[string]int {
	all := map[string]int{}
	for _, o := range s.Operators {
		all[o.Name] = o.Parallel
	}
	maps.Copy(all, other)
	return all
}
