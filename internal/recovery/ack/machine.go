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

	turn     int  // the input that Ready looks at first
	feeding  int  // the input whose frame the operator consumes; -1: none
	working  bool // between Deliver, Poll, Fire or Finish and Consumed: no snapshot may be taken
	holding  bool // the operator may be emitting its end marks, which nobody can tell from tuples yet
	ended    bool // the operator has finished, and its end marks are sealed
	done     bool // Done was said
	failed   bool // Fail was said
	retained int  // bytes of all frames kept for resending
	spare    [][]byte
	status   recovery.Status
}

// New makes the machine of a task that has the given history. It is a recovery.Factory.
func New(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
	return newMachine(cfg, h, "")
}

func newMachine(cfg recovery.Config, h recovery.History, bug Bug) (recovery.Machine, error) {
	m := &Machine{cfg: cfg.Defaulted(), bug: bug, feeding: -1}
	m.cfg.Incarnation = h.Incarnation
	m.in = make([]input, len(cfg.Inputs))
	for i := range m.in {
		m.in[i].port = cfg.Inputs[i]
	}
	m.out = make([]output, len(cfg.Outputs))
	for o := range m.out {
		m.out[o].port = cfg.Outputs[o]
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
	if m.failed {
		return
	}
	m.do = do
	switch ev.Kind {
	case recovery.Started:
		m.onStarted()
	case recovery.Ticked:
		m.onTick(ev.Now)
	case recovery.Received:
		m.onFrame(ev.Port, ev.Frame, ev.Replay)
	case recovery.Heard:
		m.onSignal(ev.Port, &ev.Signal)
	case recovery.Ready:
		m.onReady()
	case recovery.Sealed:
		m.onSealed(ev.Port, ev.Frame)
	case recovery.Chose:
		m.do.Add(recovery.Action{Kind: recovery.Chosen, Value: ev.Value})
	case recovery.EndOfInput:
		m.in[ev.Port].ended = true
	case recovery.Consumed:
		m.onConsumed()
	case recovery.Due:
		if !m.working && !m.ended && !m.inputsEnded() && m.blocked() < 0 {
			m.run(recovery.Action{Kind: recovery.Fire, Value: ev.Value})
		}
	case recovery.Ended:
		m.onEnded()
	case recovery.Idle:
		m.considerSnapshot()
	case recovery.Frozen:
		m.onFrozen()
	case recovery.Stored:
		m.onStored()
	case recovery.StoreLost:
		m.onStoreLost()
	}
	m.do = nil
}

// onStarted opens every channel from both ends: a target says where it stands, a source asks its target. Nothing is
// published before the two agree.
func (m *Machine) onStarted() {
	for i := range m.in {
		m.hello(i)
	}
	for o := range m.out {
		m.greet(o)
	}
	m.checkDone()
}

func (m *Machine) onTick(now recovery.Tick) {
	m.now = now
	for i := range m.in {
		if in := &m.in[i]; !in.answered && now >= in.helloAt {
			m.hello(i)
		}
	}
	for o := range m.out {
		m.tickOutput(o)
	}
	m.considerSnapshot()
}

// onSignal sends each signal to the side that it concerns: marks and refusals come from sources, the rest from
// targets.
func (m *Machine) onSignal(port int, sig *channel.Signal) {
	if sig.For > m.cfg.Incarnation { // A5
		m.fail(&checkpoint.FencedError{Alias: m.cfg.Self, Mine: m.cfg.Incarnation, By: sig.For})
		return
	}
	switch sig.Kind {
	case channel.Mark:
		m.onMark(port, sig)
	case channel.Refuse:
		m.onRefuse(port, sig)
	case channel.Hello, channel.Ack:
		m.onPosition(port, sig)
	}
	m.considerSnapshot()
}

// onReady lets the task run its operator, if there is something to run it on and room for what it may emit.
func (m *Machine) onReady() {
	switch {
	case m.working || m.ended || m.blocked() >= 0:
	case m.cfg.Spout:
		m.holding = true
		m.run(recovery.Action{Kind: recovery.Poll})
	case m.inputsEnded():
		m.holding = true
		m.run(recovery.Action{Kind: recovery.Finish})
	default:
		for k := range m.in {
			i := (m.turn + k) % len(m.in)
			if in := &m.in[i]; in.ready.Len() > 0 {
				m.turn, m.feeding = i+1, i
				f := in.pop()
				in.consumed, in.sum = f.Last(), f.After
				m.status.Counters.Consumed += uint64(f.Count)
				m.run(recovery.Action{Kind: recovery.Deliver, Port: i, Frame: f})
				return
			}
		}
	}
}

func (m *Machine) run(a recovery.Action) {
	m.working, m.snap.dirty = true, true
	m.do.Add(a)
}

func (m *Machine) onConsumed() {
	m.working = false
	if m.feeding >= 0 {
		m.ack(m.feeding)
		m.feeding = -1
	}
	m.letGo()
	m.checkCaughtUp()
	m.considerSnapshot()
}

// onEnded: the operator will emit nothing more. Its last snapshot is taken at once; then the end marks may go (A7).
func (m *Machine) onEnded() {
	m.working, m.ended, m.snap.dirty = false, true, true
	m.letGo()
	m.considerSnapshot()
}

// letGo publishes what was held while the operator ran.
func (m *Machine) letGo() {
	m.holding = false
	for o := range m.out {
		m.pump(o)
	}
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

// checkCaughtUp closes the account of a recovery: the task has consumed all that its sources had sent when they
// answered it, and its targets have answered a spout.
func (m *Machine) checkCaughtUp() {
	rec := &m.status.Recovery
	if !rec.Restored || rec.CaughtUp {
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
	rec.CaughtUp = true
}

func (m *Machine) fail(err error) {
	m.failed = true
	m.do.Add(recovery.Action{Kind: recovery.Fail, Err: err})
}

// signal sends a signal to the task at the other end of a channel.
func (m *Machine) signal(port int, p recovery.Port, sig channel.Signal, inBand bool) {
	sig.Plan, sig.Channel, sig.Incarnation = m.cfg.Plan, p.Number, m.cfg.Incarnation
	m.do.Add(recovery.Action{Kind: recovery.Signal, Port: port, Signal: sig, InBand: inBand})
}

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := &m.status
	s.Blocked, s.Starved, s.Finished = m.blocked(), -1, m.ended
	s.Retained, s.Queued = m.retained, 0
	s.Wake = m.snapshotWake()
	sooner := func(t recovery.Tick) {
		if t != 0 && (s.Wake == 0 || t < s.Wake) {
			s.Wake = t
		}
	}
	for i := range m.in {
		in := &m.in[i]
		s.Queued += in.queued
		s.Inputs[i] = recovery.Position{Seq: in.consumed, Sum: in.sum}
		if !in.answered {
			sooner(in.helloAt)
		}
	}
	for o := range m.out {
		s.Outputs[o] = recovery.Position{Seq: m.out[o].emitted, Sum: m.out[o].sum}
		sooner(m.out[o].at)
	}
	return s
}

// blocked returns the output that keeps the task from consuming: one whose target is a window of bytes behind, or, at
// the hard bound of retention, the one that retains most. It returns -1 if there is none.
func (m *Machine) blocked() int {
	for o := range m.out {
		if out := &m.out[o]; out.kept.End() >= out.credit+uint64(m.cfg.Window) {
			return o
		}
	}
	if m.retained < m.cfg.HardBound {
		return -1
	}
	most, port := uint64(0), -1
	for o := range m.out {
		if n := m.out[o].kept.Bytes(); n > most {
			most, port = n, o
		}
	}
	return port
}
