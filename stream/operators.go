package stream

// Operators returns the steps of each operator that the topology is compiled to: steps that are fused are together. The first
// one names the operator, and so its tasks: the first task of [a b] is a.0. The order is that of declaration.
func (t *Topology) Operators() [][]string {
	var all [][]string
	for _, o := range operatorsOf(t).operators {
		names := make([]string, len(o.nodes))
		for i, n := range o.nodes {
			names[i] = n.name
		}
		all = append(all, names)
	}
	return all
}
