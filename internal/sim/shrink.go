package sim

// Shrink looks for a smaller scenario that violates the same invariant as a failed one: with fewer kinds of fault,
// fewer tuples, fewer steps, and settings as in production. A smaller scenario has another schedule, so each is
// tried with several seeds. It makes at most so many runs, and returns the smallest failure found.
func Shrink(failed *Result, runs int) *Result {
	best := failed
	try := func(s Scenario) bool {
		for k := uint64(0); k < 8 && runs > 0; k++ {
			runs--
			s.Seed = best.Scenario.Seed + k*1_000_003
			if r, err := Run(s); err == nil && r.Violation != "" && r.Invariant == best.Invariant {
				best = r
				return true
			}
		}
		return false
	}
	for again := true; again && runs > 0; {
		again = false
		for i := range faultNames {
			if s := best.Scenario; s.Faults&(1<<i) != 0 {
				s.Faults &^= 1 << i
				again = try(s) || again
			}
		}
		for _, less := range []func(*Scenario) bool{
			func(s *Scenario) bool { s.Tuples /= 2; return s.Tuples > 0 },
			func(s *Scenario) bool { s.Tuples -= s.Tuples / 4; return s.Tuples/4 > 0 },
			func(s *Scenario) bool { s.Steps /= 2; return s.Steps > 50 },
			func(s *Scenario) bool { s.Steps -= s.Steps / 4; return s.Steps > 50 },
			func(s *Scenario) bool { s.Settings.FaultRate /= 2; return s.Settings.FaultRate > 0 },
			plain(func(s *Settings) *int { return &s.FrameSize }, 16<<10),
			plain(func(s *Settings) *int { return &s.MaxRecord }, 256<<10),
			plain(func(s *Settings) *int { return &s.SyncLag }, 0),
			plain(func(s *Settings) *int { return &s.SmallState }, 0),
			plain(func(s *Settings) *int { return &s.Window }, 1<<20),
			plain(func(s *Settings) *int { return &s.SoftBound }, 2<<20),
			plain(func(s *Settings) *int { return &s.HardBound }, 64<<20),
		} {
			if s := best.Scenario; less(&s) {
				again = try(s) || again
			}
		}
	}
	return best
}

// plain returns a function that gives a setting its value in production, unless it has it.
func plain(of func(*Settings) *int, to int) func(*Scenario) bool {
	return func(s *Scenario) bool {
		p := of(&s.Settings)
		if *p == to {
			return false
		}
		*p = to
		return true
	}
}
