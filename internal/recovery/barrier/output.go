package barrier

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An output is the source's end of a channel.
//
//	     consumed        sent            emitted
//	#1 … ───┤  in flight  ├── unsent ──────┤
//	        └────────── retained ──────────┘
//
// It retains the frames that the target has not consumed, to resend them if they are lost. Tuples that the target has
// consumed, and then loses with its state, come again from the checkpoint that all go back to.
type output struct {
	index  recovery.Output
	port   recovery.Port
	target msgid.Incarnation // that has sent a signal in this epoch; 0: none yet, and no frame is sent

	emitted  msgid.Seq
	sum      uint32
	sent     msgid.Seq
	consumed msgid.Seq
	frames   []channel.Frame // retained
	next     int             // of frames: the first unsent
	flying   int             // bytes sent and not consumed
	waiting  int             // bytes unsent

	barrier wave      // the newest one emitted
	stand   msgid.Seq // the last item before it
	known   wave      // the newest one that the target has confirmed

	markAt recovery.Tick
	delay  recovery.Tick
}

// settled reports whether the target has all frames and has confirmed the newest barrier.
func (out *output) settled() bool {
	return out.target != 0 && out.consumed >= out.sent && out.known >= out.barrier
}

// mark reports to the target how far the channel was sent, and the position of the newest barrier.
func (m *Task) mark(out *output, answer msgid.Incarnation) {
	out.delay = recovery.Backoff(out.delay, m.cfg.MarkEvery, m.cfg.MarkMax)
	out.markAt = m.now + out.delay
	m.signalTarget(out, channel.Signal{
		Kind: channel.Mark, For: answer, Seq: out.sent, Have: out.stand, Wave: uint64(out.barrier),
	})
}

// forward sends the marks of a barrier that has gone through the task. It is the end of every step, since a snapshot
// may be captured between steps.
func (m *Task) forward() {
	if !m.forwarding || m.stage == recovery.StageFailed {
		return
	}
	m.forwarding = false
	for o := range m.out {
		if out := &m.out[o]; out != m.control {
			out.delay = 0
			m.mark(out, 0)
		}
	}
}

func (m *Task) tickOutput(out *output) {
	if out != m.control && !out.settled() && m.now >= out.markAt {
		m.mark(out, 0)
	}
}

// onSealed retains a frame, and sends it if credit allows. No frame goes to the coordinator: the only item on that channel
// is the end mark, and the report holds that the task has ended.
func (m *Task) onSealed(out *output, f channel.Frame) {
	m.dirty = true
	m.status.Counters.Emitted += uint64(f.Count)
	out.emitted, out.sum = f.Last(), f.After
	if out == m.control {
		m.do.Add(recovery.Action{Kind: recovery.Free, Output: out.index, Frame: f})
		return
	}
	if n := out.barrier.number(); n > 0 {
		f.Stamp(channel.Flags(n)) // B3
	}
	out.frames = append(out.frames, f)
	out.waiting += f.Len()
	m.pump(out)
}

// pump sends frames as far as credit allows.
func (m *Task) pump(out *output) {
	for out.target != 0 && out.next < len(out.frames) && out.flying < m.cfg.Window {
		f := out.frames[out.next]
		out.next++
		out.waiting -= f.Len()
		out.flying += f.Len()
		out.sent = f.Last()
		out.delay = 0
		out.markAt = m.now + m.cfg.MarkEvery
		m.do.Add(recovery.Action{Kind: recovery.Publish, Output: out.index, Frame: f})
	}
}

// onPosition: the target greets this task in this epoch, or reports its position.
func (m *Task) onPosition(out *output, sig *channel.Signal) {
	if sig.Incarnation < out.target {
		m.status.Counters.Rejected++
		return
	}
	if sig.Kind == channel.Hello {
		if out.target == 0 && sig.Consumed != out.consumed {
			m.stage.Fail(m.do, &recovery.WentBackError{Channel: out.port.ID, Restored: sig.Consumed, Stable: out.consumed})
			return
		}
		m.mark(out, sig.Incarnation)
	}
	out.target = sig.Incarnation
	out.known = max(out.known, wave(sig.Wave))
	m.trim(out, sig.Consumed)
	m.pump(out)
}

// trim frees the frames that the target has consumed.
func (m *Task) trim(out *output, consumed msgid.Seq) {
	if consumed <= out.consumed {
		return
	}
	out.consumed = consumed
	n := 0
	for ; n < out.next && out.frames[n].Last() <= consumed; n++ {
		out.flying -= out.frames[n].Len()
		m.do.Add(recovery.Action{Kind: recovery.Free, Output: out.index, Frame: out.frames[n]})
	}
	kept := copy(out.frames, out.frames[n:])
	clear(out.frames[kept:])
	out.frames, out.next = out.frames[:kept], out.next-n
}

// onAsk resends the frames that the target has not received.
func (m *Task) onAsk(out *output, sig *channel.Signal) {
	if sig.Incarnation != out.target {
		m.status.Counters.Rejected++
		return
	}
	ranges := sig.Ranges
	for k := range out.next {
		f := out.frames[k]
		for len(ranges) > 0 && ranges[0].Last < f.First {
			ranges = ranges[1:]
		}
		if len(ranges) > 0 && ranges[0].First <= f.Last() {
			m.status.Counters.Resent += uint64(f.Count)
			m.do.Add(recovery.Action{Kind: recovery.Resend, Output: out.index, Frame: f})
		}
	}
}

// blocked returns the output that keeps the task from consuming: one without credit, or, at the hard bound, the one
// that retains most; NoOutput if there is none.
func (m *Task) blocked() recovery.Output {
	return recovery.Blocked(m.out, m.cfg.Window, m.cfg.HardBound, func(out *output) (ahead, retained uint64) {
		n := uint64(out.flying + out.waiting)
		return n, n
	})
}
