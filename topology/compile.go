package topology

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// Validate reports whether the topology can be built: nil, or all errors, joined, each an *Error.
func (b *Builder) Validate() error {
	_, err := b.Build()
	return err
}

// Build compiles the topology to a new plan. It returns all errors, joined, each an *Error.
//
// It makes one bolt of each operator, to see which interfaces it implements, and closes it: Prepare is not called.
func (b *Builder) Build() (*Plan, error) { return b.BuildWith(nil, bolt.Strategy{}) }

// BuildWith is Build for a recovery strategy, with the extension that the strategy adds to the plan; nil adds none. A bolt
// that cannot hold its guarantee under the strategy (bolt.Verifier) is an error.
func (b *Builder) BuildWith(x *Extension, s bolt.Strategy) (*Plan, error) {
	c := compiler{plan: &Plan{Name: b.name, Strategy: s}, byName: make(map[string]*Operator), errs: slices.Clone(b.problems)}
	c.topology(b)
	for _, n := range b.nodes {
		c.operator(b.overridden(n))
	}
	c.overrides(b)
	c.steps()
	for i, n := range b.nodes {
		c.inputs(c.plan.Operators[i], n)
	}
	c.cycles()
	c.deadLetters()
	if x != nil && len(c.errs) == 0 {
		c.extend(x)
	}
	c.size()
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	c.plan.number()
	c.plan.Version = version(c.plan)
	return c.plan, nil
}

// compiler makes a plan's operators, streams and edges of the declarations. It continues after an error as far as the rest
// can be interpreted, so that the user gets all errors at once, and each once.
type compiler struct {
	plan   *Plan // Operators are as the builder's nodes, also those in error
	byName map[string]*Operator
	dead   []*Stream // of dead letters
	fused  []fused
	errs   []error
}

func (c *compiler) fail(at Error, problem string, args ...any) {
	at.Problem = fmt.Sprintf(problem, args...)
	c.errs = append(c.errs, &at)
}

// nameRule is the remedy for a name that msgid.ValidName refuses.
const nameRule = "is not a name: take 1 to 64 of A-Z a-z 0-9 _ -"

// systemRule is the remedy for a name that belongs to extensions.
const systemRule = "names that begin with an underscore are the runtime's own: take another"

func (c *compiler) topology(b *Builder) {
	if !msgid.ValidName(b.name) {
		c.fail(Error{}, "the topology's name %.80q %s", b.name, nameRule)
	}
	rejected := len(b.nodes) == 0 && len(b.problems) > 0 // package stream, for example, has reported the error
	if !rejected && !slices.ContainsFunc(b.nodes, func(n *Node) bool { return n.isSpout }) {
		c.fail(Error{}, "has no spout: declare one with Spout, for every tuple comes from one")
	}
}

// operator makes one operator and its streams.
func (c *compiler) operator(n *Node) {
	o := &Operator{
		Name:      n.name,
		Parallel:  n.parallel,
		Spout:     n.source,
		Bolt:      n.factory,
		Pessimism: n.pessimism,
		Retry:     n.retry,
		CPU:       n.cpu,
		Memory:    n.memory,
		Note:      n.note,
	}
	c.plan.Operators = append(c.plan.Operators, o)
	at := Error{Operator: n.name}
	switch {
	case !msgid.ValidName(n.name):
		c.fail(Error{}, "operator %.80q %s", n.name, nameRule)
	case system(n.name):
		c.fail(at, systemRule)
	case c.byName[n.name] != nil:
		c.fail(at, "is declared twice: give each operator a name of its own")
	}
	if c.byName[n.name] == nil {
		c.byName[n.name] = o
	}
	if n.parallel < 1 || n.parallel > MaxParallel {
		c.fail(at, "Parallel(%d): take 1 to %d", n.parallel, MaxParallel)
	}
	if n.cpu < 0 {
		c.fail(at, "CPU(%d): take percent of a core, or 0 for no need", n.cpu)
	}
	if n.memory < 0 {
		c.fail(at, "Memory(%d): take bytes, or 0 for no need", n.memory)
	}
	if n.isSpout {
		c.spout(at, n)
	} else {
		c.bolt(at, n)
	}
	if n.tick != nil {
		o.Tick = *n.tick
	}
	if len(n.policies) > 0 {
		o.OnError = n.policies[0]
	}
	for _, s := range n.streams {
		c.stream(o, s)
	}
	if o.OnError == DeadLetter {
		before := len(c.errs)
		c.stream(o, stream{name: DeadStream, named: true, fields: []string{"id", "error", "tuple"}})
		if len(c.errs) == before && !n.isSpout {
			c.dead = append(c.dead, o.Stream(DeadStream))
		}
	}
}

