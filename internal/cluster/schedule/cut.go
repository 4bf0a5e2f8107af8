package schedule

import (
	"cmp"
	"slices"
)

// A graph is a topology's tasks and the traffic between them.
type graph struct {
	near  [][]link  // of each task, in both directions
	depth []int     // of each task: hops from the spouts, at most
	share []float64 // of each task: where it stands among those of its operator, 0 to 1
}

// A link is the traffic with another task.
type link struct {
	task   int
	weight int64
}

// traffic returns the topology's graph.
func (j *job) traffic() *graph {
	if j.graph != nil {
		return j.graph
	}
	n := len(j.Tasks)
	g := &graph{near: make([][]link, n), depth: make([]int, n), share: make([]float64, n)}
	for _, c := range j.Channels {
		weight := max(1, c.Weight)
		g.near[c.Source] = append(g.near[c.Source], link{c.Target, weight})
		g.near[c.Target] = append(g.near[c.Target], link{c.Source, weight})
	}
	g.setDepths(j.Channels)
	g.setShares(j.Topology)
	j.graph = g
	return g
}

// setDepths visits each task once all its sources were. There are no cycles; tasks in one would stay at the depth
// that they have been given.
func (g *graph) setDepths(channels []Channel) {
	targets := make([][]int, len(g.depth))
	sources := make([]int, len(g.depth)) // that were not visited
	for _, c := range channels {
		targets[c.Source] = append(targets[c.Source], c.Target)
		sources[c.Target]++
	}
	var ready []int
	for t, n := range sources {
		if n == 0 {
			ready = append(ready, t)
		}
	}
	for len(ready) > 0 {
		t := ready[0]
		ready = ready[1:]
		for _, target := range targets[t] {
			g.depth[target] = max(g.depth[target], g.depth[t]+1)
			if sources[target]--; sources[target] == 0 {
				ready = append(ready, target)
			}
		}
	}
}

func (g *graph) setShares(t Topology) {
	count := map[string]int{}
	for i, alias := range t.Tasks {
		g.share[i] = float64(count[alias.Operator]) + 0.5
		count[alias.Operator]++
	}
	for i, alias := range t.Tasks {
		g.share[i] /= float64(count[alias.Operator])
	}
}

// between returns the traffic of a task with some others.
func (g *graph) between(t int, others []int) (weight int64) {
	for _, l := range g.near[t] {
		if slices.Contains(others, l.task) {
			weight += l.weight
		}
	}
	return weight
}

// cut returns tasks in up to k parts of equal size, with little traffic across. There are no more than there are
// free slots.
//
// The cut begins in two ways, and keeps the better. Along the pipeline, each part has its share of every operator;
// across it, each has a stretch of the pipeline. From there, tasks of two parts change places as long as that saves
// traffic. The optimum is hard to find; this is cheap, and can be understood.
func (j *job) cut(tasks []int, k int) (parts []part) {
	if len(tasks) == 0 {
		return nil
	}
	if k = min(k, len(tasks), j.freeSlots()); k <= 1 {
		return []part{j.part(tasks)}
	}
	g := j.traffic()
	along := slices.SortedFunc(slices.Values(tasks), func(a, b int) int {
		return cmp.Or(cmp.Compare(g.share[a], g.share[b]), cmp.Compare(g.depth[a], g.depth[b]), cmp.Compare(a, b))
	})
	across := slices.SortedFunc(slices.Values(tasks), func(a, b int) int {
		return cmp.Or(cmp.Compare(g.depth[a], g.depth[b]), cmp.Compare(g.share[a], g.share[b]), cmp.Compare(a, b))
	})
	best := g.cutAt(along, k)
	if other := g.cutAt(across, k); other.crossing() < best.crossing() {
		best = other
	}
	for _, tasks := range best.parts() {
		parts = append(parts, j.part(tasks))
	}
	return parts
}

// freeSlots returns how many workers could be opened.
func (j *job) freeSlots() (n int) {
	for _, h := range *j.hosts {
		if h.serves(j.Tags) {
			n += len(h.free)
		}
	}
	return n
}

// nowhere is the part of a task that is not being cut.
const nowhere = -1

// A division maps each task to its part.
type division struct {
	*graph
	k    int
	in   []int     // the part of each task, or nowhere
	with [][]int64 // the traffic of each task with each part
}

// cutAt divides tasks in their order, and improves the result.
func (g *graph) cutAt(order []int, k int) *division {
	d := &division{graph: g, k: k, in: make([]int, len(g.near)), with: make([][]int64, len(g.near))}
	for t := range d.in {
		d.in[t] = nowhere
	}
	for i := range k {
		for _, t := range order[i*len(order)/k : (i+1)*len(order)/k] {
			d.in[t] = i
		}
	}
	for _, t := range order {
		d.with[t] = make([]int64, k)
		for _, l := range g.near[t] {
			if d.in[l.task] != nowhere {
				d.with[t][d.in[l.task]] += l.weight
			}
		}
	}
	d.improve(slices.Sorted(slices.Values(order)))
	return d
}

// maxSweeps bounds the time of improve; two or three sweeps are the rule.
const maxSweeps = 8

// improve exchanges two tasks wherever that saves traffic.
func (d *division) improve(tasks []int) {
	direct := make([]int64, len(d.in)) // the traffic of a with each other task
	for range maxSweeps {
		improved := false
		for i, a := range tasks {
			for _, l := range d.near[a] {
				direct[l.task] += l.weight
			}
			for _, b := range tasks[i+1:] {
				p, q := d.in[a], d.in[b]
				if p == q {
					continue
				}
				// Traffic between the two tasks crosses before and after.
				if saved := d.with[a][q] - d.with[a][p] + d.with[b][p] - d.with[b][q] - 2*direct[b]; saved > 0 {
					d.move(a, q)
					d.move(b, p)
					improved = true
				}
			}
			for _, l := range d.near[a] {
				direct[l.task] = 0
			}
		}
		if !improved {
			return
		}
	}
}

// move puts a task into another part.
func (d *division) move(t, to int) {
	for _, l := range d.near[t] {
		if d.in[l.task] != nowhere {
			d.with[l.task][d.in[t]] -= l.weight
			d.with[l.task][to] += l.weight
		}
	}
	d.in[t] = to
}

// crossing returns the traffic between the parts, counted from both sides.
func (d *division) crossing() (weight int64) {
	for t, with := range d.with {
		for part, w := range with {
			if part != d.in[t] {
				weight += w
			}
		}
	}
	return weight
}

func (d *division) parts() [][]int {
	parts := make([][]int, d.k)
	for t, part := range d.in {
		if part != nowhere {
			parts[part] = append(parts[part], t)
		}
	}
	return parts
}
