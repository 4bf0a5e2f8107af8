package ack

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An input is the target's end of a channel. All its positions are numbers of one incarnation of the source.
//
// Invariant: stable <= consumed <= accepted; frames between consumed and accepted wait in ready, without a hole.
type input struct {
	index  recovery.Input
	port   recovery.Port
	source msgid.Incarnation // the incarnation of the source that counted them; 0: none has been followed yet

	consumed msgid.Seq // handed to the operator
	sum      uint32    // running checksum at consumed
	ended    bool      // the end mark was consumed
	accepted msgid.Seq
	ready    recovery.Queue
	queued   int // bytes in ready

	answered   bool      // the source has answered this incarnation
	began      msgid.Seq // the position of this incarnation when it followed the source
	goal       msgid.Seq // the source had sent up to here when it answered
	helloAt    recovery.Tick
	helloDelay recovery.Tick

	stable       msgid.Seq // covered by a durable snapshot
	capturing    msgid.Seq // covered by the current snapshot
	capturingSum uint32
	capturingEnd bool
}

// hello reports to the source where this incarnation was restored.
func (m *Machine) hello(in *input) {
	in.helloDelay = recovery.Backoff(in.helloDelay, m.cfg.RetryEvery/2, m.cfg.RetryMax)
	in.helloAt = m.now + max(1, in.helloDelay)
	m.report(in, channel.Hello)
}

// ack reports to the source the positions that are consumed and stable.
func (m *Machine) ack(in *input) { m.report(in, channel.Ack) }

// report sends the positions of this end, and the incarnation of the source that counted them.
func (m *Machine) report(in *input, kind channel.SignalKind) {
	m.signalSource(in, channel.Signal{Kind: kind, For: in.source, Seq: in.stable, Have: in.accepted, Consumed: in.consumed})
}

func (m *Machine) ackAll() {
	for i := range m.in {
		m.ack(&m.in[i])
	}
}

// onFrame takes the next tuples of the channel (A3).
func (m *Machine) onFrame(in *input, f channel.Frame, replay bool) {
	if f.Incarnation < in.source { // A5: a paused old incarnation may still send
		m.status.Counters.Rejected += uint64(f.Count)
		return
	}
	if f.Incarnation > in.source { // it was sent to an earlier incarnation of this task, which followed that one
		m.ack(in)
		return
	}
	if replay {
		m.status.CountReplayed(uint64(f.Count))
	}
	switch {
	case f.Last() <= in.accepted:
		m.status.CountDuplicates(uint64(f.Count))
		m.ack(in)
		return
	case f.First > in.accepted+1:
		return // it is sent again, after the missing ones
	case in.queued > 0 && in.queued+f.Len() > m.most():
		m.status.Counters.Overflow++ // it is sent again
		return
	case f.First <= in.accepted:
		m.status.CountDuplicates(uint64(in.accepted + 1 - f.First))
		cut, err := f.Cut(in.accepted+1, f.Last())
		if err != nil { // its items do not add up to its count
			m.status.Counters.Rejected += uint64(f.Count)
			return
		}
		f = cut
	}
	in.accepted = f.Last()
	in.queued += f.Len()
	in.ready.Push(f)
}

// most is how many bytes a channel may queue: more than a window, since a task that was replaced receives the frames that
// its successor's acknowledgements release.
func (m *Machine) most() int { return m.cfg.HardBound + 4*m.cfg.Window }

// onMark: the source asks for this task's position, or reports the position to continue from.
func (m *Machine) onMark(in *input, sig *channel.Signal) {
	if sig.Incarnation < in.source { // A5
		m.status.Counters.Rejected++
		return
	}
	if sig.Flags&channel.Urge != 0 {
		m.snap.urged = true
	}
	mine := sig.For == m.cfg.Incarnation
	switch {
	case mine && sig.Flags&channel.Greet != 0:
		if sig.Incarnation > in.source {
			m.follow(in, sig.Incarnation, sig.Seq)
		}
		if !in.answered { // it has yet to report how far it has sent
			m.hello(in)
			return
		}
	case mine && sig.Incarnation == in.source:
		m.answered(in, sig.Seq)
		return
	}
	m.ack(in)
}

// answered: the source agrees with this task's position, and had sent up to another one.
func (m *Machine) answered(in *input, sent msgid.Seq) {
	if in.answered {
		return
	}
	in.answered, in.goal = true, sent
	if sent > in.began { // some of it may have come already: the replay subject is faster
		missed := uint64(sent - in.began)
		m.status.Counters.Missed += missed
		if m.status.Recovery.Restored {
			m.status.Recovery.Missed += missed
		}
	}
	m.checkCaughtUp()
}

// follow switches to a new incarnation of the source, which shares the numbers of the last one up to a position (A6).
// Tuples above it come again, perhaps under other numbers.
func (m *Machine) follow(in *input, source msgid.Incarnation, common msgid.Seq) {
	if m.stage.Finished() && common < in.consumed {
		m.stage.Fail(m.do, &recovery.WentBackError{Channel: in.port.ID, Restored: common, Stable: in.consumed, Source: true})
		return
	}
	in.source = source
	if m.bug == NoStepBack {
		common = in.accepted
	}
	if common < in.accepted {
		in.cutAbove(common)
	}
	if common < in.consumed {
		in.consumed, in.ended = common, false
	}
	if common < in.capturing {
		in.capturing, in.capturingEnd = common, false
	}
	in.accepted = min(in.accepted, common)
	in.stable = min(in.stable, common)
	in.goal, in.began = min(in.goal, common), in.accepted
}

// onRefuse: this task's log is older than the position that the task has reported to its source as stable (A8).
func (m *Machine) onRefuse(in *input, sig *channel.Signal) {
	if sig.Incarnation < in.source || sig.For != m.cfg.Incarnation {
		m.status.Counters.Rejected++
		return
	}
	m.stage.Fail(m.do, &recovery.WentBackError{Channel: in.port.ID, Restored: sig.Have, Stable: sig.Seq})
}

// pop takes the next frame from the ready queue.
func (in *input) pop() channel.Frame {
	f := in.ready.Pop()
	in.queued -= f.Len()
	return f
}

// cutAbove drops the tuples above a position from the ready queue.
func (in *input) cutAbove(s msgid.Seq) {
	for in.ready.Len() > 0 {
		last := in.ready.Back()
		if last.Last() <= s {
			return
		}
		in.queued -= last.Len()
		if last.First <= s {
			if f, err := last.Cut(last.First, s); err == nil {
				*last = f
				in.queued += f.Len()
				return
			}
			in.accepted = last.First - 1 // its items do not add up to its count: as good as lost
		}
		in.ready.Drop()
	}
}
