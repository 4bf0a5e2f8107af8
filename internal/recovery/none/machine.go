package none

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// A Machine is the strategy of one task. New is the only way in.
type Machine struct {
	cfg recovery.Config
	now recovery.Tick
	do  *recovery.Actions

	in     []input
	out    []output
	turns  recovery.Turns
	stage  recovery.Stage
	status recovery.Status
}

// An input is the target's end of a channel.
type input struct {
	index    recovery.Input
	source   msgid.Incarnation
	known    bool // the channel's position: a restarted task takes it from the first frame or mark
	accepted msgid.Seq
	consumed msgid.Seq
	ready    recovery.Queue
	ended    bool
	unacked  int
	helloAt  recovery.Tick
	delay    recovery.Tick
}

// An output is the source's end of a channel.
type output struct {
	index    recovery.Output
	open     bool
	target   msgid.Incarnation
	emitted  msgid.Seq
	sum      uint32
	released msgid.Seq
	consumed msgid.Seq
	unsent   []channel.Frame // without credit
	waiting  int             // bytes in unsent
	flight   []flight        // sent and not consumed
	inFlight int             // bytes in flight
	markAt   recovery.Tick
	delay    recovery.Tick
}

type flight struct {
	last  msgid.Seq
	bytes int
}

// New makes the machine of a task. It is a recovery.Factory; of the history only the incarnation counts.
func New(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
	m := &Machine{cfg: cfg.Defaulted()}
	m.cfg.Incarnation = h.Incarnation
	m.in = make([]input, len(cfg.Inputs))
	m.out = make([]output, len(cfg.Outputs))
	for i := range m.in {
		m.in[i].index, m.in[i].known = recovery.Input(i), h.Incarnation <= 1
	}
	for o := range m.out {
		m.out[o].index = recovery.Output(o)
	}
	m.status.Inputs = make([]recovery.Position, len(m.in))
	m.status.Outputs = make([]recovery.Position, len(m.out))
	m.status.Recovery.Restored = h.Incarnation > 1
	return m, nil
}

// Step implements recovery.Machine.
func (m *Machine) Step(ev recovery.Event, do *recovery.Actions) {
	m.do = do
	switch ev.Kind {
	case recovery.Started:
		for i := range m.in {
			m.signalSource(&m.in[i], channel.Signal{Kind: channel.Hello})
		}
		m.onTick(0)
	case recovery.Ticked:
		m.onTick(ev.Now)
	case recovery.FrameReceived:
		m.onFrame(&m.in[ev.Input], ev.Frame)
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
			m.stage.Run(m.do, recovery.Action{Kind: recovery.RunTimer, Value: ev.Value})
		}
	case recovery.Ended:
		m.stage.Finish()
		for i := range m.in {
			m.ack(&m.in[i])
		}
		m.checkDone()
	}
	m.do = nil
}

// Capture implements recovery.Machine. It is never called: this strategy takes no snapshots.
func (m *Machine) Capture(dst []byte, _ bool) []byte { return dst }

func (m *Machine) onTick(now recovery.Tick) {
	m.now = now
	for i := range m.in {
		if in := &m.in[i]; !in.known && now >= in.helloAt {
			in.delay = recovery.Backoff(in.delay, m.cfg.RetryEvery/2, m.cfg.RetryMax)
			in.helloAt = now + in.delay
			m.signalSource(&m.in[i], channel.Signal{Kind: channel.Hello})
		}
	}
	for o := range m.out {
		out := &m.out[o]
		if out.open && out.consumed >= out.released {
			out.delay = 0
			continue
		}
		if now >= out.markAt {
			out.delay = recovery.Backoff(out.delay, m.cfg.MarkEvery, m.cfg.MarkMax)
			out.markAt = now + out.delay
			m.mark(out, 0)
		}
	}
}

// mark reports to the target how far the channel is released, in order with the data. On a channel that is not open yet it
// asks for an answer.
func (m *Machine) mark(out *output, answer msgid.Incarnation) {
	sig := channel.Signal{Kind: channel.Mark, Seq: out.released, For: answer}
	if !out.open {
		sig.Flags |= channel.Greet
	}
	if m.stage.Finished() && out.released == out.emitted {
		sig.Flags |= channel.Ended
	}
	m.signalTarget(out, sig)
}

