package backtrack

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Machine is the backtrack protocol of one task. New is the only way in.
type Machine struct {
	cfg recovery.Config
	now recovery.Tick
	do  *recovery.Actions // where the running step puts its actions
	bug Bug               // none, but in tests of tests

	in           []input
	out          []output
	determinants determinantLog
	snap         snapshots

	turn          int           // the input that Ready looks at first
	working       bool          // between Deliver, Poll, Fire or Finish and Consumed: no snapshot may be taken
	ended         bool          // the operator has finished and its end marks are sealed
	done          bool          // Done was said
	failed        bool          // Fail was said
	debtReported  bool          // the sources know that this task is in replay debt
	debtAt        recovery.Tick // when it is reported to the sources, and again; 0: there is none
	retainedBytes int           // of all frames kept for resending
	status        recovery.Status
}

// New makes the machine of a task that has the given history. It is a recovery.Factory.
func New(cfg recovery.Config, history recovery.History) (recovery.Machine, error) {
	return newMachine(cfg, history, "")
}

func newMachine(cfg recovery.Config, history recovery.History, bug Bug) (recovery.Machine, error) {
	m := &Machine{cfg: cfg.Defaulted(), bug: bug}
	m.cfg.Incarnation = history.Incarnation
	m.in = make([]input, len(cfg.Inputs))
	for i := range m.in {
		m.in[i].index, m.in[i].port = recovery.Input(i), cfg.Inputs[i]
	}
	m.out = make([]output, len(cfg.Outputs))
	for i := range m.out {
		m.out[i].index, m.out[i].port = recovery.Output(i), cfg.Outputs[i]
	}
	m.determinants.recorded = m.cfg.Pessimism == recovery.Optimistic && (len(m.in) > 1 || m.cfg.Timers) && bug != NoDeterminants
	if err := m.restore(history); err != nil {
		return nil, fmt.Errorf("backtrack: restore %v: %w", cfg.Self, err)
	}
	m.status.Inputs = make([]recovery.Position, len(m.in))
	m.status.Outputs = make([]recovery.Position, len(m.out))
	return m, nil
}

// Step implements recovery.Machine.
func (m *Machine) Step(ev recovery.Event, do *recovery.Actions) {
	if m.failed {
		return
	}
	m.do = do
	switch ev.Kind {
	case recovery.Started:
		m.onStarted()
	case recovery.Ticked:
		m.onTick(ev.Now)
	case recovery.FrameReceived:
		m.onFrame(&m.in[ev.Input], ev.Frame, ev.Replay)
	case recovery.SignalReceived:
		m.onSignal(&ev)
	case recovery.Ready:
		m.onReady()
	case recovery.Sealed:
		m.onSealed(&m.out[ev.Output], ev.Frame)
	case recovery.DeterminantRequested:
		m.onDeterminant(ev.Determinant, entry{input: ev.Input, value: ev.Value, reason: ev.Reason})
	case recovery.EndOfInput:
		m.in[ev.Input].ended = true
	case recovery.Consumed:
		m.onConsumed()
	case recovery.TimerDue:
		m.onDue(ev.Value)
	case recovery.Ended:
		m.onEnded()
	case recovery.Idle:
		m.onIdle()
	case recovery.Appended:
		m.onAppended()
	case recovery.Frozen:
		m.onFrozen()
	case recovery.Uploaded:
		m.onUploaded()
	case recovery.LogLost:
		m.onLogLost()
	}
	m.do = nil
}

// onStarted opens every channel from both ends: a target says where it was restored (R3), a source asks what its
// target has. Nothing is published before the target is known to listen, so a start loses nothing.
func (m *Machine) onStarted() {
	for i := range m.in {
		m.hello(&m.in[i])
	}
	for o := range m.out {
		m.greet(&m.out[o])
	}
	m.checkDone()
}

func (m *Machine) onTick(now recovery.Tick) {
	m.now = now
	for i := range m.in {
		m.tickInput(&m.in[i])
	}
	for o := range m.out {
		m.tickOutput(&m.out[o])
	}
	m.tickDebt()
	m.appendDeterminants(false)
	m.considerSnapshot()
}

