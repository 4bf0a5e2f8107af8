package topology

import (
	"fmt"
	"strings"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

// An Extension is a recovery strategy's addition to a topology: one operator of its own that every other operator sends to,
// and that may answer the spouts. Its names begin with an underscore, which those of users must not.
type Extension struct {
	Operator string // such as "_acker"
	Parallel int
	Bolt     func() bolt.Bolt
	Stream   string   // the stream that every operator gets, such as "_ack"
	Fields   []string // fields of that stream
	Key      string   // the field by which it is grouped; "": all of it goes to the first task
	// Answers are the fields of the streams on which the operator answers the spouts, none if it does not: a stream
	// for each spout, of the spout's name, read directly. These are the only edges into spouts, and the only ones
	// that may close a cycle.
	Answers []string
}

// system reports whether a name is one that only extensions may have.
func system(name string) bool { return strings.HasPrefix(name, "_") }

// extend adds an extension to a topology without errors.
func (c *compiler) extend(x *Extension) {
	fields := func(names []string) *tuple.Fields {
		f, err := tuple.NewFields(names...)
		if err != nil {
			c.fail(Error{Operator: x.Operator}, "%v", err)
		}
		return f
	}
	o := &Operator{Name: x.Operator, Parallel: x.Parallel, Bolt: x.Bolt, System: true}
	sent := fields(x.Fields)
	for _, from := range c.plan.Operators {
		s := &Stream{Operator: from, Name: x.Stream, Fields: sent}
		e := &Edge{From: from, Stream: s, To: o, Input: len(o.Inputs), Grouping: Global}
		if x.Key != "" {
			e.Grouping, e.Fields = GroupBy, []int{sent.Index(x.Key)}
		}
		s.Edges = append(s.Edges, e)
		from.Streams = append(from.Streams, s)
		o.Inputs = append(o.Inputs, e)
		if from.Spout == nil || len(x.Answers) == 0 {
			continue
		}
		answer := &Stream{Operator: o, Name: from.Name, Fields: fields(x.Answers)}
		e = &Edge{From: o, Stream: answer, To: from, Input: len(from.Inputs), Grouping: Direct}
		answer.Edges = append(answer.Edges, e)
		o.Streams = append(o.Streams, answer)
		from.Inputs = append(from.Inputs, e)
	}
	c.plan.Operators = append(c.plan.Operators, o)
	if !system(x.Operator) || !system(x.Stream) || x.Parallel < 1 || x.Bolt == nil {
		panic(fmt.Sprintf("topology: %+v is not an extension", x))
	}
}
