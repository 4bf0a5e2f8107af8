package streamtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
)

// A Harness runs one topology in a test. Begin with New or Of. Its methods, and those of its inputs and outputs, belong to
// the goroutine of the test.
//
// Where a method fails the test, it does so as t.Fatal does.
type Harness struct {
	t        testing.TB
	topology topology.Topology
	strategy strategy.Strategy
	inputs   []interface{ Close() }
	kills    []kill

	started, ended bool
	quiescing      bool // no source is polled
	plan           *topology.Plan
	chosen         *strategies.Implementation
	tasks          []*slot // by number
	net            *memchan.Transport
	log            *memlog.Log
	chance         *rand.Rand

	epoch   time.Time // the clock's time at the start
	now     time.Time
	ms      uint64 // the time of the recovery protocol, which passes by itself
	steps   int
	next    int    // the action that has its turn next; see step
	writers uint64 // incarnations begun
	err     error
}

// A kill is due at a step.
type kill struct {
	step  int
	tasks []string
}

// An Option is a setting of a Harness.
type Option func(*Harness)

// WithStrategy sets the recovery strategy. The default is strategy.Backtrack. A strategy that is not exactly once fails the
// test.
func WithStrategy(s strategy.Strategy) Option { return func(h *Harness) { h.strategy = s } }

// WithTime sets the clock's time at the start. The default is 2001-02-03 04:05:06 UTC.
func WithTime(at time.Time) Option { return func(h *Harness) { h.epoch, h.now = at, at } }

// New returns a harness with an empty topology, which In, Out and the functions of package stream fill.
func New(t testing.TB, options ...Option) *Harness {
	t.Helper()
	return Of(t, stream.New("test"), options...)
}

// Of returns a harness for a topology that is declared, or begun: to a *stream.Topology, In and Out add.
func Of(t testing.TB, of topology.Topology, options ...Option) *Harness {
	t.Helper()
	begin := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	h := &Harness{t: t, topology: of, epoch: begin, now: begin, chance: rand.New(rand.NewPCG(1, 2))}
	for _, o := range options {
		o(h)
	}
	t.Cleanup(h.close)
	return h
}

// Topology returns the topology to declare steps in. It fails the test if Of was given another kind.
func (h *Harness) Topology() *stream.Topology {
	h.t.Helper()
	t, ok := h.topology.(*stream.Topology)
	if !ok {
		h.t.Fatalf("streamtest: the topology is a %T: only to a *stream.Topology steps can be added", h.topology)
	}
	return t
}

// Start builds the topology and starts its tasks. A topology that cannot be built fails the test, with all its errors.
// Settle, Advance and Finish call it first.
func (h *Harness) Start() {
	h.t.Helper()
	if h.started {
		return
	}
	var err error
	if h.chosen, err = strategies.Of(h.strategy); err != nil {
		h.t.Fatalf("streamtest: %v", err)
	}
	if h.strategy.Guarantee() != strategy.ExactlyOnce {
		h.t.Fatalf("streamtest: strategy %v is %v: take one that is exactly once", h.strategy, h.strategy.Guarantee())
	}
	if h.plan, err = h.topology.Builder().BuildWith(h.chosen.Extension, h.chosen.Described()); err != nil {
		h.t.Fatalf("streamtest: the topology cannot be built:\n%v", err)
	}
	h.started = true
	h.net, h.log = memchan.New(memchan.Config{}), memlog.New(memlog.Options{})
	for _, t := range h.plan.Tasks {
		h.tasks = append(h.tasks, &slot{task: t})
	}
	for _, k := range h.kills {
		for _, name := range k.tasks {
			h.find(name) // an unknown one fails the test here
		}
	}
}

// Plan returns the printed plan: which steps are fused, and how the operators are joined.
func (h *Harness) Plan() string {
	h.t.Helper()
	h.Start()
	return h.plan.String()
}

