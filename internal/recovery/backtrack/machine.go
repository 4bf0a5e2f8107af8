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

	stage         recovery.Stage
	turns         recovery.Turns
	debt          debt
	retainedBytes int // of all frames kept for resending
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
	for o := range m.out {
		m.out[o].index, m.out[o].port = recovery.Output(o), cfg.Outputs[o]
	}
	m.determinants.turns = m.cfg.Pessimism == recovery.Optimistic && (len(m.in) > 1 || m.cfg.Timers) && bug != NoDeterminants
	if err := m.restore(history); err != nil {
		return nil, fmt.Errorf("backtrack: restore %v: %w", cfg.Self, err)
	}
	m.status.Inputs = make([]recovery.Position, len(m.in))
	m.status.Outputs = make([]recovery.Position, len(m.out))
	return m, nil
}

// Step implements recovery.Machine.
func (m *Machine) Step(ev recovery.Event, do *recovery.Actions) {
	if m.stage == recovery.StageFailed {
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
		m.onDeterminant(entry{kind: kindOf(ev.Determinant), input: ev.Input, value: ev.Value, reason: ev.Reason})
	case recovery.EndOfInput:
		m.in[ev.Input].ended = true
	case recovery.Consumed:
		m.onConsumed()
	case recovery.TimerDue:
		m.onTimerDue(ev.Value)
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

// onStarted opens every channel from both ends: a target reports where it was restored (R3), a source asks its target for
// its position. No frame is published before the target has answered, so a start loses none.
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

// onSignal hands each signal to the side that it concerns: marks and refusals come from sources, the rest from targets.
func (m *Machine) onSignal(ev *recovery.Event) {
	sig := &ev.Signal
	if sig.For > m.cfg.Incarnation && m.bug != NoFence {
		// The answer is for a successor: this task was believed dead. The log would report that at the next append; until
		// then the task would mistake its successor's work for its own.
		m.stage.Fail(m.do, &checkpoint.FencedError{Alias: m.cfg.Self, Mine: m.cfg.Incarnation, By: sig.For})
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

// onReady lets the task run its operator, if there is input for it and room for its output.
func (m *Machine) onReady() {
	switch {
	case m.stage != recovery.StageWaiting || m.blocked() != recovery.NoOutput:
	case m.cfg.Pessimism == recovery.PerTuple && m.gated():
		// One tuple, one record: the next waits until the effects of this one are durable.
	case m.cfg.Spout:
		m.run(recovery.Action{Kind: recovery.Poll})
	case m.replaying() && m.determinants.turns:
		m.repeat()
	case m.inputsEnded():
		m.finish()
	default:
		if in := recovery.Next(&m.turns, m.in, func(in *input) bool { return in.ready.Len() > 0 }); in != nil {
			m.deliver(in, in.pop(m.batch()))
		}
	}
}

// batch returns the largest number of tuples to deliver at once.
func (m *Machine) batch() uint64 {
	if m.cfg.Pessimism == recovery.PerTuple {
		return 1
	}
	return 1 << 62
}

// deliver hands a frame to the operator, and records that it was this input's turn (D1).
func (m *Machine) deliver(in *input, f channel.Frame) {
	in.consumed, in.sum = f.Last(), f.After
	in.unacked += f.Len()
	m.status.Counters.Consumed += uint64(f.Count)
	if m.determinants.turns && !m.replaying() {
		m.determinants.turn(in.index, uint64(f.Count))
	}
	m.run(recovery.Action{Kind: recovery.Deliver, Input: in.index, Frame: f, GivenUp: m.determinants.givenUp(in.index, f)})
}

// finish lets the operator finish. It may need determinants like any other run, but no entry begins it in the log: it comes
// last, when all inputs have ended.
func (m *Machine) finish() { m.run(recovery.Action{Kind: recovery.Finish}) }

// run lets the operator run. A pessimistic task numbers each run, since a run's outputs wait for the record of its
// effects.
func (m *Machine) run(a recovery.Action) {
	m.stage.Run(m.do, a)
	m.snap.Change()
	if m.cfg.Pessimism != recovery.Optimistic {
		m.determinants.last++
	}
}

func (m *Machine) onConsumed() {
	m.stage.Consumed()
	for i := range m.in {
		if in := &m.in[i]; in.unacked >= m.cfg.Window/3 {
			m.ack(in)
		}
	}
	m.debt.reportAt = 0 // it gets input
	m.watchDebt()
	m.checkCaughtUp()
	m.considerSnapshot()
}

// onEnded: the operator will emit no more. The task's last snapshot is taken at once, so that its sources may end.
func (m *Machine) onEnded() {
	m.stage.Finish()
	m.snap.Change()
	if m.replaying() {
		m.failReplay(fewerDeterminants)
		return
	}
	m.verifyEnd()
	m.considerSnapshot()
}

func (m *Machine) onIdle() {
	m.appendDeterminants(true)
	m.considerSnapshot()
}

func (m *Machine) inputsEnded() bool {
	return recovery.InputsEnded(m.in, func(in *input) bool { return in.ended })
}

// checkDone: the task is done once all its outputs are safe with its targets, and its own end is durable.
func (m *Machine) checkDone() {
	recovery.CheckDone(&m.stage, m.do, m.snap.Final(), m.out, func(out *output) bool { return out.stable >= out.emitted })
}

// checkCaughtUp closes the account of a recovery: the task has consumed, in the recorded turns and then freely, all that
// its sources had released when they answered its hello.
func (m *Machine) checkCaughtUp() {
	if !m.status.Recovery.Open() || m.replaying() {
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
	m.status.Recovery.CaughtUp = true
}

// failReplay stops the task: its operator is not deterministic.
func (m *Machine) failReplay(what string) {
	m.stage.Fail(m.do, &recovery.ReplayError{Alias: m.cfg.Self, What: what})
}

// signalSource sends a signal to the source of a channel.
func (m *Machine) signalSource(in *input, sig channel.Signal) {
	m.do.Add(m.cfg.ToSource(in.index, sig))
}

// signalTarget sends a signal to the target of a channel.
func (m *Machine) signalTarget(out *output, sig channel.Signal) {
	m.do.Add(m.cfg.ToTarget(out.index, sig))
}

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := &m.status
	s.Replaying = m.replaying()
	s.Blocked = m.blocked()
	s.ReplayDebt = m.inDebt()
	s.Starved = m.starved()
	s.Finished = m.stage.Finished()
	s.Clean = m.clean()
	s.Retained = m.retainedBytes
	s.Wake = m.wake()
	s.Queued, s.Waiting = 0, 0
	for i := range m.in {
		in := &m.in[i]
		if len(in.asked) > 0 {
			s.Waiting += in.holes().Intersect(in.asked).Count()
		}
		s.Queued += in.queued()
		s.Inputs[i] = recovery.Position{Seq: in.consumed, Sum: in.sum}
	}
	for o := range m.out {
		s.Outputs[o] = recovery.Position{Seq: m.out[o].emitted, Sum: m.out[o].sum}
	}
	return s
}

// wake returns the earliest moment with work that no event announces.
func (m *Machine) wake() recovery.Tick {
	at := recovery.Sooner(m.debt.reportAt, m.snapshotWake())
	for i := range m.in {
		in := &m.in[i]
		if len(in.asked) > 0 {
			at = recovery.Sooner(at, in.askAt)
		}
		if !in.answered {
			at = recovery.Sooner(at, in.helloAt)
		}
	}
	for o := range m.out {
		at = recovery.Sooner(at, m.out[o].markAt)
	}
	if m.gated() && !m.determinants.inFlight {
		at = recovery.Sooner(at, m.now+1)
	}
	return at
}

func seqRange(first, last msgid.Seq) msgid.Range { return msgid.Range{First: first, Last: last} }
