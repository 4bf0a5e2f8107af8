package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A World is one simulated topology: its tasks, its network, its log and its time. All of it runs on the goroutine that
// calls run, in an order that its random source decides.
type World struct {
	scenario Scenario
	strategy *strategies.Implementation
	shape    *Shape
	plan     *topology.Plan
	kit      *kit

	rand *rand.Rand // the schedule
	luck *rand.Rand // of operators

	places *rand.Rand
	place  []int  // by task number: the worker that it runs in
	now    uint64 // ms
	skew   int64  // ms by which the wall clock is wrong
	step   uint64

	net    *memchan.Transport
	store  *store
	slots  []*slot     // by task number
	alive  []*instance // every instance that is not dead, zombies too
	faulty bool
	depth  int // of steps that happen while another waits for the log
	power  int // how many times it has failed
	writer uint64

	fullUntil uint64
	kinds     []Faults // those that the schedule decides

	crashAt uint64 // a step at which one task crashes, for tests

	damaged bool // a destructive fault has happened: refusal is right
	trace   trace
	result  *Result
	outside

	// For the oracle.
	losses [][]loss   // by task number: the tuples that it gave up
	met    [][][]byte // by channel: dead letters as they were consumed
}

// A slot is the world's record of a task alias, in all its incarnations.
type slot struct {
	task      *topology.Task
	current   *instance // nil while there is none
	restartAt uint64
	opening   bool
	last      msgid.Incarnation
	position  []byte // of a spout without a log
	totals    recovery.Counters
}

// outside is the state of the operators beyond the runtime.
type outside struct {
	highest  map[msgid.Alias]uint64 // how many roots a spout has ever emitted
	verdicts map[msgid.ID]bool      // whether a tuple has been processed once
	dead     map[msgid.ID]bool      // given up at least once
	calls    int                    // that have failed for poison, in typed shapes
	reasons  map[msgid.ID][]string  // the errors with which the calls for a tuple have failed
	recorded map[msgid.ID]string    // the reason for which a tuple was given up, as the task log has it
	arrived  map[string]int         // how often a root reached a sink, over all incarnations
	effects  map[msgid.Alias]map[uint64]history
}

// newWorld makes the world of a scenario.
func newWorld(s Scenario) (*World, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	chosen, err := strategies.Named(s.Strategy)
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	shape, err := ShapeNamed(s.Shape)
	if err != nil {
		return nil, err
	}
	w := &World{
		scenario: s, strategy: chosen, shape: shape,
		rand: rand.New(rand.NewPCG(s.Seed, 3)), luck: rand.New(rand.NewPCG(s.Seed, 4)),
		places: rand.New(rand.NewPCG(s.Seed, 7)),
		store:  newStore(s.Settings.SyncLag, s.Bug),
		result: &Result{Scenario: s},
		outside: outside{
			highest: map[msgid.Alias]uint64{}, verdicts: map[msgid.ID]bool{}, dead: map[msgid.ID]bool{},
			reasons: map[msgid.ID][]string{}, recorded: map[msgid.ID]string{},
			arrived: map[string]int{}, effects: map[msgid.Alias]map[uint64]history{},
		},
	}
	if err := w.build(); err != nil {
		return nil, fmt.Errorf("sim: shape %s: %w", s.Shape, err)
	}
	w.trace.plan = w.plan
	for i := range faultNames {
		if kind := Faults(1) << i; w.has(kind) && scheduled&kind != 0 {
			w.kinds = append(w.kinds, kind)
		}
	}
	for _, t := range w.plan.Tasks {
		w.slots = append(w.slots, &slot{task: t})
	}
	w.place = make([]int, len(w.slots))
	w.losses, w.met = make([][]loss, len(w.slots)), make([][][]byte, len(w.plan.Channels))
	w.connect()
	return w, nil
}

// build builds the shape.
func (w *World) build() (err error) {
	w.kit = &kit{w: w, b: topology.New("sim"), logics: map[string]*logic{}, sources: map[string]func(msgid.Alias, uint64, tuple.Emitter){}}
	x, s := broken(w.strategy.Extension, w.scenario.Bug), w.strategy.Described()
	if !w.typed() {
		w.shape.build(w.kit)
		w.plan, err = w.kit.b.BuildWith(x, s)
		return err
	}
	k := newTyped(w)
	w.shape.typed(k)
	if w.plan, err = k.t.Builder().BuildWith(x, s); err != nil {
		return err
	}
	if w.kit.grouped, err = k.resolve(w.plan); err != nil {
		return err
	}
	k.record(w.plan)
	return nil
}

