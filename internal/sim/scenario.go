package sim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/strategy"
)

// A Scenario holds all that a run depends on: the same scenario runs the same way, to the last message. ScenarioOf chooses
// one.
type Scenario struct {
	Seed     uint64   `json:"seed"`
	Shape    string   `json:"shape"`
	Form     string   `json:"form,omitempty"` // how the shape is written: see Forms
	Strategy string   `json:"strategy"`       // see package strategy
	Faults   Faults   `json:"faults"`
	Bug      Bug      `json:"bug,omitempty"` // none, but in tests of tests
	Steps    int      `json:"steps"`         // how many steps faults may happen in; then the topology must come to its end
	Tuples   int      `json:"tuples"`        // how many tuples each spout task emits
	Settings Settings `json:"settings"`
}

// A Bug is a broken rule: one of a strategy's, or one of these.
type Bug = backtrack.Bug

// Bugs of the log.
const (
	NoFence           = backtrack.NoFence
	PurgeTooEarly Bug = "purge_too_early" // Writer.Purge: a snapshot that a power cut may bring back is purged
)

// Bugs lists all bugs that can be planted.
var Bugs = slices.Concat([]Bug{PurgeTooEarly, LocalUnrecorded}, TypedBugs, backtrack.Bugs, bugs(ack.Bugs), AckerBugs, bugs(barrier.Bugs))

func bugs[B ~string](of []B) (list []Bug) {
	for _, b := range of {
		list = append(list, Bug(b))
	}
	return list
}

// Settings are chosen small, so that windows, bounds and cuts of frames matter.
type Settings struct {
	FaultRate  int `json:"fault_rate"`  // scheduled faults in a thousand steps
	FrameSize  int `json:"frame_size"`  // bytes; see task.Config
	MaxRecord  int `json:"max_record"`  // bytes, of the task log
	SyncLag    int `json:"sync_lag"`    // how many of the log's newest records a power cut may take
	SmallState int `json:"small_state"` // bytes; see task.Config

	// See recovery.Config: bytes, and milliseconds.
	Window         int `json:"window"`
	SoftBound      int `json:"soft_bound"`
	HardBound      int `json:"hard_bound"`
	SnapshotEvery  int `json:"snapshot_every"`
	RetryEvery     int `json:"retry_every"`
	RetryMax       int `json:"retry_max"`
	MarkEvery      int `json:"mark_every"`
	MarkMax        int `json:"mark_max"`
	AckWindow      int `json:"ack_window,omitempty"`  // tuples
	MaxPending     int `json:"max_pending,omitempty"` // 0: the default
	MessageTimeout int `json:"message_timeout,omitempty"`
}

func (s *Settings) machine() recovery.Config {
	return recovery.Config{
		Window: s.Window, SoftBound: s.SoftBound, HardBound: s.HardBound,
		SnapshotEvery: recovery.Tick(s.SnapshotEvery),
		RetryEvery:    recovery.Tick(s.RetryEvery), RetryMax: recovery.Tick(s.RetryMax),
		MarkEvery: recovery.Tick(s.MarkEvery), MarkMax: recovery.Tick(s.MarkMax), AckWindow: s.AckWindow,
		MaxPending: s.MaxPending, MessageTimeout: recovery.Tick(s.MessageTimeout),
	}
}

// ScenarioOf returns the scenario that a seed stands for.
func ScenarioOf(seed uint64) Scenario {
	r := rand.New(rand.NewPCG(seed, 1))
	s := Scenario{Seed: seed, Strategy: "backtrack"}
	for {
		shape := &Shapes[r.IntN(rowShapes)]
		if !shape.planted {
			s.Shape = shape.Name
			break
		}
	}
	switch r.IntN(16) {
	case 0:
		s.Strategy = "none"
	case 1:
		s.Strategy = "ack"
	case 2:
		s.Strategy = "acker"
	case 3, 4:
		s.Strategy = "barrier"
	}
	return s.formed().Chosen()
}

// formed chooses the form by the seed. Some of the typed forms take a shape that has no other.
func (s Scenario) formed() Scenario {
	r := rand.New(rand.NewPCG(s.Seed, 8))
	s.Form = []string{Rows, Rows, Rows, Fused, Fused, Isolated, Mixed}[r.IntN(7)]
	if s.Form != Rows && r.IntN(4) == 0 {
		s.Shape = Shapes[rowShapes+r.IntN(len(Shapes)-rowShapes)].Name
	}
	return s
}

// In returns the scenario in another form. A shape without that form is replaced by chain.
func (s Scenario) In(form string) Scenario {
	if s.Form = form; form == Rows && s.typedOnly() {
		s.Shape = "chain"
	}
	return s
}

// Of returns the scenario of another shape. A shape that has no form of rows is fused instead.
func (s Scenario) Of(shape string) Scenario {
	if s.Shape = shape; s.Form == Rows && s.typedOnly() {
		s.Form = Fused
	}
	return s
}

