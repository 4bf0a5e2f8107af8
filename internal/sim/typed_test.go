package sim

import (
	"testing"

	"github.com/askback/askback/strategy"
)

// Each bug of typed operators is found where it can do harm, by the invariant that it breaks.
func TestTypedBugs(t *testing.T) {
	where := func(shape, form string, faults Faults) func(*Scenario) {
		return func(s *Scenario) {
			s.Shape, s.Form = shape, form
			*s = s.Chosen()
			s.Faults = faults
		}
	}
	for _, c := range []struct {
		bug    Bug
		within uint64
		where  func(*Scenario)
	}{
		{LostForgotten, 20, where("drops", Fused, Poison|Crash)},
		{LostForgotten, 20, where("dead_letters", Rows, Poison|Crash)},
		{ReasonReplayed, 30, where("dead_steps", Fused, Poison|Crash)},
		{StateApart, 20, where("endless", Fused, Crash)},
		{PartsSwapped, 20, where("chained_state", Fused, Crash)},
		{RetryUpstream, 20, where("retried", Fused, Poison)},
	} {
		t.Run(string(c.bug), func(t *testing.T) {
			mustCatch(t, c.bug, c.within, func(seed uint64) Scenario {
				s := Scenario{Seed: seed, Strategy: strategy.Backtrack.String()}
				c.where(&s)
				return s
			})
		})
	}
}

// Isolated steps are operators each; fused ones are fewer operators, and every step reads the same in each form.
func TestForms(t *testing.T) {
	for i := range Shapes {
		shape := &Shapes[i]
		operators, steps := 0, 0
		for _, form := range Forms[1:] {
			for seed := range uint64(5) {
				w, err := newWorld(Scenario{Seed: seed, Shape: shape.Name, Form: form, Strategy: "backtrack"}.Chosen())
				if err != nil {
					t.Fatalf("%s %s: %v", shape.Name, form, err)
				}
				g := w.kit.grouped
				if n := len(g.k.steps); form == Isolated && len(w.plan.Operators) != n {
					t.Errorf("%s: %d steps that are kept apart are %d operators", shape.Name, n, len(w.plan.Operators))
				}
				if form == Fused {
					operators += len(w.plan.Operators)
					steps += len(g.k.steps)
				}
			}
		}
		if operators >= steps {
			t.Errorf("%s: %d steps are %d operators: none was fused", shape.Name, steps, operators)
		}
	}
}

// Every root of a source reaches the sinks of a typed shape as often as those of the row shape, in each form, without
// faults.
func TestTypedWithoutFaults(t *testing.T) {
	for i := range Shapes {
		for _, form := range Forms[1:] {
			s := Scenario{Seed: uint64(i), Shape: Shapes[i].Name, Form: form, Strategy: "backtrack"}.Chosen()
			s.Faults, s.Tuples = 0, 12
			r, err := Run(s)
			if err != nil {
				t.Fatal(err)
			}
			if r.over() || r.Lost.Dead+r.Lost.Dropped > 0 || r.Counters.Consumed == 0 {
				t.Errorf("%s %s: %+v, %v", s.Shape, form, r.Lost, r)
			}
		}
	}
}
