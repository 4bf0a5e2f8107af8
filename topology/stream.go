package topology

import (
	"github.com/askback/askback/tuple"
)

// DeadStream is the stream on which an operator with the policy DeadLetter emits the tuples that it could not process.
// Its fields are id (the text of the tuple's message id), error (the text of the last error, cut to 1 KiB) and tuple
// (its msgpack bytes, which tuple.Parse reads).
const DeadStream = "dead"

// A Stream is a kind of tuple that an operator emits: its name and its fields.
type Stream struct {
	Operator *Operator
	Name     string // "" is the default stream
	Fields   *tuple.Fields
	Edges    []*Edge // its readers, in the order they were declared; may be empty
}

// String returns the form in which a bolt subscribes to it, "op" or "op:stream".
func (s *Stream) String() string {
	if s.Name == "" {
		return s.Operator.Name
	}
	return s.Operator.Name + ":" + s.Name
}

// An Edge is one operator's subscription to one stream: which tuples go to which of its tasks.
type Edge struct {
	From     *Operator
	Stream   *Stream // a stream of From
	To       *Operator
	Input    int // its index in To.Inputs
	Grouping Grouping
	Fields   []int    // for GroupBy and PartialKey: the indices in Stream.Fields of the key
	Name     string   // for Custom: names the function in the plan's version
	Pick     PickFunc // for Custom
}

// Targets returns how many tasks of To can be sent to: the first only for Global, else all of them.
func (e *Edge) Targets() int {
	if e.Grouping == Global {
		return 1
	}
	return e.To.Parallel
}
