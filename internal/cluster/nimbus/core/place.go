package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/schedule"
	"github.com/askback/askback/msgid"
)

// losses holds the reason for each lost worker, by its slot.
type losses map[cluster.WorkerSlot]*cluster.Loss

// place returns the records whose placement changes. The scheduler is asked only if the hosts that are up or the
// workers that are lost differ from those when it had nothing to change; Stored and Joined clear these.
func (c *Core) place(now time.Time) (writes []Write) {
	if !c.ready(now) {
		return nil
	}
	lost, responsive := c.losses(now), c.upHosts(now)
	for slot := range maps.Keys(lost) {
		responsive = append(responsive, slot.String())
	}
	slices.Sort(responsive)
	if c.unchangedFor != nil && slices.Equal(responsive, c.unchangedFor) {
		return nil
	}
	assignment := schedule.Schedule(c.schedulerState(now, lost))
	for _, t := range c.inOrder() {
		if w := c.apply(now, t, &assignment, lost); w != nil {
			writes = append(writes, *w)
		}
	}
	if len(writes) == 0 {
		c.unchangedFor = append([]string{}, responsive...)
	}
	return writes
}

// losses returns all workers that are given up.
func (c *Core) losses(now time.Time) losses {
	all := losses{}
	for _, t := range c.topologies {
		for i := range t.record.Placement {
			p := &t.record.Placement[i]
			if loss, gone := c.lost(now, p, t.workers[slot(p)]); gone {
				all[t.record.WorkerSlot(p)] = loss
			}
		}
	}
	return all
}

// upHosts returns the hosts that send heartbeats.
func (c *Core) upHosts(now time.Time) (names []string) {
	for name, h := range c.hosts {
		if c.up(now, h) {
			names = append(names, name)
		}
	}
	return names
}

// inOrder returns the topologies that run in the order of their submission.
func (c *Core) inOrder() []*topology {
	all := slices.Collect(maps.Values(c.topologies))
	all = slices.DeleteFunc(all, func(t *topology) bool { return !t.record.Status.Running() })
	slices.SortFunc(all, func(a, b *topology) int {
		return cmp.Or(a.record.Submitted.Compare(b.record.Submitted), cmp.Compare(a.record.Spec.Name, b.record.Spec.Name))
	})
	return all
}

// schedulerState returns the scheduler's input.
func (c *Core) schedulerState(now time.Time, lost losses) (s schedule.State) {
	for _, name := range slices.Sorted(maps.Keys(c.hosts)) {
		h := c.hosts[name]
		slots := make([]int, h.Slots)
		for i := range slots {
			slots[i] = i
		}
		s.Supervisors = append(s.Supervisors, schedule.Supervisor{
			Name: name, Slots: slots, Room: schedule.Resources{CPU: h.CPU, Memory: h.Memory}, Tags: h.Tags, Gone: !c.up(now, h),
		})
	}
	for _, t := range c.inOrder() {
		s.Topologies = append(s.Topologies, t.schedulerTopology())
		for i := range t.record.Placement {
			p := &t.record.Placement[i]
			s.Workers = append(s.Workers, schedule.Worker{
				Topology: t.record.Spec.Name, Slot: slot(p), Tasks: p.Tasks, Lost: lost[t.record.WorkerSlot(p)] != nil,
			})
		}
	}
	return s
}

// schedulerTopology returns a topology in the scheduler's terms.
func (t *topology) schedulerTopology() schedule.Topology {
	spec := &t.record.Spec
	s := schedule.Topology{
		Name: spec.Name, Tasks: spec.Tasks(), Workers: t.record.Workers, Tags: t.record.Tags,
		Rebalance: t.record.Rebalance, Needs: map[string]schedule.Resources{},
	}
	first, n := map[string]int{}, 0
	for _, o := range spec.Operators {
		s.Needs[o.Name] = schedule.Resources{CPU: o.CPU, Memory: o.Memory}
		first[o.Name] = n
		n += o.Parallel
	}
	for _, e := range spec.Edges {
		weight := weight(&e)
		for source := range spec.Operator(e.From).Parallel {
			for target := range e.Targets {
				s.Channels = append(s.Channels, schedule.Channel{Source: first[e.From] + source, Target: first[e.To] + target, Weight: weight})
			}
		}
	}
	return s
}

// weight returns the traffic of one channel of an edge, if each task sends a thousand along it. The real traffic is
// unknown before a topology runs, and no task moves later because it differs.
func weight(e *cluster.Edge) int64 {
	switch e.Grouping {
	case cluster.GroupingAll, cluster.GroupingLocalOrShuffle:
		return 1000 // each target takes all; of a local one that is so if it is at hand
	}
	return max(1, 1000/int64(e.Targets))
}