func (s Scenario) typedOnly() bool {
	shape, err := ShapeNamed(s.Shape)
	return err == nil && shape.build == nil
}

// Chosen returns s with everything chosen by its seed but shape, strategy and bug.
func (s Scenario) Chosen() Scenario {
	r := rand.New(rand.NewPCG(s.Seed, 2))
	s.Steps = 200 + r.IntN(4000)
	s.Tuples = 20 + r.IntN(130)
	s.Settings = randomSettings(r)
	s.Faults = randomFaults(r)
	if s.Form != Rows { // of which most have steps that can fail, and more tasks
		r := rand.New(rand.NewPCG(s.Seed, 9))
		s.Tuples = 10 + s.Tuples/3
		s.Faults |= []Faults{0, Outage, Poison, Outage | Poison}[r.IntN(4)]
	}
	switch s.Strategy {
	case "ack":
		s.Settings.AckWindow = []int{1, 1, 3, 20, 1000}[r.IntN(5)]
	case "barrier":
		s.Faults &^= destructive // it does not notice that a log has gone back
	case "none":
		s.Faults &= Drop | Duplicate | Reorder | Corrupt | Crash | Pair | Partition | Slow | Panic
	case "acker":
		s.Faults &^= Zombie | destructive // its bolts have no log that could fence them
		r := rand.New(rand.NewPCG(s.Seed, 6))
		s.Settings.MaxPending = spread(r, 1, 200)
		s.Settings.MessageTimeout = spread(r, 10, 3000)
		if s.Faults&(Poison|Slow) != 0 {
			// Tuples that wait for retries take long. With a shorter timeout the same tuples are emitted again and again.
			s.Settings.MessageTimeout += 1000
		}
	}
	return s
}

// spread chooses a number, evenly over orders of magnitude.
func spread(r *rand.Rand, low, high int) int {
	v := low
	for v < high && r.IntN(3) > 0 {
		v += v/2 + 1
	}
	return min(v, high)
}

func randomSettings(r *rand.Rand) Settings {
	log := func(low, high int) int { return spread(r, low, high) }
	var s Settings
	s.FrameSize = log(200, 4096)
	s.MaxRecord = log(128, 16<<10)
	s.SyncLag = r.IntN([]int{1, 40, 40, 400}[r.IntN(4)])
	if s.SmallState = -1; r.IntN(3) == 0 {
		s.SmallState = 0
	}
	s.FaultRate = log(2, 20)
	s.Window = log(300, 64<<10)
	s.SoftBound = log(500, 64<<10)
	s.HardBound = s.SoftBound + log(500, 64<<10)
	s.SnapshotEvery = log(2, 1000)
	s.RetryEvery = log(2, 250)
	s.RetryMax = s.RetryEvery * (1 + r.IntN(8))
	s.MarkEvery = log(1, 50)
	s.MarkMax = s.MarkEvery * (1 + r.IntN(20))
	return s
}

// randomFaults chooses the kinds of fault of a run: often a few, so that their effects are not drowned by others; rarely
// those after which a topology may refuse to continue.
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

// String returns the scenario as JSON, which ParseScenario reads.
func (s Scenario) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		return err.Error() // never: it holds numbers and names
	}
	return string(b)
}

// ParseScenario reads the result of String.
func ParseScenario(text string) (s Scenario, err error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("sim: read scenario %.60q: %w", text, err)
	}
	return s, s.check()
}

// check rejects scenarios that cannot be run.
func (s *Scenario) check() error {
	if _, err := strategy.Named(s.Strategy); err != nil {
		return fmt.Errorf("sim: %w", err)
	}
	set := &s.Settings
	least := min(set.FaultRate, set.AckWindow, set.MaxPending, set.MessageTimeout, set.FrameSize-1, set.MaxRecord-1, set.SyncLag, set.Window-1,
		set.SoftBound-1, set.HardBound-1, set.SnapshotEvery-1, set.RetryEvery-1, set.RetryMax-1, set.MarkEvery-1, set.MarkMax-1)
	switch {
	case s.Bug != "" && !slices.Contains(Bugs, s.Bug):
		return fmt.Errorf("sim: no bug is called %q: there are %v", s.Bug, Bugs)
	case s.Steps < 0 || s.Tuples < 0 || least < 0:
		return fmt.Errorf("sim: a setting of %v is out of range", *s)
	}
	shape, err := ShapeNamed(s.Shape)
	switch {
	case err != nil:
		return err
	case !slices.Contains(Forms, s.Form):
		_, err := FormNamed(s.Form)
		return err
	case s.Form == Rows && shape.build == nil:
		return fmt.Errorf("sim: shape %s has no form of rows: set Form to fused, isolated or mixed", s.Shape)
	}
	return nil
}
