package barrier

import (
	"fmt"

	"github.com/askback/askback/internal/recovery"
)

// Operator is the coordinator's. Every other task has a channel to it, which carries only signals.
const Operator = "_barrier"

// New makes the machine of a task, or of the coordinator. It is a recovery.Factory.
func New(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
	return newMachine(cfg, h, "")
}

func newMachine(cfg recovery.Config, h recovery.History, bug Bug) (m recovery.Machine, err error) {
	cfg = cfg.Defaulted()
	cfg.Incarnation = h.Incarnation
	if cfg.Self.Operator == Operator {
		m, err = newCoordinator(cfg, h, bug)
	} else {
		m, err = newTask(cfg, h, bug)
	}
	if err != nil {
		return nil, fmt.Errorf("barrier: restore %v: %w", cfg.Self, err)
	}
	return m, nil
}

// Base restores a task from the checkpoint that the coordinator has committed last, or with empty state if there is none.
var Base = recovery.Base{Coordinator: Operator, Accepts: accepts}

func accepts(decision, snapshot []byte) bool {
	var want, have wave
	if decision != nil {
		d, err := decodeDecision(decision)
		if err != nil {
			return false
		}
		want = d.committed
	}
	if snapshot != nil {
		var err error
		if have, err = waveIn(snapshot); err != nil {
			return false
		}
	}
	return want == have
}
