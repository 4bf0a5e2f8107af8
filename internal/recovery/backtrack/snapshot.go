package backtrack

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// snapshots says when the task takes one. Snapshots run as a wave against the stream (C3): a task without
// unstable output starts it, and every other takes its own when all its targets have told of the wave, so that
// nearly everything it emitted is stable and need not be stored.
type snapshots struct {
	wave    uint64
	dirty   bool // something has happened that is not in a snapshot
	lastAt  recovery.Tick
	urged   bool // a source retains much
	urgedAt recovery.Tick

	storing   bool
	frozen    bool // the operator's state is frozen, and waits to be stored
	frozenAt  recovery.Tick
	held      bool   // what the snapshot covers is noted, and was not handed out yet
	position  uint64 // the order position of the snapshot being stored
	captured  uint64 // its wave
	closing   bool   // it is the task's last
	final     bool   // the last one is durable
	lost      bool   // the log was lost: the next one is full and stands for everything before
	toldAt    recovery.Tick
	forwarded bool // the urge was passed on
}

// considerSnapshot takes a snapshot if one is due and may be taken now: not while the operator runs, and not
// while recorded order is repeated (C1).
func (m *Machine) considerSnapshot() {
	s := &m.snap
	if m.working || m.failed || len(m.determinants.replay) > 0 {
		return
	}
	if s.urged && !s.forwarded {
		s.forwarded, s.urgedAt = true, m.now
		for o := range m.out {
			if out := &m.out[o]; out.open && out.stable < out.released {
				m.mark(out, channel.Urge)
			}
		}
	}
	if s.storing {
		m.considerStore()
		return
	}
	if at := m.snapshotAt(); at == 0 || m.now < at {
		return
	}
	s.urged, s.forwarded = false, false
	if !s.dirty {
		m.passWave()
		return
	}
	s.storing = true
	do := recovery.Action{Kind: recovery.Freeze}
	if s.lost {
		do.Full = true
	}
	m.do.Add(do)
}

// snapshotAt returns the moment from which a snapshot is due; 0: never, as things stand.
func (m *Machine) snapshotAt() recovery.Tick {
	s := &m.snap
	switch {
	case s.lost:
		return max(1, m.now)
	case s.final:
		return 0
	case m.ended, m.cfg.Pessimism != recovery.Optimistic && m.gated():
		return max(1, m.now)
	case !s.dirty && len(m.in) == 0:
		return 0
	}
	settled, fresh := true, true
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.emitted {
			settled = false
			fresh = fresh && out.fresh
		}
	}
	// However much it is urged, a task leaves some time between two snapshots.
	at := s.lastAt + max(1, m.cfg.SnapshotEvery/50)
	switch {
	case settled && s.urged, !settled && fresh:
		return at
	case settled:
		return s.lastAt + m.cfg.SnapshotEvery
	case s.urged:
		return max(at, s.urgedAt+m.urgeEvery())
	}
	return s.lastAt + 3*m.cfg.SnapshotEvery
}

// snapshotWake returns when a snapshot may become due, or may be stored, by itself.
func (m *Machine) snapshotWake() recovery.Tick {
	switch {
	case m.snap.frozen:
		return max(m.now+1, m.storeAt())
	case m.snap.storing || len(m.determinants.replay) > 0:
		return 0
	}
	return m.snapshotAt()
}

// onFrozen notes what the snapshot covers. It may be stored some time later.
func (m *Machine) onFrozen() {
	if !m.snap.storing || m.snap.held {
		return
	}
	m.freeze()
	m.snap.frozen, m.snap.frozenAt = true, m.now
	m.considerStore()
}

// considerStore stores a frozen snapshot when the targets have made all stable that was emitted by then: it need
// not hold any frame. At full load the frames on their way are a quarter of all that flows, and writing them to the
// log cost more than everything else that recovery does.
func (m *Machine) considerStore() {
	if s := &m.snap; s.frozen && (m.now >= m.storeAt() || m.capturedStable()) {
		s.frozen = false
		m.do.Add(recovery.Action{Kind: recovery.Upload})
	}
}

// storeAt returns the moment from which a frozen snapshot is stored in any case.
func (m *Machine) storeAt() recovery.Tick {
	s := &m.snap
	if s.lost || s.closing || m.cfg.Pessimism != recovery.Optimistic {
		return s.frozenAt
	}
	return s.frozenAt + m.cfg.SnapshotEvery/2
}

func (m *Machine) capturedStable() bool {
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.captured {
			return false
		}
	}
	return true
}

// freeze notes what the snapshot covers: all that was consumed and emitted so far.
func (m *Machine) freeze() {
	s := &m.snap
	s.dirty = false
	s.position = m.determinants.pos
	s.closing = m.ended
	m.determinants.mergeable = false
	m.nextWave()
	s.captured = s.wave
	for i := range m.in {
		in := &m.in[i]
		in.capturing, in.capturingSum, in.capturingEnd = in.consumed, in.sum, in.ended
		if m.bug == EarlyAck {
			in.stable = in.consumed
		}
	}
	for o := range m.out {
		out := &m.out[o]
		out.captured, out.capturedSum = out.emitted, out.sum
	}
	s.held = true
}

// passWave tells the sources of a wave in which there is nothing to store.
func (m *Machine) passWave() {
	m.snap.lastAt = m.now
	m.nextWave()
	m.ackAll()
}

