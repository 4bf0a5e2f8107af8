package worker_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// still orders two workers to stand still, and returns where their tasks do.
func (s *site) still(revision uint64) map[string]uint64 {
	s.t.Helper()
	for slot, tasks := range halves {
		o := s.order(revision, tasks...)
		o.Quiesce = true
		s.send(slot, o)
	}
	stands := map[string]uint64{}
	s.until("all tasks stand still", func() bool {
		for slot := range halves {
			b := s.heartbeat(slot)
			if b.Revision != revision || len(b.Tasks) == 0 {
				return false
			}
			for _, t := range b.Tasks {
				if t.QuiescePositions == 0 {
					return false
				}
				stands[t.Alias.String()] = t.QuiescePositions
			}
		}
		return true
	})
	return stands
}

// halves are the tasks of two workers.
var halves = [][]string{{"lines", "split.0", "count.1", "split.2"}, {"split.1", "count.0", "out", "split.3"}}

// Two workers come to a standstill in the middle. Those of another instance, whose program has other numbers of tasks,
// go on from there, though one of them is killed as soon as it has begun.
func TestRescale(t *testing.T) {
	s := newSite(t, 12_000)
	for slot, tasks := range halves {
		s.start(s.launch(slot, tasks...))
	}
	s.under(0, "count.1")
	stands := s.still(2)
	if again := s.still(3); !maps.Equal(stands, again) {
		t.Errorf("they stood still at %v, then at %v", stands, again)
	}
	for _, task := range s.heartbeat(0).Tasks {
		if want := map[string]cluster.StateKind{"count": "keyed state"}[task.Alias.Operator]; task.KeepsState != want {
			t.Errorf("%s keeps %q, want %q", task.Alias, task.KeepsState, want)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	where := s.subjects.Worker(s.launch(0).Slot, cluster.VerbSpec)
	_, err := natscluster.Request[cluster.Spec](ctx, s.nc, where, cluster.SpecRequest{Parallel: map[string]int{"none": 4}})
	if err == nil || !strings.Contains(err.Error(), `no operator "none"`) {
		t.Errorf("an operator that is not there: %v", err)
	}
	parallel := map[string]int{"split": 4}
	spec, err := natscluster.Request[cluster.Spec](ctx, s.nc, where, cluster.SpecRequest{Parallel: parallel})
	check(t, err)
	if !spec.SameProgram(s.spec) || spec.Operator("split").Parallel != 4 || spec.Plan == s.spec.Plan {
		t.Fatalf("the worker describes its program as %+v", spec)
	}

	from := &cluster.Origin{Instance: s.instance, Plan: s.spec.Plan, QuiescePositions: stands}
	for alias := range stands {
		if strings.HasPrefix(alias, "split") {
			delete(stands, alias)
		}
	}
	s.instance, s.spec = cluster.NewInstance("words"), &spec
	s.makeLog()
	launch := func(slot int) *cluster.Launch {
		l := s.launch(slot, halves[slot]...)
		l.Parallel, l.From = parallel, from
		return l
	}
	s.start(launch(1))
	first := s.startProcess(launch(0))
	s.until("the first one sends a heartbeat", func() bool { return s.heartbeat(0).PID != 0 })
	first.kill()
	s.startProcess(launch(0))
	s.done(0, 1)
	for slot := range halves {
		for _, task := range s.heartbeat(slot).Tasks {
			if !task.HasSnapshot {
				t.Errorf("%s has come to its end without a snapshot of its own", task.Alias)
			}
		}
	}
}
