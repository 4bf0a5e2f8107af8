package core

import (
	"slices"

	"github.com/askback/askback/internal/cluster"
)

// lostTuples counts the tuples that one task has lost.
type lostTuples struct{ dead, dropped uint64 }

// countLost notes the counts of a heartbeat. A task that is being restored reports less for a moment, so the highest ones
// count.
func (t *topology) countLost(b *cluster.Heartbeat) {
	for i := range b.Tasks {
		its := &b.Tasks[i]
		if its.Dead == 0 && its.Dropped == 0 {
			continue
		}
		was := t.lost[its.Alias]
		t.lost[its.Alias] = lostTuples{max(was.dead, its.Dead), max(was.dropped, its.Dropped)}
	}
}

// Lost returns the counts of a topology's operators that have lost tuples, and the error of the task that has failed, if
// one has. Both are nil if there is no such topology.
func (c *Core) Lost(name string) ([]cluster.LostTuples, *cluster.Failure) {
	t := c.topologies[name]
	if t == nil {
		return nil, nil
	}
	return t.lostTuples(), t.record.Failure
}

// lostTuples returns the counts of all operators that have lost tuples, in the order of the plan.
func (t *topology) lostTuples() (all []cluster.LostTuples) {
	if t.record.Status == cluster.Completed {
		return t.record.LostTuples
	}
	for _, o := range t.record.Spec.Operators {
		sum := t.lostBefore(o.Name)
		for alias, l := range t.lost {
			if alias.Operator == o.Name {
				sum.Dead, sum.Dropped = sum.Dead+l.dead, sum.Dropped+l.dropped
			}
		}
		if sum.Dead+sum.Dropped > 0 {
			all = append(all, sum)
		}
	}
	return all
}

// lostBefore returns the counts of an operator that its present tasks do not include.
func (t *topology) lostBefore(operator string) cluster.LostTuples {
	i := slices.IndexFunc(t.record.LostTuples, func(l cluster.LostTuples) bool { return l.Operator == operator })
	if i < 0 {
		return cluster.LostTuples{Operator: operator}
	}
	return t.record.LostTuples[i]
}

// lostBeforeRescale returns the counts that the tasks of another instance will not include: those of operators whose
// tasks begin empty, and older ones.
func (t *topology) lostBeforeRescale(to *cluster.Spec) (all []cluster.LostTuples) {
	for _, l := range t.lostTuples() {
		if t.record.Spec.Operator(l.Operator).Parallel == to.Operator(l.Operator).Parallel {
			l = t.lostBefore(l.Operator)
		}
		if l.Dead+l.Dropped > 0 {
			all = append(all, l)
		}
	}
	return all
}