func (m *Machine) onFrame(in *input, f channel.Frame) {
	if f.Incarnation < in.source {
		m.status.Counters.Rejected += uint64(f.Count)
		return
	}
	if f.Incarnation > in.source {
		m.newSource(in, f.Incarnation)
	}
	if !in.known {
		in.known, in.accepted, in.consumed = true, f.First-1, f.First-1
	}
	switch {
	case f.Last() <= in.accepted:
		m.status.Counters.Duplicates += uint64(f.Count)
		return
	case f.First <= in.accepted:
		cut, err := f.Cut(in.accepted+1, f.Last())
		if err != nil {
			m.status.Counters.Rejected += uint64(f.Count)
			return
		}
		f = cut
	default:
		m.status.Counters.Lost += uint64(f.First - in.accepted - 1)
	}
	in.accepted = f.Last()
	if m.stage.Finished() {
		in.consumed = in.accepted
		return
	}
	in.ready.Push(f)
}

// newSource begins a channel anew: a restarted source numbers from 1 again.
func (m *Machine) newSource(in *input, inc msgid.Incarnation) {
	if in.source != 0 {
		in.known, in.accepted, in.consumed = true, 0, 0
	}
	in.source = inc
}

func (m *Machine) onSignal(ev *recovery.Event) {
	sig := &ev.Signal
	switch sig.Kind {
	case channel.Mark:
		m.onMark(&m.in[ev.Input], sig)
	case channel.Hello, channel.Ack:
		m.onPosition(&m.out[ev.Output], sig)
	}
}

// onMark: tuples that have not come by now are lost, since a mark comes in order with the data.
func (m *Machine) onMark(in *input, sig *channel.Signal) {
	if sig.Incarnation < in.source {
		m.status.Counters.Rejected++
		return
	}
	if sig.Incarnation > in.source {
		m.newSource(in, sig.Incarnation)
	}
	if in.known && sig.Seq > in.accepted {
		m.status.Counters.Lost += uint64(sig.Seq - in.accepted)
	}
	skipped := !in.known || sig.Seq > in.accepted
	in.known = true
	in.accepted = max(in.accepted, sig.Seq)
	if in.ready.Len() == 0 && (m.stage != recovery.StageRunning || skipped) {
		in.consumed = in.accepted
	}
	if sig.Flags&channel.Ended != 0 && skipped && !in.ended && !m.stage.Finished() {
		// The end mark is among the lost items; it is known to be the last.
		b := channel.NewBuilder(m.cfg.Plan, sig.Channel, sig.Incarnation, in.accepted, 0, 64)
		b.Append(tuple.AppendEnd(nil))
		in.ready.Push(b.Seal())
	}
	m.ack(in)
}

// onPosition: the target greets this task, or reports its consumed position.
func (m *Machine) onPosition(out *output, sig *channel.Signal) {
	if sig.Incarnation < out.target || sig.Kind == channel.Ack && sig.For != m.cfg.Incarnation {
		m.status.Counters.Rejected++
		return
	}
	if sig.Incarnation > out.target { // frames on their way to the last one are lost
		out.target, out.flight, out.inFlight = sig.Incarnation, nil, 0
	}
	out.open = true
	if sig.Kind == channel.Hello {
		m.mark(out, sig.Incarnation)
	}
	out.consumed = max(out.consumed, sig.Consumed)
	for len(out.flight) > 0 && out.flight[0].last <= out.consumed {
		out.inFlight -= out.flight[0].bytes
		out.flight = out.flight[1:]
	}
	m.pump(out)
	m.checkDone()
}

func (m *Machine) onSealed(out *output, f channel.Frame) {
	out.emitted, out.sum = f.Last(), f.After
	m.status.Counters.Emitted += uint64(f.Count)
	out.unsent = append(out.unsent, f)
	out.waiting += f.Len()
	m.pump(out)
}