// typed reports whether the shape is one of package stream.
func (w *World) typed() bool { return w.scenario.Form != Rows }

// connect makes a new network; messages on their way in the old one are lost.
func (w *World) connect() {
	w.net = memchan.New(memchan.Config{Rand: rand.New(rand.NewPCG(w.scenario.Seed, 5+uint64(w.power)))})
	if w.faulty {
		w.net.SetFaults(w.networkFaults())
	}
}

func (w *World) networkFaults() (f memchan.Faults) {
	set := func(kind Faults, p *float64, v float64) {
		if w.has(kind) {
			*p = v
		}
	}
	set(Drop, &f.Drop, 0.08)
	set(Duplicate, &f.Duplicate, 0.08)
	set(Corrupt, &f.Corrupt, 0.03)
	set(Late, &f.Late, 0.05)
	return f
}

func (w *World) has(f Faults) bool { return w.scenario.Faults&f != 0 }

// chance is true once in n times.
func (w *World) chance(n int) bool { return w.rand.IntN(n) == 0 }

func (w *World) log(l line) {
	l.step, l.now = w.step, w.now
	w.trace.add(l)
}

func (w *World) event(what string, who msgid.Alias, inc msgid.Incarnation, note string) {
	w.log(line{what: what, who: who, inc: inc, note: note})
}

// open begins the next incarnation of a task. It reports whether that could be tried.
func (w *World) open(s *slot) bool {
	if s.current != nil || s.opening || w.now < s.restartAt {
		return false
	}
	s.opening = true
	power := w.power
	in, err := w.incarnate(s)
	s.opening = false
	switch {
	case w.power != power || w.result.over():
		return true // the power failed meanwhile
	case errors.Is(err, checkpoint.ErrFull), errors.Is(err, checkpoint.ErrGone), errors.Is(err, checkpoint.ErrUnknown), errors.Is(err, checkpoint.ErrFenced):
		s.restartAt = w.now + 1 + uint64(w.rand.IntN(20))
	case err != nil:
		w.permanent(s.task.Alias, err)
	default:
		w.result.Starts++
		w.event("start", in.task.Alias, in.inc, "")
		in.do(in.core.Start)
	}
	return true
}

// incarnate restores a task from its log and joins it to the network.
func (w *World) incarnate(s *slot) (*instance, error) {
	in := &instance{w: w, task: s.task}
	history := &checkpoint.History{Incarnation: s.last + 1}
	if w.strategy.Keeps(s.task.Operator) {
		w.writer++
		power := w.power
		writer, h, err := task.Open(context.Background(), w.store, s.task.Alias, w.strategy.Base, checkpoint.Options{
			AtLeast: s.last + 1, MaxRecord: w.scenario.Settings.MaxRecord, ID: w.writer,
			Pause: func(context.Context, int) error {
				if w.power != power || in.dead || w.result.over() {
					return errGone
				}
				w.meanwhile()
				return nil
			},
		})
		if err != nil {
			return nil, err
		}
		history, in.writer = h, task.NewLogWriter(writer)
	}
	in.inc, s.last = history.Incarnation, history.Incarnation
	w.event("open", s.task.Alias, in.inc, fmt.Sprintf("chain %d orders %d damaged %d", len(history.Chain), len(history.Determinants), history.Damaged))
	if w.faulty && w.has(Restoring) && w.chance(8) {
		w.event("dies", s.task.Alias, in.inc, "while it is restored")
		w.result.Crashes++
		return nil, checkpoint.ErrUnknown
	}
	set := w.scenario.Settings
	cfg := task.Config{
		Plan: w.plan, Task: s.task, Strategy: w.witnessed(in, w.factory()), Settings: set.machine(), FrameSize: set.FrameSize, SmallState: set.SmallState,
		Now:  func() time.Time { return time.UnixMilli(1e12 + int64(w.now) + w.skew) },
		Rand: w.luck.Uint64,
		OnLost: func(d task.GivenUp) {
			w.outside.dead[d.ID] = true
		},
	}
	w.move(s.task, &cfg)
	if w.scenario.Bug == LostForgotten {
		forgetLost(history)
	}
	core, err := task.NewCore(context.Background(), cfg, history, in)
	if err != nil {
		return nil, err
	}
	in.core = core
	if s.position != nil {
		if src := sourceOf(in); src != nil {
			if err := src.Seek(s.position); err != nil {
				return nil, err
			}
		}
	}
	ep, err := w.net.Join(s.task.Alias, in.receive)
	if err != nil {
		return nil, err
	}
	in.endpoint, in.began = ep.(*memchan.Endpoint), w.now
	s.current = in
	w.alive = append(w.alive, in)
	return in, nil
}

