package ack

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// snapshots holds the schedule of the task's snapshots. Sinks take one on an interval, every other task when its targets
// have reported that more is stable: then the frames that it retains, and has to store, are few.
type snapshots struct {
	recovery.Snapshots
	urged bool // a source retains much
}

// considerSnapshot takes a snapshot if one is due and may be taken now: not while the operator runs.
func (m *Machine) considerSnapshot() {
	s := &m.snap
	if m.stage == recovery.StageRunning || m.stage == recovery.StageFailed {
		return
	}
	if s.Phase() != recovery.NoSnapshot {
		m.considerUpload()
		return
	}
	if at := m.snapshotAt(); at == 0 || m.now < at {
		return
	}
	s.urged = false
	s.Begin(m.do)
}

// snapshotAt returns the moment from which a snapshot is due; 0: never, in the present state.
func (m *Machine) snapshotAt() recovery.Tick {
	s := &m.snap
	if at, forced := s.Forced(m.now, m.stage.Finished()); forced {
		return at
	}
	switch {
	case !s.Dirty():
		return 0
	case s.urged:
		return s.Soon(m.cfg.SnapshotEvery)
	}
	settled, fresh := true, true
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.emitted {
			settled = false
			fresh = fresh && out.fresh
		}
	}
	switch {
	case settled:
		return s.After(m.cfg.SnapshotEvery)
	case fresh:
		return s.After(max(1, m.cfg.SnapshotEvery/2))
	}
	return s.After(3 * m.cfg.SnapshotEvery)
}

// snapshotWake returns when a snapshot may become due, or may be uploaded, without an event.
func (m *Machine) snapshotWake() recovery.Tick {
	return m.snap.Wake(m.now, m.snapshotAt(), m.snap.UploadAt(m.cfg.SnapshotEvery))
}

// onFrozen notes the positions that the snapshot covers. It may be uploaded some time later.
func (m *Machine) onFrozen() {
	if m.snap.Phase() == recovery.SnapshotFreezing {
		m.freeze()
		m.considerUpload()
	}
}

// considerUpload uploads a frozen snapshot when it need not hold any frame, since the targets have made all stable that
// was emitted by then, or after a while.
func (m *Machine) considerUpload() {
	s := &m.snap
	if s.Phase() == recovery.SnapshotFrozen && (m.now >= s.UploadAt(m.cfg.SnapshotEvery) || m.capturedStable()) {
		s.Upload(m.do)
	}
}

func (m *Machine) capturedStable() bool {
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.captured.Seq {
			return false
		}
	}
	return true
}

// freeze notes the present positions: the snapshot covers all tuples consumed and emitted so far.
func (m *Machine) freeze() {
	m.snap.Note(m.now, m.stage.Finished())
	for i := range m.in {
		in := &m.in[i]
		in.capturing, in.capturingSum, in.capturingEnd = in.consumed, in.sum, in.ended
	}
	for o := range m.out {
		out := &m.out[o]
		out.captured, out.fresh = recovery.Position{Seq: out.emitted, Sum: out.sum}, false
	}
}

// onUploaded: the snapshot is durable. Sources may free the frames that it covers, and after the last one the end marks go.
func (m *Machine) onUploaded() {
	s := &m.snap
	if !s.Uploaded(m.now) {
		return
	}
	m.status.Counters.Snapshots++
	for i := range m.in {
		m.in[i].stable = m.in[i].capturing
	}
	m.ackAll()
	if s.Final() {
		for o := range m.out {
			m.pump(&m.out[o])
		}
	}
	m.checkDone()
	m.considerSnapshot()
}

// onLogLost: a record in flight is gone with the log. A full snapshot replaces all of it.
func (m *Machine) onLogLost() {
	m.snap.LogLost()
	m.considerSnapshot()
}

const snapshotVersion = 1

