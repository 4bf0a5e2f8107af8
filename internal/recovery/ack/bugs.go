package ack

import "github.com/askback/askback/internal/recovery"

// A Bug is a rule that a machine can be made to break, for tests of tests. Only tests plant one.
type Bug string

// The bugs, each named after its effect.
const (
	EarlyTrim  Bug = "ack_early_trim"   // A4: acknowledged tuples are dropped, stable or not
	EarlyEnd   Bug = "ack_early_end"    // A7: an end mark does not wait for the last snapshot
	NoStepBack Bug = "ack_no_step_back" // A6: a target keeps its position under a new incarnation of its source
	NoResend   Bug = "ack_no_resend"    // A2: tuples are not sent again
)

// Bugs lists them all.
var Bugs = []Bug{EarlyTrim, EarlyEnd, NoStepBack, NoResend}

// Planted returns the factory of machines with a bug, for tests of tests.
func Planted(b Bug) recovery.Factory {
	return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
		return newMachine(cfg, h, b)
	}
}