// fused is an operator that is made of several bolts.
type fused struct {
	operator *Operator
	steps    []string
}

// compose reports the errors of an operator that is composed of several bolts, and notes its steps.
func (c *compiler) compose(at Error, made any) {
	of, ok := made.(bolt.Composition)
	if !ok {
		return
	}
	var problems []error
	if panicked := guard(func() { problems = of.Problems() }); panicked != nil {
		c.fail(at, "a bolt's factory panicked: %v", panicked)
	}
	for _, err := range problems {
		c.fail(at, "%v", err)
	}
	o := c.plan.Operators[len(c.plan.Operators)-1]
	steps := of.Steps()
	c.fused = append(c.fused, fused{o, steps})
	if o.Spout != nil {
		steps = append([]string{o.Name}, steps...)
	}
	if o.Note == "" && len(steps) > 1 {
		o.Note = "fused: " + strings.Join(steps, ", ")
	}
}

// steps fails for each step name that the topology has twice: sinks use it in outside systems.
func (c *compiler) steps() {
	of := make(map[string]*Operator)
	for _, f := range c.fused {
		for _, step := range f.steps {
			other := of[step]
			if other == nil {
				if other = c.byName[step]; other == nil {
					other = f.operator
				}
				of[step] = f.operator
			}
			if other != f.operator {
				c.fail(Error{Operator: f.operator.Name}, "step %q has the name of operator %q, or of a step of it: give it a name of its own", step, other.Name)
			}
		}
	}
}

func (c *compiler) spout(at Error, n *Node) {
	if f, ok := n.source.(spout.Func); n.source == nil || ok && f == nil {
		c.fail(at, "the spout's source is nil: give one, such as spout.Func")
	}
	c.compose(at, n.source)
	if len(n.streams) == 0 {
		c.fail(at, "the spout has no stream to emit on: declare one with Fields or Stream")
	}
	if len(n.inputs) > 0 {
		c.fail(at, "a spout reads no stream, yet it subscribes to %.80q: make it a bolt", n.inputs[0].from)
	}
	for _, only := range []struct {
		set    bool
		method string
	}{
		{n.tick != nil, "Tick"},
		{n.pessimism != Optimistic, "Nondeterministic"},
		{n.retry != Retry{}, "Retry"},
		{slices.Contains(n.policies, DeadLetter), "DeadLetter"},
		{slices.Contains(n.policies, Drop), "Drop"},
	} {
		if only.set {
			c.fail(at, "%s is for bolts only: remove it from the spout", only.method)
		}
	}
}

func (c *compiler) bolt(at Error, n *Node) {
	if n.factory == nil {
		c.fail(at, "the bolt's factory is nil: give a function that returns a new bolt")
	} else {
		c.sample(at, n)
	}
	if len(n.policies) > 1 {
		c.fail(at, "declares more than one error policy: call DeadLetter or Drop, once")
	}
	if n.tick != nil && *n.tick < time.Millisecond {
		c.fail(at, "Tick(%v): take at least 1ms", *n.tick)
	}
	if n.pessimism > PerTuple {
		c.fail(at, "Nondeterministic(%d): take Optimistic, PerFrame or PerTuple", n.pessimism)
	}
	if n.retry.Times < 0 || n.retry.Backoff < 0 {
		c.fail(at, "Retry(%d, %v): neither may be negative", n.retry.Times, n.retry.Backoff)
	}
	if len(n.inputs) == 0 {
		c.fail(at, "the bolt has no input: subscribe it to a stream, such as with Shuffle")
	}
}

