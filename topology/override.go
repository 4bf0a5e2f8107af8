package topology

import (
	"maps"
	"slices"
)

// Override returns a copy of the topology in which some bolts have another number of tasks, by their names, than was
// declared. Build checks it as it checks Parallel. It serves changes of a running topology: see package cluster.
func (b *Builder) Override(parallel map[string]int) *Builder {
	if len(parallel) == 0 {
		return b
	}
	all := maps.Clone(parallel)
	for name, tasks := range b.override {
		if _, again := all[name]; !again {
			all[name] = tasks
		}
	}
	return &Builder{name: b.name, problems: b.problems, nodes: b.nodes, override: all}
}

// overridden returns a node with its overridden number of tasks.
func (b *Builder) overridden(n *Node) *Node {
	tasks, other := b.override[n.name]
	if !other {
		return n
	}
	changed := *n
	changed.parallel = tasks
	return &changed
}

// overrides fails for operators whose number of tasks cannot be overridden.
func (c *compiler) overrides(b *Builder) {
	for _, name := range slices.Sorted(maps.Keys(b.override)) {
		switch i := slices.IndexFunc(b.nodes, func(n *Node) bool { return n.name == name }); {
		case i < 0:
			c.fail(Error{}, "there is no operator %.80q whose number of tasks could be another: %s", name, c.known())
		case b.nodes[i].isSpout:
			c.fail(Error{Operator: name}, "the number of a spout's tasks stays as it was declared: each has its part of the input")
		}
	}
}