func (m *Machine) nextWave() {
	m.snap.wave++
	for o := range m.out {
		m.out[o].fresh = false
	}
}

// onUploaded: the snapshot is durable. Order up to it needs no other record, and sources may trim (C2).
func (m *Machine) onUploaded() {
	s := &m.snap
	if !s.storing {
		return
	}
	s.storing, s.lost = false, false
	s.lastAt = m.now
	s.final = s.closing
	m.status.Counters.Snapshots++
	m.determinants.covered(s.position)
	for i := range m.in {
		m.in[i].stable = m.in[i].capturing
	}
	if m.cfg.Pessimism == recovery.Optimistic || s.final || m.now > s.toldAt {
		s.toldAt = m.now
		m.ackAll()
	}
	for o := range m.out {
		m.out[o].saved = m.out[o].captured
		m.pump(&m.out[o])
	}
	m.checkDone()
	m.considerSnapshot()
}

// onLogLost: what was in flight is gone with the log. A full snapshot makes up for all of it; nothing is
// released until it is durable. Records that were being repeated are repeated first.
func (m *Machine) onLogLost() {
	s := &m.snap
	s.storing, s.lost, s.final, s.dirty = false, true, false, true
	s.frozen, s.held = false, false
	m.determinants.inFlight = false
	m.determinants.pending = m.determinants.pending[:0]
	m.considerSnapshot()
}

const snapshotVersion = 1

// Capture implements recovery.Machine (C1). It holds what the machine was at the last Frozen (or now, if there was
// none), and the frames up to then that are not stable yet: a full capture all of them, an increment, like one of
// keyed state (C4), those since the snapshot before. The reader drops what has become stable.
func (m *Machine) Capture(dst []byte, full bool) []byte {
	s := &m.snap
	if !s.held {
		m.freeze()
	}
	s.held = false
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, s.captured)
	dst = binary.AppendUvarint(dst, s.position)
	dst = recovery.AppendBool(dst, s.closing)
	dst = binary.AppendUvarint(dst, uint64(len(m.in)))
	for i := range m.in {
		in := &m.in[i]
		dst = binary.AppendUvarint(dst, uint64(in.port.Number))
		dst = binary.AppendUvarint(dst, uint64(in.capturing))
		dst = binary.LittleEndian.AppendUint32(dst, in.capturingSum)
		dst = recovery.AppendBool(dst, in.capturingEnd)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.out)))
	for o := range m.out {
		out := &m.out[o]
		dst = binary.AppendUvarint(dst, uint64(out.port.Number))
		dst = binary.AppendUvarint(dst, uint64(out.captured))
		dst = binary.LittleEndian.AppendUint32(dst, out.capturedSum)
		dst = binary.AppendUvarint(dst, uint64(min(out.stable, out.captured)))
		dst = binary.AppendUvarint(dst, uint64(out.stableInc))
		from, to := 0, out.retained.Find(out.captured+1)
		if !full {
			from = min(to, out.retained.Find(out.saved+1))
		}
		dst = out.retained.Append(dst, from, to)
	}
	return dst
}

var errSnapshot = fmt.Errorf("backtrack: snapshot: %w", checkpoint.ErrDamaged)

// apply reads what Capture gave into a machine that is being restored, and adds the frames to those of each output.
func (m *Machine) apply(part []byte, frames [][]channel.Frame, full bool) error {
	d := recovery.Decode(part)
	if v := d.Byte(); v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this build reads %d", errSnapshot, v, snapshotVersion)
	}
	m.snap.wave = d.Uvarint()
	m.determinants.pos = d.Uvarint()
	m.ended = d.Bool()
	if d.Uvarint() != uint64(len(m.in)) {
		return fmt.Errorf("%w: it has another number of inputs", errSnapshot)
	}
	for i := range m.in {
		in := &m.in[i]
		if n := d.Uvarint(); n != uint64(in.port.Number) {
			return fmt.Errorf("%w: channel %d stands where %v is expected", errSnapshot, n, in.port.ID)
		}
		in.consumed = msgid.Seq(d.Uvarint())
		in.sum = d.Uint32()
		in.ended = d.Bool()
	}
	if d.Uvarint() != uint64(len(m.out)) {
		return fmt.Errorf("%w: it has another number of outputs", errSnapshot)
	}
	for o := range m.out {
		if full {
			frames[o] = nil
		}
		more, err := m.applyOutput(d, &m.out[o])
		if err != nil {
			return err
		}
		frames[o] = append(frames[o], more...)
	}
	if !d.Done() {
		return fmt.Errorf("%w: cut short or too long", errSnapshot)
	}
	return nil
}

func (m *Machine) applyOutput(d *recovery.Decoder, out *output) ([]channel.Frame, error) {
	if n := d.Uvarint(); n != uint64(out.port.Number) {
		return nil, fmt.Errorf("%w: channel %d stands where %v is expected", errSnapshot, n, out.port.ID)
	}
	out.emitted = msgid.Seq(d.Uvarint())
	out.sum = d.Uint32()
	out.stable = msgid.Seq(d.Uvarint())
	out.stableInc = msgid.Incarnation(d.Uvarint())
	frames, err := d.Frames()
	if err != nil {
		return nil, fmt.Errorf("%w: retained frames of %v: %w", errSnapshot, out.port.ID, err)
	}
	return frames, nil
}
