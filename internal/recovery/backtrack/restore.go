package backtrack

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// restore brings the machine to the newest snapshot (R2) and queues the determinants recorded after it (R4). The frames
// that were retained are retained again, under the new incarnation's name. The targets report how far the channels were
// released, since no log holds it (see output).
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
	m.snap.Restore(len(h.Chain) > 0, m.stage.Finished())
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

// restoreDeterminants queues the entries that come after the snapshot. A snapshot is frozen before it is uploaded, so
// records may hold entries that it covers already; a hole among the others cannot be filled.
func (m *Machine) restoreDeterminants(records [][]byte) error {
	l := &m.determinants
	for _, record := range records {
		first, entries, err := decodeDeterminants(record, len(m.in))
		if err != nil {
			return err
		}
		for k, e := range entries {
			switch number := first + uint64(k); {
			case number <= l.last:
			case number == l.last+1:
				l.replay = append(l.replay, e)
				if e.kind == givenUpKind {
					l.givenUps++
				}
				l.last++
			default:
				// The entry was never recorded, since a snapshot covered it; that snapshot was damaged, and passed over.
				return fmt.Errorf("%w: entries after #%d are missing, the next record begins at #%d", errDeterminants, l.last, number)
			}
		}
	}
	l.durable = l.last
	return nil
}
