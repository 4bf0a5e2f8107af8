package backtrack

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An output is the source's end of a channel. It retains every frame until an ACK makes it stable (S1).
//
//	#1 … stable ├── retained: released ──┤── gated or without credit ──┤ emitted
//
// Invariant: stable <= emitted and stable <= released. A restored source may learn that its earlier incarnation released
// more than it has regenerated yet; then released is above emitted, and frames that it regenerates up to there are retained
// and not sent (R4).
type output struct {
	index  recovery.Output
	port   recovery.Port
	target msgid.Incarnation // the highest incarnation of the target seen

	emitted  msgid.Seq
	sum      uint32 // running checksum at emitted
	released msgid.Seq
	stable   msgid.Seq

	retained recovery.Retention // above stable, each with its gate: it may go when that is durable (D2)
	sent     int                // as many of them, the oldest, are released

	open         bool              // the target has reported its position; no frame is published before
	consumed     msgid.Seq         // flow control: the target has consumed up to here
	credit       uint64            // the offset of consumed: a frame may go if it begins less than a window above
	verified     bool              // the target has answered this incarnation, and its position was compared or will be
	have         msgid.Seq         // the target's position, which this incarnation has not regenerated yet; 0: none
	haveSum      uint32            // running checksum at have, as the target reported it
	targetInDebt bool              // the target is in replay debt; see inDebt
	stableInc    msgid.Incarnation // of the target whose ACK raised stable
	begun        msgid.Seq         // stable when this incarnation began
	saved        msgid.Seq         // emitted at the last durable snapshot
	captured     msgid.Seq         // emitted at the current snapshot
	capturedSum  uint32
	wanted       msgid.Ranges // asked for, and not resent yet

	markAt    recovery.Tick // when the high-water mark is repeated; 0: never
	markDelay recovery.Tick
	urgedAt   recovery.Tick
	wave      uint64
	fresh     bool // the target has reported a new wave since the last snapshot of this task
}

// onSealed retains a new frame, and releases all releasable ones.
func (m *Machine) onSealed(out *output, f channel.Frame) {
	out.emitted, out.sum = f.Last(), f.After
	if out.have != 0 && out.have <= out.emitted {
		m.verify(out, f)
	}
	m.status.Counters.Emitted += uint64(f.Count)
	if out.consumed >= f.Last() {
		out.credit = out.retained.End() + uint64(f.Len())
	}
	if f.Last() <= out.stable { // regenerated, and the target will not need it again
		out.retained.Skip(f)
		m.do.Add(recovery.Action{Kind: recovery.Free, Output: out.index, Frame: f})
		return
	}
	out.retained.Push(f, m.determinants.last)
	m.retainedBytes += f.Len()
	m.pump(out)
	m.appendDeterminants(false)
	m.urge()
}

// pump releases all releasable frames in order, then answers the ASK.
func (m *Machine) pump(out *output) {
	if !out.open {
		return
	}
	for out.sent < out.retained.Len() {
		r := out.retained.At(out.sent)
		if r.Gate > m.determinants.durable && m.bug != EarlyRelease { // D2
			break
		}
		if r.Frame.Last() > out.released {
			if r.Offset >= out.credit+uint64(m.cfg.Window) && m.bug != NoCredit {
				break
			}
			out.released = r.Frame.Last()
			out.markDelay = m.cfg.MarkEvery
			out.markAt = m.now + out.markDelay
			m.do.Add(recovery.Action{Kind: recovery.Publish, Output: out.index, Frame: r.Frame})
		}
		out.sent++
	}
	if len(out.wanted) > 0 {
		m.resend(out)
	}
}

