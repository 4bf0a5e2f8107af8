package topology

import (
	"strconv"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
)

// MaxParallel is the greatest number of tasks of one operator.
const MaxParallel = 4096

// An Operator is a spout or a bolt of a plan. Exactly one of Spout and Bolt is set.
type Operator struct {
	Name     string
	Parallel int              // how many tasks it has, 1 to MaxParallel
	Spout    spout.Source     // makes the spout of each task
	Bolt     func() bolt.Bolt // makes the bolt of each task, anew in each incarnation

	Streams []*Stream // its output, in the order declared
	Inputs  []*Edge   // its input, in the order declared

	Tick      time.Duration // the interval of bolt.Ticker; 0 is never
	Pessimism Pessimism
	Retry     Retry
	OnError   ErrorPolicy // applies to a tuple with a failed Execute, after the retries
	Note      string      // a remark for people; not in the plan's version
	System    bool        // it belongs to the recovery strategy, not to the user: see Extension

	// Needs of each of its tasks, for placement; 0 declares none. Neither is in the plan's version.
	CPU    int64 // percent of a core
	Memory int64 // bytes

	Tasks []*Task // by index of their alias
}

// Stream returns the operator's stream of that name ("" is the default stream), or nil if it has none.
func (o *Operator) Stream(name string) *Stream {
	for _, s := range o.Streams {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// A Retry bounds how often a tuple is tried again after a failed Execute: at most Times more times, Backoff apart. After
// that, and at once with the zero Retry, the operator's ErrorPolicy decides.
type Retry struct {
	Times   int
	Backoff time.Duration
}

// An ErrorPolicy decides about a tuple with a failed Execute that is not tried again.
type ErrorPolicy uint8

const (
	// Fail fails the topology with a *bolt.TupleError. The tuple is not acknowledged and not lost.
	Fail ErrorPolicy = iota
	// DeadLetter emits the tuple on the stream DeadStream, with the reason, and counts it.
	DeadLetter
	// Drop drops the tuple and counts it.
	Drop
)

// String returns "fail", "dead letter" or "drop".
func (p ErrorPolicy) String() string {
	switch p {
	case Fail:
		return "fail"
	case DeadLetter:
		return "dead letter"
	case Drop:
		return "drop"
	}
	return "error policy " + strconv.Itoa(int(p))
}

// A Pessimism is the part of an operator's work that must be durable before its frames may be released.
type Pessimism uint8

const (
	// Optimistic logs only determinants. A replay repeats the rest, so the operator must be deterministic.
	Optimistic Pessimism = iota
	// PerFrame logs outputs and changes of state, one record for the outputs of several tuples.
	PerFrame
	// PerTuple logs outputs and changes of state with every tuple, as the paper does. It is slow.
	PerTuple
)

// String returns "optimistic", "pessimistic per frame" or "pessimistic per tuple".
func (p Pessimism) String() string {
	switch p {
	case Optimistic:
		return "optimistic"
	case PerFrame:
		return "pessimistic per frame"
	case PerTuple:
		return "pessimistic per tuple"
	}
	return "pessimism " + strconv.Itoa(int(p))
}
