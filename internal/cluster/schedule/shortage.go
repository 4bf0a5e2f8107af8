package schedule

import (
	"fmt"
	"strconv"
	"strings"
)

// shortages describes the unmet requests of the topology.
func (j *job) shortages() (all []Shortage) {
	if j.refused != "" {
		all = append(all, Shortage{Topology: j.Name, Reason: j.refused})
	}
	switch wanted := min(j.limit, len(j.Tasks)); {
	case len(j.waiting) > 0:
		all = append(all, Shortage{Topology: j.Name, Waiting: j.aliases(j.waiting), Reason: j.why})
	case len(j.workers) < wanted && j.refused == "":
		all = append(all, Shortage{Topology: j.Name, Reason: j.tooFewWorkers(wanted)})
	}
	return all
}

// tooFewWorkers describes that all tasks run, but closer together than was asked for.
func (j *job) tooFewWorkers(wanted int) string {
	remedy := "rebalance it to use the free slots"
	switch {
	case j.freeSlots() == 0:
		remedy = "no other slot is free: add supervisors or free slots, then rebalance it"
	case !j.roomForAny():
		remedy = "the supervisors with free slots have no room for its tasks: add supervisors, then rebalance it"
	}
	return fmt.Sprintf("topology %s asks for %s and runs in %d; %s", j.Name, count(wanted, "worker"), len(j.workers), remedy)
}

// roomForAny reports whether any task could have a new worker.
func (j *job) roomForAny() bool {
	for t := range j.Tasks {
		if j.bestHost(part{need: j.need[t]}) != nil {
			return true
		}
	}
	return false
}

// reason returns why a task found no place beside those that did.
func (j *job) reason(t int) string {
	task, need := j.Tasks[t], j.need[t]
	serving, open := false, false // whether there is a supervisor, and one with a slot or a worker for the task
	var largest, left Resources   // the most that any has in all, and that one of the latter has left
	for _, h := range *j.hosts {
		if !h.serves(j.Tags) {
			continue
		}
		serving = true
		largest.CPU = max(largest.CPU, spare(h.room.CPU, 0, need.CPU))
		largest.Memory = max(largest.Memory, spare(h.room.Memory, 0, need.Memory))
		if len(h.free) > 0 && len(j.workers) < j.limit || h.ours > 0 {
			open = true
			left.CPU = max(left.CPU, spare(h.room.CPU, h.used.CPU, need.CPU))
			left.Memory = max(left.Memory, spare(h.room.Memory, h.used.Memory, need.Memory))
		}
	}
	switch {
	case !serving && len(j.Tags) > 0:
		return fmt.Sprintf("topology %s asks for supervisors with the tags %s, none is there: start one", j.Name, strings.Join(j.Tags, ", "))
	case !serving:
		return fmt.Sprintf("topology %s needs %s, no supervisor is there: start one", j.Name, count(j.limit, "worker"))
	case need.Memory > largest.Memory:
		return fmt.Sprintf("task %s asks for %s, the largest supervisor has %s: add a larger one, or ask for less", task, bytes(need.Memory), bytes(largest.Memory))
	case need.CPU > largest.CPU:
		return fmt.Sprintf("task %s asks for %d %% of a core, the largest supervisor has %d %%: add a larger one, or ask for less", task, need.CPU, largest.CPU)
	case !open && j.freeSlots() == 0:
		return fmt.Sprintf("topology %s needs %s, no slot is free: add supervisors or free slots", j.Name, count(j.limit, "worker"))
	case len(j.workers) >= j.limit && j.bestHost(part{need: need}) != nil:
		return fmt.Sprintf("task %s cannot join the %s of topology %s, whose supervisors are full or gone: ask for more workers", task, count(len(j.workers), "worker"), j.Name)
	case need.Memory > left.Memory:
		return fmt.Sprintf("task %s asks for %s, the most that a supervisor has left is %s: add supervisors, or free memory", task, bytes(need.Memory), bytes(left.Memory))
	case need.CPU > left.CPU:
		return fmt.Sprintf("task %s asks for %d %% of a core, the most that a supervisor has left is %d %%: add supervisors, or free CPU", task, need.CPU, left.CPU)
	}
	return fmt.Sprintf("task %s asks for %v, no supervisor has both left: add supervisors, or free some", task, need)
}

// spare returns the rest of a limit. Without a limit, the need itself is left.
func spare(room, used, need int64) int64 {
	if room == 0 {
		return need
	}
	return room - used
}

// count returns a number of things, such as "3 workers".
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}
