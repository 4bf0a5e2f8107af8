// Package strategies holds what executes the recovery strategies: for each strategy.Strategy the factory of its
// machines, the tasks that keep a log, and the operator that it adds to a topology. A local run, a worker, the
// simulator and the benchmarks look a strategy up here:
//
//	s, err := strategies.Of(strategy.Backtrack)
//	plan, err := builder.BuildWith(s.Extension, s.Described())
package strategies

import (
	"context"
	"fmt"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/acker"
	"github.com/askback/askback/internal/recovery/acker/ledger"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// An Implementation executes one strategy.
type Implementation struct {
	strategy.Strategy
	// New makes the machine of a task.
	New recovery.Factory
	// Log reports whether a task of an operator keeps a log; nil: none does.
	Log func(*topology.Operator) bool
	// Base chooses the snapshot that a task is restored from; nil: the newest.
	Base *recovery.Base
	// Extension is the strategy's addition to a topology; nil: none.
	Extension *topology.Extension
}

// Keeps reports whether a task of an operator keeps a log.
func (i *Implementation) Keeps(o *topology.Operator) bool { return i.Log != nil && i.Log(o) }

// Described returns the strategy as operators see it.
func (i *Implementation) Described() bolt.Strategy {
	return bolt.Strategy{
		Name: i.String(), ExactlyOnce: i.Guarantee() == strategy.ExactlyOnce, Snapshots: i.Keeps(&topology.Operator{}), RollsBack: i.Base != nil,
	}
}

func every(*topology.Operator) bool { return true }

func spouts(o *topology.Operator) bool { return o.Spout != nil }

// table is by strategy.
var table = [...]Implementation{
	strategy.Backtrack: {New: backtrack.New, Log: every},
	strategy.Barrier: {
		New: barrier.New, Log: every, Base: &barrier.Base,
		Extension: &topology.Extension{
			Operator: barrier.Operator, Parallel: 1, Stream: barrier.Operator, Fields: []string{"nothing"},
			Bolt: bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil }), // it receives signals only
		},
	},
	strategy.Ack:   {New: ack.New, Log: every},
	strategy.Acker: {New: acker.Over(none.New), Log: spouts, Extension: ledger.Extension},
	strategy.None:  {New: none.New},
}

// Of returns what executes a strategy. It fails for a value that is no strategy.
func Of(s strategy.Strategy) (*Implementation, error) {
	if int(s) >= len(table) || table[s].New == nil {
		return nil, fmt.Errorf("unknown strategy %v", s)
	}
	i := table[s]
	i.Strategy = s
	return &i, nil
}

// Named returns what executes the strategy of a name. It fails as strategy.Named does.
func Named(name string) (*Implementation, error) {
	s, err := strategy.Named(name)
	if err != nil {
		return nil, err
	}
	return Of(s)
}
