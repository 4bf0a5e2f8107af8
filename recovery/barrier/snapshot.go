package barrier

import (
	"encoding/binary"
	"fmt"

	"github.com/askback/askback/checkpoint"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/recovery"
)

// captured is what a snapshot covers.
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

// considerSnapshot takes a snapshot when a barrier goes through the task: at once in a task without inputs (B1), and
// in any other when it stands before all of them (B2).
func (m *Task) considerSnapshot() {
	if !m.joined || m.working || m.snapping || m.storing || m.failed {
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
		m.snapping = true
		// The newest snapshot may have to be passed over for the one before, so each stands alone.
		m.do.Add(recovery.Action{Kind: recovery.Snapshot, Value: 1})
	}
}

// freeze lets the barrier through: what was emitted so far is before it, and the frames to come are behind it.
func (m *Task) freeze() {
	m.snapping, m.storing, m.forwarding = false, true, true
	m.passed++
	m.unsafe, m.dirty = m.unsafe || m.dirty, false
	c := &m.capture
	c.wave, c.ended = m.passed, m.ended
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

// hold returns what Store is to say: a sink commits only when all tasks have the checkpoint (C3).
func (m *Task) hold() uint64 {
	if m.bug == EarlyCommit {
		return 0
	}
	return 1
}

func (m *Task) onStored() {
	if !m.storing {
		return
	}
	m.storing = false
	m.stored = m.capture.wave
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
	if m.snapping {
		m.freeze() // the caller stores at once
	}
	c := &m.capture
	dst = append(dst, snapshotVersion, ofTask)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.wave))
	dst = appendBool(dst, c.ended)
	for i, at := range c.inputs {
		dst = appendPosition(dst, m.in[i].port.Number, at.Position)
		dst = appendBool(dst, at.ended)
	}
	for o, at := range c.outputs {
		dst = appendPosition(dst, m.out[o].port.Number, at)
	}
	return dst
}

// restore brings a task to where a snapshot was captured.
func (m *Task) restore(snapshot []byte) error {
	d := decoder{b: snapshot}
	if !d.begins(ofTask) {
		return fmt.Errorf("%w: it is not a task's, or of another version", errSnapshot)
	}
	m.base = wave(d.uint64())
	m.stored, m.committed = m.base, m.base
	m.ended = d.bool()
	m.capture.ended = m.ended
	for i := range m.in {
		in := &m.in[i]
		p := d.position(in.port.Number)
		in.consumed, in.sum, in.accepted, in.proven = p.Seq, p.Sum, p.Seq, p.Seq
		in.ended = d.bool()
	}
	for o := range m.out {
		out := &m.out[o]
		p := d.position(out.port.Number)
		out.emitted, out.sum, out.sent, out.consumed = p.Seq, p.Sum, p.Seq, p.Seq
	}
	if d.bad || len(d.b) > 0 {
		return fmt.Errorf("%w: its channels are not those of %v", errSnapshot, m.cfg.Self)
	}
	return nil
}

// waveIn returns the checkpoint that a task's snapshot belongs to.
func waveIn(snapshot []byte) (wave, error) {
	d := decoder{b: snapshot}
	if ok := d.begins(ofTask); !ok {
		return 0, errSnapshot
	}
	w := wave(d.uint64())
	if d.bad {
		return 0, errSnapshot
	}
	return w, nil
}

// A decision is what the coordinator has in its log.
type decision struct {
	epoch     uint32 // the newest one that it has opened
	committed wave
	final     bool // all operators had finished by then
}

func (x decision) append(dst []byte) []byte {
	dst = append(dst, snapshotVersion, ofCoordinator)
	dst = binary.LittleEndian.AppendUint32(dst, x.epoch)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(x.committed))
	return appendBool(dst, x.final)
}

func decodeDecision(snapshot []byte) (x decision, err error) {
	d := decoder{b: snapshot}
	ok := d.begins(ofCoordinator)
	x.epoch, x.committed, x.final = d.uint32(), wave(d.uint64()), d.bool()
	if !ok || d.bad || len(d.b) > 0 {
		return decision{}, fmt.Errorf("%w: it is not the coordinator's, or of another version", errSnapshot)
	}
	return x, nil
}

func appendPosition(dst []byte, number uint32, p recovery.Position) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.Seq))
	return binary.LittleEndian.AppendUint32(dst, p.Sum)
}

func appendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// A decoder reads what Capture wrote. After an error everything reads as zero.
type decoder struct {
	b   []byte
	bad bool
}

var zeros [8]byte

func (d *decoder) bytes(n int) []byte {
	if n > len(d.b) {
		d.b, d.bad = nil, true
		return zeros[:n]
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) bool() bool     { return d.bytes(1)[0] != 0 }
func (d *decoder) uint32() uint32 { return binary.LittleEndian.Uint32(d.bytes(4)) }
func (d *decoder) uint64() uint64 { return binary.LittleEndian.Uint64(d.bytes(8)) }

func (d *decoder) begins(role byte) bool {
	b := d.bytes(2)
	return !d.bad && b[0] == snapshotVersion && b[1] == role
}

func (d *decoder) position(number uint32) recovery.Position {
	if d.uint32() != number {
		d.bad = true
	}
	return recovery.Position{Seq: msgid.Seq(d.uint64()), Sum: d.uint32()}
}