// onSignal sends each signal to the side that it concerns: marks and refusals come from sources, the rest from
// targets.
func (m *Machine) onSignal(ev *recovery.Event) {
	sig := &ev.Signal
	if sig.For > m.cfg.Incarnation && m.bug != NoFence {
		// It answers our successor: we were taken for dead. The log would tell us at the next append; until then we
		// would take for our own what the successor did.
		m.fail(&checkpoint.FencedError{Alias: m.cfg.Self, Mine: m.cfg.Incarnation, By: sig.For})
		return
	}
	switch sig.Kind {
	case channel.Mark:
		m.onMark(&m.in[ev.Input], sig)
	case channel.Refuse:
		m.onRefuse(&m.in[ev.Input], sig)
	case channel.Hello:
		m.onHello(&m.out[ev.Output], sig)
	case channel.Ack:
		m.onAck(&m.out[ev.Output], sig)
	case channel.Ask:
		m.onAsk(&m.out[ev.Output], sig)
	}
	m.watchDebt()
	m.considerSnapshot()
}

// onReady lets the task run its operator, if there is something to run it on and room for what it may emit.
func (m *Machine) onReady() {
	switch {
	case m.working || m.ended || m.blocked() != recovery.NoOutput:
	case m.cfg.Pessimism == recovery.PerTuple && m.gated():
		// One tuple, one record: the next waits until the effects of this one are durable.
	case m.cfg.Spout:
		m.begin()
		m.do.Add(recovery.Action{Kind: recovery.Poll})
	case len(m.determinants.replay) > 0 && m.determinants.recorded:
		m.repeat()
	case m.inputsEnded():
		m.finish()
	default:
		for k := range m.in {
			i := (m.turn + k) % len(m.in)
			if m.in[i].ready.Len() > 0 {
				m.turn = i + 1
				m.deliver(&m.in[i], m.in[i].pop(m.batch()))
				return
			}
		}
	}
}

// batch returns how many tuples to deliver at once at the most.
func (m *Machine) batch() uint64 {
	if m.cfg.Pessimism == recovery.PerTuple {
		return 1
	}
	return 1 << 62
}

// deliver hands a frame to the operator, having recorded that it was this channel's turn (D1).
func (m *Machine) deliver(in *input, f channel.Frame) {
	in.consumed, in.sum = f.Last(), f.After
	in.unacked += f.Len()
	m.status.Counters.Consumed += uint64(f.Count)
	m.begin()
	if m.determinants.recorded && len(m.determinants.replay) == 0 {
		m.determinants.consume(in.index, uint64(f.Count))
	}
	m.do.Add(recovery.Action{Kind: recovery.Deliver, Input: in.index, Frame: f, GivenUp: m.determinants.givenUp(in.index, f)})
}

// finish lets the operator finish. It may make choices like any other run, but no entry begins it in the order: it comes
// when all inputs have ended, and nothing comes after it.
func (m *Machine) finish() {
	m.begin()
	m.do.Add(recovery.Action{Kind: recovery.Finish})
}

// begin marks the operator as running. A pessimistic task numbers each run, since a run's outputs wait for the
// record of its effects.
func (m *Machine) begin() {
	m.working = true
	m.snap.dirty = true
	if m.cfg.Pessimism != recovery.Optimistic {
		m.determinants.pos++
	}
}

func (m *Machine) onConsumed() {
	m.working = false
	for i := range m.in {
		if m.in[i].unacked >= m.cfg.Window/3 {
			m.ack(&m.in[i])
		}
	}
	m.debtAt = 0 // it is fed
	m.watchDebt()
	m.checkCaughtUp()
	m.considerSnapshot()
}

// onEnded: the operator will emit nothing more. Its last snapshot is taken at once, so that its sources may end.
func (m *Machine) onEnded() {
	m.ended, m.snap.dirty = true, true
	m.working = false
	if len(m.determinants.replay) > 0 {
		m.fail(&recovery.ReplayError{Alias: m.cfg.Self, What: fewerChoices})
		return
	}
	m.compareEnd()
	m.considerSnapshot()
}