// sample makes one bolt of an operator and checks that it has the methods for its declarations.
func (c *compiler) sample(at Error, n *Node) {
	var b bolt.Bolt
	panicked := guard(func() { b = n.factory() })
	switch {
	case panicked != nil:
		c.fail(at, "the bolt's factory panicked: %v", panicked)
		return
	case b == nil:
		c.fail(at, "the bolt's factory returned nil: it must return a new bolt each time")
		return
	}
	if closer, ok := b.(io.Closer); ok {
		defer guard(func() { _ = closer.Close() })
	}
	c.compose(at, b)
	_, composed := b.(bolt.Composition)
	if _, ticks := b.(bolt.Ticker); n.tick != nil && !ticks && composed {
		c.fail(at, "Tick(%v), but none of its steps has a method Tick(context.Context, time.Time, bolt.Emitter) error: add it, or drop Tick", *n.tick)
	} else if n.tick != nil && !ticks {
		c.fail(at, "Tick(%v), but %T has no method Tick(context.Context, time.Time, bolt.Emitter) error: add it, or drop Tick", *n.tick, b)
	}
	if v, ok := b.(bolt.Verifier); ok && c.plan.Strategy.Name != "" {
		if err := v.Verify(c.plan.Strategy); err != nil {
			c.fail(at, "%v", err)
		}
	}
}

// guard runs f and returns the value of its panic, or nil.
func guard(f func()) (panicked any) {
	defer func() { panicked = recover() }()
	f()
	return nil
}

// stream makes one stream.
func (c *compiler) stream(o *Operator, s stream) {
	at := Error{Operator: o.Name, Stream: s.name}
	switch {
	case s.named && !msgid.ValidName(s.name):
		c.fail(Error{Operator: o.Name}, "stream %.80q %s", s.name, nameRule)
		return
	case system(s.name):
		c.fail(at, systemRule)
		return
	case o.Stream(s.name) != nil && !s.named:
		c.fail(at, "the default stream is declared twice: call Fields once, or name the other with Stream")
		return
	case o.Stream(s.name) != nil && s.name == DeadStream && o.OnError == DeadLetter:
		c.fail(at, "DeadLetter declares this stream: give yours another name")
		return
	case o.Stream(s.name) != nil:
		c.fail(at, "is declared twice: give each stream of an operator a name of its own")
		return
	case len(s.fields) == 0:
		c.fail(at, "%s has no fields: name at least one", s.what())
	}
	ok := len(s.fields) > 0
	for i, field := range s.fields {
		if !msgid.ValidName(field) {
			c.fail(at, "field %.80q of %s %s", field, s.what(), nameRule)
			ok = false
		} else if slices.Contains(s.fields[:i], field) {
			c.fail(Error{Operator: o.Name, Stream: s.name, Field: field}, "is named twice: give each field a name of its own")
			ok = false
		}
	}
	// A stream in error is kept, without fields, so that its readers are not reported to miss it.
	made := &Stream{Operator: o, Name: s.name}
	if ok {
		fields, err := tuple.NewFields(s.fields...)
		if err != nil {
			c.fail(at, "%v", err)
		}
		made.Fields = fields
	}
	o.Streams = append(o.Streams, made)
}

// what returns the stream's name in a sentence.
func (s stream) what() string {
	if s.named {
		return "the stream"
	}
	return "the default stream"
}

// inputs makes the edges into one operator.
func (c *compiler) inputs(o *Operator, n *Node) {
	if n.isSpout {
		return // each would only repeat that a spout reads none
	}
	for _, in := range n.inputs {
		at := Error{Operator: o.Name, Stream: in.from}
		s := c.find(at, in.from)
		if s == nil {
			continue
		}
		if slices.ContainsFunc(o.Inputs, func(e *Edge) bool { return e.Stream == s }) {
			c.fail(at, "is read twice by the bolt: subscribe once")
			continue
		}
		e := &Edge{
			From: s.Operator, Stream: s, To: o, Input: len(o.Inputs),
			Grouping: in.grouping, Fields: c.key(at, in, s), Name: in.name, Pick: in.pick,
		}
		if in.grouping == Custom {
			c.custom(at, in)
		}
		s.Edges = append(s.Edges, e)
		o.Inputs = append(o.Inputs, e)
	}
	if o.Parallel > 1 && len(o.Inputs) > 0 && len(o.Inputs) == len(n.inputs) &&
		!slices.ContainsFunc(o.Inputs, func(e *Edge) bool { return e.Grouping != Global }) {
		c.fail(Error{Operator: o.Name}, "all inputs are Global, so only the first of %d tasks would get any: drop Parallel or group otherwise", o.Parallel)
	}
}

