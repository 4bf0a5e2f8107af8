package strategy

import (
	"fmt"
	"strings"
)

// A Strategy is one way to recover from failures. The zero value is Backtrack, the default.
type Strategy uint8

// The strategies.
const (
	// Backtrack restores a failed task alone. The task asks its sources for exactly the tuples that it missed, and
	// every other task goes on. Exactly once.
	Backtrack Strategy = iota
	// Barrier takes checkpoints of the whole topology, and rolls all tasks back to the last one after a failure, as
	// Flink does. Exactly once.
	Barrier
	// Ack lets a channel send its next tuples when those before are acknowledged. The sources of a failed task send
	// again what was not. At least once.
	Ack
	// Acker follows the tree of tuples that comes of each tuple of a spout, and has the spout emit again what was not
	// processed in time, as Storm does. A restarted bolt begins empty. At least once.
	Acker
	// None restores nothing. At most once.
	None
)

// A Guarantee is how often a tuple counts under failures.
type Guarantee uint8

// The guarantees.
const (
	AtMostOnce  Guarantee = iota // once or not at all
	AtLeastOnce                  // once or more often
	ExactlyOnce                  // once
)

// String returns "at most once", "at least once" or "exactly once".
func (g Guarantee) String() string {
	names := [...]string{"at most once", "at least once", "exactly once"}
	if int(g) >= len(names) {
		return fmt.Sprintf("guarantee(%d)", uint8(g))
	}
	return names[g]
}

// table describes the strategies, by number.
var table = [...]struct {
	name, about string
	guarantee   Guarantee
}{
	Backtrack: {"backtrack", "a restored task asks its sources for what it missed", ExactlyOnce},
	Barrier:   {"barrier", "all tasks go back to the last checkpoint that all of them have", ExactlyOnce},
	Ack:       {"ack", "each tuple waits until the one before is acknowledged", AtLeastOnce},
	Acker:     {"acker", "a spout emits again what is not processed in time, as Storm does; a restarted bolt begins empty", AtLeastOnce},
	None:      {"none", "nothing is restored", AtMostOnce},
}

// Valid reports whether s is one of the strategies.
func (s Strategy) Valid() bool { return int(s) < len(table) }

// String returns the name of the strategy, such as "backtrack".
func (s Strategy) String() string {
	if !s.Valid() {
		return fmt.Sprintf("strategy(%d)", uint8(s))
	}
	return table[s].name
}

// About returns a few words on how the strategy recovers, and "" for a value that is no strategy.
func (s Strategy) About() string {
	if !s.Valid() {
		return ""
	}
	return table[s].about
}

// Guarantee returns how often a tuple counts under the strategy. A value that is no strategy guarantees nothing, which is
// AtMostOnce.
func (s Strategy) Guarantee() Guarantee {
	if !s.Valid() {
		return AtMostOnce
	}
	return table[s].guarantee
}

// MarshalText writes the name, so that a strategy is a string in JSON.
func (s Strategy) MarshalText() ([]byte, error) {
	if !s.Valid() {
		return nil, fmt.Errorf("strategy: %v is none", s)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads a name. It fails as Named does.
func (s *Strategy) UnmarshalText(text []byte) (err error) {
	*s, err = Named(string(text))
	return err
}

// All returns the strategies, the default first.
func All() []Strategy {
	all := make([]Strategy, len(table))
	for i := range all {
		all[i] = Strategy(i)
	}
	return all
}

// Names returns the names of the strategies, the default first.
func Names() []string {
	names := make([]string, len(table))
	for i := range names {
		names[i] = table[i].name
	}
	return names
}

// Named returns the strategy of a name. Its error lists the names that there are.
func Named(name string) (Strategy, error) {
	for i := range table {
		if table[i].name == name {
			return Strategy(i), nil
		}
	}
	return 0, fmt.Errorf("unknown strategy %.80q: there are %s", name, strings.Join(Names(), ", "))
}
