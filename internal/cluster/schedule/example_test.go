package schedule_test

import (
	"fmt"

	"github.com/askback/askback/internal/cluster/schedule"
	"github.com/askback/askback/msgid"
)

func Example() {
	state := schedule.State{
		Supervisors: []schedule.Supervisor{
			{Name: "host-1", Slots: []int{1, 2}, Room: schedule.Resources{CPU: 400, Memory: 8 << 30}},
			{Name: "host-2", Slots: []int{1, 2}, Room: schedule.Resources{CPU: 400, Memory: 8 << 30}},
		},
		Topologies: []schedule.Topology{{
			Name:    "words",
			Workers: 2,
			Tasks: []msgid.Alias{
				{Operator: "split", Index: 0}, {Operator: "split", Index: 1}, {Operator: "count", Index: 0}, {Operator: "count", Index: 1},
			},
			Channels: []schedule.Channel{{Source: 0, Target: 2}, {Source: 0, Target: 3}, {Source: 1, Target: 2}, {Source: 1, Target: 3}},
			Needs:    map[string]schedule.Resources{"count": {Memory: 3 << 30}},
		}},
	}
	show := func(a schedule.Assignment) {
		for _, w := range a.Workers {
			fmt.Println(w.Slot, w.Topology, w.Tasks)
		}
		for _, s := range a.Shortages {
			fmt.Println(s.Reason)
		}
	}
	a := schedule.Schedule(state)
	show(a)

	fmt.Println("host-2 is lost:")
	state.Workers = a.Workers
	state.Workers[1].Lost = true
	state.Supervisors[1].Gone = true
	show(schedule.Schedule(state))
	// Output:
	// host-1/1 words [split.0 count.0]
	// host-2/1 words [split.1 count.1]
	// host-2 is lost:
	// host-1/1 words [split.0 count.0]
	// host-1/2 words [split.1 count.1]
}
