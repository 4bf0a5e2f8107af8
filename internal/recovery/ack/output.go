package ack

import (
	"math"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An output is the source's end of a channel. It retains every frame until a snapshot of the target covers it (A4).
//
//	#1 … stable ├── acked ──┤── sent ──┤ emitted
//
// Invariant: stable <= emitted, and acked <= sent <= emitted once the channel is open.
type output struct {
	index  recovery.Output
	port   recovery.Port
	target msgid.Incarnation // the highest incarnation of the target seen
	open   bool              // source and target agree on their positions; no frame is published before

	emitted   msgid.Seq
	sum       uint32            // running checksum at emitted
	begun     msgid.Seq         // emitted in the snapshot from which this incarnation was restored
	floor     msgid.Seq         // stable in that snapshot
	writer    msgid.Incarnation // the incarnation that took that snapshot
	released  msgid.Seq         // the most that was ever sent
	sent      msgid.Seq         // in flight, or acknowledged
	acked     msgid.Seq         // consumed by the target
	resent    msgid.Seq         // the last that was sent on the replay subject
	stable    msgid.Seq
	stableInc msgid.Incarnation // of the target whose ACK raised stable
	captured  recovery.Position // emitted at the current snapshot

	retained recovery.Retention // above stable
	credit   uint64             // the offset of acked
	cut      place
	lent     []piece // in flight, in buffers of the machine's own

	at    recovery.Tick // when to send again, to mark or to greet; 0: never
	delay recovery.Tick
	fresh bool // more is stable than at the last snapshot of this task
}

// A piece is a part of a frame, in a buffer that is used again when it is acknowledged.
type piece struct {
	last msgid.Seq
	raw  []byte
}

// onSealed retains a new frame, and sends as many as the window allows.
func (m *Machine) onSealed(out *output, f channel.Frame) {
	out.emitted, out.sum = f.Last(), f.After
	m.status.Counters.Emitted += uint64(f.Count)
	out.retained.Push(f, 0)
	m.retainedBytes += f.Len()
	m.pump(out)
}

// pump sends tuples in order, as far as the window reaches (A1), and no more than a window of bytes. Tuples that were sent
// before go on the replay subject; new ones wait until those have been acknowledged, since they might overtake them.
func (m *Machine) pump(out *output) {
	if !out.open || m.holding && m.bug != EarlyEnd {
		return
	}
	most := m.limit(out)
	for before := out.sent; out.sent < most; before = out.sent {
		again := out.sent < out.released
		switch {
		case again:
			most = min(most, out.released)
		case out.acked < out.resent:
			return
		}
		if r := out.retained.At(out.retained.Find(out.sent + 1)); r.Offset >= out.credit+uint64(m.cfg.Window) {
			return
		}
		f, err := m.next(out, most)
		if err != nil {
			m.stage.Fail(m.do, err)
			return
		}
		out.sent = f.Last()
		if before == out.acked {
			m.arm(out)
		}
		if again {
			out.resent = out.sent
			m.status.Counters.Resent += uint64(f.Count)
			m.do.Add(recovery.Action{Kind: recovery.Resend, Output: out.index, Frame: f})
			continue
		}
		out.released = out.sent
		m.do.Add(recovery.Action{Kind: recovery.Publish, Output: out.index, Frame: f})
	}
}

// limit returns the last tuple that may be sent: not beyond the window, and no end mark before the last snapshot is
// durable (A7).
func (m *Machine) limit(out *output) msgid.Seq {
	last := out.emitted
	if m.stage.Finished() && !m.snap.Final() && m.bug != EarlyEnd {
		last--
	}
	return min(last, out.acked+msgid.Seq(m.cfg.AckWindow))
}

// onPosition: the target reports its position, in the numbers of one incarnation of this task.
func (m *Machine) onPosition(out *output, sig *channel.Signal) {
	if !m.admitTarget(out, sig) {
		return
	}
	switch {
	case sig.For != m.cfg.Incarnation && out.open: // it was sent before the two agreed
	case sig.For != m.cfg.Incarnation:
		// Not limited by the position that the target reports, which may be out of date when it receives this.
		m.signalTarget(out, channel.Signal{Kind: channel.Mark, Flags: channel.Greet, For: sig.Incarnation, Seq: m.common(out, sig.For)})
	case sig.Have > out.emitted: // A8: this task's log has lost an incarnation, and gave its number to this one
		m.stage.Fail(m.do, &recovery.WentBackError{Channel: out.port.ID, Restored: out.emitted, Stable: sig.Have, Source: true})
	case sig.Consumed > sig.Have || sig.Seq > sig.Consumed:
		m.status.Counters.Rejected++
	default:
		m.onAgreed(out, sig)
	}
}

// onAgreed takes the position of a target that follows this incarnation.
func (m *Machine) onAgreed(out *output, sig *channel.Signal) {
	if !out.open {
		out.open = true
		out.released = max(out.released, sig.Have)
		m.rewind(out, max(sig.Have, out.stable))
		out.acknowledge(max(sig.Consumed, out.stable))
		m.arm(out)
		m.checkCaughtUp()
	} else if sig.Consumed > out.acked {
		out.acknowledge(sig.Consumed)
		out.sent = max(out.sent, out.acked)
		m.takeBack(out)
		m.arm(out)
	}
	if sig.Kind == channel.Hello {
		m.signalTarget(out, channel.Signal{Kind: channel.Mark, For: sig.Incarnation, Seq: out.released})
	}
	if out.stableInc = sig.Incarnation; sig.Seq > out.stable {
		m.trim(out, sig.Seq)
	} else if m.bug == EarlyTrim {
		m.trim(out, max(out.stable, sig.Consumed))
	}
	m.pump(out)
	m.checkDone()
}

// admitTarget checks the incarnation of the target (A5), and that its log has not gone back (A8). A new incarnation makes
// only this channel begin anew. admitTarget reports whether the signal counts.
func (m *Machine) admitTarget(out *output, sig *channel.Signal) bool {
	if highest := max(out.target, out.stableInc); sig.Incarnation < highest {
		m.status.Counters.Rejected++
		// The sender learns from this that it was believed dead.
		m.signalTarget(out, channel.Signal{Kind: channel.Mark, Seq: out.released, For: highest})
		return false
	}
	// The snapshot of a newer incarnation of the target covers the position that was stable before, and an answer to this
	// incarnation covers the one that was stable when this began.
	restored := min(sig.Seq, m.common(out, sig.For))
	if restored < out.stable && sig.Incarnation > out.stableInc || restored < out.floor && sig.For == m.cfg.Incarnation {
		m.signalTarget(out, channel.Signal{Kind: channel.Refuse, For: sig.Incarnation, Seq: out.stable, Have: restored})
		return false
	}
	if sig.Incarnation > out.target {
		out.target, out.open = sig.Incarnation, false
		out.delay, out.at = m.cfg.MarkEvery, m.now+m.cfg.MarkEvery // it is greeted if its next answer is lost
	}
	return true
}

// common returns up to where an incarnation of this task has the numbers of this one (A6): two have the same up to the
// snapshot with which the later began. With incarnations before the one that took this snapshot, only
// the stable position is known to be common.
func (m *Machine) common(out *output, as msgid.Incarnation) msgid.Seq {
	switch {
	case as == m.cfg.Incarnation:
		return math.MaxUint64
	case as >= out.writer:
		return out.begun
	}
	return out.stable
}

// rewind makes the next tuple to be sent the one after s.
func (m *Machine) rewind(out *output, s msgid.Seq) {
	out.sent = s
	m.takeBack(out)
}

// acknowledge sets the target's consumed position, and its offset in bytes.
func (out *output) acknowledge(s msgid.Seq) {
	out.acked, out.credit = s, out.retained.After(s)
}

// trim drops the frames that a durable snapshot of the target covers (A4).
func (m *Machine) trim(out *output, stable msgid.Seq) {
	out.stable, out.fresh = stable, true
	out.retained.Trim(stable, func(f *channel.Frame) {
		m.retainedBytes -= f.Len()
		m.do.Add(recovery.Action{Kind: recovery.Free, Output: out.index, Frame: *f})
	})
}

// greet asks the target for its position.
func (m *Machine) greet(out *output) {
	out.delay = recovery.Backoff(out.delay, m.cfg.MarkEvery, m.cfg.MarkMax)
	out.at = m.now + out.delay
	m.signalTarget(out, channel.Signal{Kind: channel.Mark, Flags: channel.Greet, Seq: out.emitted})
}

// arm sets the time at which an open channel is checked again, with the shortest delay.
func (m *Machine) arm(out *output) {
	switch {
	case out.acked < out.sent:
		out.delay = m.cfg.RetryEvery
	case out.stable < out.released:
		out.delay = m.cfg.MarkEvery
	default:
		out.at = 0
		return
	}
	out.at = m.now + out.delay
}

// tickOutput sends again the tuples that were not acknowledged in time (A2). When all are, and some are not stable, it asks
// the target now and then, since an ACK may be lost.
func (m *Machine) tickOutput(out *output) {
	if out.at == 0 || m.now < out.at {
		return
	}
	switch {
	case !out.open:
		m.greet(out)
	case out.acked < out.sent && m.bug != NoResend:
		delay := recovery.Backoff(out.delay, m.cfg.RetryEvery, m.cfg.RetryMax)
		m.rewind(out, out.acked)
		m.pump(out)
		out.delay, out.at = delay, m.now+delay
	case out.stable < out.released:
		out.delay = recovery.Backoff(out.delay, m.cfg.MarkEvery, m.cfg.MarkMax)
		out.at = m.now + out.delay
		m.mark(out)
	default:
		out.at = 0
	}
}

// mark asks the target for an ACK, and for a snapshot if much is retained.
func (m *Machine) mark(out *output) {
	sig := channel.Signal{Kind: channel.Mark, Seq: out.released}
	if m.retainedBytes >= m.cfg.SoftBound {
		sig.Flags |= channel.Urge
	}
	m.signalTarget(out, sig)
}
