package backtrack

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An input is the target's end of a channel.
//
//	     consumed        accepted             proven
//	#1 … ───┤  ready frames  ├── hole ── ahead ──┤ …
//
// Invariant: stable <= consumed <= accepted. Frames between consumed and accepted wait in ready, without a hole;
// frames above accepted wait in ahead, above a hole.
type input struct {
	index  recovery.Input
	port   recovery.Port
	source msgid.Incarnation // the highest incarnation of the source seen

	consumed msgid.Seq // handed to the operator
	sum      uint32    // running checksum at consumed
	ended    bool      // the end mark was consumed

	accepted    msgid.Seq
	acceptedSum uint32
	ready       recovery.Queue
	readyBytes  int
	ahead       recovery.Ahead

	// proven: every tuple up to here has either arrived or is lost. Data and marks come in order, so each proves that its
	// predecessors were sent; replayed frames prove nothing.
	proven msgid.Seq

	asked    msgid.Ranges // holes asked for and not yet filled
	askAt    recovery.Tick
	askDelay recovery.Tick

	answered   bool // the source has answered this incarnation's hello
	helloAt    recovery.Tick
	helloDelay recovery.Tick
	goal       msgid.Seq // the source's released position when it answered

	stable       msgid.Seq // covered by a durable snapshot
	capturing    msgid.Seq // covered by the current snapshot
	capturingSum uint32
	capturingEnd bool
	recorded     msgid.Seq // recorded turns go up to here: the credit that a replaying task grants
	unacked      int       // bytes consumed since the last ACK
	overflowed   bool      // a frame was dropped since the last ASK
}

// hello reports to the source where this incarnation was restored (R3). It is repeated much sooner than an ASK: the answer is
// only a mark, and the first one may be lost between NATS servers that do not know the subscription yet.
func (m *Machine) hello(in *input) {
	in.helloDelay = max(in.helloDelay, m.cfg.RetryEvery/16)
	in.helloAt = m.now + in.helloDelay
	in.helloDelay = recovery.Backoff(in.helloDelay, 0, m.cfg.RetryMax)
	m.signalSource(in, channel.Signal{Kind: channel.Hello, Seq: in.stable, Have: in.accepted, Sum: in.acceptedSum})
}

// onFrame takes a frame that was received, on the data or on the replay subject.
func (m *Machine) onFrame(in *input, f channel.Frame, replay bool) {
	if f.Incarnation < in.source && m.bug != NoFence { // T4: a paused old incarnation may still send
		m.status.Counters.Rejected += uint64(f.Count)
		return
	}
	in.source = f.Incarnation
	if replay {
		m.status.CountReplayed(uint64(f.Count))
	} else {
		in.proven = max(in.proven, f.Last())
	}
	switch {
	case f.Last() <= in.accepted: // T1
		m.status.CountDuplicates(uint64(f.Count))
		if m.bug == DuplicateAccepted {
			in.ready.Push(f)
		}
	case f.First > in.accepted+1: // T2
		m.keepAhead(in, f)
	case in.queued()+f.Len() > 2*m.most():
		// This may be a paused incarnation that receives the frames for which its successor gives credit.
		m.overflow(in)
	default:
		m.accept(in, f)
		m.acceptAhead(in)
	}
	m.askForHoles(in)
	if len(in.asked) > 0 && in.asked[0].First <= in.accepted {
		in.asked = in.asked.Minus(msgid.Ranges{seqRange(1, in.accepted)})
	}
}

