package barrier

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Task is the machine of a task that is not the coordinator. New is the only way in.
//
// A new incarnation is fresh: restored, and in no epoch. It joins at most one, when the coordinator allows it; a task
// leaves an epoch only by a rollback, with its next incarnation.
type Task struct {
	cfg recovery.Config
	now recovery.Tick
	do  *recovery.Actions // where the running step puts its actions
	bug Bug               // none, but in tests of tests

	in      []input
	out     []output
	control *output // the one that leads to the coordinator
	turns   recovery.Turns
	stage   recovery.Stage

	base        wave // the checkpoint that it was restored from
	joined      bool
	coordinator msgid.Incarnation // the highest seen

	// Invariant: committed <= stored <= passed <= committed+1: there is one checkpoint at a time.
	begun     wave // the newest one that the coordinator has reported
	passed    wave // the newest barrier that has gone through this task
	stored    wave // its snapshot is durable
	committed wave // all tasks have it

	snapshot    recovery.SnapshotPhase
	captured    captured
	forwarding  bool // the marks of the barrier are to be sent
	dirty       bool // tuples have been consumed or emitted since the last barrier
	uncommitted bool // and before it, since the one that is committed

	reportAt recovery.Tick
	delay    recovery.Tick
	status   recovery.Status
}

func newTask(cfg recovery.Config, h recovery.History, bug Bug) (*Task, error) {
	m := &Task{cfg: cfg, bug: bug}
	m.in = make([]input, len(cfg.Inputs))
	for i := range m.in {
		m.in[i].index, m.in[i].port = recovery.Input(i), cfg.Inputs[i]
	}
	m.out = make([]output, len(cfg.Outputs))
	for o := range m.out {
		out := &m.out[o]
		out.index, out.port = recovery.Output(o), cfg.Outputs[o]
		if out.port.ID.Target.Operator == Operator {
			m.control = out
		}
	}
	if m.control == nil {
		return nil, fmt.Errorf("it has no channel to %q: the topology must be built with the strategy's extension", Operator)
	}
	m.captured.inputs = make([]inputPosition, len(m.in))
	m.captured.outputs = make([]recovery.Position, len(m.out))
	if n := len(h.Chain); n > 0 {
		if err := m.restore(h.Chain[n-1]); err != nil {
			return nil, err
		}
	}
	m.status.Inputs = make([]recovery.Position, len(m.in))
	m.status.Outputs = make([]recovery.Position, len(m.out))
	m.status.Recovery.Restored = h.Incarnation > 1
	return m, nil
}

// Step implements recovery.Machine.
func (m *Task) Step(ev recovery.Event, do *recovery.Actions) {
	if m.stage == recovery.StageFailed {
		return
	}
	m.do = do
	switch ev.Kind {
	case recovery.Started:
		m.onTick(0)
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
		// There is no replay that would have to repeat it.
		m.do.Add(recovery.Action{Kind: recovery.ReturnDeterminant, Value: ev.Value})
	case recovery.EndOfInput:
		m.in[ev.Input].ended = true
	case recovery.Consumed:
		m.onConsumed()
	case recovery.TimerDue:
		if m.waiting() && !m.inputsEnded() && m.blocked() == recovery.NoOutput {
			m.stage.Run(m.do, recovery.Action{Kind: recovery.RunTimer, Value: ev.Value})
		}
	case recovery.Ended:
		m.onEnded()
	case recovery.Frozen:
		m.onFrozen()
	case recovery.Uploaded:
		m.onUploaded()
	case recovery.LogLost:
		m.rollback(m.committed, 1+m.control.port.Number)
	}
	m.forward()
	m.do = nil
}

func (m *Task) onTick(now recovery.Tick) {
	m.now = now
	if !m.joined {
		if m.stage != recovery.StageDone && now >= m.reportAt {
			m.report()
		}
		return
	}
	for i := range m.in {
		m.tickInput(&m.in[i])
	}
	for o := range m.out {
		m.tickOutput(&m.out[o])
	}
}

