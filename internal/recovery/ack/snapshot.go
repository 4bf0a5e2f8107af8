package ack

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// snapshots says when the task takes one. Sinks do on an interval, every other task when its targets have told that
// more is stable: then what it retains, and has to store, is little.
type snapshots struct {
	dirty  bool // the operator has run since the last one
	lastAt recovery.Tick
	urged  bool // a source retains much

	storing  bool
	frozen   bool // the operator's state is frozen, and waits to be stored
	frozenAt recovery.Tick
	held     bool // what the snapshot covers is noted, and was not handed out yet
	closing  bool // it is the task's last
	final    bool // the last one is durable
	lost     bool // the log was lost: the next one is full and stands for everything before
}

// considerSnapshot takes a snapshot if one is due and may be taken now: not while the operator runs.
func (m *Machine) considerSnapshot() {
	s := &m.snap
	if m.working || m.failed {
		return
	}
	if s.storing {
		m.considerStore()
		return
	}
	if at := m.snapshotAt(); at == 0 || m.now < at {
		return
	}
	s.urged, s.storing = false, true
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
	case m.ended:
		return max(1, m.now)
	case !s.dirty:
		return 0
	case s.urged: // however much it is urged, a task leaves some time between two snapshots
		return s.lastAt + max(1, m.cfg.SnapshotEvery/50)
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
		return s.lastAt + m.cfg.SnapshotEvery
	case fresh:
		return s.lastAt + max(1, m.cfg.SnapshotEvery/2)
	}
	return s.lastAt + 3*m.cfg.SnapshotEvery
}

// snapshotWake returns when a snapshot may become due, or may be stored, by itself.
func (m *Machine) snapshotWake() recovery.Tick {
	switch {
	case m.snap.frozen:
		return max(m.now+1, m.storeAt())
	case m.snap.storing:
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

// considerStore stores a frozen snapshot when it need not hold any frame, since the targets have made all stable that
// was emitted by then, or after a while.
func (m *Machine) considerStore() {
	if s := &m.snap; s.frozen && (m.now >= m.storeAt() || m.capturedStable()) {
		s.frozen = false
		m.do.Add(recovery.Action{Kind: recovery.Upload})
	}
}

// storeAt returns the moment from which a frozen snapshot is stored in any case.
func (m *Machine) storeAt() recovery.Tick {
	s := &m.snap
	if s.lost || s.closing {
		return s.frozenAt
	}
	return s.frozenAt + m.cfg.SnapshotEvery/2
}

func (m *Machine) capturedStable() bool {
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.captured.Seq {
			return false
		}
	}
	return true
}

// freeze notes what the snapshot covers: all that was consumed and emitted so far.
func (m *Machine) freeze() {
	s := &m.snap
	s.dirty, s.held, s.closing = false, true, m.ended
	for i := range m.in {
		in := &m.in[i]
		in.capturing, in.capturingSum, in.capturingEnd = in.consumed, in.sum, in.ended
	}
	for o := range m.out {
		out := &m.out[o]
		out.captured, out.fresh = recovery.Position{Seq: out.emitted, Sum: out.sum}, false
	}
}

// onUploaded: the snapshot is durable. Sources may forget what it covers, and if it is the last one the end marks go.
func (m *Machine) onUploaded() {
	s := &m.snap
	if !s.storing {
		return
	}
	s.storing, s.lost = false, false
	s.lastAt, s.final = m.now, s.closing
	m.status.Counters.Snapshots++
	for i := range m.in {
		m.in[i].stable = m.in[i].capturing
	}
	m.ackAll()
	if s.final {
		for o := range m.out {
			m.pump(&m.out[o])
		}
	}
	m.checkDone()
	m.considerSnapshot()
}

// onLogLost: what was in flight is gone with the log. A full snapshot makes up for all of it.
func (m *Machine) onLogLost() {
	s := &m.snap
	s.storing, s.frozen, s.held = false, false, false
	s.lost, s.final, s.dirty = true, false, true
	m.considerSnapshot()
}

const snapshotVersion = 1

// Capture implements recovery.Machine. It holds what the machine was at the last Frozen (or now, if there was none),
// and the frames up to then that are not stable yet. What an increment would leave out is little, so each is whole.
//
// A source that was restored since then may have made the machine step back; so the positions of inputs are the
// lower ones, as its source counts now.
func (m *Machine) Capture(dst []byte, _ bool) []byte {
	s := &m.snap
	if !s.held {
		m.freeze()
	}
	s.held = false
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, uint64(m.cfg.Incarnation))
	dst = recovery.AppendBool(dst, s.closing)
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
	m.ended = d.Bool()
	m.snap.final = m.ended
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
