package sim

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var (
	seeds  = flag.Uint64("seeds", 2600, "schedules of TestSweep")
	origin = flag.Uint64("first", 1, "first seed of TestSweep")
)

// under returns the scenario of a seed under a strategy.
func under(strategy string, seed uint64) Scenario {
	s := ScenarioOf(seed)
	s.Strategy = strategy
	return s.Chosen()
}

// TestSweep runs many schedules of all shapes and strategies. None may violate an invariant.
func TestSweep(t *testing.T) {
	n := *seeds
	if testing.Short() {
		n = min(n, 300)
	}
	report, err := Sweep(*origin, n, 1, ScenarioOf, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%v", report)
	for _, r := range report.Failures[:min(3, len(report.Failures))] {
		t.Errorf("%v", r)
	}
	if report.Total.Violations > 0 {
		t.Errorf("%d violations", report.Total.Violations)
	}
	c := report.Total
	if c.Crashes == 0 || c.Zombies == 0 || c.Fenced == 0 || c.Cuts == 0 || c.Losses == 0 || c.Refused == 0 || c.Counters.Replayed == 0 || c.Outages == 0 || c.Dead == 0 || c.Dropped == 0 {
		t.Errorf("some fault did not happen at all: %+v", c)
	}
}

// A scenario repeats exactly: the same hash of all that happened.
func TestReplay(t *testing.T) {
	for seed := range uint64(40) {
		s := ScenarioOf(seed)
		a, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseScenario(s.String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := Run(again)
		if err != nil {
			t.Fatal(err)
		}
		if a.Hash != b.Hash || a.Steps != b.Steps || a.Counters != b.Counters {
			t.Errorf("seed %d, %s: hash %x, then %x; steps %d, then %d", seed, s.Shape, a.Hash, b.Hash, a.Steps, b.Steps)
		}
	}
}

// scaled returns n, or less if the tests are to be short.
func scaled(n uint64) uint64 {
	if testing.Short() {
		return n / 8
	}
	return n
}

// When one task crashes and the network loses no other message, exactly the missed tuples are replayed, and no other task
// is disturbed.
func TestOneCrash(t *testing.T) {
	missed := uint64(0)
	for seed := range scaled(400) {
		s := ScenarioOf(seed)
		s.Strategy, s.Faults = "backtrack", 0
		s.Settings.RetryEvery, s.Settings.RetryMax = 5000, 5000 // an ASK that is slow is not lost
		w, err := newWorld(s)
		if err != nil {
			t.Fatal(err)
		}
		w.crashAt = uint64(s.Steps) / 3
		r := w.run()
		switch {
		case r.over():
			t.Errorf("seed %d: %v", seed, r)
		case r.Crashes > 1 || r.Starts != len(w.slots)+r.Crashes:
			t.Errorf("seed %d: %d crashes, but %d starts of %d tasks", seed, r.Crashes, r.Starts, len(w.slots))
		case r.Counters.Missed != r.Counters.Replayed:
			t.Errorf("seed %d, %s: missed %d, replayed %d", seed, s.Shape, r.Counters.Missed, r.Counters.Replayed)
		}
		missed += r.Counters.Missed
	}
	if missed == 0 {
		t.Error("no tuple was ever missed")
	}
}

// Without faults no tuple is asked for, resent or a duplicate.
func TestNoFaults(t *testing.T) {
	for seed := range scaled(120) {
		s := ScenarioOf(seed)
		s.Faults = 0
		if s.Strategy == "ack" {
			s.Settings.RetryEvery, s.Settings.RetryMax = 60_000, 60_000 // an ACK that is slow is not lost
		}
		r, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		if s.Strategy == "ack" {
			r.Counters.Missed = 0 // a source may have sent before it answers its target's first question
		}
		if c := r.Counters; r.over() || c.Missed+c.Replayed+c.Duplicates+c.Rejected+c.Lost+c.Asks+c.Overflow > 0 {
			t.Errorf("seed %d, %s: %+v\n%v", seed, s.Shape, c, r)
		}
	}
}

// An undetermined operator that is not declared so is detected, or does no harm (the oracle checks that).
func TestSecret(t *testing.T) {
	refused, n := 0, scaled(200)
	for seed := range n {
		s := Scenario{Seed: seed, Shape: "secret", Strategy: "backtrack"}.Chosen()
		s.Faults = Crash | s.Faults&(Drop|Reorder|Pair|Zombie)
		r, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		if r.Violation != "" {
			t.Errorf("%v", r)
		}
		if r.Refused != "" {
			refused++
		}
	}
	if refused < int(n/4) {
		t.Errorf("found out %d times in %d runs", refused, n)
	}
}

func TestScenarioErrors(t *testing.T) {
	good := ScenarioOf(1)
	for name, change := range map[string]func(*Scenario){
		"shape":    func(s *Scenario) { s.Shape = "moebius" },
		"strategy": func(s *Scenario) { s.Strategy = "hope" },
		"bug":      func(s *Scenario) { s.Bug = "heisenbug" },
		"steps":    func(s *Scenario) { s.Steps = -1 },
		"window":   func(s *Scenario) { s.Settings.Window = 0 },
	} {
		s := good
		change(&s)
		if _, err := Run(s); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, text := range []string{"", "{", `{"seed":1}`, `{"nonsense":1}`, `{"faults":"gravity"}`} {
		if _, err := ParseScenario(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
	if f, err := ParseFaults("all"); err != nil || f != AllFaults || f.String() == "none" {
		t.Errorf("all faults: %v, %v", f, err)
	}
	if f, err := ParseFaults(AllFaults.String()); err != nil || f != AllFaults {
		t.Errorf("%v read back as %v, %v", AllFaults, f, err)
	}
}

func Example() {
	r, err := Run(ScenarioOf(42))
	if err != nil {
		fmt.Println(err)
		return
	}
	again, _ := Run(ScenarioOf(42))
	fmt.Println(r, r.Hash == again.Hash)
	// Output: good true
}

// TestRegressions runs schedules that have failed once.
func TestRegressions(t *testing.T) {
	text, err := os.ReadFile("testdata/regressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := ParseScenario(line)
		if err != nil {
			t.Fatalf("line %d: %v", n+1, err)
		}
		for range 20 {
			r, err := Run(s)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation != "" {
				t.Errorf("line %d: %v", n+1, r)
				break
			}
			s.Seed++
		}
	}
}
