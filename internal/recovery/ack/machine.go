package ack

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
)

// A Machine is the strategy of one task. New is the only way in.
type Machine struct {
	cfg recovery.Config
	now recovery.Tick
	do  *recovery.Actions // where the running step puts its actions
	bug Bug               // none, but in tests of tests

	in   []input
	out  []output
	snap snapshots

	stage         recovery.Stage
	turns         recovery.Turns
	feeding       *input // the one whose frame the operator consumes, or nil
	holding       bool   // the operator may be emitting its end marks, which are still counted as tuples
	retainedBytes int    // of all frames kept for resending
	spare         [][]byte
	status        recovery.Status
}

// New makes the machine of a task that has the given history. It is a recovery.Factory.
func New(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
	return newMachine(cfg, h, "")
}

func newMachine(cfg recovery.Config, h recovery.History, bug Bug) (recovery.Machine, error) {
	m := &Machine{cfg: cfg.Defaulted(), bug: bug}
	m.cfg.Incarnation = h.Incarnation
	m.in = make([]input, len(cfg.Inputs))
	for i := range m.in {
		m.in[i].index, m.in[i].port = recovery.Input(i), cfg.Inputs[i]
	}
	m.out = make([]output, len(cfg.Outputs))
	for o := range m.out {
		m.out[o].index, m.out[o].port = recovery.Output(o), cfg.Outputs[o]
	}
	if err := m.restore(h); err != nil {
		return nil, fmt.Errorf("ack: restore %v: %w", cfg.Self, err)
	}
	m.status.Inputs = make([]recovery.Position, len(m.in))
	m.status.Outputs = make([]recovery.Position, len(m.out))
	m.status.Recovery.Restored = h.Incarnation > 1
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
		m.do.Add(recovery.Action{Kind: recovery.ReturnDeterminant, Value: ev.Value})
	case recovery.EndOfInput:
		m.in[ev.Input].ended = true
	case recovery.Consumed:
		m.onConsumed()
	case recovery.TimerDue:
		if m.stage == recovery.StageWaiting && !m.inputsEnded() && m.blocked() == recovery.NoOutput {
			m.run(recovery.Action{Kind: recovery.RunTimer, Value: ev.Value})
		}
	case recovery.Ended:
		m.onEnded()
	case recovery.Idle:
		m.considerSnapshot()
	case recovery.Frozen:
		m.onFrozen()
	case recovery.Uploaded:
		m.onUploaded()
	case recovery.LogLost:
		m.onLogLost()
	}
	m.do = nil
}

// onStarted opens every channel from both ends: a target reports its position, a source asks for that of its target. No
// frame is published before the two agree.
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
		if in := &m.in[i]; !in.answered && now >= in.helloAt {
			m.hello(in)
		}
	}
	for o := range m.out {
		m.tickOutput(&m.out[o])
	}
	m.considerSnapshot()
}

// onSignal hands each signal to the side that it concerns: marks and refusals come from sources, the rest from
// targets.
func (m *Machine) onSignal(ev *recovery.Event) {
	sig := &ev.Signal
	if sig.For > m.cfg.Incarnation { // A5
		m.stage.Fail(m.do, &checkpoint.FencedError{Alias: m.cfg.Self, Mine: m.cfg.Incarnation, By: sig.For})
		return
	}
	switch sig.Kind {
	case channel.Mark:
		m.onMark(&m.in[ev.Input], sig)
	case channel.Refuse:
		m.onRefuse(&m.in[ev.Input], sig)
	case channel.Hello, channel.Ack:
		m.onPosition(&m.out[ev.Output], sig)
	}
	m.considerSnapshot()
}

// onReady lets the task run its operator, if there is input for it and room for its output.
func (m *Machine) onReady() {
	switch {
	case m.stage != recovery.StageWaiting || m.blocked() != recovery.NoOutput:
	case m.cfg.Spout:
		m.holding = true
		m.run(recovery.Action{Kind: recovery.Poll})
	case m.inputsEnded():
		m.holding = true
		m.run(recovery.Action{Kind: recovery.Finish})
	default:
		in := recovery.Next(&m.turns, m.in, func(in *input) bool { return in.ready.Len() > 0 })
		if in == nil {
			return
		}
		m.feeding = in
		f := in.pop()
		in.consumed, in.sum = f.Last(), f.After
		m.status.Counters.Consumed += uint64(f.Count)
		m.run(recovery.Action{Kind: recovery.Deliver, Input: in.index, Frame: f})
	}
}

func (m *Machine) run(a recovery.Action) {
	m.stage.Run(m.do, a)
	m.snap.Change()
}

func (m *Machine) onConsumed() {
	m.stage.Consumed()
	if m.feeding != nil {
		m.ack(m.feeding)
		m.feeding = nil
	}
	m.letGo()
	m.checkCaughtUp()
	m.considerSnapshot()
}

// onEnded: the operator will emit no more. The task's last snapshot is taken at once; then the end marks may go (A7).
func (m *Machine) onEnded() {
	m.stage.Finish()
	m.snap.Change()
	m.letGo()
	m.considerSnapshot()
}

// letGo publishes the frames that were held while the operator ran.
func (m *Machine) letGo() {
	m.holding = false
	for o := range m.out {
		m.pump(&m.out[o])
	}
}

func (m *Machine) inputsEnded() bool {
	return recovery.InputsEnded(m.in, func(in *input) bool { return in.ended })
}

// checkDone: the task is done once all its outputs are safe with its targets, and its own end is durable.
func (m *Machine) checkDone() {
	recovery.CheckDone(&m.stage, m.do, m.snap.Final(), m.out, func(out *output) bool { return out.stable >= out.emitted })
}

// checkCaughtUp closes the account of a recovery: the task has consumed all that its sources had sent when they
// answered it; the targets of a spout have answered.
func (m *Machine) checkCaughtUp() {
	if !m.status.Recovery.Open() {
		return
	}
	for i := range m.in {
		if in := &m.in[i]; !in.answered || in.consumed < in.goal {
			return
		}
	}
	if m.cfg.Spout {
		for o := range m.out {
			if !m.out[o].open {
				return
			}
		}
	}
	m.status.Recovery.CaughtUp = true
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
	s.Blocked, s.Starved, s.Finished = m.blocked(), recovery.NoInput, m.stage.Finished()
	s.Retained, s.Queued = m.retainedBytes, 0
	s.Wake = m.snapshotWake()
	for i := range m.in {
		in := &m.in[i]
		s.Queued += in.queued
		s.Inputs[i] = recovery.Position{Seq: in.consumed, Sum: in.sum}
		if !in.answered {
			s.Wake = recovery.Sooner(s.Wake, in.helloAt)
		}
	}
	for o := range m.out {
		s.Outputs[o] = recovery.Position{Seq: m.out[o].emitted, Sum: m.out[o].sum}
		s.Wake = recovery.Sooner(s.Wake, m.out[o].at)
	}
	return s
}

// blocked returns the output that keeps the task from consuming: one whose target is a window of bytes behind, or, at
// the hard bound of retention, the one that retains most. It returns NoOutput if there is none.
func (m *Machine) blocked() recovery.Output {
	return recovery.Blocked(m.out, m.cfg.Window, m.cfg.HardBound, func(out *output) (ahead, retained uint64) {
		return out.retained.End() - out.credit, out.retained.Bytes()
	})
}
