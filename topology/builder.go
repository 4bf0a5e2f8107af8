package topology

import (
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
)

// A Builder collects the operators of a topology. Its methods and those of its nodes never fail: Build reports all
// errors at once. One goroutine builds a topology.
type Builder struct {
	name     string
	problems []error // reported by Build, beside the errors that it finds itself
	nodes    []*Node
	override map[string]int // tasks of operators, in place of the declared numbers
}

// New begins a topology. A name here, as every name in a topology, is 1 to 64 of A-Z a-z 0-9 _ -.
func New(name string) *Builder { return &Builder{name: name} }

// A Topology is a program's declaration, to be run: a Builder, or a value that a package above this one turns into one,
// such as stream.Topology.
type Topology interface {
	Name() string
	// Builder returns the declared operators. Each call may return a new one; its Build reports the errors.
	Builder() *Builder
}

// Builder returns the builder itself, which makes it a Topology.
func (b *Builder) Builder() *Builder { return b }

// Reject adds an error that Build reports. It is for packages that declare operators on behalf of their users.
func (b *Builder) Reject(err error) { b.problems = append(b.problems, err) }

// Name returns the name of the topology.
func (b *Builder) Name() string { return b.name }

// Spout adds a spout. It needs at least one stream.
func (b *Builder) Spout(name string, source spout.Source) *Node {
	return b.add(&Node{name: name, isSpout: true, source: source, parallel: 1})
}

// Bolt adds a bolt. It needs at least one input. The factory is called once for each task in each incarnation, from several
// goroutines, and must return a new bolt each time, since tasks share no state.
func (b *Builder) Bolt(name string, factory func() bolt.Bolt) *Node {
	return b.add(&Node{name: name, factory: factory, parallel: 1})
}

func (b *Builder) add(n *Node) *Node {
	b.nodes = append(b.nodes, n)
	return n
}

// A Node is an operator being declared. Each method returns the node, so that calls chain. Where a method sets
// one value, the last call counts; where it adds a stream or an input, each call adds one.
//
// A from names the stream to read: "op" is op's default stream, "op:name" a named one. The operator may be
// declared later. A bolt may read several streams, but the same stream only once.
type Node struct {
	name    string
	isSpout bool
	source  spout.Source
	factory func() bolt.Bolt

	parallel    int
	streams     []stream
	inputs      []input
	tick        *time.Duration // nil if not asked for
	pessimism   Pessimism
	retry       Retry
	policies    []ErrorPolicy // as declared; more than one is an error of Build
	cpu, memory int64
	note        string
}

// stream is a stream as declared, input a subscription as declared: neither is checked yet.
type (
	stream struct {
		name   string
		named  bool // by Stream, not by Fields
		fields []string
	}
	input struct {
		from     string
		grouping Grouping
		fields   []string
		name     string
		pick     PickFunc
	}
)

// Parallel sets how many tasks the operator has, 1 to MaxParallel. The default is 1.
func (n *Node) Parallel(tasks int) *Node {
	n.parallel = tasks
	return n
}

// Fields declares the default stream.
func (n *Node) Fields(names ...string) *Node {
	n.streams = append(n.streams, stream{fields: names})
	return n
}

// Stream declares a named stream, which a task emits on with tuple.Emitter's On.
func (n *Node) Stream(name string, fields ...string) *Node {
	n.streams = append(n.streams, stream{name: name, named: true, fields: fields})
	return n
}

// Shuffle reads from in turn: each task gets as many tuples as any other.
func (n *Node) Shuffle(from string) *Node { return n.read(input{from: from, grouping: Shuffle}) }

// LocalOrShuffle reads from in turn like Shuffle, but each source task prefers the tasks that run in its own worker, if
// there are any, to save hops. The tasks are loaded evenly only if every worker has as many of them for each source task in
// it. When tasks move, sources follow after some thousand tuples. In a local run it is Shuffle.
func (n *Node) LocalOrShuffle(from string) *Node {
	return n.read(input{from: from, grouping: LocalOrShuffle})
}

// GroupBy reads from by key: the tuples with equal values in these fields come to the same task.
func (n *Node) GroupBy(from string, fields ...string) *Node {
	return n.read(input{from: from, grouping: GroupBy, fields: fields})
}

// PartialKey reads from by key, each key divided between two tasks, so that a few frequent keys do not overload
// one. Merge the results of the two downstream.
func (n *Node) PartialKey(from string, fields ...string) *Node {
	return n.read(input{from: from, grouping: PartialKey, fields: fields})
}

// All reads from in each task: every task receives every tuple.
func (n *Node) All(from string) *Node { return n.read(input{from: from, grouping: All}) }

// Global reads from in the first task: it receives every tuple.
func (n *Node) Global(from string) *Node { return n.read(input{from: from, grouping: Global}) }

// Direct reads from by the emitter's choice: it names the task of each tuple with tuple.Row's To.
func (n *Node) Direct(from string) *Node { return n.read(input{from: from, grouping: Direct}) }

// Keyed reads from by the key that its emitter computes for each tuple: tuples with the same hash (tuple.Row's Key) come
// to the same task.
func (n *Node) Keyed(from string) *Node { return n.read(input{from: from, grouping: Keyed}) }

// Custom reads from, and pick chooses the targets. The name represents the function in the plan's version: give a new one
// when the function changes. See PickFunc for its duties.
func (n *Node) Custom(from, name string, pick PickFunc) *Node {
	return n.read(input{from: from, grouping: Custom, name: name, pick: pick})
}

// Note adds a remark that the printed plan shows with the operator.
func (n *Node) Note(remark string) *Node {
	n.note = remark
	return n
}

func (n *Node) read(in input) *Node {
	n.inputs = append(n.inputs, in)
	return n
}

// Tick sets the interval of the bolt's Tick, at least a millisecond. It must implement bolt.Ticker.
func (n *Node) Tick(every time.Duration) *Node {
	n.tick = &every
	return n
}

// Nondeterministic declares that the bolt may emit other tuples on the same input, for example since it reads from an
// outside system or has a clock of its own. Its outputs are then logged before they are sent. The default is Optimistic.
func (n *Node) Nondeterministic(mode Pessimism) *Node {
	n.pessimism = mode
	return n
}

// Retry tries a tuple again after a failed Execute, at most that many times, backoff apart, before the operator's error
// policy decides. The default is not to try again.
func (n *Node) Retry(times int, backoff time.Duration) *Node {
	n.retry = Retry{Times: times, Backoff: backoff}
	return n
}

// DeadLetter emits a tuple with a failed Execute on the stream DeadStream, with the reason, and counts it; the operator
// continues with the next tuple. Some operator must read that stream. The default is that the topology fails.
func (n *Node) DeadLetter() *Node {
	n.policies = append(n.policies, DeadLetter)
	return n
}

// Drop drops and counts a tuple with a failed Execute; the operator continues with the next tuple. The default is that the
// topology fails.
func (n *Node) Drop() *Node {
	n.policies = append(n.policies, Drop)
	return n
}

// CPU declares how much of a core each of the tasks needs, in percent: 50 is half a core, 200 two. A cluster places
// tasks by it. The default is 0, which declares no need.
func (n *Node) CPU(percent int64) *Node {
	n.cpu = percent
	return n
}

// Memory declares how many bytes each of the tasks needs. A cluster places tasks by it. The default is 0, which
// declares no need.
func (n *Node) Memory(bytes int64) *Node {
	n.memory = bytes
	return n
}
