package cluster

import (
	"fmt"
	"time"
)

// A Rescale is the instance that a topology becomes when it has quiesced, with other numbers of tasks.
type Rescale struct {
	Instance Instance       `json:"instance"`
	Spec     Spec           `json:"spec"`
	Parallel map[string]int `json:"parallel"`
	Since    time.Time      `json:"since"`
	// QuiescePositions are those of all tasks when all had quiesced first, by task: see Task.QuiescePositions. If heartbeats
	// that follow this record show the same ones, no message was on its way between any two tasks.
	QuiescePositions map[string]uint64 `json:"quiesce_positions,omitempty"`
}

// An Origin is the instance that a topology was before a Rescale. Each task begins with the state that it had there,
// except those of operators whose number of tasks has changed.
type Origin struct {
	Instance         Instance          `json:"instance"`
	Plan             uint64            `json:"plan,string"`
	Parallel         map[string]int    `json:"parallel,omitempty"`
	QuiescePositions map[string]uint64 `json:"quiesce_positions"` // by task; a task that is missing begins empty
}

// Check returns an error if an origin cannot be that of an instance.
func (o *Origin) Check(of Instance) error {
	if err := o.Instance.Check(); err != nil {
		return err
	}
	if o.Instance.Name() != of.Name() || o.Instance == of {
		return fmt.Errorf("%w: %s cannot go on from %s", ErrName, of, o.Instance)
	}
	return nil
}
