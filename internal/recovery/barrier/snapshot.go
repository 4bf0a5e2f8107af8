package barrier

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// captured holds the positions that a snapshot covers.
type captured struct {
	wave    wave
	ended   bool
	inputs  []inputPosition
	outputs []recovery.Position
}

type inputPosition struct {
	recovery.Position
	ended bool
}

// considerSnapshot takes a snapshot when a barrier goes through the task: at once in a task without inputs (B1), and in any
// other when it is next on all of them (B2).
func (m *Task) considerSnapshot() {
	running := m.stage == recovery.StageRunning || m.stage == recovery.StageFailed
	if !m.joined || running || m.snapshot != recovery.NoSnapshot {
		return
	}
	due := len(m.in) == 0 && m.begun > m.passed
	for i := range m.in {
		due = m.aligned(&m.in[i])
		if due == (m.bug == NoAlignment) {
			break
		}
	}
	if due {
		m.snapshot = recovery.SnapshotFreezing
		// The newest snapshot may have to be passed over for the one before, so each stands alone.
		m.do.Add(recovery.Action{Kind: recovery.Freeze, Full: true})
	}
}

// onFrozen uploads the snapshot. A sink commits only when all tasks have the checkpoint (B6).
func (m *Task) onFrozen() {
	m.freeze()
	m.snapshot = recovery.SnapshotUploading
	m.do.Add(recovery.Action{Kind: recovery.Upload, Tentative: m.bug != EarlyCommit})
}

// freeze lets the barrier through: all that was emitted so far is before it, and the frames to come are behind it.
func (m *Task) freeze() {
	m.forwarding = true
	m.passed++
	m.uncommitted, m.dirty = m.uncommitted || m.dirty, false
	c := &m.captured
	c.wave, c.ended = m.passed, m.stage.Finished()
	for i := range m.in {
		in := &m.in[i]
		c.inputs[i] = inputPosition{recovery.Position{Seq: in.consumed, Sum: in.sum}, in.ended}
	}
	for o := range m.out {
		out := &m.out[o]
		c.outputs[o] = recovery.Position{Seq: out.emitted, Sum: out.sum}
		out.barrier, out.stand = m.passed, out.emitted
	}
}

func (m *Task) onUploaded() {
	if m.snapshot == recovery.NoSnapshot {
		return
	}
	m.snapshot = recovery.NoSnapshot
	m.stored = m.captured.wave
	m.status.Counters.Snapshots++
	m.report()
	m.considerSnapshot()
}

const (
	snapshotVersion = 1
	ofTask          = 0
	ofCoordinator   = 1
)

var errSnapshot = fmt.Errorf("barrier: snapshot: %w", checkpoint.ErrDamaged)

// Capture implements recovery.Machine. It is always full.
func (m *Task) Capture(dst []byte, _ bool) []byte {
	if m.snapshot == recovery.SnapshotFreezing {
		m.freeze() // the caller captures at once
	}
	m.snapshot = recovery.SnapshotCaptured
	c := &m.captured
	dst = append(dst, snapshotVersion, ofTask)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.wave))
	dst = recovery.AppendBool(dst, c.ended)
	for i, at := range c.inputs {
		dst = appendPosition(dst, m.in[i].port.Number, at.Position)
		dst = recovery.AppendBool(dst, at.ended)
	}
	for o, at := range c.outputs {
		dst = appendPosition(dst, m.out[o].port.Number, at)
	}
	return dst
}

// restore brings a task to the positions of a snapshot.
func (m *Task) restore(snapshot []byte) error {
	d := recovery.Decode(snapshot)
	if !begins(d, ofTask) {
		return fmt.Errorf("%w: it is not a task's, or of another version", errSnapshot)
	}
	m.base = wave(d.Uint64())
	m.stored, m.committed = m.base, m.base
	if m.captured.ended = d.Bool(); m.captured.ended {
		m.stage.Finish()
	}
	for i := range m.in {
		in := &m.in[i]
		p := position(d, in.port.Number)
		in.consumed, in.sum, in.accepted, in.proven = p.Seq, p.Sum, p.Seq, p.Seq
		in.ended = d.Bool()
	}
	for o := range m.out {
		out := &m.out[o]
		p := position(d, out.port.Number)
		out.emitted, out.sum, out.sent, out.consumed = p.Seq, p.Sum, p.Seq, p.Seq
	}
	if !d.Done() {
		return fmt.Errorf("%w: its channels are not those of %v", errSnapshot, m.cfg.Self)
	}
	return nil
}

// waveIn returns the checkpoint that a task's snapshot belongs to.
func waveIn(snapshot []byte) (wave, error) {
	d := recovery.Decode(snapshot)
	if ok := begins(d, ofTask); !ok {
		return 0, errSnapshot
	}
	w := wave(d.Uint64())
	if d.Bad() {
		return 0, errSnapshot
	}
	return w, nil
}

// A decision is the content of the coordinator's log.
type decision struct {
	epoch     uint32 // the newest one that it has opened
	committed wave
	final     bool // all operators had finished by then
}

func (x decision) append(dst []byte) []byte {
	dst = append(dst, snapshotVersion, ofCoordinator)
	dst = binary.LittleEndian.AppendUint32(dst, x.epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(x.committed))
	return recovery.AppendBool(dst, x.final)
}

func decodeDecision(snapshot []byte) (x decision, err error) {
	d := recovery.Decode(snapshot)
	ok := begins(d, ofCoordinator)
	x.epoch, x.committed, x.final = d.Uint32(), wave(d.Uint64()), d.Bool()
	if !ok || !d.Done() {
		return decision{}, fmt.Errorf("%w: it is not the coordinator's, or of another version", errSnapshot)
	}
	return x, nil
}

func appendPosition(dst []byte, number uint32, p recovery.Position) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Seq))
	return binary.LittleEndian.AppendUint32(dst, p.Sum)
}

// begins reads the beginning of a snapshot, and reports whether this build reads it, and it is of that role.
func begins(d *recovery.Decoder, role byte) bool {
	version, of := d.Byte(), d.Byte()
	return !d.Bad() && version == snapshotVersion && of == role
}

func position(d *recovery.Decoder, number uint32) recovery.Position {
	if d.Uint32() != number {
		d.Fail()
	}
	return recovery.Position{Seq: msgid.Seq(d.Uint64()), Sum: d.Uint32()}
}
