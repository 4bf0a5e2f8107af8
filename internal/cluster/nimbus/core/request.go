package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/schedule"
	"github.com/askback/askback/msgid"
)

// find returns a topology by its name.
func (c *Core) find(name string) (*topology, error) {
	if err := cluster.CheckName("topology", name, cluster.MaxName); err != nil {
		return nil, badRequest("%v", err)
	}
	if t := c.topologies[name]; t != nil {
		return t, nil
	}
	if s := c.pending[name]; s != nil {
		return nil, unavailable("topology %s is being submitted", name)
	}
	return nil, notFound("no topology is called %s", name)
}

// Kill decides about the end of a topology. Without a Write, the record is as requested already, or was at its end.
func (c *Core) Kill(now time.Time, q *cluster.KillRequest) (*Write, *cluster.Record, error) {
	if err := q.Check(); err != nil {
		return nil, nil, badRequest("%v", err)
	}
	t, err := c.find(q.Name)
	if err != nil {
		if r := c.killed(q.Name); r != nil { // asked again, because the answer was lost
			return nil, r, nil
		}
		return nil, nil, err
	}
	at := wall(now)
	next := t.change()
	next.KillAt = at.Add(q.Wait)
	if t.record.Status == cluster.Killing && !next.KillAt.Before(t.record.KillAt) {
		return nil, t.record, nil // the earlier one counts
	}
	if q.Wait == 0 || len(t.record.Placement) == 0 { // no worker runs that could come to its end
		return t.remove(now), t.killing(now, next), nil
	}
	next = t.killing(now, next)
	return t.write(next, cluster.Event{At: at, Kind: cluster.StatusChanged, Text: "to be killed in " + q.Wait.String()}), next, nil
}

// killing turns a record into one that ends.
func (t *topology) killing(now time.Time, next *cluster.Record) *cluster.Record {
	next.Status, next.Since, next.Reason, next.Rescale = cluster.Killing, wall(now), "", nil
	return next
}

// remove returns the end of a record.
func (t *topology) remove(now time.Time) *Write {
	w := t.write(nil, cluster.Event{At: wall(now), Kind: cluster.StatusChanged, Text: "killed"})
	w.Name = t.record.Spec.Name
	return w
}

// killed returns the record of a topology that was killed a moment ago.
func (c *Core) killed(name string) (last *cluster.Record) {
	for i, e := range c.retired {
		if i.Name() == name && e.record != nil && (last == nil || e.record.Submitted.After(last.Submitted)) {
			last = e.record
		}
	}
	return last
}

// change returns a copy of the record to change. Values behind its pointers must be replaced, not changed.
func (t *topology) change() *cluster.Record {
	next := *t.record
	return &next
}

// write returns the Write of a record with events of its instance.
func (t *topology) write(next *cluster.Record, events ...cluster.Event) *Write {
	for i := range events {
		events[i].Instance = t.record.Instance
	}
	return &Write{Name: t.record.Spec.Name, Record: next, Events: events}
}

// Activate decides that the spouts of a topology emit, or that they do not. Without a Write they do so already. One that
// has failed may be tried again: if its task still cannot go on, it fails again.
func (c *Core) Activate(now time.Time, name string, active bool) (*Write, *cluster.Record, error) {
	t, err := c.find(name)
	if err != nil {
		return nil, nil, err
	}
	to, from := cluster.Inactive, []cluster.Status{cluster.Active}
	if active {
		to, from = cluster.Active, []cluster.Status{cluster.Inactive, cluster.Failed}
	}
	if t.record.Rescale != nil {
		return nil, nil, unavailable("%s comes to a standstill for other numbers of tasks: try again in a moment", name)
	}
	if t.record.Status == to {
		return nil, t.record, nil
	}
	if !slices.Contains(from, t.record.Status) {
		return nil, nil, conflict("%s: it cannot become %s", statusSince(t.record), to)
	}
	next := t.change()
	next.Status, next.Since, next.Reason, next.Failure = to, wall(now), "", nil
	return t.write(next, cluster.Event{At: next.Since, Kind: cluster.StatusChanged, Text: string(to)}), next, nil
}