// errGone ends the tries of a writer whose task is gone.
var errGone = errors.New("sim: the task is gone")

// factory returns the strategy's machines, with a bug of theirs if one is planted.
func (w *World) factory() recovery.Factory {
	bug := w.scenario.Bug
	planted := func(of []Bug) bool { return slices.Contains(of, bug) }
	switch name := w.strategy.String(); {
	case bug == LocalUnrecorded:
		return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
			m, err := w.strategy.New(cfg, h)
			return forgetful{m}, err
		}
	case name == "backtrack" && planted(backtrack.Bugs):
		return backtrack.Planted(bug)
	case name == "ack" && planted(bugs(ack.Bugs)):
		return ack.Planted(ack.Bug(bug))
	case name == "barrier" && planted(bugs(barrier.Bugs)):
		return barrier.Planted(barrier.Bug(bug))
	}
	return w.strategy.New
}

// meanwhile performs other steps while a task waits for its log.
func (w *World) meanwhile() {
	if w.depth >= 2 {
		return
	}
	w.depth++
	for range w.rand.IntN(6) {
		if !w.result.over() {
			w.once()
		}
	}
	w.depth--
}

// bury makes an instance leave the network. Its slot does not change.
func (w *World) bury(in *instance) {
	if in.dead {
		return
	}
	in.dead = true
	_ = in.endpoint.Leave()
	s := w.slots[in.task.Number]
	s.totals.Add(in.core.Status().Counters)
	w.result.count(in)
	for i, a := range w.alive {
		if a == in {
			w.alive = append(w.alive[:i:i], w.alive[i+1:]...)
			break
		}
	}
	if src := sourceOf(in); src != nil && in.writer == nil {
		s.position = src.Position(nil)
	}
}

// kill ends a task's current instance, as a crash does.
func (w *World) kill(in *instance, why string) {
	w.event("dies", in.task.Alias, in.inc, why)
	w.bury(in)
	if s := w.slots[in.task.Number]; s.current == in {
		s.current = nil
		s.restartAt = w.now + uint64(w.rand.IntN(30))
	}
}

// ended records an instance that cannot continue.
func (w *World) ended(in *instance, err error) {
	var back *recovery.RollbackError
	switch {
	case errors.Is(err, errGone), errors.As(err, &back):
		w.kill(in, err.Error())
	case errors.Is(err, checkpoint.ErrFenced):
		w.result.Fenced++
		if !in.zombie && !w.damaged {
			w.violate("I4", "%v/%d is fenced, but no other incarnation has begun: %v", in.task.Alias, in.inc, err)
		}
		w.kill(in, "fenced")
	case errors.Is(err, errPanic):
		w.result.Crashes++
		w.kill(in, err.Error())
	case errors.Is(err, errOutage):
		w.result.Outages++
		w.kill(in, err.Error())
	case errors.Is(err, checkpoint.ErrGone), errors.Is(err, checkpoint.ErrUnknown):
		w.kill(in, err.Error())
	default:
		if in.zombie && w.damaged {
			w.kill(in, err.Error())
			return
		}
		w.permanent(in.task.Alias, err)
	}
}

// permanent records an error that a restart cannot cure. Such an error is right when the log has lost records that it had
// acknowledged, and when an operator is secretly nondeterministic; else it is a violation.
func (w *World) permanent(alias msgid.Alias, err error) {
	var back *recovery.WentBackError
	var diverged *recovery.DivergedError
	var replay *recovery.ReplayError
	refusal := errors.As(err, &back) || errors.As(err, &diverged) || errors.As(err, &replay) ||
		errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, checkpoint.ErrWentBack)
	if refusal && w.damaged {
		w.result.refuse("%v: %v", alias, err)
		return
	}
	if w.shape.secret && (errors.As(err, &diverged) || errors.As(err, &replay)) {
		w.result.refuse("%v: %v", alias, err)
		return
	}
	w.violate("I8", "%v refuses to continue, without a reason: %v", alias, err)
}

func (w *World) violate(invariant, format string, args ...any) {
	w.result.violate(invariant, fmt.Sprintf(format, args...))
}

