package backtrack

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// snapshots holds the schedule of the task's snapshots. Snapshots run as a wave against the stream (C3): a task without
// unstable output starts it, and every other takes its own when all its targets have reported the wave, so that nearly all
// its outputs are stable and need not be stored.
type snapshots struct {
	recovery.Snapshots
	wave    uint64
	urge    urge
	urgedAt recovery.Tick
	ackedAt recovery.Tick // when a durable snapshot was last reported to the sources

	// The current snapshot:
	capturedWave uint64
	capturedLast uint64 // the number of the newest entry of the determinant log that it covers
}

// An urge is the request of a source that retains much.
type urge uint8

const (
	noUrge        urge = iota
	urged              // a source wants a snapshot
	urgeForwarded      // and the targets were urged too, since without their snapshots one of this task would help little
)

func (s *snapshots) onUrge() {
	if s.urge == noUrge {
		s.urge = urged
	}
}

// considerSnapshot takes a snapshot if one is due and may be taken now: not while the operator runs, and not
// while recorded determinants are repeated (C1).
func (m *Machine) considerSnapshot() {
	s := &m.snap
	if m.stage == recovery.StageRunning || m.stage == recovery.StageFailed || m.replaying() {
		return
	}
	if s.urge == urged {
		m.forwardUrge()
	}
	if s.Phase() != recovery.NoSnapshot {
		m.considerUpload()
		return
	}
	if at := m.snapshotAt(); at == 0 || m.now < at {
		return
	}
	s.urge = noUrge
	if !s.Dirty() {
		m.passWave()
		return
	}
	s.Begin(m.do)
}

func (m *Machine) forwardUrge() {
	m.snap.urge, m.snap.urgedAt = urgeForwarded, m.now
	for o := range m.out {
		if out := &m.out[o]; out.open && out.stable < out.released {
			m.mark(out, channel.Urge)
		}
	}
}

// snapshotAt returns the moment from which a snapshot is due; 0: never, in the present state.
func (m *Machine) snapshotAt() recovery.Tick {
	s := &m.snap
	if at, forced := s.Forced(m.now, m.stage.Finished()); forced {
		return at
	}
	switch {
	case m.cfg.Pessimism != recovery.Optimistic && m.gated():
		return max(1, m.now)
	case !s.Dirty() && len(m.in) == 0:
		return 0
	}
	settled, fresh := true, true
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.emitted {
			settled = false
			fresh = fresh && out.fresh
		}
	}
	switch {
	case settled && s.urge != noUrge, !settled && fresh:
		return s.Soon(m.cfg.SnapshotEvery)
	case settled:
		return s.After(m.cfg.SnapshotEvery)
	case s.urge != noUrge:
		return max(s.Soon(m.cfg.SnapshotEvery), s.urgedAt+m.urgeEvery())
	}
	return s.After(3 * m.cfg.SnapshotEvery)
}

// snapshotWake returns when a snapshot may become due, or may be uploaded, without an event.
func (m *Machine) snapshotWake() recovery.Tick {
	due := recovery.Tick(0)
	if !m.replaying() {
		due = m.snapshotAt()
	}
	return m.snap.Wake(m.now, due, m.uploadAt())
}

// onFrozen notes the positions that the snapshot covers. It may be uploaded some time later.
func (m *Machine) onFrozen() {
	if m.snap.Phase() == recovery.SnapshotFreezing {
		m.freeze()
		m.considerUpload()
	}
}

// considerUpload uploads a frozen snapshot when the targets have made all stable that was emitted by then: it need not hold
// any frame. At full load the frames on their way are a quarter of the traffic, and writing them to the log cost more than
// all other work of recovery.
func (m *Machine) considerUpload() {
	if s := &m.snap; s.Phase() == recovery.SnapshotFrozen && (m.now >= m.uploadAt() || m.capturedStable()) {
		s.Upload(m.do)
	}
}

// uploadAt returns the moment from which a frozen snapshot is uploaded in any case.
func (m *Machine) uploadAt() recovery.Tick {
	if m.cfg.Pessimism != recovery.Optimistic {
		return m.now // frames wait for it
	}
	return m.snap.UploadAt(m.cfg.SnapshotEvery)
}

func (m *Machine) capturedStable() bool {
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.captured {
			return false
		}
	}
	return true
}

// freeze notes the present positions: the snapshot covers all tuples consumed and emitted so far.
func (m *Machine) freeze() {
	s := &m.snap
	s.Note(m.now, m.stage.Finished())
	m.determinants.mergeable = false
	m.nextWave()
	s.capturedWave, s.capturedLast = s.wave, m.determinants.last
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
}

// passWave reports a wave to the sources without a snapshot, since there is no change to store.
func (m *Machine) passWave() {
	m.snap.Skip(m.now)
	m.nextWave()
	m.ackAll()
}

func (m *Machine) nextWave() {
	m.snap.wave++
	for o := range m.out {
		m.out[o].fresh = false
	}
}

// onUploaded: the snapshot is durable. Entries of the determinant log up to it need no other record, and sources may
// trim (C2).
func (m *Machine) onUploaded() {
	s := &m.snap
	if !s.Uploaded(m.now) {
		return
	}
	m.status.Counters.Snapshots++
	m.determinants.covered(s.capturedLast)
	for i := range m.in {
		m.in[i].stable = m.in[i].capturing
	}
	if m.cfg.Pessimism == recovery.Optimistic || s.Final() || m.now > s.ackedAt {
		s.ackedAt = m.now
		m.ackAll()
	}
	for o := range m.out {
		m.out[o].saved = m.out[o].captured
		m.pump(&m.out[o])
	}
	m.checkDone()
	m.considerSnapshot()
}

// onLogLost: records in flight are gone with the log. A full snapshot replaces them all; no frame is released until it is
// durable. Determinants that were being repeated are repeated first.
func (m *Machine) onLogLost() {
	m.snap.LogLost()
	m.determinants.inFlight = false
	m.determinants.pending = m.determinants.pending[:0]
	m.considerSnapshot()
}

const snapshotVersion = 1

// Capture implements recovery.Machine (C1). It holds the machine's positions at the last Frozen (or now, if there was
// none), and the frames up to then that are not stable yet: a full capture all of them, an increment, like one of
// keyed state (C4), those since the snapshot before. The reader drops those that have become stable.
func (m *Machine) Capture(dst []byte, full bool) []byte {
	s := &m.snap
	if !s.Phase().Noted() {
		m.freeze()
	}
	s.Captured()
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, s.capturedWave)
	dst = binary.AppendUvarint(dst, s.capturedLast)
	dst = recovery.AppendBool(dst, s.Closing())
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

// apply reads the result of a Capture into a machine that is being restored, and adds the frames to those of each output.
func (m *Machine) apply(part []byte, frames [][]channel.Frame, full bool) error {
	d := recovery.Decode(part)
	if v := d.Byte(); v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this build reads %d", errSnapshot, v, snapshotVersion)
	}
	m.snap.wave = d.Uvarint()
	m.determinants.last = d.Uvarint()
	if d.Bool() {
		m.stage.Finish()
	}
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