// resend answers an ASK with exactly the tuples that it names, as far as they are released, and no further above the
// target's consumed position than its window: the target is not flooded, and live traffic flows between (S2).
func (m *Machine) resend(out *output) {
	for len(out.wanted) > 0 {
		want := out.wanted[0]
		k := out.retained.Find(want.First)
		if k >= out.sent {
			return // not regenerated yet
		}
		r := out.retained.At(k)
		if want.First < r.Frame.First { // below the retained frames: overtaken by an ACK
			out.wanted.Remove(seqRange(want.First, r.Frame.First-1))
			continue
		}
		if r.Offset >= out.credit+uint64(m.cfg.Window) {
			return
		}
		f := r.Frame
		part := seqRange(max(want.First, f.First), min(want.Last, f.Last()))
		out.wanted.Remove(part)
		if part.First > f.First || part.Last < f.Last() {
			cut, err := f.Cut(part.First, part.Last)
			if err != nil {
				continue // its items do not add up: the target would reject it anyway
			}
			f = cut
		}
		m.status.Counters.Resent += uint64(f.Count)
		m.do.Add(recovery.Action{Kind: recovery.Resend, Output: out.index, Frame: f})
	}
}

// onHello: the target was restored, at a position (R3). It is answered with the high-water mark, in order with the data:
// tuples that the target does not have when the mark arrives are missing.
func (m *Machine) onHello(out *output, sig *channel.Signal) {
	if !m.admitTarget(out, sig, sig.Seq) {
		return
	}
	if !out.open {
		m.openAt(out, max(sig.Have, sig.Seq))
	}
	m.signalTarget(out, channel.Signal{Kind: channel.Mark, Seq: out.released, For: sig.Incarnation})
	m.pump(out)
}

// admitTarget checks the incarnation of the target (T4), and begins flow control anew for one that was restored at a
// position. It reports whether the signal counts.
func (m *Machine) admitTarget(out *output, sig *channel.Signal, restored msgid.Seq) bool {
	if highest := max(out.target, out.stableInc); sig.Incarnation < highest && m.bug != NoFence {
		m.status.Counters.Rejected++
		// The sender learns from this that it was believed dead, or that its log has forgotten incarnations; to the highest
		// one it is a mark like any other.
		m.signalTarget(out, channel.Signal{Kind: channel.Mark, Seq: out.released, For: highest})
		return false
	}
	// S4. An answer to this incarnation was sent after it began, and can be behind the position that was stable then only
	// if the target's log went back: even the count of its incarnations may have.
	back := restored < out.stable && sig.Incarnation > out.stableInc || restored < out.begun && sig.For == m.cfg.Incarnation
	if back && m.bug != NoRefusal {
		m.signalTarget(out, channel.Signal{
			Kind: channel.Refuse, For: sig.Incarnation, Seq: out.stable, Have: restored,
		})
		return false
	}
	if sig.Incarnation > out.target { // R5: only this channel's flow control begins anew
		out.target = sig.Incarnation
		out.wanted = nil
		out.setConsumed(restored)
	}
	return true
}

// verifyTarget takes the position that the target reports, the first time it answers this incarnation. Up to there the
// target must have the same tuples as this task has emitted or will have regenerated (T5). The target itself would find a
// difference only in the next frame, and there may be none.
func (m *Machine) verifyTarget(out *output, sig *channel.Signal) {
	if out.verified || sig.For != m.cfg.Incarnation {
		return
	}
	out.verified = true
	out.have, out.haveSum = sig.Have, sig.Sum
	if out.have > out.emitted {
		m.verifyEnd()
	} else if k := out.retained.Find(out.have); k < out.retained.Len() && out.retained.At(k).Frame.First <= out.have {
		m.verify(out, out.retained.At(k).Frame)
	} else {
		out.have = 0 // it is stable
	}
}

// verify compares the target's position with the frame in which it lies.
func (m *Machine) verify(out *output, f channel.Frame) {
	if out.have < f.Last() {
		cut, err := f.Cut(f.First, out.have)
		if err != nil {
			m.stage.Fail(m.do, fmt.Errorf("backtrack: compare emitted tuples with those of %v: %w", out.port.ID, err))
			return
		}
		f = cut
	}
	if f.After != out.haveSum && m.bug != ChecksumIgnored {
		m.diverge(out, out.have, f.After)
	}
	out.have = 0
}

