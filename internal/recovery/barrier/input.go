package barrier

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An input is the target's end of a channel.
//
//	     consumed        accepted             proven
//	#1 … ───┤  ready frames  ├── hole ── ahead ──┤ …
type input struct {
	index  recovery.Input
	port   recovery.Port
	source msgid.Incarnation // that has sent a signal in this epoch; 0: none yet

	consumed   msgid.Seq
	sum        uint32 // running checksum at consumed
	ended      bool   // the end mark was consumed
	accepted   msgid.Seq
	ready      recovery.Queue
	ahead      recovery.Ahead
	readyBytes int
	unacked    int // bytes consumed since the last ACK

	barrier wave      // the newest one known on this channel
	stand   msgid.Seq // the last item before it

	proven  msgid.Seq // every item up to here has arrived or is lost
	asked   msgid.Seq // the ASK that is on its way goes up to here
	askAt   recovery.Tick
	delay   recovery.Tick
	helloAt recovery.Tick
}

// hello sends the first signal of this task to its source in this epoch.
func (m *Task) hello(in *input) {
	in.delay = recovery.Backoff(in.delay, m.cfg.RetryEvery/2, m.cfg.RetryMax)
	in.helloAt = m.now + in.delay
	m.signalPosition(in, channel.Signal{Kind: channel.Hello, Seq: in.consumed})
}

// ack reports to the source the positions that have arrived and are consumed, and the newest barrier that this task knows.
func (m *Task) ack(in *input) {
	in.unacked = 0
	m.signalPosition(in, channel.Signal{Kind: channel.Ack, For: in.source})
}

// signalPosition sends a signal to the source, with the positions of this end.
func (m *Task) signalPosition(in *input, sig channel.Signal) {
	sig.Wave, sig.Have, sig.Consumed = uint64(in.barrier), in.accepted, in.consumed
	m.signalSource(in, sig)
}

// aligned reports whether a barrier is next on the input (B2).
func (m *Task) aligned(in *input) bool { return in.barrier > m.passed && in.consumed >= in.stand }

// onFrame takes a frame that came in. Only the incarnation that is in this epoch may send (E3).
func (m *Task) onFrame(in *input, f channel.Frame, replay bool) {
	if !m.joined || f.Incarnation != in.source && m.bug != MixedEpochs {
		m.status.Counters.Rejected += uint64(f.Count)
		return
	}
	if replay {
		m.status.Counters.Replayed += uint64(f.Count)
	}
	in.proven = max(in.proven, f.Last())
	switch {
	case f.First <= in.accepted: // frames of one incarnation never overlap in part
		m.status.Counters.Duplicates += uint64(f.Count)
	case f.First == in.accepted+1:
		m.accept(in, f)
		for {
			f, ok := in.ahead.Take(in.accepted)
			if !ok {
				break
			}
			if f.First <= in.accepted {
				m.status.Counters.Duplicates += uint64(f.Count)
				continue
			}
			m.accept(in, f)
		}
	case in.ahead.Has(&f):
		m.status.Counters.Duplicates += uint64(f.Count)
	default: // credit bounds how many there are
		in.ahead.Add(f)
	}
	m.askForHoles(in)
}

// accept queues the next frame. Its flags name the barrier after which it was emitted, so that a barrier is known before a
// tuple behind it is consumed, even if its mark is lost (B3).
func (m *Task) accept(in *input, f channel.Frame) {
	in.accepted = f.Last()
	if byte(f.Flags)-byte(in.barrier.number()) == 1 {
		in.barrier++
		in.stand = f.First - 1
	}
	in.readyBytes += f.Len()
	in.ready.Push(f)
}

// queued returns the bytes received and not consumed.
func (in *input) queued() int { return in.readyBytes + in.ahead.Bytes() }

func (in *input) pop() channel.Frame {
	f := in.ready.Pop()
	in.readyBytes -= f.Len()
	return f
}

// onMark: the source is in this epoch, has sent up to one position, and the newest barrier is at another.
func (m *Task) onMark(in *input, sig *channel.Signal) {
	switch {
	case sig.Incarnation < in.source:
		m.status.Counters.Rejected++
		return
	case sig.Incarnation > in.source:
		in.source = sig.Incarnation
		m.caughtUp()
	}
	in.proven = max(in.proven, sig.Seq)
	if wave(sig.Wave) == in.barrier+1 {
		in.barrier, in.stand = wave(sig.Wave), sig.Have
	}
	m.askForHoles(in)
	m.ack(in)
	m.considerSnapshot()
}

// askForHoles asks for lost tuples once; tickInput asks again for those that do not come. Within an epoch the source has
// them, since it retains all that was not consumed.
func (m *Task) askForHoles(in *input) {
	if in.accepted >= in.asked {
		in.asked, in.delay = 0, 0
	}
	if in.accepted < in.proven && in.asked == 0 {
		m.ask(in)
	}
}

func (m *Task) ask(in *input) {
	holes := in.holes()
	if in.asked == 0 {
		m.status.Counters.Missed += holes.Count()
	}
	in.asked = in.proven
	in.delay = recovery.Backoff(in.delay, m.cfg.RetryEvery, m.cfg.RetryMax)
	in.askAt = m.now + in.delay
	m.status.Counters.Asks++
	m.signalPosition(in, channel.Signal{Kind: channel.Ask, Ranges: holes[:min(len(holes), channel.MaxRanges)]})
}

// holes returns the tuples that are missing between accepted and proven.
func (in *input) holes() msgid.Ranges { return in.ahead.Holes(in.accepted, in.proven) }

func (m *Task) tickInput(in *input) {
	if in.source == 0 && m.now >= in.helloAt {
		m.hello(in)
	}
	if in.accepted < in.proven && m.now >= in.askAt {
		m.ask(in)
	}
}
