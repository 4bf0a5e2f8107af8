package schedule

import (
	"slices"

	"github.com/askback/askback/msgid"
)

// Local returns which tasks of an operator run in the same worker as a source task, by index, ascending: the targets
// of an edge with local-or-shuffle grouping. If there are none, the edge is shuffled over all its targets.
//
// Its answer changes when tasks move, but the target of each tuple must be the same in a replay. So a router must keep
// the targets that it was given in its checkpointed state, and take new ones only where the task's determinants have
// it; it must not ask anew when it is restored.
func (a Assignment) Local(topology string, source msgid.Alias, operator string) (targets []int) {
	for _, w := range a.Workers {
		if w.Topology != topology || !slices.Contains(w.Tasks, source) {
			continue
		}
		for _, task := range w.Tasks {
			if task.Operator == operator {
				targets = append(targets, task.Index)
			}
		}
	}
	slices.Sort(targets)
	return targets
}