// Capture implements recovery.Machine. It holds the machine's positions at the last Frozen (or now, if there was none), and
// the frames up to then that are not stable yet. An increment would be hardly smaller, so each snapshot is full.
//
// A source that was restored since then may have made the machine step back; so the positions of inputs are the
// lower ones, in the source's present numbers.
func (m *Machine) Capture(dst []byte, _ bool) []byte {
	if !m.snap.Phase().Noted() {
		m.freeze()
	}
	m.snap.Captured()
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(m.cfg.Incarnation))
	dst = recovery.AppendBool(dst, m.snap.Closing())
	dst = binary.AppendUvarint(dst, uint64(len(m.in)))
	for i := range m.in {
		in := &m.in[i]
		dst = binary.AppendUvarint(dst, uint64(in.port.Number))
		dst = binary.AppendUvarint(dst, uint64(in.source))
		dst = binary.AppendUvarint(dst, uint64(in.capturing))
		dst = binary.LittleEndian.AppendUint32(dst, in.capturingSum)
		dst = recovery.AppendBool(dst, in.capturingEnd)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.out)))
	for o := range m.out {
		out := &m.out[o]
		dst = binary.AppendUvarint(dst, uint64(out.port.Number))
		dst = binary.AppendUvarint(dst, uint64(out.captured.Seq))
		dst = binary.LittleEndian.AppendUint32(dst, out.captured.Sum)
		dst = binary.AppendUvarint(dst, uint64(min(out.stable, out.captured.Seq)))
		dst = binary.AppendUvarint(dst, uint64(out.stableInc))
		dst = out.retained.Append(dst, 0, out.retained.Find(out.captured.Seq+1))
	}
	return dst
}

var errSnapshot = fmt.Errorf("ack: snapshot: %w", checkpoint.ErrDamaged)

// restore brings the machine to the newest snapshot, if there is one.
func (m *Machine) restore(h recovery.History) error {
	if len(h.Chain) == 0 {
		return nil
	}
	d := recovery.Decode(h.Chain[len(h.Chain)-1])
	if v := d.Byte(); v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this build reads %d", errSnapshot, v, snapshotVersion)
	}
	writer := msgid.Incarnation(d.Uvarint())
	if d.Bool() {
		m.stage.Finish()
	}
	m.snap.Restore(true, m.stage.Finished())
	if d.Uvarint() != uint64(len(m.in)) {
		return fmt.Errorf("%w: it has another number of inputs", errSnapshot)
	}
	for i := range m.in {
		in := &m.in[i]
		if n := d.Uvarint(); n != uint64(in.port.Number) {
			return fmt.Errorf("%w: channel %d stands where %v is expected", errSnapshot, n, in.port.ID)
		}
		in.source = msgid.Incarnation(d.Uvarint())
		in.consumed, in.sum, in.ended = msgid.Seq(d.Uvarint()), d.Uint32(), d.Bool()
		in.accepted, in.began, in.stable, in.capturing = in.consumed, in.consumed, in.consumed, in.consumed
	}
	if d.Uvarint() != uint64(len(m.out)) {
		return fmt.Errorf("%w: it has another number of outputs", errSnapshot)
	}
	for o := range m.out {
		out := &m.out[o]
		if err := m.restoreOutput(d, out); err != nil {
			return err
		}
		out.writer = writer
	}
	if !d.Done() {
		return fmt.Errorf("%w: cut short or too long", errSnapshot)
	}
	return nil
}

func (m *Machine) restoreOutput(d *recovery.Decoder, out *output) error {
	if n := d.Uvarint(); n != uint64(out.port.Number) {
		return fmt.Errorf("%w: channel %d stands where %v is expected", errSnapshot, n, out.port.ID)
	}
	out.emitted, out.sum = msgid.Seq(d.Uvarint()), d.Uint32()
	out.stable, out.stableInc = msgid.Seq(d.Uvarint()), msgid.Incarnation(d.Uvarint())
	out.begun, out.floor, out.acked, out.sent = out.emitted, out.stable, out.stable, out.stable
	frames, err := d.Frames()
	if err != nil {
		return fmt.Errorf("%w: retained frames of %v: %w", errSnapshot, out.port.ID, err)
	}
	if err := out.retained.Restore(frames, out.port, m.cfg.Incarnation, out.stable, out.emitted); err != nil {
		return fmt.Errorf("%w: %w", errSnapshot, err)
	}
	m.retainedBytes += int(out.retained.Bytes())
	return nil
}
