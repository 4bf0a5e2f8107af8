package backtrack

import (
	"fmt"

	"github.com/askback/askback/internal/recovery"
)

// A Bug is a rule of the protocol that a machine can be made to break. A simulator that misses it proves nothing, so tests
// plant each bug and demand that it is caught. Only tests plant one.
type Bug string

// The bugs, each named after its effect.
const (
	EarlyRelease      Bug = "early_release"      // D2: a frame is released before the determinants that led to it are durable
	EarlyTrim         Bug = "early_trim"         // S1: one frame too many is trimmed
	EarlyAck          Bug = "early_ack"          // C2: inputs are reported as stable when a snapshot is captured
	NoFence           Bug = "no_fence"           // T4: messages of a lower incarnation count
	NoMark            Bug = "no_mark"            // S3: no high-water marks
	NoDeterminants    Bug = "no_determinants"    // D1: turns of inputs and timers are not recorded
	NoRefusal         Bug = "no_refusal"         // S4: a target whose log went back is not refused
	NoCredit          Bug = "no_credit"          // flow control: a source does not wait for its target
	DuplicateAccepted Bug = "duplicate_accepted" // T1: a duplicate is delivered
	ChecksumIgnored   Bug = "checksum_ignored"   // T5: a frame of another history is accepted
)

// Bugs lists them all.
var Bugs = []Bug{EarlyRelease, EarlyTrim, EarlyAck, NoFence, NoMark, NoDeterminants, NoRefusal, NoCredit, DuplicateAccepted, ChecksumIgnored}

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
