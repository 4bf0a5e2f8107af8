package backtrack

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/channel"
	"github.com/askback/askback/checkpoint"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/recovery"
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
	position  uint64 // the order position of the snapshot being stored
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
	if s.storing || m.working || m.failed || len(m.order.replay) > 0 {
		return
	}
	if s.urged && !s.forwarded {
		s.forwarded, s.urgedAt = true, m.now
		for o := range m.out {
			if out := &m.out[o]; out.open && out.stable < out.released {
				m.mark(o, channel.Urge)
			}
		}
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
	do := recovery.Action{Kind: recovery.Snapshot}
	if s.lost {
		do.Value = 1
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

// snapshotWake returns when a snapshot may become due by itself.
func (m *Machine) snapshotWake() recovery.Tick {
	if m.snap.storing || len(m.order.replay) > 0 {
		return 0
	}
	return m.snapshotAt()
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

// onStored: the snapshot is durable. Order up to it needs no other record, and sources may trim (C2).
func (m *Machine) onStored() {
	s := &m.snap
	if !s.storing {
		return
	}
	s.storing, s.lost = false, false
	s.lastAt = m.now
	s.final = s.closing
	m.status.Counters.Snapshots++
	m.order.covered(s.position)
	for i := range m.in {
		m.in[i].stable = m.in[i].capturing
	}
	if m.cfg.Pessimism == recovery.Optimistic || s.final || m.now > s.toldAt {
		s.toldAt = m.now
		m.ackAll()
	}
	for o := range m.out {
		m.out[o].saved = m.out[o].captured
		m.pump(o)
	}
	m.checkDone()
	m.considerSnapshot()
}

// onStoreLost: what was in flight is gone with the log. A full snapshot makes up for all of it; nothing is
// released until it is durable. Records that were being repeated are repeated first.
func (m *Machine) onStoreLost() {
	s := &m.snap
	s.storing, s.lost, s.final, s.dirty = false, true, false, true
	m.order.inFlight = false
	m.order.pending = m.order.pending[:0]
	m.considerSnapshot()
}

const snapshotVersion = 1

// Capture implements recovery.Machine (C1). A full capture holds every retained frame; an increment, like one of
// keyed state (C4), those since the snapshot before, and the reader drops what has become stable.
func (m *Machine) Capture(dst []byte, full bool) []byte {
	s := &m.snap
	s.dirty = false
	s.position = m.order.pos
	s.closing = m.ended
	m.order.mergeable = false
	m.nextWave()
	dst = append(dst, snapshotVersion)
	dst = binary.AppendUvarint(dst, s.wave)
	dst = binary.AppendUvarint(dst, s.position)
	dst = appendBool(dst, m.ended)
	dst = binary.AppendUvarint(dst, uint64(len(m.in)))
	for i := range m.in {
		in := &m.in[i]
		in.capturing = in.consumed
		if m.bug == EarlyAck {
			in.stable = in.consumed
		}
		dst = binary.AppendUvarint(dst, uint64(in.port.Number))
		dst = binary.AppendUvarint(dst, uint64(in.consumed))
		dst = binary.LittleEndian.AppendUint32(dst, in.sum)
		dst = appendBool(dst, in.ended)
	}
	dst = binary.AppendUvarint(dst, uint64(len(m.out)))
	for o := range m.out {
		out := &m.out[o]
		out.captured = out.emitted
		dst = binary.AppendUvarint(dst, uint64(out.port.Number))
		dst = binary.AppendUvarint(dst, uint64(out.emitted))
		dst = binary.LittleEndian.AppendUint32(dst, out.sum)
		dst = binary.AppendUvarint(dst, uint64(out.stable))
		dst = binary.AppendUvarint(dst, uint64(out.stableInc))
		frames := out.frames[out.head:]
		if !full {
			frames = out.frames[max(out.head, out.find(out.saved+1)):]
		}
		dst = binary.AppendUvarint(dst, uint64(len(frames)))
		for k := range frames {
			raw := frames[k].frame.Raw
			dst = binary.AppendUvarint(dst, uint64(len(raw)))
			dst = append(dst, raw...)
		}
	}
	return dst
}

var errSnapshot = fmt.Errorf("backtrack: snapshot: %w", checkpoint.ErrDamaged)

// apply reads what Capture gave into a machine that is being restored.
func (m *Machine) apply(part []byte, full bool) error {
	d := decoder{b: part}
	if v := d.byte(); v != snapshotVersion {
		return fmt.Errorf("%w: version %d, this build reads %d", errSnapshot, v, snapshotVersion)
	}
	m.snap.wave = d.uvarint()
	m.order.pos = d.uvarint()
	m.ended = d.bool()
	if d.uvarint() != uint64(len(m.in)) {
		return fmt.Errorf("%w: it has another number of inputs", errSnapshot)
	}
	for i := range m.in {
		in := &m.in[i]
		if n := d.uvarint(); n != uint64(in.port.Number) {
			return fmt.Errorf("%w: channel %d stands where %v is expected", errSnapshot, n, in.port.ID)
		}
		in.consumed = msgid.Seq(d.uvarint())
		in.sum = d.uint32()
		in.ended = d.bool()
	}
	if d.uvarint() != uint64(len(m.out)) {
		return fmt.Errorf("%w: it has another number of outputs", errSnapshot)
	}
	for o := range m.out {
		if err := m.applyOutput(&d, &m.out[o], full); err != nil {
			return err
		}
	}
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%w: cut short or too long", errSnapshot)
	}
	return nil
}

func (m *Machine) applyOutput(d *decoder, out *output, full bool) error {
	if n := d.uvarint(); n != uint64(out.port.Number) {
		return fmt.Errorf("%w: channel %d stands where %v is expected", errSnapshot, n, out.port.ID)
	}
	out.emitted = msgid.Seq(d.uvarint())
	out.sum = d.uint32()
	out.stable = msgid.Seq(d.uvarint())
	out.stableInc = msgid.Incarnation(d.uvarint())
	if full {
		out.frames = nil
	}
	for range d.uvarint() {
		raw := d.bytes(d.uvarint())
		if d.bad {
			return fmt.Errorf("%w: cut short", errSnapshot)
		}
		f, err := channel.Decode(append([]byte(nil), raw...))
		if err != nil {
			return fmt.Errorf("%w: retained frame of %v: %w", errSnapshot, out.port.ID, err)
		}
		out.push(retained{frame: f})
	}
	return nil
}

// A decoder reads what Capture and encodeOrder wrote. After an error everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) uint32() uint32 {
	if b := d.bytes(4); len(b) == 4 {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.bad = nil, true
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.bad = nil, true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}