// bounds checks that the memory of an instance is bounded.
func (w *World) bounds(in *instance) {
	set := &w.scenario.Settings
	st := in.core.Status()
	if most := set.HardBound + w.slack(in); st.Retained > most && !st.ReplayDebt {
		w.violate("I9", "%v retains %d bytes, bound and slack are %d", in.task.Alias, st.Retained, most)
	}
	most := len(in.task.In) * 2 * (set.Window + max(set.FrameSize, 2048))
	if in.zombie || st.Recovery.Restored && !st.Recovery.CaughtUp {
		// It receives frames under the credit of another incarnation, or of the record.
		most = len(in.task.In) * (2*(set.HardBound+4*set.Window) + max(set.FrameSize, 2048))
	}
	if st.Queued > most {
		w.violate("I9", "%v has queued %d bytes, its windows and slack are %d", in.task.Alias, st.Queued, most)
	}
}

// slack is how much a task may retain above its bound: the output of one run of its operator.
func (w *World) slack(in *instance) int {
	return 4096 + 40*max(w.scenario.Settings.FrameSize, 2048)*max(1, len(in.task.Out))
}

// The following are called by operators.

// limit returns how many roots a spout may emit now, and whether its input ends there.
func (w *World) limit(alias msgid.Alias) (n uint64, ended bool) {
	n = uint64(w.scenario.Tuples)
	if !w.shape.endless {
		return n, true
	}
	if w.faulty {
		return 10 * n, false
	}
	return w.highest[alias], false
}

func (w *World) emitted(alias msgid.Alias, n uint64) { w.highest[alias] = max(w.highest[alias], n) }

// lulls is true now and then: a spout has no input just now.
func (w *World) lulls() bool { return w.faulty && w.luck.IntN(20) == 0 }

// poisons decides whether a step cannot process a tuple. A tuple that was processed once can be processed again.
func (w *World) poisons(step string, id msgid.ID, root string) bool {
	if w.incurable(step, root) {
		return true
	}
	if !w.has(Poison) || w.verdicts[id] {
		return false
	}
	if hashOf(root+step)%7 == 0 && w.faulty && w.luck.IntN(4) > 0 {
		return true
	}
	w.verdicts[id] = true
	return false
}

// incurable reports whether a step can never process a root.
func (w *World) incurable(step, root string) bool {
	return w.has(Poison) && hashOf(root+step)%13 == 0 && w.scenario.Bug != RetryUpstream
}

// poisoned returns the error of a call that fails for poison: in typed shapes another one for each call.
func (w *World) poisoned(id msgid.ID) error {
	err := errPoison
	if w.typed() {
		w.calls++
		err = fmt.Errorf("%w, call %d", errPoison, w.calls)
	}
	w.reasons[id] = append(w.reasons[id], err.Error())
	return err
}

var errOutage = errors.New("sim: an outside system is not available")

// outage returns an error now and then: a step of a typed shape cannot reach an outside system.
func (w *World) outage() error {
	if w.faulty && w.has(Outage) && w.luck.IntN(150) == 0 {
		return bolt.Outage(errOutage)
	}
	return nil
}

// panics panics now and then.
func (w *World) panics(msgid.Alias) {
	if w.faulty && w.has(Panic) && w.luck.IntN(500) == 0 {
		panic(errPanic)
	}
}

// reached records a root at a sink.
func (w *World) reached(_ msgid.Alias, root string) { w.arrived[root]++ }

// effect makes a batch of a transactional sink visible outside.
func (w *World) effect(alias msgid.Alias, batch uint64, items history) {
	if w.effects[alias] == nil {
		w.effects[alias] = map[uint64]history{}
	}
	old, again := w.effects[alias][batch]
	if again && w.result.Cuts == 0 && !w.damaged && !equal(old, items) {
		w.violate("I1", "%v commits batch %d with other contents than before", alias, batch)
	}
	w.effects[alias][batch] = append(history(nil), items...)
}

func equal(a, b history) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func same(a, b moment) bool {
	return a.port == b.port && a.seq == b.seq && a.value == b.value && string(a.data) == string(b.data)
}

// storeFault decides the fault of an operation of the log.
func (w *World) storeFault(op memlog.Op) memlog.Fault {
	if !w.faulty {
		return memlog.None
	}
	if op.Kind == memlog.Append && w.now < w.fullUntil {
		return memlog.Full
	}
	if w.has(LostAnswer) && w.chance(12) {
		return []memlog.Fault{memlog.Lost, memlog.Dropped, memlog.Late}[w.rand.IntN(3)]
	}
	return memlog.None
}
