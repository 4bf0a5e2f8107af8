package stream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// An operator is one spout or bolt of the topology underneath, fused of consecutive steps. It has the name of its first
// step.
//
// A step is fused with those that it reads if a value can reach it by a call: all its inputs come from one operator, forward,
// with as many tasks. It begins an operator of its own if
//
//   - it was declared Isolate, or reads a step that was;
//   - it has an error policy or retries: the runtime takes back the output of a failed call and repeats it, which must
//     repeat no other step;
//   - it keeps state or has effects, and would share an operator with a source, whose snapshots hold a position only, or
//     with a first step that has retries or a policy;
//   - it is a sink whose effects are not committed with a snapshot, and would share an operator with a step that keeps
//     state: the output of such a step depends on the order of its input, which is durable only where values leave the
//     operator. A restored task may take them in another order, and the effect would be that of a run that did not take
//     place;
//   - it is a sink that needs the message ids of its values (Identifier);
//   - it is ticked on another interval.
type operator struct {
	nodes    []*node // in the order of declaration: each after those it reads
	parallel int
	tick     time.Duration
	inputs   []*channelIn
	streams  []*channelOut
	calls    map[*output][]portOf // the ports that a step's output reaches by a call
}

// A portOf is a port of a step.
type portOf struct {
	node *node
	port int
}

// A channelOut is a stream that the operator emits on, for steps of other operators.
type channelOut struct {
	from     *output
	grouping grouping
	key      *keying
	name     string // "" is the default stream
	to       []*operator
}

// A channelIn is a stream that the operator reads.
type channelIn struct {
	from    *operator
	stream  *channelOut
	readers []portOf
}

func (o *operator) name() string { return o.nodes[0].name }

// input returns the input that reads an operator's stream.
func (o *operator) input(from, stream string) *channelIn {
	for _, in := range o.inputs {
		if in.from.name() == from && in.streamName() == stream {
			return in
		}
	}
	return nil
}

func (in *channelIn) streamName() string {
	if in.stream.from.dead {
		return topology.DeadStream
	}
	return in.stream.name
}

// read reports whether any step reads an output of one of the operator's steps.
func (o *operator) read(out *output) bool {
	return len(o.calls[out]) > 0 || slices.ContainsFunc(o.streams, func(s *channelOut) bool { return s.from == out })
}

// compile makes the operators of a topology's steps.
func compile(t *Topology) *topology.Builder {
	c := operatorsOf(t)
	b := topology.New(t.name)
	for _, err := range t.problems {
		b.Reject(err)
	}
	for _, n := range t.nodes {
		c.connect(n)
	}
	if !slices.ContainsFunc(t.nodes, func(n *node) bool { return n.kind == source }) {
		c.reject("", "has no source: begin with From")
	}
	for _, o := range c.operators {
		c.nameStreams(o)
	}
	for _, err := range c.problems {
		b.Reject(err)
	}
	if len(t.problems)+len(c.problems) > 0 {
		return b // operators of steps in error would only report the same in other words
	}
	for _, o := range c.operators {
		o.declare(b)
	}
	return b
}

// operatorsOf places the steps of a topology.
func operatorsOf(t *Topology) *compiler {
	c := &compiler{t: t, of: make(map[*node]*operator)}
	for _, n := range t.nodes {
		c.place(n)
	}
	return c
}

type compiler struct {
	t         *Topology
	operators []*operator
	of        map[*node]*operator
	problems  []error
}

func (c *compiler) reject(step, format string, args ...any) {
	c.problems = append(c.problems, &Error{Topology: c.t.name, Step: step, Problem: fmt.Sprintf(format, args...)})
}

// place gives a step to the operator that it is fused with, or to a new one.
func (c *compiler) place(n *node) {
	parallel := c.parallel(n)
	o := c.fused(n, parallel)
	if o == nil {
		o = &operator{parallel: parallel, tick: n.tick, calls: make(map[*output][]portOf)}
		c.operators = append(c.operators, o)
	}
	o.nodes = append(o.nodes, n)
	o.tick = max(o.tick, n.tick)
	c.of[n] = o
}

// parallel returns how many tasks a step has.
func (c *compiler) parallel(n *node) int {
	if n.parallel > 0 {
		return n.parallel
	}
	if len(n.ports) == 0 || len(n.ports[0].edges) == 0 {
		return 1
	}
	e := n.ports[0].edges[0]
	if from := c.of[e.from.node]; from != nil && e.grouping != global {
		return from.parallel
	}
	return 1
}

// fused returns the operator that a step is fused with, nil if it begins one.
func (c *compiler) fused(n *node, parallel int) *operator {
	if n.kind == source || n.isolated || n.hasPolicy() {
		return nil
	}
	var with *operator
	for _, p := range n.ports {
		for _, e := range p.edges {
			o := c.of[e.from.node]
			if o == nil || e.grouping != forward || e.from.dead || e.from.node.isolated || with != nil && o != with {
				return nil
			}
			with = o
		}
	}
	switch {
	case with == nil || with.parallel != parallel:
		return nil
	case n.keeps && (with.nodes[0].kind == source || with.nodes[0].hasPolicy()):
		return nil
	case n.kind == sink && (n.identified() || !n.commits() && with.remembers()):
		return nil
	case n.tick > 0 && with.tick > 0 && n.tick != with.tick:
		return nil
	}
	return with
}

// remembers reports whether the output of one of the operator's steps depends on earlier input.
func (o *operator) remembers() bool {
	return slices.ContainsFunc(o.nodes, func(n *node) bool { return n.kind == step && n.keeps })
}