// verifyEnd: a task that has finished, and has not regenerated all that its targets have, is not deterministic (T5).
func (m *Machine) verifyEnd() {
	for o := range m.out {
		if out := &m.out[o]; m.stage.Finished() && out.have > out.emitted && m.bug != ChecksumIgnored {
			m.diverge(out, out.emitted, out.sum)
		}
	}
}

// diverge fails: up to a position, the target has other tuples than this task has emitted.
func (m *Machine) diverge(out *output, at msgid.Seq, sum uint32) {
	m.stage.Fail(m.do, &recovery.DivergedError{ID: msgid.ID{Channel: out.port.ID, Seq: at + 1}, Want: out.haveSum, Got: sum})
}

// openAt begins to publish: the target has all up to a position, and the rest goes out in order.
func (m *Machine) openAt(out *output, have msgid.Seq) {
	out.open = true
	out.released = max(have, out.stable)
	out.markDelay = m.cfg.MarkEvery
	out.markAt = m.now + out.markDelay
	m.checkCaughtUp()
}

// onAck trims the stable frames (S1), and takes credit.
func (m *Machine) onAck(out *output, sig *channel.Signal) {
	if !m.admitTarget(out, sig, sig.Seq) {
		return
	}
	m.verifyTarget(out, sig)
	if !out.open && sig.For == m.cfg.Incarnation {
		m.openAt(out, sig.Have)
		out.setConsumed(sig.Consumed)
	}
	if sig.Consumed > out.consumed {
		out.setConsumed(sig.Consumed)
		out.markDelay = m.cfg.MarkEvery
	}
	if sig.Seq > out.stable {
		out.stableInc = sig.Incarnation
		m.trim(out, sig.Seq)
	} else if sig.Seq == out.stable {
		out.stableInc = sig.Incarnation
	}
	if sig.Wave != out.wave {
		out.wave, out.fresh = sig.Wave, true
	}
	out.targetInDebt = sig.Flags&channel.ReplayDebt != 0
	m.pump(out)
	m.checkDone()
}

// setConsumed sets the target's consumed position, and its offset in bytes.
func (out *output) setConsumed(s msgid.Seq) {
	out.consumed, out.credit = s, out.retained.After(s)
}

// trim drops the frames that a durable snapshot of the target covers, and none above them (S1).
func (m *Machine) trim(out *output, stable msgid.Seq) {
	if m.bug == EarlyTrim {
		stable++
	}
	out.stable = stable
	out.released = max(out.released, stable)
	dropped := out.retained.Trim(stable, func(f *channel.Frame) {
		m.retainedBytes -= f.Len()
		m.do.Add(recovery.Action{Kind: recovery.Free, Output: out.index, Frame: *f})
	})
	out.sent = max(0, out.sent-dropped)
	out.wanted = out.wanted.Minus(msgid.Ranges{seqRange(1, stable)})
	if out.open && stable >= out.emitted && stable >= out.released {
		out.markAt = 0 // no frame is left to be asked for; but a target that has not answered is greeted again
	}
}

// onAsk takes the ranges that the target asks for: the released part, as far as no ACK has overtaken it (S2, S4).
func (m *Machine) onAsk(out *output, sig *channel.Signal) {
	if !m.admitTarget(out, sig, sig.Seq) {
		return
	}
	if !out.open {
		return // once the target has reported its position, the rest goes out in order
	}
	for _, r := range sig.Ranges {
		r.First, r.Last = max(r.First, out.stable+1), min(r.Last, out.released)
		if r.First <= r.Last {
			out.wanted.Add(r)
		}
	}
	m.pump(out)
}

// greet asks the target for its position, since this incarnation of its source is new. The answer opens the channel.
func (m *Machine) greet(out *output) {
	out.markDelay = max(out.markDelay, m.cfg.MarkEvery)
	out.markAt = m.now + out.markDelay
	out.markDelay = recovery.Backoff(out.markDelay, 0, m.cfg.MarkMax)
	m.signalTarget(out, channel.Signal{Kind: channel.Mark, Flags: channel.Greet, Seq: out.emitted})
}

