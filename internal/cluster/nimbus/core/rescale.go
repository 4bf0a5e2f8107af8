package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// Other numbers of tasks. The topology becomes another instance, in steps, each of them one write:
//
//	asked      Rescale: what it is to become; spouts and timers are shut
//	still      Rescale.Stands: where each task stood still, once all did
//	another    Instance, and From: what it was, once all have stood still there since they heard of the step before
//	settled    no From, once all tasks have snapshots of their own
//
// Why twice still: one task's positions may be older than those of its source. But if no task has moved from before a
// moment until after it, all stood still at that moment, nothing was on its way, and it stays so. Until the third step
// nothing has happened, and the topology can go on as it was.

// maxRescaleTasks bounds the number of tasks whose positions a record holds.
const maxRescaleTasks = 10_000

// minQuiesceTimeout is how long a topology may take to come to a standstill.
const minQuiesceTimeout = 30 * time.Second

// CheckRescale decides whether a topology's numbers of tasks may change. It returns the worker to ask for its Spec, and all
// numbers that differ from the program's. With a Record, there is nothing to do, or it is under way.
func (c *Core) CheckRescale(now time.Time, q *cluster.RebalanceRequest) (slot cluster.WorkerSlot, parallel map[string]int, r *cluster.Record, err error) {
	if err := q.Check(); err != nil {
		return slot, nil, nil, badRequest("%v", err)
	}
	t, err := c.find(q.Name)
	if err != nil {
		return slot, nil, nil, err
	}
	r = t.record
	parallel = maps.Clone(r.Parallel)
	if parallel == nil {
		parallel = map[string]int{}
	}
	maps.Copy(parallel, q.Parallel)
	numbers := r.Spec.Parallelism(q.Parallel)
	switch {
	case r.Rescale != nil && maps.Equal(r.Rescale.Parallel, parallel), maps.Equal(numbers, r.Spec.Parallelism(nil)):
		return slot, nil, r, nil
	case r.Rescale != nil:
		err = conflict("%s is coming to a standstill for other numbers of tasks already", q.Name)
	case q.Workers != 0:
		err = badRequest("--workers and --parallel: ask for one after the other")
	case r.Status != cluster.Active && r.Status != cluster.Inactive:
		err = conflict("%s: its numbers of tasks cannot change", statusSince(r))
	case r.Spec.Strategy != "backtrack":
		err = conflict("topology %s runs with strategy %s: only with backtrack can numbers of tasks change", q.Name, r.Spec.Strategy)
	case r.From != nil || !c.ready(now):
		err = unavailable("the tasks of %s are yet to begin: try again in a moment", q.Name)
	default:
		err = c.checkRescale(now, t, q.Parallel)
	}
	if err != nil {
		return slot, nil, nil, err
	}
	return r.WorkerSlot(&r.Placement[0]), parallel, nil, nil
}

// checkRescale returns an error if one of the operators cannot have another number of tasks, or a task is in the way.
func (c *Core) checkRescale(now time.Time, t *topology, parallel map[string]int) error {
	spec := &t.record.Spec
	if n := len(spec.Tasks()); n > maxRescaleTasks {
		return conflict("topology %s has %d tasks: of more than %d the numbers cannot change", spec.Name, n, maxRescaleTasks)
	}
	for _, name := range slices.Sorted(maps.Keys(parallel)) {
		switch o := spec.Operator(name); {
		case o == nil:
			return badRequest("topology %s has no operator %s", spec.Name, name)
		case o.Spout || o.System:
			return conflict("operator %s: only bolts can have another number of tasks", name)
		}
		for _, e := range spec.Edges {
			if e.To == name && e.Grouping == cluster.GroupingDirect {
				return conflict("operator %s is sent to by Direct: %s names its tasks by number", name, e.From)
			}
		}
	}
	all, missing := c.taskStates(now, t)
	if missing != "" {
		return unavailable("%s: try again in a moment", missing)
	}
	if text := rescaleObstacle(spec, all, parallel); text != "" {
		return conflict("%s", text)
	}
	return nil
}

