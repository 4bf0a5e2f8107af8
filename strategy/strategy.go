package strategy

import (
	"context"
	"fmt"
	"strings"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/acker"
	"github.com/askback/askback/internal/recovery/acker/ledger"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A Guarantee says how often a tuple counts, whatever fails.
type Guarantee uint8

// The guarantees.
const (
	AtMostOnce  Guarantee = iota // once or not at all
	AtLeastOnce                  // once or more often
	ExactlyOnce                  // once
)

// String returns "at most once", "at least once" or "exactly once".
func (g Guarantee) String() string {
	return [...]string{"at most once", "at least once", "exactly once"}[g]
}

// A Strategy is one way to recover from failures.
type Strategy struct {
	Name      string
	About     string // what it does, in a few words
	Guarantee Guarantee
	New       recovery.Factory
	// Log reports whether a task of an operator keeps a log; nil: none does.
	Log func(*topology.Operator) bool
	// Base says from which snapshot a task is restored; nil: from its newest.
	Base *recovery.Base
	// Extension is what the strategy adds to a topology; nil: nothing.
	Extension *topology.Extension
}

// Described returns what operators are told of the strategy.
func (s *Strategy) Described() bolt.Strategy {
	return bolt.Strategy{
		Name: s.Name, ExactlyOnce: s.Guarantee == ExactlyOnce, Snapshots: s.Keeps(&topology.Operator{}), RollsBack: s.Base != nil,
	}
}

// Keeps reports whether a task of an operator keeps a log.
func (s *Strategy) Keeps(o *topology.Operator) bool { return s.Log != nil && s.Log(o) }

func every(*topology.Operator) bool { return true }

func spouts(o *topology.Operator) bool { return o.Spout != nil }

// All lists the strategies, the default first.
var All = []*Strategy{
	{
		Name: "backtrack", About: "a restored task asks its sources for what it missed", Guarantee: ExactlyOnce,
		New: backtrack.New, Log: every,
	},
	{
		Name: "barrier", About: "all tasks go back to the last checkpoint that all of them have", Guarantee: ExactlyOnce,
		New: barrier.New, Log: every, Base: &barrier.Base,
		Extension: &topology.Extension{
			Operator: barrier.Operator, Parallel: 1, Stream: barrier.Operator, Fields: []string{"nothing"},
			Bolt: bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil }), // it gets signals only
		},
	},
	{
		Name: "ack", About: "each tuple waits until the one before is acknowledged", Guarantee: AtLeastOnce,
		New: ack.New, Log: every,
	},
	{
		Name: "acker", About: "a spout emits again what is not processed in time, as Storm does; a restarted bolt begins empty", Guarantee: AtLeastOnce,
		New: acker.Over(none.New), Log: spouts, Extension: ledger.Extension,
	},
	{
		Name: "none", About: "nothing is restored", Guarantee: AtMostOnce,
		New: none.New,
	},
}

// Named returns the strategy of that name.
func Named(name string) (*Strategy, error) {
	for _, s := range All {
		if s.Name == name {
			return s, nil
		}
	}
	return nil, fmt.Errorf("unknown strategy %q: there are %s", name, strings.Join(Names(), ", "))
}

// Names lists the names of the strategies, the default first.
func Names() (names []string) {
	for _, s := range All {
		names = append(names, s.Name)
	}
	return names
}
