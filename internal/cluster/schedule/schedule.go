package schedule

import (
	"cmp"
	"slices"

	"github.com/askback/askback/msgid"
)

// Schedule returns the assignment that follows a state. The same state gives the same assignment, in any order of its
// supervisors and workers; given its own assignment as the present one, Schedule changes nothing.
func Schedule(s State) Assignment {
	jobs := newJobs(s)
	// Room that a topology could not have in one round may be free in the next, where another was rebalanced. A round
	// without a gain is the last, so that a second call has nothing to change.
	for waiting, last := placeAll(jobs), -1; waiting > 0 && waiting != last; {
		waiting, last = placeAll(jobs), waiting
	}
	var a Assignment
	for _, j := range jobs {
		a.Workers = append(a.Workers, j.assigned()...)
	}
	for _, j := range jobs {
		a.Shortages = append(a.Shortages, j.shortages()...)
	}
	return a
}

// placeAll is one round. It returns how many tasks wait.
//
// Running topologies are mended before any is begun, else a topology that has waited for long would take the room of
// one that lost a worker. Each of the three goes by order of submission.
func placeAll(jobs []*job) (waiting int) {
	var broken, moving, idle []*job
	for _, j := range jobs {
		switch {
		case len(j.workers) == 0 && len(j.lost) == 0:
			idle = append(idle, j)
		case j.Rebalance:
			moving = append(moving, j)
		default:
			broken = append(broken, j)
		}
	}
	for _, j := range broken {
		j.inHand(j.mend)
	}
	for _, j := range moving {
		j.inHand(j.rebalance)
	}
	for _, j := range idle {
		j.inHand(j.start)
	}
	for _, j := range jobs {
		waiting += len(j.waiting)
	}
	return waiting
}

// newJobs returns the topologies, each with the workers that it keeps and those that it lost.
func newJobs(s State) []*job {
	all := newHosts(s.Supervisors)
	var jobs []*job
	byName := map[string]*job{}
	for _, t := range s.Topologies {
		j := newJob(t, &all)
		jobs = append(jobs, j)
		byName[t.Name] = j
	}
	used := map[Slot]bool{}
	for _, w := range firstClaims(s.Workers) {
		j := byName[w.Topology]
		if j == nil {
			continue // it was killed: its slot is free
		}
		p := j.claim(w.Tasks)
		p.from = all.named(w.Slot.Supervisor)
		switch {
		case len(p.tasks) == 0: // the topology no longer has them
		case w.Lost || used[w.Slot]:
			j.lost = append(j.lost, p)
		default:
			used[w.Slot] = true
			j.put(p, p.from, w.Slot.Number)
		}
	}
	return jobs
}

// firstClaims returns the workers in the order in which they keep their slots and tasks, if two should claim the
// same: those that live come first.
func firstClaims(workers []Worker) []Worker {
	return slices.SortedStableFunc(slices.Values(workers), func(a, b Worker) int {
		switch {
		case b.Lost && !a.Lost:
			return -1
		case a.Lost && !b.Lost:
			return 1
		}
		return cmp.Or(a.Slot.Compare(b.Slot), cmp.Compare(a.Topology, b.Topology), slices.CompareFunc(a.Tasks, b.Tasks, msgid.Alias.Compare))
	})
}
