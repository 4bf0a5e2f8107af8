package barrier

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Task is the machine of a task that is not the coordinator. New is the only way in.
//
// A new incarnation is fresh: restored, and in no epoch. It joins one, when the coordinator says so, and never
// another: to leave an epoch is to be rolled back, by the next incarnation.
type Task struct {
	cfg recovery.Config
	now recovery.Tick
	do  *recovery.Actions // where the running step puts its actions
	bug Bug               // none, but in tests of tests

	in      []input
	out     []output
	control *output // the one that leads to the coordinator
	turn    int     // the input that Ready looks at first

	base        wave // the checkpoint that it was restored from
	joined      bool
	coordinator msgid.Incarnation // the highest seen

	// Invariant: committed <= stored <= passed <= committed+1: there is one checkpoint at a time.
	begun     wave // the newest one that the coordinator has told of
	passed    wave // the newest barrier that has gone through this task
	stored    wave // its snapshot is durable
	committed wave // all tasks have it

	snapping   bool // the operator's state is about to be frozen
	storing    bool
	forwarding bool // the marks of the barrier are to be sent
	capture    captured
	dirty      bool // tuples have been consumed or emitted since the last barrier
	unsafe     bool // and before it, since the one that is committed

	working  bool // between Deliver, Poll, Fire or Finish and Consumed
	ended    bool // the operator has finished and its end marks are sealed
	done     bool
	failed   bool
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
	m.capture.inputs = make([]inputPosition, len(m.in))
	m.capture.outputs = make([]recovery.Position, len(m.out))
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
	if m.failed {
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
		// Nothing is replayed, so nothing has to be repeated.
		m.do.Add(recovery.Action{Kind: recovery.ReturnDeterminant, Value: ev.Value})
	case recovery.EndOfInput:
		m.in[ev.Input].ended = true
	case recovery.Consumed:
		m.onConsumed()
	case recovery.TimerDue:
		if m.idle() && !m.inputsEnded() && m.blocked() == recovery.NoOutput {
			m.run(recovery.Action{Kind: recovery.RunTimer, Value: ev.Value})
		}
	case recovery.Ended:
		m.onEnded()
	case recovery.Frozen:
		m.freeze()
		m.do.Add(recovery.Action{Kind: recovery.Upload, Tentative: m.bug != EarlyCommit})
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
		if !m.done && now >= m.reportAt {
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

// onSignal: what comes on the channel to the coordinator is its word; all else must be of this task's epoch (E3).
func (m *Task) onSignal(ev *recovery.Event) {
	sig := &ev.Signal
	if !recovery.FromSource(sig.Kind) && ev.Output == m.control.index {
		m.onWord(sig)
		return
	}
	switch epoch := wave(sig.Wave).epoch(); {
	case !m.joined, epoch > m.passed.epoch():
		return // too early: it is said again
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

// onWord: the coordinator gathers tasks for an epoch (HELLO), or says where its epoch stands (ACK).
func (m *Task) onWord(sig *channel.Signal) {
	if sig.Incarnation < m.coordinator || sig.For > m.cfg.Incarnation {
		m.status.Counters.Rejected++
		return
	}
	m.coordinator = sig.Incarnation
	w, base, final := wave(sig.Wave), wave(sig.Seq), sig.Flags&channel.Ended != 0
	switch {
	case m.done:
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
// consumed what was before its barrier, though their ACKs may be lost.
func (m *Task) onCommitted(w wave, final bool) {
	if m.joined && w == m.stored && w > m.committed {
		m.committed, m.unsafe = w, false
		m.do.Add(recovery.Action{Kind: recovery.Commit})
		for o := range m.out {
			m.trim(&m.out[o], m.capture.outputs[o].Seq)
			m.pump(&m.out[o])
		}
	}
	if final && w == m.stored && !m.done {
		m.done = true
		m.do.Add(recovery.Action{Kind: recovery.Done})
	}
}

// report tells the coordinator where this task stands: its newest durable snapshot, or, with Greet, that it is
// fresh, and from which one it was restored. Urge says that it only waits for a last checkpoint, Ended that the
// snapshot is one.
func (m *Task) report() {
	sig := channel.Signal{Kind: channel.Mark, Wave: uint64(m.stored), Seq: m.control.emitted, Sum: m.control.sum}
	switch {
	case !m.joined && !m.done:
		sig.Flags |= channel.Greet
		m.delay = recovery.Backoff(m.delay, m.cfg.RetryEvery/2, m.cfg.RetryMax)
		m.reportAt = m.now + m.delay
	case m.stored == m.committed:
		sig.Flags |= channel.Committed
	}
	if m.ended {
		sig.Flags |= channel.Urge
	}
	if m.capture.ended && !m.storing {
		sig.Flags |= channel.Ended
	}
	m.signalTarget(m.control, sig)
}

func (m *Task) rollback(to wave, culprit uint32) {
	if m.bug == LonelyRollback && m.joined {
		return
	}
	m.failed = true
	m.do.Add(recovery.Action{Kind: recovery.Fail, Err: &recovery.RollbackError{
		Alias: m.cfg.Self, To: to.String(), Stale: !m.joined, Channel: culprit,
	}})
}

// idle reports whether the operator may run.
func (m *Task) idle() bool { return m.joined && !m.working && !m.snapping && !m.ended }

// onReady lets the task run its operator, if there is something to run it on and room for what it may emit.
func (m *Task) onReady() {
	switch {
	case !m.idle() || m.blocked() != recovery.NoOutput:
	case m.cfg.Spout:
		m.run(recovery.Action{Kind: recovery.Poll})
	case m.inputsEnded():
		m.run(recovery.Action{Kind: recovery.Finish})
	default:
		for k := range m.in {
			i := (m.turn + k) % len(m.in)
			in := &m.in[i]
			if in.ready.Len() == 0 || m.aligned(in) && m.bug != NoAlignment {
				continue
			}
			m.turn = i + 1
			f := in.pop()
			in.consumed, in.sum = f.Last(), f.After
			in.unacked += f.Len()
			m.dirty = true
			m.status.Counters.Consumed += uint64(f.Count)
			m.run(recovery.Action{Kind: recovery.Deliver, Input: in.index, Frame: f})
			return
		}
	}
}

func (m *Task) run(a recovery.Action) {
	m.working = true
	m.do.Add(a)
}

func (m *Task) onConsumed() {
	m.working = false
	for i := range m.in {
		if in := &m.in[i]; in.unacked >= m.cfg.Window/3 {
			m.ack(in)
		}
	}
	m.considerSnapshot()
}

func (m *Task) onEnded() {
	m.working, m.ended, m.dirty = false, true, true
	for i := range m.in {
		m.ack(&m.in[i])
	}
	m.report()
	m.considerSnapshot()
}

func (m *Task) inputsEnded() bool {
	for i := range m.in {
		if !m.in[i].ended {
			return false
		}
	}
	return len(m.in) > 0
}

// caughtUp notes that a restored task is back: it is in an epoch, and its sources are too.
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
	sig.Plan, sig.Channel, sig.Incarnation = m.cfg.Plan, in.port.Number, m.cfg.Incarnation
	m.do.Add(recovery.Action{Kind: recovery.Signal, Input: in.index, Signal: sig})
}

// signalTarget sends a signal to the target of a channel: in order with the data, where there are any.
func (m *Task) signalTarget(out *output, sig channel.Signal) {
	sig.Plan, sig.Channel, sig.Incarnation = m.cfg.Plan, out.port.Number, m.cfg.Incarnation
	m.do.Add(recovery.Action{Kind: recovery.Signal, Output: out.index, Signal: sig, InBand: out != m.control})
}

// Status implements recovery.Machine.
func (m *Task) Status() *recovery.Status {
	s := &m.status
	s.Blocked, s.Starved, s.Finished, s.Wake, s.Retained, s.Queued = m.blocked(), recovery.NoInput, m.ended, 0, 0, 0
	s.Tentative = m.dirty || m.unsafe
	if !m.joined && !m.done {
		s.Wake = max(m.reportAt, m.now+1)
	}
	sooner := func(t recovery.Tick) {
		if m.joined && (s.Wake == 0 || t < s.Wake) {
			s.Wake = max(t, m.now+1)
		}
	}
	for i := range m.in {
		in := &m.in[i]
		s.Inputs[i] = recovery.Position{Seq: in.consumed, Sum: in.sum}
		s.Queued += in.queued
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