// Tasks returns the names of the tasks, such as "count.0", in the order of the plan.
func (h *Harness) Tasks() (names []string) {
	h.t.Helper()
	h.Start()
	for _, s := range h.tasks {
		if !s.task.Operator.System {
			names = append(names, s.task.Alias.String())
		}
	}
	return names
}

// Now returns the clock's time.
func (h *Harness) Now() time.Time { return h.now }

// Steps returns how many steps the run has taken so far.
func (h *Harness) Steps() int { return h.steps }

// Settle runs the topology until no work is left before the clock moves: all sent values have been processed, and each tick
// that is due has fired. It fails the test if the topology fails or does not come to rest.
func (h *Harness) Settle() {
	h.t.Helper()
	h.must(h.TrySettle())
}

// TrySettle is Settle, but returns the error with which the topology fails; nil if it does not.
func (h *Harness) TrySettle() error {
	h.t.Helper()
	h.Start()
	h.settle()
	return h.err
}

// Advance moves the clock by d, in stages: it runs the topology as Settle does, moves the clock to when the next tick is
// due, and so on until d has passed. Before the clock moves and after each tick it waits for a snapshot, as Checkpoint
// does, so that a task that is killed later does not repeat work of an earlier time. It fails the test as Settle does.
func (h *Harness) Advance(d time.Duration) {
	h.t.Helper()
	h.must(h.TryAdvance(d))
}

// TryAdvance is Advance, but returns the error with which the topology fails; nil if it does not.
func (h *Harness) TryAdvance(d time.Duration) error {
	h.t.Helper()
	if d < 0 {
		h.t.Fatalf("streamtest: Advance(%v): the clock does not go back", d)
	}
	h.Start()
	for end := h.now.Add(d); ; {
		h.settle()
		if h.err != nil || !h.now.Before(end) {
			return h.err
		}
		if h.cover(); h.err != nil {
			return h.err
		}
		next := end
		for _, s := range h.tasks {
			if at := h.wantsClock(s); !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		h.ms += uint64((next.Sub(h.now) + time.Millisecond - 1) / time.Millisecond)
		h.now = next
	}
}

// Checkpoint runs the topology until a snapshot covers all processed values: sinks that commit (bolt.Committer) have made
// their effects visible, and a task that is killed now repeats no work. An outage that keeps a task down ends the wait. It
// fails the test as Settle does.
func (h *Harness) Checkpoint() {
	h.t.Helper()
	h.Settle()
	h.cover()
	h.must(h.err)
}

// Finish closes every input that is open and runs the topology to its end. It fails the test if the topology fails, or
// does not end.
func (h *Harness) Finish() {
	h.t.Helper()
	h.must(h.TryFinish())
}

// TryFinish is Finish, but returns the error with which the topology fails; nil if it does not.
func (h *Harness) TryFinish() error {
	h.t.Helper()
	h.Start()
	for _, in := range h.inputs {
		in.Close()
	}
	h.settle()
	h.until(h.done)
	if h.err == nil {
		h.ended = true
		h.close()
	}
	return h.err
}

// Err returns the error with which the topology has failed; nil if it has not.
func (h *Harness) Err() error { return h.err }

func (h *Harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("streamtest: the topology failed at step %d:\n%v", h.steps, err)
	}
}

// Step takes one step. It reports whether there was one to take; if not, the run is in the state after a Settle, except for
// pauses that Settle lets pass.
func (h *Harness) Step() bool {
	h.t.Helper()
	h.Start()
	busy := h.step()
	h.must(h.err)
	return busy
}

// Kill ends tasks as a crash does, all at once: their state, their buffers and the messages on their way to them are gone.
// They are restored from their logs when the run continues. A name is that of a task ("count.0"), or of an operator or of a
// step for all of its tasks ("count"). A step that is fused into another one's operator shares its tasks. A name that is
// none of these fails the test.
func (h *Harness) Kill(names ...string) {
	h.t.Helper()
	h.Start()
	for _, name := range names {
		for _, s := range h.find(name) {
			h.bury(s)
		}
	}
}