// Rebalance decides how a topology is placed afresh.
func (c *Core) Rebalance(now time.Time, q *cluster.RebalanceRequest) (*Write, *cluster.Record, error) {
	if err := q.Check(); err != nil {
		return nil, nil, badRequest("%v", err)
	}
	t, err := c.find(q.Name)
	if err != nil {
		return nil, nil, err
	}
	if t.record.Status == cluster.Completed || t.record.Status == cluster.Killing {
		return nil, nil, conflict("%s: it cannot be placed afresh", statusSince(t.record))
	}
	if t.record.Rescale != nil {
		return nil, nil, unavailable("%s comes to a standstill for other numbers of tasks: try again in a moment", q.Name)
	}
	if !c.ready(now) {
		return nil, nil, unavailable("nimbus has just begun to lead, and waits for its supervisors' heartbeats")
	}
	next := t.change()
	next.Rebalance = true
	if q.Workers > 0 {
		next.Workers = q.Workers
	}
	asked := c.with(next)
	lost := c.losses(now)
	assignment := schedule.Schedule(asked.schedulerState(now, lost))
	for _, s := range assignment.Shortages {
		if s.Topology == q.Name && strings.Contains(s.Reason, "is not rebalanced") {
			return nil, nil, conflict("%s", s.Reason)
		}
	}
	placed := asked.apply(now, asked.topologies[q.Name], &assignment, lost) // a Write, since next needs its result
	text := fmt.Sprintf("rebalanced to %d of %d workers", len(placed.Record.Placement), placed.Record.Workers)
	placed.Events = append([]cluster.Event{{At: wall(now), Kind: cluster.Assigned, Instance: next.Instance, Text: text}}, placed.Events...)
	return placed, placed.Record, nil
}

// with returns a Core in which a topology's record is another one.
func (c *Core) with(r *cluster.Record) *Core {
	what := *c
	what.topologies = make(map[string]*topology, len(c.topologies))
	for name, t := range c.topologies {
		what.topologies[name] = t
	}
	t := *c.topologies[r.Spec.Name]
	t.record = r
	what.topologies[r.Spec.Name] = &t
	return &what
}

// levelFor is how long another level of logs lasts by default.
const levelFor = 10 * time.Minute

// Level decides how much the workers of a topology log for a while.
func (c *Core) Level(now time.Time, q *cluster.LevelRequest) (*Write, *cluster.Record, error) {
	if err := q.Check(); err != nil {
		return nil, nil, badRequest("%v", err)
	}
	if q.For == 0 {
		q.For = levelFor
	}
	t, err := c.find(q.Name)
	if err != nil {
		return nil, nil, err
	}
	next := t.change()
	next.Level = cluster.Level{Name: q.Level, Until: wall(now).Add(q.For)}
	return t.write(next), next, nil
}

// WorkerSlot returns where a task runs.
func (c *Core) WorkerOf(name string, task msgid.Alias) (cluster.WorkerSlot, *cluster.Record, error) {
	t, err := c.find(name)
	if err != nil {
		return cluster.WorkerSlot{}, nil, err
	}
	if o := t.record.Spec.Operator(task.Operator); o == nil || task.Index < 0 || task.Index >= o.Parallel {
		return cluster.WorkerSlot{}, nil, notFound("topology %s has no task %.80s", name, task)
	}
	for i := range t.record.Placement {
		if p := &t.record.Placement[i]; slices.Contains(p.Tasks, task) {
			return t.record.WorkerSlot(p), t.record, nil
		}
	}
	return cluster.WorkerSlot{}, nil, conflict("task %s runs nowhere: %s", task, t.record.Shortage)
}

// TasksOf returns the tasks that a worker is to run, for requests of its permissions.
func (c *Core) TasksOf(s cluster.WorkerSlot) ([]msgid.Alias, *cluster.Record, error) {
	if err := s.Check(); err != nil {
		return nil, nil, badRequest("%v", err)
	}
	t := c.topologies[s.Instance.Name()]
	if t == nil || t.record.Instance != s.Instance {
		return nil, nil, notFound("there is no %s: it was killed", s.Instance)
	}
	for i := range t.record.Placement {
		if p := &t.record.Placement[i]; t.record.WorkerSlot(p) == s {
			return p.Tasks, t.record, nil
		}
	}
	return nil, nil, conflict("nothing of %s is placed in slot %d of supervisor %s", s.Instance, s.Number, s.Supervisor)
}