func (m *Machine) onIdle() {
	m.appendDeterminants(true)
	m.considerSnapshot()
}

func (m *Machine) inputsEnded() bool {
	for i := range m.in {
		if !m.in[i].ended {
			return false
		}
	}
	return len(m.in) > 0
}

// checkDone says Done once everything that this task emitted is safe with its targets, and its own end is durable.
func (m *Machine) checkDone() {
	if m.done || !m.ended || !m.snap.final {
		return
	}
	for o := range m.out {
		if m.out[o].stable < m.out[o].emitted {
			return
		}
	}
	m.done = true
	m.do.Add(recovery.Action{Kind: recovery.Done})
}

// checkCaughtUp closes the account of a recovery: the task has consumed, under recorded order and then freely,
// all that its sources had released when they answered its hello.
func (m *Machine) checkCaughtUp() {
	rec := &m.status.Recovery
	if !rec.Restored || rec.CaughtUp || len(m.determinants.replay) > 0 {
		return
	}
	for i := range m.in {
		if in := &m.in[i]; !in.answered || in.consumed < in.goal {
			return
		}
	}
	if m.cfg.Spout {
		for o := range m.out {
			if out := &m.out[o]; !out.open || out.emitted < out.released {
				return
			}
		}
	}
	rec.CaughtUp = true
}

func (m *Machine) fail(err error) {
	m.failed = true
	m.do.Add(recovery.Action{Kind: recovery.Fail, Err: err})
}

// signalSource sends a signal to the source of a channel.
func (m *Machine) signalSource(in *input, sig channel.Signal) {
	sig.Plan, sig.Channel, sig.Incarnation = m.cfg.Plan, in.port.Number, m.cfg.Incarnation
	m.do.Add(recovery.Action{Kind: recovery.Signal, Input: in.index, Signal: sig})
}

// signalTarget sends a signal to the target of a channel: marks in order with the data.
func (m *Machine) signalTarget(out *output, sig channel.Signal) {
	sig.Plan, sig.Channel, sig.Incarnation = m.cfg.Plan, out.port.Number, m.cfg.Incarnation
	m.do.Add(recovery.Action{Kind: recovery.Signal, Output: out.index, Signal: sig, InBand: sig.Kind == channel.Mark})
}

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := &m.status
	s.Replaying = len(m.determinants.replay) > 0
	s.Blocked = m.blocked()
	s.ReplayDebt = m.inDebt()
	s.Starved = m.starved()
	s.Finished = m.ended
	s.Clean = m.clean()
	s.Retained = m.retainedBytes
	s.Wake = m.wake()
	s.Queued, s.Waiting = 0, 0
	for i := range m.in {
		if in := &m.in[i]; len(in.asked) > 0 {
			s.Waiting += in.holes().Intersect(in.asked).Count()
		}
		s.Queued += m.in[i].queued
		s.Inputs[i] = recovery.Position{Seq: m.in[i].consumed, Sum: m.in[i].sum}
	}
	for o := range m.out {
		s.Outputs[o] = recovery.Position{Seq: m.out[o].emitted, Sum: m.out[o].sum}
	}
	return s
}

// wake returns the earliest moment at which something is to be done without an event.
func (m *Machine) wake() recovery.Tick {
	var at recovery.Tick
	sooner := func(t recovery.Tick) {
		if t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	for i := range m.in {
		if in := &m.in[i]; len(in.asked) > 0 {
			sooner(in.askAt)
		}
		if !m.in[i].answered {
			sooner(m.in[i].helloAt)
		}
	}
	for o := range m.out {
		sooner(m.out[o].markAt)
	}
	if m.gated() && !m.determinants.inFlight {
		sooner(m.now + 1)
	}
	sooner(m.debtAt)
	sooner(m.snapshotWake())
	return at
}

// backoff doubles a delay up to its bound.
func backoff(delay, bound recovery.Tick) recovery.Tick { return min(2*delay, bound) }

func seqRange(first, last msgid.Seq) msgid.Range { return msgid.Range{First: first, Last: last} }