func (m *Machine) pump(out *output) {
	for out.open && len(out.unsent) > 0 && out.inFlight < m.cfg.Window {
		f := out.unsent[0]
		out.unsent[0] = channel.Frame{}
		out.unsent = out.unsent[1:]
		out.waiting -= f.Len()
		out.inFlight += f.Len()
		out.flight = append(out.flight, flight{f.Last(), f.Len()})
		out.released = f.Last()
		out.delay = 0
		out.markAt = m.now + m.cfg.MarkEvery
		m.do.Add(recovery.Action{Kind: recovery.Publish, Output: out.index, Frame: f})
		m.do.Add(recovery.Action{Kind: recovery.Free, Output: out.index, Frame: f})
	}
}

func (m *Machine) blocked() recovery.Output {
	return recovery.Blocked(m.out, m.cfg.Window, 1, func(out *output) (ahead, retained uint64) {
		return uint64(out.waiting + out.inFlight), 0 // no frame is retained
	})
}

func (m *Machine) onReady() {
	switch {
	case m.stage != recovery.StageWaiting:
	case m.cfg.Spout && m.deliver(): // answers of the tasks for which the spout waits: they come before its bounds
	case m.blocked() != recovery.NoOutput:
	case m.cfg.Spout:
		m.stage.Run(m.do, recovery.Action{Kind: recovery.Poll})
	case m.inputsEnded():
		m.stage.Run(m.do, recovery.Action{Kind: recovery.Finish})
	default:
		m.deliver()
	}
}

// deliver delivers the oldest frame of the next ready input, round robin. It reports whether there is one.
func (m *Machine) deliver() bool {
	in := recovery.Next(&m.turns, m.in, func(in *input) bool { return in.ready.Len() > 0 })
	if in == nil {
		return false
	}
	f := in.ready.Pop()
	if f.Incarnation == in.source { // else it has other numbers
		in.consumed = f.Last()
	}
	in.unacked += f.Len()
	m.status.Counters.Consumed += uint64(f.Count)
	m.stage.Run(m.do, recovery.Action{Kind: recovery.Deliver, Input: in.index, Frame: f})
	return true
}

func (m *Machine) onConsumed() {
	m.stage.Consumed()
	for i := range m.in {
		if m.in[i].unacked >= m.cfg.Window/3 {
			m.ack(&m.in[i])
		}
	}
}

func (m *Machine) ack(in *input) {
	in.unacked = 0
	if m.stage.Finished() {
		in.consumed = in.accepted
	}
	m.signalSource(in, channel.Signal{Kind: channel.Ack, For: in.source, Have: in.accepted, Consumed: in.consumed})
}

// signalSource sends a signal to the source of a channel.
func (m *Machine) signalSource(in *input, sig channel.Signal) {
	m.do.Add(m.cfg.ToSource(in.index, sig))
}

// signalTarget sends a signal to the target of a channel.
func (m *Machine) signalTarget(out *output, sig channel.Signal) {
	m.do.Add(m.cfg.ToTarget(out.index, sig))
}

func (m *Machine) inputsEnded() bool {
	return recovery.InputsEnded(m.in, func(in *input) bool { return in.ended })
}

// checkDone: the task is done once its targets have consumed all its outputs.
func (m *Machine) checkDone() {
	recovery.CheckDone(&m.stage, m.do, true, m.out, func(out *output) bool { return out.consumed >= out.emitted })
}

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := &m.status
	s.Blocked, s.Starved, s.Finished, s.Wake, s.Retained = m.blocked(), recovery.NoInput, m.stage.Finished(), 0, 0
	sooner := func(t recovery.Tick) {
		s.Wake = recovery.Sooner(s.Wake, max(t, m.now+1))
	}
	known := true
	for i := range m.in {
		s.Inputs[i] = recovery.Position{Seq: m.in[i].consumed}
		if !m.in[i].known {
			known = false
			sooner(m.in[i].helloAt)
		}
	}
	for o := range m.out {
		out := &m.out[o]
		s.Outputs[o] = recovery.Position{Seq: out.emitted, Sum: out.sum}
		s.Retained += out.waiting
		if !out.open || out.consumed < out.released {
			sooner(out.markAt)
		}
	}
	s.Recovery.CaughtUp = s.Recovery.Restored && known
	return s
}