// onSignal: signals on the channel to the coordinator are its notices; all others must be of this task's epoch (E3).
func (m *Task) onSignal(ev *recovery.Event) {
	sig := &ev.Signal
	if !recovery.FromSource(sig.Kind) && ev.Output == m.control.index {
		m.onNotice(sig)
		return
	}
	switch epoch := wave(sig.Wave).epoch(); {
	case !m.joined, epoch > m.passed.epoch():
		return // too early: it is repeated
	case epoch < m.passed.epoch():
		m.status.Counters.Rejected++
		return
	}
	switch sig.Kind {
	case channel.Mark:
		m.onMark(&m.in[ev.Input], sig)
	case channel.Hello, channel.Ack:
		m.onPosition(&m.out[ev.Output], sig)
	case channel.Ask:
		m.onAsk(&m.out[ev.Output], sig)
	}
}

// onNotice: the coordinator gathers tasks for an epoch (HELLO), or reports the state of its epoch (ACK).
func (m *Task) onNotice(sig *channel.Signal) {
	if sig.Incarnation < m.coordinator || sig.For > m.cfg.Incarnation {
		m.status.Counters.Rejected++
		return
	}
	m.coordinator = sig.Incarnation
	w, base, final := wave(sig.Wave), wave(sig.Seq), sig.Flags&channel.Ended != 0
	switch {
	case m.stage == recovery.StageDone:
		m.report()
	case m.joined && w.epoch() > m.passed.epoch(), !m.joined && base > m.base: // E1
		m.rollback(base, uint32(sig.Have))
	case m.joined && w.epoch() < m.passed.epoch(), !m.joined && base < m.base:
		m.status.Counters.Rejected++ // a coordinator that was superseded
	case !m.joined && !final && (sig.Kind == channel.Hello || sig.For != m.cfg.Incarnation):
		m.report()
	default:
		if !m.joined && !final {
			m.join(w.epoch())
		}
		m.begun = max(m.begun, w)
		if sig.Flags&channel.Committed != 0 {
			m.onCommitted(w, final)
		}
		m.considerSnapshot()
		m.report()
	}
}

// join opens every channel from both ends, in an epoch in which all tasks have begun at the same checkpoint (E2).
func (m *Task) join(epoch uint32) {
	m.joined = true
	w := waveOf(epoch, 0)
	m.begun, m.passed, m.stored, m.committed = w, w, w, w
	for i := range m.in {
		in := &m.in[i]
		in.barrier, in.stand = w, in.consumed
		m.hello(in)
	}
	for o := range m.out {
		out := &m.out[o]
		out.barrier, out.stand, out.known = w, out.emitted, w
		if out != m.control {
			m.mark(out, 0)
		}
	}
	m.caughtUp()
}

// onCommitted: all tasks have the checkpoint, and the coordinator will not go back before it (B6). So the targets have
// consumed all tuples before its barrier, though their ACKs may be lost.
func (m *Task) onCommitted(w wave, final bool) {
	if m.joined && w == m.stored && w > m.committed {
		m.committed, m.uncommitted = w, false
		m.do.Add(recovery.Action{Kind: recovery.Commit})
		for o := range m.out {
			m.trim(&m.out[o], m.captured.outputs[o].Seq)
			m.pump(&m.out[o])
		}
	}
	recovery.CheckDone(&m.stage, m.do, final && w == m.stored, nil, func(*output) bool { return true })
}

// report sends the coordinator the state of this task: its newest durable snapshot, or, with Greet, the one that this fresh
// task was restored from. Urge means that it only waits for a last checkpoint, Ended that the snapshot is one.
func (m *Task) report() {
	sig := channel.Signal{Kind: channel.Mark, Wave: uint64(m.stored), Seq: m.control.emitted, Sum: m.control.sum}
	switch {
	case !m.joined && m.stage != recovery.StageDone:
		sig.Flags |= channel.Greet
		m.delay = recovery.Backoff(m.delay, m.cfg.RetryEvery/2, m.cfg.RetryMax)
		m.reportAt = m.now + m.delay
	case m.stored == m.committed:
		sig.Flags |= channel.Committed
	}
	if m.stage.Finished() {
		sig.Flags |= channel.Urge
	}
	if m.captured.ended && m.snapshot <= recovery.SnapshotFreezing { // else it is another snapshot than the stored one
		sig.Flags |= channel.Ended
	}
	m.signalTarget(m.control, sig)
}

