package sim

import (
	"fmt"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
)

// A Result is the outcome of a scenario's run.
type Result struct {
	Scenario  Scenario `json:"scenario"`
	Violation string   `json:"violation"` // which invariant was violated, and how; "" if none
	Invariant string   `json:"invariant"` // its name, as in "I2"
	Refused   string   `json:"refused"`   // which task rightly refused to continue, and why
	Hash      uint64   `json:"hash"`      // of all that happened: two runs of a scenario have the same
	Trace     string   `json:"trace"`     // the last things that happened, of a violation

	Steps   uint64 `json:"steps"`   // that the run took
	Time    uint64 `json:"time_ms"` // ms of the world's time
	Starts  int    `json:"starts"`
	Crashes int    `json:"crashes"`
	Outages int    `json:"outages"` // reported by steps
	Zombies int    `json:"zombies"`
	Fenced  int    `json:"fenced"`
	Cuts    int    `json:"cuts"`
	Losses  int    `json:"losses"` // of the log, while its tasks lived

	Counters recovery.Counters `json:"counters"` // of all incarnations
	Lost     task.Lost         `json:"lost"`     // tuples given up, as the last incarnations count them
	Consumed uint64            `json:"consumed"` // tuples by the last incarnations
}

// over reports whether the run has come to an end before its time.
func (r *Result) over() bool { return r.Violation != "" || r.Refused != "" }

func (r *Result) violate(invariant, what string) {
	if !r.over() {
		r.Invariant, r.Violation = invariant, what
	}
}

func (r *Result) refuse(format string, args ...any) {
	if !r.over() {
		r.Refused = fmt.Sprintf(format, args...)
	}
}

// count adds the counters of an instance.
func (r *Result) count(in *instance) { r.Counters.Add(in.core.Status().Counters) }

// finish closes the account.
func (r *Result) finish(w *World) {
	for _, in := range w.alive {
		r.count(in)
	}
	for _, s := range w.slots {
		if s.current != nil {
			lost := s.current.core.Lost()
			r.Lost.Dead += lost.Dead
			r.Lost.Dropped += lost.Dropped
		}
	}
	r.Steps, r.Time, r.Hash = w.step, w.now, w.trace.hash
	if r.Violation != "" {
		r.Trace = w.trace.last(traceLines)
	}
}

// String describes how the run ended.
func (r *Result) String() string {
	switch {
	case r.Violation != "":
		return fmt.Sprintf("%s violated: %s\n%v\n%s", r.Invariant, r.Violation, r.Scenario, r.Trace)
	case r.Refused != "":
		return "refused: " + r.Refused
	}
	return "good"
}

// Run runs a scenario.
func Run(s Scenario) (*Result, error) {
	w, err := newWorld(s)
	if err != nil {
		return nil, err
	}
	return w.run(), nil
}