// apply returns the record of a topology as an assignment wants it, or nil if it is so already.
func (c *Core) apply(now time.Time, t *topology, a *schedule.Assignment, lost losses) *Write {
	next := t.change()
	next.Placement = t.placement(now, a, lost)
	next.Shortage = shortage(t.record.Spec.Name, a)
	next.Rebalance = false // it is in force now, or refused
	moved := !slices.EqualFunc(next.Placement, t.record.Placement, samePlace)
	var events []cluster.Event
	if moved {
		events = append(events, t.lossEvents(now, next, lost)...)
		events = append(events, cluster.Event{At: wall(now), Kind: cluster.Assigned, Text: describePlacement(next.Placement)})
	}
	if next.Shortage != t.record.Shortage && next.Shortage != "" {
		events = append(events, cluster.Event{At: wall(now), Kind: cluster.Assigned, Text: next.Shortage})
	}
	if !moved && next.Shortage == t.record.Shortage && next.Rebalance == t.record.Rebalance {
		return nil
	}
	if !moved {
		next.Placement = t.record.Placement
	}
	return t.write(next, events...)
}

func samePlace(a, b cluster.Placement) bool {
	return a.Supervisor == b.Supervisor && a.Slot == b.Slot && slices.Equal(a.Tasks, b.Tasks)
}

// placement returns a topology's part of an assignment. Tasks of a lost worker that find no place stay where they were:
// no other worker can run them, and if the worker comes back, nothing has happened to it.
func (t *topology) placement(now time.Time, a *schedule.Assignment, lost losses) (all []cluster.Placement) {
	placed := map[msgid.Alias]bool{}
	for _, w := range a.Workers {
		if w.Topology != t.record.Spec.Name {
			continue
		}
		p := cluster.Placement{Supervisor: w.Slot.Supervisor, Slot: w.Slot.Number, Tasks: w.Tasks}
		p.Lost = t.movedFrom(now, &p, lost)
		all = append(all, p)
		for _, alias := range w.Tasks {
			placed[alias] = true
		}
	}
	for i := range t.record.Placement {
		p := t.record.Placement[i]
		if lost[t.record.WorkerSlot(&p)] == nil {
			continue
		}
		p.Tasks = slices.DeleteFunc(slices.Clone(p.Tasks), func(alias msgid.Alias) bool { return placed[alias] })
		if len(p.Tasks) > 0 {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b cluster.Placement) int { return slot(&a).Compare(slot(&b)) })
	return all
}

// movedFrom returns why tasks of a worker were elsewhere before; nil if none was.
func (t *topology) movedFrom(now time.Time, p *cluster.Placement, lost losses) (why *cluster.Loss) {
	for i := range t.record.Placement {
		old := &t.record.Placement[i]
		if slot(old) == slot(p) {
			why = old.Lost
		}
		if samePlace(*old, *p) {
			return why
		}
	}
	for i := range t.record.Placement {
		old := &t.record.Placement[i]
		if slot(old) == slot(p) || !slices.ContainsFunc(old.Tasks, func(a msgid.Alias) bool { return slices.Contains(p.Tasks, a) }) {
			continue
		}
		if loss := lost[t.record.WorkerSlot(old)]; loss != nil {
			return loss
		}
		why = &cluster.Loss{Cause: "rebalanced", LastSeen: wall(now), DetectedAt: wall(now)}
	}
	return why
}

// lossEvents returns the events of the lost workers whose tasks move.
func (t *topology) lossEvents(now time.Time, next *cluster.Record, lost losses) (events []cluster.Event) {
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		slot := t.record.WorkerSlot(p)
		if loss := lost[slot]; loss != nil && !slices.ContainsFunc(next.Placement, func(n cluster.Placement) bool { return samePlace(*p, n) }) {
			events = append(events, cluster.Event{At: wall(now), Kind: cluster.WorkerLost, Slot: &slot, Text: loss.Cause + ": its tasks move"})
		}
	}
	return events
}

// maxPlaces bounds how many workers an event names.
const maxPlaces = 20

func describePlacement(all []cluster.Placement) string {
	if len(all) == 0 {
		return "placed nowhere"
	}
	var b strings.Builder
	b.WriteString("placed in")
	for i := range all {
		if i == maxPlaces {
			fmt.Fprintf(&b, " and %d more", len(all)-i)
			break
		}
		fmt.Fprintf(&b, " %s (%d tasks)", slot(&all[i]), len(all[i].Tasks))
	}
	return b.String()
}

// shortage describes, in words, the unmet requests of a topology.
func shortage(name string, a *schedule.Assignment) string {
	var all []string
	for _, s := range a.Shortages {
		if s.Topology != name {
			continue
		}
		text := s.Reason
		if n := len(s.Waiting); n > 0 {
			text = fmt.Sprintf("%d tasks wait: %s", n, text)
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}