func (m *Task) rollback(to wave, culprit uint32) {
	if m.bug == LonelyRollback && m.joined {
		return
	}
	m.stage.Fail(m.do, &recovery.RollbackError{Alias: m.cfg.Self, To: to.String(), Stale: !m.joined, Channel: culprit})
}

// waiting reports whether the operator may run. It may not after the task was asked to freeze its state.
func (m *Task) waiting() bool {
	return m.joined && m.stage == recovery.StageWaiting && m.snapshot != recovery.SnapshotFreezing
}

// onReady lets the task run its operator, if there is input for it and room for its output.
func (m *Task) onReady() {
	switch {
	case !m.waiting() || m.blocked() != recovery.NoOutput:
	case m.cfg.Spout:
		m.stage.Run(m.do, recovery.Action{Kind: recovery.Poll})
	case m.inputsEnded():
		m.stage.Run(m.do, recovery.Action{Kind: recovery.Finish})
	default:
		in := recovery.Next(&m.turns, m.in, func(in *input) bool {
			return in.ready.Len() > 0 && (!m.aligned(in) || m.bug == NoAlignment)
		})
		if in == nil {
			return
		}
		f := in.pop()
		in.consumed, in.sum = f.Last(), f.After
		in.unacked += f.Len()
		m.dirty = true
		m.status.Counters.Consumed += uint64(f.Count)
		m.stage.Run(m.do, recovery.Action{Kind: recovery.Deliver, Input: in.index, Frame: f})
	}
}

func (m *Task) onConsumed() {
	m.stage.Consumed()
	for i := range m.in {
		if in := &m.in[i]; in.unacked >= m.cfg.Window/3 {
			m.ack(in)
		}
	}
	m.considerSnapshot()
}

func (m *Task) onEnded() {
	m.stage.Finish()
	m.dirty = true
	for i := range m.in {
		m.ack(&m.in[i])
	}
	m.report()
	m.considerSnapshot()
}

func (m *Task) inputsEnded() bool {
	return recovery.InputsEnded(m.in, func(in *input) bool { return in.ended })
}

// caughtUp records that a restored task is back: it is in an epoch, and its sources are too.
func (m *Task) caughtUp() {
	for i := range m.in {
		if m.in[i].source == 0 {
			return
		}
	}
	m.status.Recovery.CaughtUp = m.status.Recovery.Restored
}

// signalSource sends a signal to the source of a channel.
func (m *Task) signalSource(in *input, sig channel.Signal) {
	m.do.Add(m.cfg.ToSource(in.index, sig))
}

// signalTarget sends a signal to the target of a channel. On the one to the coordinator there are no data with which a mark
// could be in order.
func (m *Task) signalTarget(out *output, sig channel.Signal) {
	a := m.cfg.ToTarget(out.index, sig)
	a.InBand = a.InBand && out != m.control
	m.do.Add(a)
}

// Status implements recovery.Machine.
func (m *Task) Status() *recovery.Status {
	s := &m.status
	s.Blocked, s.Starved, s.Finished, s.Wake, s.Retained, s.Queued = m.blocked(), recovery.NoInput, m.stage.Finished(), 0, 0, 0
	s.Tentative = m.dirty || m.uncommitted
	if !m.joined && m.stage != recovery.StageDone {
		s.Wake = max(m.reportAt, m.now+1)
	}
	sooner := func(t recovery.Tick) {
		if m.joined {
			s.Wake = recovery.Sooner(s.Wake, max(t, m.now+1))
		}
	}
	for i := range m.in {
		in := &m.in[i]
		s.Inputs[i] = recovery.Position{Seq: in.consumed, Sum: in.sum}
		s.Queued += in.queued()
		if in.source == 0 {
			sooner(in.helloAt)
		}
		if in.accepted < in.proven {
			sooner(in.askAt)
		}
	}
	for o := range m.out {
		out := &m.out[o]
		s.Outputs[o] = recovery.Position{Seq: out.emitted, Sum: out.sum}
		s.Retained += out.waiting + out.flying
		if out != m.control && !out.settled() {
			sooner(out.markAt)
		}
	}
	return s
}