// accept puts a frame that continues the channel into the ready queue. Its history must be the one consumed (T5).
func (m *Machine) accept(in *input, f channel.Frame) {
	if f.First <= in.accepted { // T1: it straddles
		m.status.CountDuplicates(uint64(in.accepted + 1 - f.First))
		cut, err := f.Cut(in.accepted+1, f.Last())
		if err != nil { // its items do not add up to its count: as good as lost
			m.status.Counters.Rejected += uint64(f.Count)
			return
		}
		f = cut
	}
	if f.Before != in.acceptedSum && m.bug != ChecksumIgnored { // T5
		m.stage.Fail(m.do, &recovery.DivergedError{
			ID:   msgid.ID{Channel: in.port.ID, Seq: f.First},
			Want: in.acceptedSum, Got: f.Before,
		})
		return
	}
	in.accepted, in.acceptedSum = f.Last(), f.After
	in.askDelay = 0
	in.readyBytes += f.Len()
	in.ready.Push(f)
}

// acceptAhead accepts the frames that waited above a hole that is filled now.
func (m *Machine) acceptAhead(in *input) {
	for m.stage != recovery.StageFailed {
		f, ok := in.ahead.Take(in.accepted)
		if !ok {
			return
		}
		if f.Last() <= in.accepted {
			m.status.CountDuplicates(uint64(f.Count))
			continue
		}
		m.accept(in, f)
	}
}

// most is how many bytes may be queued before frames above a hole are dropped: more than credits allow. Frames that fill
// the hole are taken up to twice as much.
func (m *Machine) most() int { return m.cfg.HardBound + 4*m.cfg.Window }

// overflow: a frame was dropped, since the queue is full. It is asked for again later, like one that was lost on the way.
func (m *Machine) overflow(in *input) {
	m.status.Counters.Overflow++
	in.overflowed = true
}

// keepAhead keeps a frame above a hole.
func (m *Machine) keepAhead(in *input, f channel.Frame) {
	switch {
	case in.ahead.Has(&f):
		m.status.CountDuplicates(uint64(f.Count))
	case in.queued()+f.Len() > m.most():
		m.overflow(in)
	default:
		in.ahead.Add(f)
	}
}

// askForHoles asks for the tuples that are proven lost and were not asked for yet, all of them in one ASK (T2, T3).
func (m *Machine) askForHoles(in *input) {
	if in.accepted >= in.proven || m.stage == recovery.StageFailed {
		return
	}
	fresh := in.holes().Minus(in.asked)
	if fresh.Empty() || in.overflowed {
		return
	}
	n := fresh.Count()
	m.status.Counters.Missed += n
	if rec := &m.status.Recovery; rec.Open() {
		rec.Missed += n
		for _, r := range fresh {
			rec.Asked.Add(in.port.ID, r)
		}
	}
	in.asked = in.asked.Union(fresh)
	m.ask(in, fresh)
}

// forgetMissed drops the pending ASKs: the source has died, and its successor sends those tuples in order.
func (m *Machine) forgetMissed(in *input, vain msgid.Ranges) {
	m.status.Counters.Missed -= vain.Count()
	if rec := &m.status.Recovery; rec.Open() {
		var set msgid.Set
		for _, r := range vain.Intersect(rec.Asked.Of(in.port.ID)) {
			set.Add(in.port.ID, r)
		}
		rec.Asked = rec.Asked.Minus(set)
		rec.Missed -= set.Count()
	}
}

// ask sends an ASK, and sets the time at which tuples still missing are asked for again.
func (m *Machine) ask(in *input, what msgid.Ranges) {
	if len(what) > channel.MaxRanges {
		what = what[:channel.MaxRanges] // the rest when these are filled, or at the next repetition
	}
	in.askDelay = max(in.askDelay, m.cfg.RetryEvery)
	in.askAt = m.now + in.askDelay
	in.askDelay = recovery.Backoff(in.askDelay, 0, m.cfg.RetryMax)
	m.status.Counters.Asks++
	m.signalSource(in, channel.Signal{Kind: channel.Ask, Seq: in.stable, Ranges: what})
}

// holes returns the tuples that are missing between accepted and proven.
func (in *input) holes() msgid.Ranges { return in.ahead.Holes(in.accepted, in.proven) }

