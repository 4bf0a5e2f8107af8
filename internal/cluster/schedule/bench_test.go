package schedule_test

import (
	"fmt"
	"testing"

	"github.com/askback/askback/internal/cluster/schedule"
)

// BenchmarkSchedule has 1,000 supervisors with 4 slots each and 200 topologies with 16 workers and 32 tasks each.
func BenchmarkSchedule(b *testing.B) {
	var empty schedule.State
	for i := range 1000 {
		empty.Supervisors = append(empty.Supervisors, with(host(fmt.Sprintf("s%03d", i), 4), 1600, 64*gib))
	}
	for i := range 200 {
		t := asking(pipeline(fmt.Sprint("t", i), 16, "lines", 4, "split", 12, "count", 12, "top", 4), "count", 100, gib)
		empty.Topologies = append(empty.Topologies, t)
	}
	full := inForce(empty, schedule.Schedule(empty))
	lost := inForce(empty, schedule.Schedule(empty))
	for i, w := range lost.Workers {
		lost.Workers[i].Lost = w.Slot.Supervisor == "s500"
	}
	lost.Supervisors = append([]schedule.Supervisor(nil), lost.Supervisors...)
	lost.Supervisors[500].Gone = true

	for _, c := range []struct {
		name  string
		state schedule.State
	}{{"from=nothing", empty}, {"supervisor=lost", lost}, {"change=none", full}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if a := schedule.Schedule(c.state); len(a.Workers) != 3200 || len(a.Shortages) > 0 {
					b.Fatalf("%d workers, %v", len(a.Workers), a.Shortages)
				}
			}
		})
	}
}