// KillAt kills tasks, as Kill does, when that many steps have been taken. It may be called before Start, and several times.
// A step that the run never reaches is no error.
func (h *Harness) KillAt(step int, names ...string) {
	h.t.Helper()
	h.kills = append(h.kills, kill{step, names})
	if h.started {
		for _, name := range names {
			h.find(name)
		}
	}
}

// Restart ends all tasks, as a crash of the process does, and restores them from their logs. A failed topology continues at
// the value that it failed on: repair the cause first.
func (h *Harness) Restart() {
	h.t.Helper()
	h.Start()
	if h.ended {
		h.t.Fatalf("streamtest: Restart after Finish: the topology has come to its end")
	}
	for _, s := range h.tasks {
		h.bury(s)
		s.failures, s.restartAt = 0, time.Time{}
	}
	h.err = nil
}

// Dead returns how many tuples these operators have given up as dead letters; without names, those of all operators. A
// name is as for Kill.
func (h *Harness) Dead(names ...string) (n uint64) {
	h.t.Helper()
	for _, s := range h.named(names) {
		n += h.lost(s).Dead
	}
	return n
}

// Dropped returns how many tuples these operators have dropped; without names, those of all operators. A name is as for
// Kill.
func (h *Harness) Dropped(names ...string) (n uint64) {
	h.t.Helper()
	for _, s := range h.named(names) {
		n += h.lost(s).Dropped
	}
	return n
}

func (h *Harness) named(names []string) []*slot {
	h.t.Helper()
	h.Start()
	if len(names) == 0 {
		return h.tasks
	}
	var of []*slot
	for _, name := range names {
		for _, s := range h.find(name) {
			if !slices.Contains(of, s) {
				of = append(of, s)
			}
		}
	}
	return of
}

// find returns the tasks that a name stands for.
func (h *Harness) find(name string) (of []*slot) {
	h.t.Helper()
	operator, number, single := strings.Cut(name, ".")
	index := 0
	if single {
		var err error
		if index, err = strconv.Atoi(number); err != nil {
			index = -1
		}
	}
	if h.plan.Operator(operator) == nil {
		operator = h.fused(operator)
	}
	for _, s := range h.tasks {
		if s.task.Alias.Operator == operator && (!single || s.task.Alias == (msgid.Alias{Operator: operator, Index: index})) {
			of = append(of, s)
		}
	}
	if len(of) == 0 {
		h.t.Fatalf("streamtest: no task, operator or step is called %q: there are %s", name, h.known())
	}
	return of
}

// fused returns the operator that runs a step, "" if there is none.
func (h *Harness) fused(step string) string {
	for _, steps := range h.fusions() {
		if slices.Contains(steps, step) {
			return steps[0]
		}
	}
	return ""
}

func (h *Harness) fusions() [][]string {
	if t, ok := h.topology.(*stream.Topology); ok {
		return t.Operators()
	}
	return nil
}

func (h *Harness) known() string {
	var all []string
	for _, name := range h.Tasks() {
		operator, _, _ := strings.Cut(name, ".")
		for _, steps := range h.fusions() {
			if steps[0] == operator && len(steps) > 1 {
				name += " (" + strings.Join(steps, ", ") + ")"
			}
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}

// close ends the tasks, when they are done or the test is.
func (h *Harness) close() {
	for _, s := range h.tasks {
		h.bury(s)
	}
}

// stuck fails the test for a run that makes no progress.
func (h *Harness) stuck(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("streamtest: "+format+":\n%s", append(args, h.waiting())...)
}

// waiting describes why each task waits.
func (h *Harness) waiting() string {
	var b strings.Builder
	for _, s := range h.tasks {
		if s.live == nil {
			fmt.Fprintf(&b, "  %v is down\n", s.task.Alias)
			continue
		}
		b.WriteString("  " + s.live.describe() + "\n")
	}
	return b.String()
}