// taskStates returns how all tasks stand by the newest heartbeats, or why not.
func (c *Core) taskStates(now time.Time, t *topology) (all []cluster.Task, missing string) {
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		w := t.workers[slot(p)]
		if !c.responsive(now, w) || w.heartbeat.Revision != t.revision {
			return nil, "worker " + slot(p).String() + " has sent no heartbeat yet"
		}
		for _, alias := range p.Tasks {
			k := slices.IndexFunc(w.heartbeat.Tasks, func(its cluster.Task) bool { return its.Alias == alias })
			if k < 0 || w.heartbeat.Tasks[k].Incarnation == 0 {
				return nil, "task " + alias.String() + " has yet to begin"
			}
			all = append(all, w.heartbeat.Tasks[k])
		}
	}
	if n := len(t.record.Spec.Tasks()); len(all) < n {
		return nil, fmt.Sprintf("%d of %d tasks are placed nowhere", n-len(all), n)
	}
	return all, ""
}

// rescaleObstacle returns why the numbers of tasks cannot change, with the operator, or "".
func rescaleObstacle(spec *cluster.Spec, all []cluster.Task, parallel map[string]int) string {
	for i := range all {
		its := &all[i]
		_, changes := parallel[its.Alias.Operator]
		if changes && spec.Operator(its.Alias.Operator).Parallel == parallel[its.Alias.Operator] {
			changes = false
		}
		switch {
		case its.State == cluster.StateFinishing || its.State == cluster.StateComplete:
			return fmt.Sprintf("task %s has come to its end: a topology that ends cannot change any more", its.Alias)
		case its.KeepsState == cluster.AnchoredState:
			return fmt.Sprintf("operator %s has %s: its topology cannot go on under another", its.Alias.Operator, its.KeepsState)
		case changes && its.KeepsState != "":
			return fmt.Sprintf("operator %s keeps %s, which cannot be divided anew: only operators that keep nothing can have another number of tasks", its.Alias.Operator, its.KeepsState)
		}
	}
	return ""
}

// StartRescale decides that a topology comes to a standstill, to become an instance with a log and that Spec.
func (c *Core) StartRescale(now time.Time, q *cluster.RebalanceRequest, as cluster.Instance, spec *cluster.Spec) (*Write, *cluster.Record, error) {
	_, parallel, r, err := c.CheckRescale(now, q)
	if err != nil || r != nil {
		return nil, r, err
	}
	t := c.topologies[q.Name]
	if err := spec.Check(); err != nil {
		return nil, nil, badRequest("%v", err)
	}
	if !t.record.Spec.SameProgram(spec) || !maps.Equal(spec.Parallelism(nil), t.record.Spec.Parallelism(q.Parallel)) || spec.Plan == t.record.Spec.Plan {
		return nil, nil, conflict("the program of %s is not the same with other numbers of tasks", q.Name)
	}
	next := t.change()
	next.Reason = ""
	next.Rescale = &cluster.Rescale{Instance: as, Spec: *spec, Parallel: parallel, Since: wall(now)}
	return t.write(next, cluster.Event{At: wall(now), Kind: cluster.StatusChanged, Text: "comes to a standstill for other numbers of tasks: " + parallelismChange(&t.record.Spec, spec)}), next, nil
}

// parallelismChange describes which numbers of tasks differ.
func parallelismChange(from, to *cluster.Spec) string {
	var all []string
	for i, o := range from.Operators {
		if n := to.Operators[i].Parallel; n != o.Parallel {
			all = append(all, fmt.Sprintf("%s %d to %d", o.Name, o.Parallel, n))
		}
	}
	return strings.Join(all, ", ")
}

// advanceRescale takes the next step of one that is under way, if it is time.
func (c *Core) advanceRescale(now time.Time, t *topology) *Write {
	r := t.record
	if r.From != nil && t.haveSnapshots() {
		next := t.change()
		next.From = nil
		return t.write(next, cluster.Event{At: wall(now), Kind: cluster.StatusChanged, Text: "all tasks have snapshots of their own: the log of " + string(r.From.Instance) + " is not needed any more"})
	}
	if r.Rescale == nil {
		return nil
	}
	all, why := c.taskStates(now, t)
	if text := rescaleObstacle(&r.Spec, all, r.Rescale.Spec.Parallelism(nil)); text != "" {
		return t.abandonRescale(now, text)
	}
	stands := map[string]uint64{}
	for i := range all {
		its := &all[i]
		if its.QuiescePositions == 0 && why == "" {
			why = fmt.Sprintf("task %s, which is %s and retains %d bytes, does not come to a standstill", its.Alias, its.State, its.Retained)
		}
		stands[its.Alias.String()] = its.QuiescePositions
	}
	switch {
	case why != "" && now.Sub(t.quiescingSince) >= t.quiesceTimeout():
		return t.abandonRescale(now, why)
	case why != "":
		return nil
	case !maps.Equal(stands, r.Rescale.QuiescePositions):
		next := t.change()
		rescale := *r.Rescale
		rescale.QuiescePositions = stands
		next.Rescale = &rescale
		return t.write(next)
	}
	return t.completeRescale(now)
}

