package backtrack

import "github.com/askback/askback/internal/recovery"

// clean reports whether this task has no work and could crash without a replay: durable snapshots, its own and its
// targets', cover all tuples that it has consumed and emitted. Once all tasks are clean at one moment, and no spout emits
// and no timer runs, they stay clean.
func (m *Machine) clean() bool {
	s := &m.snap
	if m.stage != recovery.StageWaiting || m.replaying() || m.determinants.inFlight || m.retainedBytes > 0 ||
		s.Dirty() || s.Phase() != recovery.NoSnapshot || s.Lost() {
		return false
	}
	for i := range m.in {
		if in := &m.in[i]; in.accepted > in.consumed || in.queued() > 0 || len(in.asked) > 0 {
			return false
		}
	}
	for o := range m.out {
		if out := &m.out[o]; out.stable < out.emitted || out.released > out.emitted {
			return false
		}
	}
	return true
}
