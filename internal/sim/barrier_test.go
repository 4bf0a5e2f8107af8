package sim

import (
	"testing"

	"github.com/askback/askback/internal/recovery/barrier"
)

// TestBarrierBugs: each broken rule of the barriers violates an invariant within a few hundred schedules.
func TestBarrierBugs(t *testing.T) {
	for _, c := range []struct {
		bug    Bug
		within uint64
		where  func(*Scenario)
	}{
		{Bug(barrier.NoAlignment), 100, nil},
		{Bug(barrier.EarlyCommit), 100, func(s *Scenario) { s.Shape = "transactional" }},
		{Bug(barrier.MissingReport), 200, nil},
		{Bug(barrier.MixedEpochs), 300, nil},
		{Bug(barrier.LonelyRollback), 50, func(s *Scenario) { s.Faults, s.Shape = Crash, "chain" }},
		// The proof of a checkpoint's decision is not purged before that decision is safe from a power cut too.
		{PurgeTooEarly, 300, func(s *Scenario) {
			s.Faults, s.Steps, s.Tuples = Cut, 4000, 150
			s.Settings.SyncLag, s.Settings.SnapshotEvery, s.Settings.MaxRecord = 100, 2, 16<<10
		}},
		{NoFence, 300, func(s *Scenario) { s.Faults = Zombie | Partition }}, // an old coordinator decides
	} {
		t.Run(string(c.bug), func(t *testing.T) {
			mustCatch(t, c.bug, c.within, func(seed uint64) Scenario {
				s := under("barrier", seed)
				if c.where != nil {
					c.where(&s)
				}
				return s
			})
		})
	}
}

// TestBarrierSweep: no schedule violates the guarantee, and all kinds of fault that the strategy survives happen.
func TestBarrierSweep(t *testing.T) {
	choose := func(seed uint64) Scenario { return under("barrier", seed) }
	report, err := Sweep(*origin, scaled(800), 1, choose, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Failures[:min(3, len(report.Failures))] {
		t.Errorf("%v", r)
	}
	c := report.Total
	if c.Crashes == 0 || c.Zombies == 0 || c.Fenced == 0 || c.Cuts == 0 || c.Counters.Replayed == 0 || c.Refused > 0 {
		t.Errorf("some fault did not happen at all, or a task refused to continue: %+v", c)
	}
}

// TestBarrierRollsBackAll: when one task crashes and no other fault happens, every task starts exactly once more.
func TestBarrierRollsBackAll(t *testing.T) {
	for seed := range scaled(200) {
		s := under("barrier", seed)
		s.Faults = 0
		w, err := newWorld(s)
		if err != nil {
			t.Fatal(err)
		}
		w.crashAt = uint64(s.Steps) / 3
		r := w.run()
		all := len(w.slots)
		switch {
		case r.over():
			t.Errorf("seed %d: %v", seed, r)
		case r.Crashes > 1 || r.Starts > 2*all:
			t.Errorf("seed %d, %s: %d crashes, %d starts of %d tasks", seed, s.Shape, r.Crashes, r.Starts, all)
		}
	}
}