// quiesceTimeout is how long a topology may take to come to a standstill: some waves of snapshots.
func (t *topology) quiesceTimeout() time.Duration {
	return max(minQuiesceTimeout, 4*time.Duration(t.record.Spec.Settings.SnapshotEvery)*time.Millisecond)
}

// abandonRescale lets a topology go on as it was.
func (t *topology) abandonRescale(now time.Time, why string) *Write {
	next := t.change()
	next.Rescale, next.Reason = nil, shorten("the numbers of tasks are as before: "+why)
	return t.write(next, cluster.Event{At: wall(now), Kind: cluster.Refused, Text: next.Reason})
}

// completeRescale makes a topology that stands still the one that it is to be.
func (t *topology) completeRescale(now time.Time) *Write {
	r := t.record
	next := t.change()
	from := &cluster.Origin{Instance: r.Instance, Plan: r.Spec.Plan, Parallel: r.Parallel, QuiescePositions: map[string]uint64{}}
	for _, o := range r.Spec.Operators {
		if r.Rescale.Spec.Operator(o.Name).Parallel != o.Parallel {
			continue
		}
		for i := range o.Parallel {
			alias := fmt.Sprintf("%s.%d", o.Name, i)
			from.QuiescePositions[alias] = r.Rescale.QuiescePositions[alias]
		}
	}
	next.Instance, next.Spec, next.Parallel = r.Rescale.Instance, r.Rescale.Spec, r.Rescale.Parallel
	next.From, next.Rescale, next.Placement, next.Shortage, next.LostTuples = from, nil, nil, "", t.lostBeforeRescale(&r.Rescale.Spec)
	text := parallelismChange(&r.Spec, &next.Spec)
	return &Write{Name: r.Spec.Name, Record: next, Events: []cluster.Event{
		{At: wall(now), Kind: cluster.StatusChanged, Instance: r.Instance, Text: "goes on as " + string(next.Instance) + ": " + text},
		{At: wall(now), Kind: cluster.StatusChanged, Instance: next.Instance, Text: "goes on from " + string(r.Instance) + ": " + text},
	}}
}

// haveSnapshots reports whether all tasks have snapshots of their own.
func (t *topology) haveSnapshots() bool {
	n := 0
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		if w := t.workers[slot(p)]; w.heartbeat != nil {
			for _, its := range w.heartbeat.Tasks {
				if its.HasSnapshot && slices.Contains(p.Tasks, its.Alias) {
					n++
				}
			}
		}
	}
	return n == len(t.record.Spec.Tasks())
}

// retireInstances begins to wait for the silence of instances that a record no longer speaks of.
func (c *Core) retireInstances(now time.Time, was, is *cluster.Record) {
	old := []cluster.Instance{was.Instance}
	if was.From != nil {
		old = append(old, was.From.Instance)
	}
	if was.Rescale != nil {
		old = append(old, was.Rescale.Instance)
	}
	for _, i := range old {
		switch {
		case is != nil && usesLog(is, i):
		case i == was.Instance:
			c.retireLog(now, was)
		case c.retired[i] == nil:
			c.retired[i] = &retiredLog{lastHeartbeat: now}
		}
	}
	if is != nil && is.Rescale != nil {
		delete(c.retired, is.Rescale.Instance) // it may have been found before it was written down
	}
}

// usesLog reports whether a record needs the log of an instance.
func usesLog(r *cluster.Record, i cluster.Instance) bool {
	return r.Instance == i || r.From != nil && r.From.Instance == i || r.Rescale != nil && r.Rescale.Instance == i
}
