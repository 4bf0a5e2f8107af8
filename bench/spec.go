package bench

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// A Spec describes one measurement: one workload, under one strategy, with one fault.
type Spec struct {
	Workload string
	Strategy string // a name that Contenders lists
	Parallel int
	Hops     int           // of workload hops
	Rate     float64       // tuples a second that the sources emit; 0: as many as possible
	Duration time.Duration // of the measurement
	Warmup   time.Duration // before it
	Seed     uint64
	Fault    Fault

	// TextLimit is how many bytes of text wordcount reads; 0: all of Go's own source. Small makes tables small. Both
	// are for tests.
	TextLimit int64
	Small     bool

	Server string  // URL of a NATS server; "": one in the process
	Dir    string  // store of the one in the process; "": a temporary one
	Resume *Resume // an earlier process was killed, and this one goes on

	mode topology.Pessimism
}

// Resume is what the killed process before had done.
type Resume struct {
	Due      time.Time // when number 0 was due
	From     []int64   // each source's emitted tuples, for strategies that do not restore sources
	Arrived  int64     // results, for strategies that do not restore sinks
	Distinct int64     // of them
}

// Pessimistic is what is added to a strategy's name to have its bolts log what they emit before they send it.
const Pessimistic = "-pessimistic"

// Contenders lists what can be compared: every strategy, none first, and backtrack with pessimistic bolts.
func Contenders() []string {
	names := []string{"none"}
	for _, n := range strategy.Names() {
		if n != "none" && n != "backtrack" {
			names = append(names, n)
		}
	}
	return append(names, "backtrack", "backtrack"+Pessimistic)
}

// contender returns the strategy that a contender's name means.
func (s *Spec) contender() (*strategies.Implementation, error) {
	name, pessimistic := strings.CutSuffix(s.Strategy, Pessimistic)
	if pessimistic {
		s.mode = topology.PerFrame
	}
	st, err := strategies.Named(name)
	if err != nil || pessimistic && st.Guarantee() != strategy.ExactlyOnce {
		return nil, fmt.Errorf("unknown strategy %q: there are %s", s.Strategy, strings.Join(Contenders(), ", "))
	}
	return st, nil
}

// Check finds what contradicts itself, before minutes are spent.
func (s *Spec) Check() error {
	if _, err := WorkloadNamed(s.Workload); err != nil {
		return err
	}
	if _, err := s.contender(); err != nil {
		return err
	}
	switch {
	case s.Parallel < 1 || s.Parallel > 64:
		return fmt.Errorf("parallelism %d: want 1 to 64", s.Parallel)
	case s.Duration < 100*time.Millisecond:
		return fmt.Errorf("a duration of %v is too short to measure anything: want 100ms or more", s.Duration)
	case s.Rate < 0:
		return errors.New(`a rate below 0: want a number of tuples a second, or "max"`)
	case s.Workload == "hops" && (s.Hops < 1 || s.Hops > 16):
		return fmt.Errorf("a chain of %d hops: want 1 to 16", s.Hops)
	case s.Fault.Kind != "" && s.Fault.At+s.Fault.For > s.Duration-s.Duration/10:
		return fmt.Errorf("fault %v leaves no time to see what follows: raise --duration above %v", s.Fault, (s.Fault.At+s.Fault.For)*5/4)
	}
	return nil
}
