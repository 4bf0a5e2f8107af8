package backtrack

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// restore brings the machine to the newest snapshot (R2) and queues the order recorded after it (R4). What it
// retained goes on being retained, under the new incarnation's name; what it released is asked of its targets,
// since only they know (see output).
func (m *Machine) restore(h recovery.History) error {
	frames := make([][]channel.Frame, len(m.out))
	for k, part := range h.Chain {
		if err := m.apply(part, frames, k == 0); err != nil {
			return fmt.Errorf("snapshot %d of %d: %w", k+1, len(h.Chain), err)
		}
	}
	if err := m.restoreDeterminants(h.Determinants); err != nil {
		return err
	}
	m.snap.final = m.ended
	m.snap.dirty = len(h.Chain) == 0
	for i := range m.in {
		in := &m.in[i]
		in.accepted, in.acceptedSum = in.consumed, in.sum
		in.proven, in.stable, in.capturing = in.consumed, in.consumed, in.consumed
		in.recorded = in.consumed
	}
	for _, e := range m.determinants.replay {
		if e.kind == turn {
			m.in[e.input].recorded += msgid.Seq(e.value)
		}
	}
	for o := range m.out {
		out := &m.out[o]
		out.released, out.consumed, out.saved, out.begun = out.stable, out.stable, out.emitted, out.stable
		if err := out.retained.Restore(frames[o], out.port, m.cfg.Incarnation, out.stable, max(out.stable, out.emitted)); err != nil {
			return fmt.Errorf("%w: %w", errSnapshot, err)
		}
		m.retainedBytes += int(out.retained.Bytes())
	}
	m.status.Recovery.Restored = h.Incarnation > 1
	return nil
}

// restoreDeterminants queues the entries that come after the snapshot. A snapshot is captured before it is stored, so
// records may hold entries that it covers already; a hole among the others cannot be filled by anyone.
func (m *Machine) restoreDeterminants(records [][]byte) error {
	o := &m.determinants
	for _, record := range records {
		first, entries, err := decodeDeterminants(record, len(m.in))
		if err != nil {
			return err
		}
		for k, e := range entries {
			switch number := first + uint64(k); {
			case number <= o.pos:
			case number == o.pos+1:
				o.replay = append(o.replay, e)
				if e.kind == givenUpKind {
					o.givenUps++
				}
				o.pos++
			default:
				// It was never recorded, since a snapshot covered it; that one was damaged, and passed over.
				return fmt.Errorf("%w: order after #%d is missing, the next record begins at #%d", errDeterminants, o.pos, number)
			}
		}
	}
	o.durable = o.pos
	return nil
}
