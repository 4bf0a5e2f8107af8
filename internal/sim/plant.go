package sim

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// Bugs of typed operators, and of tuples that are given up.
const (
	LostForgotten  Bug = "lost_forgotten"  // a restored task counts the tuples that are given up from 0
	ReasonReplayed Bug = "reason_replayed" // a dead letter's reason is not that of the record but of the replay
	StateApart     Bug = "state_apart"     // snapshots of an operator with a fused sink lack the keyed state of its steps
	PartsSwapped   Bug = "parts_swapped"   // steps of an operator are restored with each other's state
	RetryUpstream  Bug = "retry_upstream"  // a step that is tried again is fused with one that has state
)

// TypedBugs lists the bugs that can be planted in typed operators.
var TypedBugs = []Bug{LostForgotten, ReasonReplayed, StateApart, PartsSwapped, RetryUpstream}

// forgetLost sets the counts of tuples given up to 0 in the snapshots that a task is restored from. They stand behind the
// version at the front of the first part.
func forgetLost(h *checkpoint.History) {
	h.Chain = slices.Clone(h.Chain)
	for i, snapshot := range h.Chain {
		size, k := binary.Uvarint(snapshot)
		if k <= 0 || size == 0 || size > uint64(len(snapshot)-k) {
			continue
		}
		own, rest := snapshot[k:k+int(size)], snapshot[k+int(size):]
		version, counts := own[0], own[1:]
		for range 2 {
			_, n := binary.Uvarint(counts)
			counts = counts[max(n, 0):]
		}
		changed := append([]byte{version, 0, 0}, counts...)
		h.Chain[i] = append(append(binary.AppendUvarint(nil, uint64(len(changed))), changed...), rest...)
	}
}

// witnessed returns machines that report to the world the reasons for which tuples were given up, as the task log holds
// them.
func (w *World) witnessed(in *instance, f recovery.Factory) recovery.Factory {
	if in.task.Operator.OnError == topology.Fail {
		return f
	}
	return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
		m, err := f(cfg, h)
		if _, ok := m.(tracking.Machine); ok || err != nil {
			return m, err // it records no outcome
		}
		return witness{m, in}, nil
	}
}

type witness struct {
	recovery.Machine
	in *instance
}

func (m witness) Step(ev recovery.Event, do *recovery.Actions) {
	n := len(do.List)
	m.Machine.Step(ev, do)
	w := m.in.w
	for i := range do.List[n:] {
		a := &do.List[n+i]
		if a.Kind != recovery.Deliver {
			continue
		}
		for k := range a.GivenUp {
			g := &a.GivenUp[k]
			w.recorded[msgid.ID{Channel: m.in.task.In[a.Input].ID, Seq: g.Seq}] = g.Reason
			if w.scenario.Bug == ReasonReplayed {
				g.Reason = fmt.Sprintf("%s, incarnation %d", g.Reason, m.in.inc)
			}
		}
	}
}