// connect joins a step to those that it reads: by calls within an operator, by streams between two.
func (c *compiler) connect(n *node) {
	o := c.of[n]
	if n.kind != sink && n.kind != source && len(n.ports) == 0 {
		return // in error
	}
	for i, p := range n.ports {
		to := portOf{n, i}
		for _, e := range p.edges {
			from := c.of[e.from.node]
			if from == nil {
				continue // of another topology: in error
			}
			if from == o && e.grouping == forward {
				o.calls[e.from] = append(o.calls[e.from], to)
				continue
			}
			c.channel(from, o, e, to)
		}
		if p.key != nil && p.key.err != nil {
			c.reject(n.name, "its key cannot be a key: %v", p.key.err)
		}
	}
	ticker := true
	if n.mustTick {
		_, ticker = n.writer().(bolt.Ticker)
	}
	switch {
	case !ticker:
		c.reject(n.name, "Tick(%v): its writers have no method Tick (bolt.Ticker): give them one, or do not call Tick", n.tick)
	case n.tick < time.Millisecond && (n.mustTick || n.tick != 0):
		c.reject(n.name, "Tick(%v): take at least 1ms", n.tick)
	}
	if len(n.policies) > 1 {
		c.reject(n.name, "declares more than one error policy: call Drop or DeadLetters, once")
	}
	if i := slices.IndexFunc(n.outputs, func(o *output) bool { return o.dead }); i >= 0 && !c.t.reads(n.outputs[i]) {
		c.reject(n.name, "no step reads its dead letters: read the stream that DeadLetters returns, or call Drop")
	}
	if n.kind == source && n.hasPolicy() {
		c.reject(n.name, "a source has no error policy and no retries: declare them for the step that fails")
	}
}

// channel joins two operators by a stream.
func (c *compiler) channel(from, to *operator, e edge, port portOf) {
	if e.grouping == forward {
		e.grouping = rebalance // the same thing between operators
	}
	if fields, err := e.from.typ.fields(); err != nil && !e.from.dead {
		c.reject(port.node.name, "reads step %q through a channel, since the two are not fused, and its values cannot be encoded: %v", e.from.node.name, err)
	} else if len(fields) == 0 && !e.from.dead {
		c.reject(port.node.name, "reads step %q, whose values, of type %s, have no fields to encode", e.from.node.name, e.from.typ.name)
	}
	// A stream that is dealt out, or sent whole, serves all its readers; one by key those of one operator.
	var out *channelOut
	for _, s := range from.streams {
		if s.from == e.from && s.grouping == e.grouping && s.key == e.key && (e.grouping != keyed || slices.Contains(s.to, to)) {
			out = s
		}
	}
	if out == nil {
		out = &channelOut{from: e.from, grouping: e.grouping, key: e.key}
		from.streams = append(from.streams, out)
	}
	if !slices.Contains(out.to, to) {
		out.to = append(out.to, to)
	}
	for _, in := range to.inputs {
		if in.stream == out {
			if port.node.identified() {
				c.reject(port.node.name, "reads step %q twice, and its writers identify values by message ids (stream.Identifier): read it once", e.from.node.name)
			}
			in.readers = append(in.readers, port) // by a merge a step may read a stream twice
			return
		}
	}
	to.inputs = append(to.inputs, &channelIn{from: from, stream: out, readers: []portOf{port}})
}

// nameStreams gives the operator's streams their names: none to a single one, else that of the step that emits or, where a
// step has several, also that of the first reader.
func (c *compiler) nameStreams(o *operator) {
	o.streams = slices.DeleteFunc(o.streams, func(s *channelOut) bool { return s.from.dead }) // the runtime emits on that
	if len(o.streams) == 1 {
		return
	}
	taken := map[string]bool{topology.DeadStream: true}
	for _, s := range o.streams {
		name := s.from.node.name
		if s.from.tag != nil {
			name = s.from.tag.name
		}
		if taken[name] || !msgid.ValidName(name) {
			name = s.to[0].name()
		}
		base := name[:min(len(name), 60)]
		for i := 2; taken[name]; i++ {
			name = fmt.Sprintf("%s-%d", base, i)
		}
		taken[name], s.name = true, name
	}
}

// declare declares the operator.
func (o *operator) declare(b *topology.Builder) {
	head := o.nodes[0]
	var n *topology.Node
	if head.kind == source {
		n = b.Spout(o.name(), spout.Func(func() spout.Spout { return newReader(o) }))
	} else {
		n = b.Bolt(o.name(), func() bolt.Bolt { return newInstance(o).bolt() })
	}
	n.Parallel(o.parallel)
	for _, s := range o.streams {
		fields, err := s.from.typ.fields()
		if err != nil {
			b.Reject(err)
			continue
		}
		if s.name == "" {
			n.Fields(fields...)
		} else {
			n.Stream(s.name, fields...)
		}
	}
	if len(o.streams) == 0 && head.kind == source {
		n.Fields("none") // a spout must have a stream; this one has no tuple on it
	}
	if o.tick > 0 && head.kind != source {
		n.Tick(o.tick)
	}
	for _, in := range o.inputs {
		from := in.from.name()
		if name := in.streamName(); name != "" {
			from += ":" + name
		}
		switch in.stream.grouping {
		case broadcast:
			n.All(from)
		case global:
			n.Global(from)
		case keyed:
			n.Keyed(from)
		default:
			n.Shuffle(from)
		}
	}
	if head.retry != (topology.Retry{}) {
		n.Retry(head.retry.Times, head.retry.Backoff)
	}
	switch head.policy() {
	case topology.DeadLetter:
		n.DeadLetter()
	case topology.Drop:
		n.Drop()
	}
	if len(o.nodes) > 1 {
		names := make([]string, len(o.nodes))
		for i, node := range o.nodes {
			names[i] = node.name
		}
		n.Note("fused: " + strings.Join(names, ", "))
	}
}
