package stream

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A Topology collects steps. Its steps are declared by functions of this package, which never fail: askback.Run, and every
// other caller that builds the topology, reports all errors at once. One goroutine declares a topology.
type Topology struct {
	name     string
	nodes    []*node
	problems []error
}

// New begins a topology. A name here, as every name in a topology, is 1 to 64 of A-Z a-z 0-9 _ -.
func New(name string) *Topology { return &Topology{name: name} }

// Name returns the name of the topology.
func (t *Topology) Name() string { return t.name }

// Builder returns the topology as operators: consecutive steps that can be fused are one operator. It implements
// topology.Topology.
func (t *Topology) Builder() *topology.Builder { return compile(t) }

// An Error reports a step that cannot be part of its topology.
type Error struct {
	Topology string
	Step     string // "" if it concerns the whole topology
	Problem  string // with the remedy
}

// Error names topology and step.
func (e *Error) Error() string {
	if e.Step == "" {
		return fmt.Sprintf("stream: topology %q: %s", e.Topology, e.Problem)
	}
	return fmt.Sprintf("stream: topology %q: step %q: %s", e.Topology, e.Step, e.Problem)
}

func (t *Topology) reject(step, format string, args ...any) {
	t.problems = append(t.problems, &Error{Topology: t.name, Step: step, Problem: fmt.Sprintf(format, args...)})
}

// reads reports whether a step reads an output.
func (t *Topology) reads(o *output) bool {
	return slices.ContainsFunc(t.nodes, func(n *node) bool {
		return slices.ContainsFunc(n.ports, func(p port) bool {
			return slices.ContainsFunc(p.edges, func(e edge) bool { return e.from == o })
		})
	})
}

// A kind is the kind of a step.
type kind uint8

const (
	source kind = iota + 1
	step
	sink
)

// A node is a step as declared.
type node struct {
	t     *Topology
	name  string
	kind  kind
	ports []port // its inputs

	parallel int // 0: as its first input
	isolated bool
	retry    topology.Retry
	policies []topology.ErrorPolicy
	keeps    bool          // state, or effects outside: it must not run twice for a tuple
	tick     time.Duration // 0: never
	outputs  []*output     // the first is the default one; none for a sink
	number   int           // in the order of declaration
	reader   func(x *instance) reading
	make     func(x *instance) []any // makes its part of one task: a push for each port
	mustTick bool                    // the writers of a sink were declared to be ticked
	writer   func() any              // of a sink: makes a writer, for its optional interfaces
}

// A port is one input of a step. All edges into it carry the same type.
type port struct {
	edges []edge
	typ   *valueType
	key   *keying // of a keyed port
}

// An output is one typed output of a step.
type output struct {
	node *node
	tag  *tagging // of a side output
	dead bool     // the dead letters of the step
	typ  *valueType
}

// An edge leads from an output to a port.
type edge struct {
	from     *output
	grouping grouping
	key      *keying // for keyed
}

type grouping uint8

const (
	forward   grouping = iota // to the next step: by a call if that is fused, else dealt out evenly
	rebalance                 // dealt out evenly, never by a call
	broadcast                 // to every task
	global                    // to the first task
	keyed                     // by key
)

// add adds a step.
func (t *Topology) add(name string, k kind, ports ...port) *node {
	n := &node{t: t, name: name, kind: k, ports: ports, number: len(t.nodes)}
	switch {
	case !msgid.ValidName(name):
		t.reject(name, "is not a name: take 1 to 64 of A-Z a-z 0-9 _ -")
	case slices.ContainsFunc(t.nodes, func(other *node) bool { return other.name == name }):
		t.reject(name, "is declared twice: give each step a name of its own")
	}
	n.checkPorts()
	t.nodes = append(t.nodes, n)
	return n
}

// needs rejects the step if a function that it was declared with is nil.
func (n *node) needs(there bool) {
	if !there {
		n.t.reject(n.name, "its function is nil: give one")
	}
}

// checkPorts rejects the step if it reads steps of another topology.
func (n *node) checkPorts() {
	for _, p := range n.ports {
		for _, e := range p.edges {
			if from := e.from.node; from.t != n.t {
				n.t.reject(n.name, "reads step %q of topology %q: a topology cannot read another one's steps", from.name, from.t.name)
			}
		}
	}
}

// policy returns the error policy of the step.
func (n *node) policy() topology.ErrorPolicy {
	if len(n.policies) > 0 {
		return n.policies[0]
	}
	return topology.Fail
}

// hasPolicy reports whether a failed value is tried again or given up, so that the step must begin an operator.
func (n *node) hasPolicy() bool { return len(n.policies) > 0 || n.retry != topology.Retry{} }

// typeName returns the name of a type for an error.
func typeName[T any]() string { return reflect.TypeFor[T]().String() }