// mark reports to the target, in order with the data, how far the channel is released (S3).
func (m *Machine) mark(out *output, flags channel.SignalFlags) {
	if m.bug == NoMark {
		return
	}
	if m.stage.Finished() && out.released >= out.emitted {
		flags |= channel.Ended
	}
	m.signalTarget(out, channel.Signal{Kind: channel.Mark, Flags: flags, Seq: out.released})
}

// tickOutput repeats the mark of a quiet channel that has released but unstable frames, with growing delay (S3).
func (m *Machine) tickOutput(out *output) {
	if out.markAt == 0 || m.now < out.markAt {
		return
	}
	switch {
	case !out.open:
		m.greet(out)
	case out.stable >= out.released:
		out.markAt = 0
	default:
		out.markAt = m.now + out.markDelay
		out.markDelay = recovery.Backoff(out.markDelay, 0, m.cfg.MarkMax)
		m.mark(out, 0)
	}
}

// urge asks the targets for a snapshot when much is retained (S1).
func (m *Machine) urge() {
	if m.retainedBytes < m.cfg.SoftBound {
		return
	}
	for o := range m.out {
		out := &m.out[o]
		if out.open && out.retained.Len() > 0 && m.now >= out.urgedAt {
			out.urgedAt = m.now + m.urgeEvery()
			m.mark(out, channel.Urge)
		}
	}
}

func (m *Machine) urgeEvery() recovery.Tick { return max(1, m.cfg.SnapshotEvery/10) }

// A debt is the tuples that a target, or a target of that, has consumed before and this task has not regenerated yet.
type debt struct {
	reported bool          // the sources know of it
	reportAt recovery.Tick // when it is reported, and reported again; 0: there is none
}

// inDebt reports whether a target waits for tuples that it, or a target of its, has consumed before: while it repeats
// recorded turns it can consume no others, so no bound may keep this task from regenerating them. Frames are cut in other
// places than the first time, and other frames are retained, so windows and bounds that sufficed then may not now: this
// task could wait for the credit of one target, which waits for the turn of another, which waits for this task. The output
// beyond the bounds is bounded by the output before the failure.
func (m *Machine) inDebt() bool {
	for o := range m.out {
		if out := &m.out[o]; out.open && (out.consumed > out.emitted || out.targetInDebt && out.consumed == out.emitted) {
			return true
		}
	}
	return false
}

// watchDebt updates whether this task is in debt. A replay of the record counts as a debt: it cannot stop halfway either.
// The sources get a report if this task receives no input for a while, so in an ordinary recovery there is none.
func (m *Machine) watchDebt() {
	switch in := m.inDebt() || m.replaying(); {
	case !in && m.debt.reported:
		m.debt = debt{}
		m.ackAll()
	case !in:
		m.debt.reportAt = 0
	case m.debt.reportAt == 0:
		m.debt.reportAt = m.now + m.cfg.RetryEvery
	}
}

// tickDebt reports the debt to the sources, again and again, since an ACK may be lost.
func (m *Machine) tickDebt() {
	if m.debt.reportAt != 0 && m.now >= m.debt.reportAt {
		m.debt = debt{reported: true, reportAt: m.now + m.cfg.RetryEvery}
		m.ackAll()
	}
}

// blocked returns the output that keeps the task from consuming: one without credit, or, at the hard bound of
// retention, the one that retains most. It returns NoOutput if there is none, or if the task is in debt.
func (m *Machine) blocked() recovery.Output {
	o := recovery.Blocked(m.out, m.cfg.Window, m.cfg.HardBound, func(out *output) (ahead, retained uint64) {
		if m.bug != NoCredit {
			ahead = out.retained.End() - out.credit
		}
		return ahead, out.retained.Bytes()
	})
	if o != recovery.NoOutput && m.inDebt() {
		return recovery.NoOutput
	}
	return o
}
