package sim

import "testing"

// A root that a spout emits is processed to its end at least once, whatever fails, and every topology comes to its end.
func TestAckerLosesNothing(t *testing.T) {
	lost := false
	for seed := range scaled(240) {
		s := under("acker", seed)
		if shape := Shapes[seed%uint64(len(Shapes))]; !shape.planted && (s.Form != Rows || shape.build != nil) {
			s.Shape = shape.Name
		}
		r, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		if r.over() {
			t.Errorf("%v", r)
		}
		lost = lost || r.Counters.Lost > 0
	}
	if !lost {
		t.Error("no tuple was ever lost on the way")
	}
}

// Bugs of the ledger lose roots, or have them emitted again for ever.
func TestPlantedAckerBugs(t *testing.T) {
	for _, c := range []struct {
		bug    Bug
		within uint64
	}{
		{AnswerEarly, 40},
		{ShortEdges, 200},
		{ReportsLost, 40},
		{AnswersAstray, 40},
		{PositionAhead, 200},
	} {
		t.Run(string(c.bug), func(t *testing.T) {
			mustCatch(t, c.bug, c.within, func(seed uint64) Scenario {
				s := under("acker", seed)
				if c.bug == ReportsLost || c.bug == AnswersAstray { // else it takes long to see that there is no end
					s.Settings.MessageTimeout += 2000
				}
				return s
			})
		})
	}
}
