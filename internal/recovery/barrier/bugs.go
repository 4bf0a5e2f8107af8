package barrier

import (
	"fmt"

	"github.com/askback/askback/internal/recovery"
)

// A Bug is a rule of the protocol that a machine can be made to break. A simulator that misses it proves nothing, so tests
// plant each bug and demand that it is caught. Only tests plant one.
type Bug string

// The bugs, each named after its effect.
const (
	NoAlignment    Bug = "no_alignment"    // B2: the first barrier makes the snapshot, the other inputs run on
	EarlyCommit    Bug = "early_commit"    // B6: a sink commits when its own snapshot is durable
	MissingReport  Bug = "missing_report"  // B5: a checkpoint is committed when all tasks but one have it
	MixedEpochs    Bug = "mixed_epochs"    // E3: frames of any incarnation are taken
	LonelyRollback Bug = "lonely_rollback" // E1: only the task that failed begins again
)

// Bugs lists them all.
var Bugs = []Bug{NoAlignment, EarlyCommit, MissingReport, MixedEpochs, LonelyRollback}

// Planted returns the factory of machines with a bug, for tests of tests.
func Planted(b Bug) recovery.Factory {
	return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
		m, err := newMachine(cfg, h, b)
		if err != nil {
			return nil, fmt.Errorf("with bug %q: %w", b, err)
		}
		return m, nil
	}
}
