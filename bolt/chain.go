package bolt

import (
	"errors"
	"fmt"
	"slices"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// Chain begins a composition of bolts. The chain is one bolt: a row that a step emits on its default stream goes to the
// next step's Execute by a function call, as a tuple with the fields named between the two. There is no queue, and rows are
// encoded only into a buffer that is reused.
//
//	chain := bolt.Chain("split", newSplit).Fields("word").Then("count", newCount)
//	b.Bolt("words", chain.New).Shuffle("lines").Fields("word", "n")
//
// The last step emits on the operator's streams, and so does every step that names a stream with On.
//
// # One operator
//
// The chain has one snapshot, of all its steps. The step's name keeps maps of keyed state apart. Each step gets its own
// name as that of its operator (Task's Alias), so that a sink's names outside do not depend on the composition. Step names
// are unique in a topology. They are part of snapshots, so a step with state keeps its name from program to program; a step
// that is new to a restored chain begins empty.
//
// Tick and Finish reach the steps in order, so that the rows that a step emits in them reach the next step before that
// one's own Tick or Finish. All steps with Tick are ticked on the operator's interval.
//
// A tuple that a step receives has an id of its own: its number on the way from one step to the other. A replay repeats it as
// the task's state: with a task of several inputs, only from the newest determinants on that are durable. So a sink in a chain
// commits its effects with the snapshot (Committer), or its effects do not depend on the order of the inputs; an Identifier is
// rejected.
//
// # Errors
//
// After the first error of a call no step receives another row; the error names the step and the step's tuple. The
// operator's retries and error policy are the chain's: they concern the tuple of the first step, and all rows derived from
// it.
//
// A call cannot be repeated or given up once a step with state has processed a part of that tuple, other than by the very
// call that failed: the error is Permanent then, whatever the operator declares. Retries and policies do not apply to Tick
// and Finish either, nor to the tuples that they emit. A step with retries or a policy for its own tuples must begin an
// operator.
func Chain(name string, factory func() Bolt) *Chained {
	return &Chained{[]chained{{name: name, factory: factory}}}
}

// A Chained is a composition of bolts. It does not change once made, and may be continued in several ways. New is the factory
// that a topology is built from.
type Chained struct{ steps []chained }

// chained is one step as declared.
type chained struct {
	name    string
	factory func() Bolt
	fields  []string // of the rows for the next step; nil of the last
}

// Fields names the fields of the rows that the last step emits to the next.
func (c *Chained) Fields(names ...string) *Link {
	steps := slices.Clone(c.steps)
	steps[len(steps)-1].fields = slices.Clone(names)
	return &Link{steps}
}

// A Link is a composition of bolts that lacks its last step.
type Link struct{ steps []chained }

// Then adds the step that comes next.
func (l *Link) Then(name string, factory func() Bolt) *Chained {
	return &Chained{append(slices.Clip(l.steps), chained{name: name, factory: factory})}
}

// A Composition is a bolt or a source that is made of several bolts. topology.Build reports its problems, and step names
// that the topology has twice; the printed plan shows the steps.
type Composition interface {
	Steps() []string   // the names of the bolts, in order
	Problems() []error // errors in how they were declared
}

// New makes the bolt of one task. A chain that was declared wrongly fails in Prepare and Execute; topology.Build reports it
// before.
func (c *Chained) New() Bolt {
	x := &chain{}
	for i, s := range c.steps {
		x.declare(s, i+1 < len(c.steps))
	}
	return x.withInterfaces()
}

// declare adds a step.
func (c *chain) declare(s chained, more bool) {
	p := &part{chain: c, name: s.name}
	reject := func(format string, args ...any) {
		c.problems = append(c.problems, fmt.Errorf("step %.80q %w", s.name, fmt.Errorf(format, args...)))
	}
	if !msgid.ValidName(s.name) {
		reject("has no valid name: take 1 to 64 of A-Z a-z 0-9 _ -")
	} else if slices.ContainsFunc(c.parts, func(p *part) bool { return p.name == s.name }) {
		reject("is there twice: give each step a name of its own")
	}
	if s.factory == nil {
		reject("has no factory: give a function that returns a new bolt")
	} else if p.bolt = s.factory(); p.bolt == nil {
		reject("has a factory that returned nil: it must return a new bolt each time")
	} else if _, ids := p.bolt.(Identifier); ids {
		reject("identifies tuples by message ids, so it must be an operator by itself: end the chain before it")
	} else if _, nested := p.bolt.(Composition); nested {
		reject("is a composition itself: list its steps instead")
	}
	if more {
		fields, err := tuple.NewFields(s.fields...)
		if len(s.fields) == 0 {
			err = errors.New("no field is named")
		}
		if err != nil {
			reject("hands on tuples by .Fields(%q): %w", s.fields, err)
		}
		p.next = newHandover(c, fields, len(c.parts)+1)
	}
	c.parts = append(c.parts, p)
}