// tickInput repeats a hello without answer, and an ASK without effect, with growing delay (T2).
func (m *Machine) tickInput(in *input) {
	if !in.answered && m.now >= in.helloAt {
		m.hello(in)
	}
	if in.overflowed && in.queued() < m.cfg.HardBound {
		in.overflowed = false
		m.askForHoles(in)
	}
	if len(in.asked) == 0 || m.now < in.askAt {
		return
	}
	if in.askDelay == 0 { // a frame came since: wait once more
		in.askDelay = m.cfg.RetryEvery
		in.askAt = m.now + in.askDelay
		return
	}
	if still := in.holes().Intersect(in.asked); !still.Empty() {
		m.ask(in, still)
	} else {
		in.asked = nil
	}
}

// onMark: the source has released the channel up to a position. The mark comes in order with the data, so tuples that have
// not arrived by now are lost (T3). With a greeting, a new incarnation of the source reports how far it has regenerated,
// and asks for this task's position.
func (m *Machine) onMark(in *input, sig *channel.Signal) {
	if sig.Incarnation < in.source && m.bug != NoFence { // T4
		m.status.Counters.Rejected++
		return
	}
	in.source = sig.Incarnation
	if sig.Flags&channel.Greet != 0 {
		// The source will publish all tuples above this task's position in order: earlier ASKs are void.
		m.forgetMissed(in, in.holes().Intersect(in.asked))
		in.asked, in.askDelay = nil, 0
		in.proven = in.accepted
		if !in.answered {
			in.answered, in.goal = true, in.accepted
		}
		m.checkCaughtUp()
		m.ack(in)
		return
	}
	if sig.For == m.cfg.Incarnation && !in.answered {
		in.answered, in.goal = true, sig.Seq
	}
	if sig.Flags&channel.Urge != 0 {
		m.snap.onUrge()
	}
	in.proven = max(in.proven, sig.Seq)
	m.askForHoles(in)
	m.checkCaughtUp()
	if sig.For == 0 {
		m.ack(in)
	}
}

// onRefuse: this task's log is older than the position that the task has reported to its source as stable (S4).
func (m *Machine) onRefuse(in *input, sig *channel.Signal) {
	if sig.Incarnation < in.source || sig.For != m.cfg.Incarnation {
		m.status.Counters.Rejected++
		return
	}
	m.stage.Fail(m.do, &recovery.WentBackError{Channel: in.port.ID, Restored: sig.Have, Stable: sig.Seq})
}

// ack reports to the source the positions that are stable, received without a hole, and consumed. While recorded turns are
// repeated the task grants credit up to the end of the record: it consumed that much before, so it cannot be flooded, and
// a source must not wait for credit on one channel while this task waits for another.
func (m *Machine) ack(in *input) {
	in.unacked = 0
	var flags channel.SignalFlags
	if m.debt.reported {
		flags = channel.ReplayDebt
	}
	m.signalSource(in, channel.Signal{
		Kind: channel.Ack, Flags: flags, For: in.source,
		Seq: in.stable, Have: in.accepted, Sum: in.acceptedSum, Consumed: max(in.consumed, in.recorded), Wave: m.snap.wave,
	})
}

func (m *Machine) ackAll() {
	for i := range m.in {
		m.ack(&m.in[i])
	}
}

// queued returns the bytes received and not consumed.
func (in *input) queued() int { return in.readyBytes + in.ahead.Bytes() }

// pop takes the next frame; of a frame with more tuples than most, the first ones.
func (in *input) pop(most uint64) channel.Frame {
	f := *in.ready.Front()
	if uint64(f.Count) > most {
		// Both cuts succeed, or the frame's items do not add up; then it is delivered whole, and the task
		// reports the damage.
		first, err1 := f.Cut(f.First, f.First+msgid.Seq(most)-1)
		rest, err2 := f.Cut(f.First+msgid.Seq(most), f.Last())
		if err1 == nil && err2 == nil {
			*in.ready.Front() = rest
			in.readyBytes -= first.Len()
			return first
		}
	}
	in.readyBytes -= f.Len()
	return in.ready.Pop()
}
