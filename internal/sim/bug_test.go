package sim

import (
	"testing"

	"github.com/askback/askback/internal/recovery/backtrack"
)

// mustCatch runs schedules with a planted bug until one of them violates an invariant. The test fails if none does, or if
// that one does without the bug too.
func mustCatch(t *testing.T, bug Bug, within uint64, choose func(seed uint64) Scenario) {
	t.Helper()
	for seed := uint64(1); seed <= within; seed++ {
		s := choose(seed)
		with := s
		with.Bug = bug
		r, err := Run(with)
		if err != nil {
			t.Fatal(err)
		}
		if r.Violation == "" {
			continue
		}
		if clean, err := Run(s); err != nil || clean.Violation != "" {
			t.Fatalf("without the bug too: %v %v", clean, err)
		}
		t.Logf("caught by %s in schedule %d, %s: %.300s", r.Invariant, seed, s.Shape, r.Violation)
		return
	}
	t.Errorf("not caught in %d schedules", within)
}

// A simulator proves nothing until it catches planted bugs. Each of these must violate an invariant within a few hundred
// schedules: most among those of the sweep, some only with their fault.
func TestPlantedBugs(t *testing.T) {
	for _, c := range []struct {
		bug    Bug
		within uint64
		where  func(*Scenario) // nil: anywhere
	}{
		{backtrack.EarlyRelease, 100, nil},
		{backtrack.EarlyTrim, 50, nil},
		{backtrack.EarlyAck, 50, nil},
		{backtrack.NoFence, 150, nil},
		{backtrack.NoMark, 100, nil},
		{backtrack.NoDeterminants, 50, nil},
		{backtrack.NoCredit, 300, nil},
		{backtrack.DuplicateAccepted, 50, nil},
		{backtrack.NoRefusal, 200, func(s *Scenario) { s.Faults = Damage | Regress | Crash }},
		{backtrack.ChecksumIgnored, 50, func(s *Scenario) { s.Shape, s.Faults = "secret", Crash }},
		{LocalUnrecorded, 20, func(s *Scenario) { s.Shape, s.Form = "local", Rows }},
		{PurgeTooEarly, 300, func(s *Scenario) {
			s.Faults, s.Settings.FaultRate = Cut, 2
			s.Settings.SyncLag, s.Settings.SnapshotEvery = 400, 4
		}},
	} {
		t.Run(string(c.bug), func(t *testing.T) {
			if testing.Short() && c.where != nil {
				t.Skip("it takes seconds")
			}
			mustCatch(t, c.bug, c.within, func(seed uint64) Scenario {
				s := ScenarioOf(seed)
				s.Strategy = "backtrack"
				if c.where != nil {
					c.where(&s)
				}
				return s
			})
		})
	}
}
