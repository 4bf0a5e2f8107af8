package sim

import (
	"fmt"
	"math/rand/v2"

	"github.com/askback/askback/backtrack"
	"github.com/askback/askback/recovery"
)

// A Scenario says all that a run depends on: the same scenario runs the same way, to the last message. ScenarioOf
// chooses one.
type Scenario struct {
	Seed     uint64
	Shape    string
	Strategy string // "backtrack" or "none"
	Faults   Faults
	Bug      Bug // none, but in tests of tests
	Steps    int // how many steps faults may happen in; then the topology must come to its end
	Tuples   int // how many tuples each spout task emits
	Settings Settings
}

// A Bug is a broken rule: one of package backtrack's, or one of these.
type Bug = backtrack.Bug

// Bugs of the log.
const (
	NoFence           = backtrack.NoFence
	PurgeTooEarly Bug = "purge_too_early" // C2: what a power cut may bring back is purged
)

// Bugs lists all bugs that can be planted.
var Bugs = append([]Bug{PurgeTooEarly}, backtrack.Bugs...)

// Settings are chosen small, so that windows, bounds and cuts of frames matter.
type Settings struct {
	FrameSize  int
	MaxRecord  int // of the task log
	SyncLag    int // how many of the log's newest records a power cut may take
	SmallState int // see task.Config
	FaultRate  int // scheduled faults in a thousand steps
	Machine    recovery.Config
}

// ScenarioOf returns the scenario that a seed stands for.
func ScenarioOf(seed uint64) Scenario {
	r := rand.New(rand.NewPCG(seed, 1))
	s := Scenario{Seed: seed, Strategy: "backtrack"}
	for {
		shape := &Shapes[r.IntN(len(Shapes))]
		if !shape.planted {
			s.Shape = shape.Name
			break
		}
	}
	if r.IntN(16) == 0 {
		s.Strategy = "none"
	}
	return s.Chosen()
}

// Chosen returns s with everything chosen by its seed but shape, strategy and bug.
func (s Scenario) Chosen() Scenario {
	r := rand.New(rand.NewPCG(s.Seed, 2))
	s.Steps = 200 + r.IntN(4000)
	s.Tuples = 20 + r.IntN(130)
	s.Settings = randomSettings(r)
	s.Faults = randomFaults(r)
	if s.Strategy == "none" {
		s.Faults &= Drop | Duplicate | Reorder | Corrupt | Crash | Pair | Partition | Slow | Panic
	}
	return s
}

func randomSettings(r *rand.Rand) Settings {
	log := func(low, high int) int { // spread evenly over orders of magnitude
		v := low
		for v < high && r.IntN(3) > 0 {
			v += v/2 + 1
		}
		return min(v, high)
	}
	tick := func(low, high int) recovery.Tick { return recovery.Tick(log(low, high)) }
	var s Settings
	s.FrameSize = log(200, 4096)
	s.MaxRecord = log(128, 16<<10)
	s.SyncLag = r.IntN([]int{1, 40, 40, 400}[r.IntN(4)])
	if s.SmallState = -1; r.IntN(3) == 0 {
		s.SmallState = 0
	}
	s.FaultRate = log(2, 20)
	m := &s.Machine
	m.Window = log(300, 64<<10)
	m.SoftBound = log(500, 64<<10)
	m.HardBound = m.SoftBound + log(500, 64<<10)
	m.SnapshotEvery = tick(2, 1000)
	m.RetryEvery = tick(2, 250)
	m.RetryMax = m.RetryEvery * recovery.Tick(1+r.IntN(8))
	m.MarkEvery = tick(1, 50)
	m.MarkMax = m.MarkEvery * recovery.Tick(1+r.IntN(20))
	return s
}

// randomFaults chooses the kinds of fault of a run: often a few, so that their effects are not drowned by others;
// rarely those after which a topology may refuse to go on.
func randomFaults(r *rand.Rand) (f Faults) {
	network := Drop | Duplicate | Reorder | Corrupt | Late | Partition
	death := Crash | Pair | Restoring | Zombie | Panic
	store := LostAnswer | Cut | Full
	rest := Slow | Poison | Clock
	some := func(of Faults) Faults { return of & Faults(r.Uint32()) }
	switch r.IntN(12) {
	case 0:
		f = 0
	case 1:
		f = Crash
	case 2:
		f = some(network)
	case 3:
		f = some(death)
	case 4:
		f = some(store) | Crash
	case 5:
		f = some(death) | some(network)
	case 6:
		f = network | death | store | rest
	case 7:
		f = Cut | some(death)
	case 8:
		f = some(destructive) | some(death)
	default:
		f = some(network | death | store | rest)
	}
	return f | some(rest)
}

// String returns the command that runs the scenario, and its settings.
func (s Scenario) String() string {
	m := &s.Settings.Machine
	return fmt.Sprintf("seed %d shape %s strategy %s faults %s bug %q steps %d tuples %d\n"+
		"frame %d record %d lag %d small %d rate %d window %d soft %d hard %d snapshot %d ms retry %d-%d ms mark %d-%d ms",
		s.Seed, s.Shape, s.Strategy, s.Faults, s.Bug, s.Steps, s.Tuples,
		s.Settings.FrameSize, s.Settings.MaxRecord, s.Settings.SyncLag, s.Settings.SmallState, s.Settings.FaultRate,
		m.Window, m.SoftBound, m.HardBound, m.SnapshotEvery, m.RetryEvery, m.RetryMax, m.MarkEvery, m.MarkMax)
}