// find returns the stream that a from names, or nil after failing.
func (c *compiler) find(at Error, from string) *Stream {
	name, stream, named := strings.Cut(from, ":")
	if !msgid.ValidName(name) || named && !msgid.ValidName(stream) {
		c.fail(Error{Operator: at.Operator}, "subscription to %.150q: want op or op:stream, each 1 to 64 of A-Z a-z 0-9 _ -", from)
		return nil
	}
	o := c.byName[name]
	if o == nil {
		c.fail(at, "there is no operator %q: %s", name, c.known())
		return nil
	}
	s := o.Stream(stream)
	switch {
	case s == nil && named:
		c.fail(at, "operator %q has no stream %q: %s", name, stream, o.known())
	case s == nil:
		c.fail(at, "operator %q has no default stream: %s", name, o.known())
	}
	return s
}

// key returns the indices of the key fields of a grouping by key.
func (c *compiler) key(at Error, in input, s *Stream) (key []int) {
	if in.grouping != GroupBy && in.grouping != PartialKey {
		return nil
	}
	if len(in.fields) == 0 {
		c.fail(at, "grouping by no field: name the fields of the key")
	}
	if s.Fields == nil {
		return nil // already in error
	}
	for _, field := range in.fields {
		at.Field = field
		i := s.Fields.Index(field)
		switch {
		case i < 0:
			c.fail(at, "the stream has no such field to group by: it has %s", list(s.Fields.Names()))
		case slices.Contains(key, i):
			c.fail(at, "is twice in the key: name it once")
		}
		key = append(key, i)
	}
	return key
}

func (c *compiler) custom(at Error, in input) {
	if in.pick == nil {
		c.fail(at, "the custom grouping's function is nil: give one that picks the target")
	}
	if !msgid.ValidName(in.name) {
		c.fail(at, "the custom grouping's name %.80q %s", in.name, nameRule)
	}
}

// cycles fails for each cycle that a walk along the edges closes. A bolt that no spout reaches needs no error of its
// own: walking up from it ends at a bolt without input or in a cycle, and both are reported already.
func (c *compiler) cycles() {
	const open, done = 1, 2
	state := make(map[*Operator]int)
	var path []*Operator
	var visit func(*Operator)
	visit = func(o *Operator) {
		state[o] = open
		path = append(path, o)
		for _, to := range o.readers() {
			switch state[to] {
			case open:
				names := ""
				for _, o := range path[slices.Index(path, to):] {
					names += o.Name + " > "
				}
				c.fail(Error{Operator: to.Name}, "reads its own output: %s%s: cut this cycle, for a topology has none", names, to.Name)
			case done:
			default:
				visit(to)
			}
		}
		path = path[:len(path)-1]
		state[o] = done
	}
	for _, o := range c.plan.Operators {
		if state[o] == 0 {
			visit(o)
		}
	}
}

// deadLetters fails for each stream of dead letters that no operator reads.
func (c *compiler) deadLetters() {
	for _, s := range c.dead {
		if len(s.Edges) == 0 {
			c.fail(Error{Operator: s.Operator.Name, Stream: DeadStream}, "no operator reads the dead letters: subscribe a bolt to %q, or call Drop instead of DeadLetter", s)
		}
	}
}

// readers returns the operators that read any stream of the operator, each once.
func (o *Operator) readers() (readers []*Operator) {
	for _, s := range o.Streams {
		for _, e := range s.Edges {
			if !slices.Contains(readers, e.To) {
				readers = append(readers, e.To)
			}
		}
	}
	return readers
}

// size bounds the channels before any is made.
func (c *compiler) size() {
	if len(c.errs) > 0 {
		return // a Parallel in error may have any value
	}
	channels := 0
	for _, o := range c.plan.Operators {
		for _, e := range o.Inputs {
			if channels += e.From.Parallel * e.Targets(); channels > MaxChannels {
				c.fail(Error{Operator: o.Name, Stream: e.Stream.String()}, "%d channels up to here, more than %d: lower Parallel of %s or of %s", channels, MaxChannels, e.From.Name, o.Name)
				return
			}
		}
	}
}

// known lists the names that a misspelt operator or stream may stand for.
func (c *compiler) known() string {
	var names []string
	for _, o := range c.plan.Operators {
		if msgid.ValidName(o.Name) {
			names = append(names, o.Name)
		}
	}
	return "there are " + list(names)
}

func (o *Operator) known() string {
	var names []string
	for _, s := range o.Streams {
		names = append(names, s.String())
	}
	if len(names) == 0 {
		return "it declares none with Fields or Stream"
	}
	return "it has " + list(names)
}

// list lists names, a bounded number of them.
func list(names []string) string {
	const most = 20
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	return strings.Join(names, ", ") + more
}
