package sim

import (
	"fmt"
	"strings"
)

// Faults is a set of kinds of fault.
type Faults uint32

// The kinds of fault.
const (
	Drop       Faults = 1 << iota // messages are lost
	Duplicate                     // messages arrive twice
	Reorder                       // data messages of one flow overtake each other
	Corrupt                       // a bit of a message is flipped
	Late                          // a message reaches the network late, and every endpoint that has joined by then
	Crash                         // a task dies
	Pair                          // a task and one of its sources die at once
	Restoring                     // a task dies while it is being restored
	Zombie                        // a task is paused, restored elsewhere, and comes back
	LostAnswer                    // an append is not answered, whether it was done, not done, or will be done later
	Cut                           // the power fails: all tasks restart, and the log has lost its newest records
	Damage                        // a byte of the log is flipped
	Vanish                        // the log is gone while its tasks live
	Regress                       // the log loses its newest records while its tasks live
	Full                          // the log rejects appends for a while
	Partition                     // two tasks do not reach each other, one way or both
	Slow                          // a task hardly gets its turn for a while
	Poison                        // tuples that cannot be processed, always or now and then
	Panic                         // operators panic
	Clock                         // the wall clock jumps
	Outage                        // steps of typed shapes report an outage
	AllFaults  Faults = 1<<iota - 1
)

var faultNames = [...]string{"drop", "duplicate", "reorder", "corrupt", "late", "crash", "pair", "restoring", "zombie",
	"lost_answer", "cut", "damage", "vanish", "regress", "full", "partition", "slow", "poison", "panic", "clock", "outage"}

// destructive faults take records from the log that it has acknowledged as safe. A task may refuse to continue after them.
const destructive = Damage | Vanish | Regress

// scheduled faults happen at random steps; the others befall single messages, appends or calls.
const scheduled = Crash | Pair | Zombie | Cut | Damage | Vanish | Regress | Full | Partition | Slow | Clock

// String returns the names of the faults, "drop,crash", or "none".
func (f Faults) String() string {
	var names []string
	for i, name := range faultNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ",")
}

// MarshalText implements encoding.TextMarshaler.
func (f Faults) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Faults) UnmarshalText(text []byte) (err error) {
	*f, err = ParseFaults(string(text))
	return err
}

// ParseFaults reads the result of String; "all" is all of them.
func ParseFaults(s string) (f Faults, err error) {
	if s == "" || s == "none" {
		return 0, nil
	}
	if s == "all" {
		return AllFaults, nil
	}
next:
	for name := range strings.SplitSeq(s, ",") {
		for i, known := range faultNames {
			if name == known {
				f |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("sim: no fault is called %q: there are %s", name, strings.Join(faultNames[:], ", "))
	}
	return f, nil
}
