package spout

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

// Through begins a source whose rows run through bolts before they are emitted: the spout passes a row to the first bolt by
// a function call, and so on. There is no queue, and rows are encoded only into buffers that are reused.
//
//	words := spout.Through(lines).Fields("line").Then("split", newSplit)
//	b.Spout("words", words).Fields("word")
//
// The bolts are as those of a bolt.Chain, but without state, since the snapshot of a spout is its position. A bolt with
// Restore, Commit, Tick or Finish, or one that opens a map of keyed state, is refused. The last bolt emits on the spout's
// streams, and so does every bolt that names a stream with On.
//
// # Errors
//
// A call of Next that fails has no output. If a bolt fails, the topology fails with a *bolt.TupleError that names the step:
// a spout has no retries and no error policy. The repaired program resumes at that call. A bolt with tuples that may fail
// belongs in an operator by itself. After an outage (bolt.Outage) the task is restarted, as always.
//
// # The source
//
// Its other interfaces are kept, except Acker, since the emitted tuples are not those of the source. Without a step the
// result is the source itself.
func Through(source Source) *Fused {
	return &Fused{source: source}
}

// A Fused is a source composed with bolts. It does not change once made, and may be continued in several ways.
type Fused struct {
	source Source
	fields []string
	steps  []step
	bolts  *bolt.Chained // the steps; nil if there is none
}

// A step is one bolt as declared.
type step struct {
	name    string
	factory func() bolt.Bolt
}

// Fields names the fields of the rows that the source, or the last bolt so far, emits to the next bolt.
func (f *Fused) Fields(names ...string) *Link {
	l := &Link{of: *f}
	if f.bolts == nil {
		l.of.fields = slices.Clone(names)
	} else {
		l.bolts = f.bolts.Fields(names...)
	}
	return l
}

// A Link is a source composed with bolts that lacks its last bolt.
type Link struct {
	of    Fused
	bolts *bolt.Link // nil before the first bolt
}

// Then adds the bolt that comes next.
func (l *Link) Then(name string, factory func() bolt.Bolt) *Fused {
	f := l.of
	f.steps = append(slices.Clip(f.steps), step{name, factory})
	if l.bolts == nil {
		f.bolts = bolt.Chain(name, factory)
	} else {
		f.bolts = l.bolts.Then(name, factory)
	}
	return &f
}

// New makes the spout of one task. A composition that was declared wrongly fails in Open; topology.Build reports it before.
func (f *Fused) New() Spout {
	if f.bolts == nil && f.source != nil {
		return f.source.New()
	}
	x := &fused{problems: f.Problems()}
	if x.problems != nil {
		return x
	}
	fields, _ := tuple.NewFields(f.fields...) // or it were a problem
	x.from, x.bolts = f.source.New(), f.bolts.New()
	x.steps = x.bolts.(bolt.Composition).Steps()
	x.in.init(x, fields)
	return x
}

// Steps implements bolt.Composition.
func (f *Fused) Steps() (names []string) {
	if inner, ok := f.source.(bolt.Composition); ok {
		names = inner.Steps()
	}
	for _, s := range f.steps {
		names = append(names, s.name)
	}
	return names
}

// Problems implements bolt.Composition. It makes the bolts of one task and closes them.
func (f *Fused) Problems() (problems []error) {
	if fn, ok := f.source.(Func); f.source == nil || ok && fn == nil {
		problems = append(problems, errors.New("the source given to Through is nil: give one, such as spout.Func"))
	}
	if inner, ok := f.source.(bolt.Composition); ok {
		problems = append(problems, inner.Problems()...)
	}
	if f.bolts == nil {
		return problems
	}
	_, err := tuple.NewFields(f.fields...)
	if len(f.fields) == 0 {
		err = errors.New("no field is named")
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("the source given to Through hands on tuples by .Fields(%q): %w", f.fields, err))
	}
	b := f.bolts.New()
	if c, ok := b.(io.Closer); ok {
		defer c.Close()
	}
	problems = append(problems, b.(bolt.Composition).Problems()...)
	for _, s := range f.steps {
		if s.factory == nil {
			continue
		}
		if has := keeps(s.factory()); has != "" {
			problems = append(problems, notInSpout(s.name, "has "+has))
		}
	}
	return problems
}

// keeps returns the method of a bolt that a spout cannot call, "" if it has none.
func keeps(b bolt.Bolt) (method string) {
	switch b.(type) {
	case bolt.Composition: // reported already
	case bolt.Committer:
		method = "Commit"
	case bolt.Snapshotter:
		method = "Restore"
	case bolt.Ticker:
		method = "Tick"
	case bolt.Finisher:
		method = "Finish"
	}
	if c, ok := b.(io.Closer); ok {
		c.Close()
	}
	return method
}

func notInSpout(step, why string) error {
	return fmt.Errorf("step %q %s, but the snapshot of a spout is only its position: make it an operator that reads the spout", step, why)
}
