package ledger

import (
	"context"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Extension adds a ledger to a topology. Every task reports to it, and it answers the spouts.
var Extension = &topology.Extension{
	Operator: "_acker", Parallel: 1, Bolt: func() bolt.Bolt { return New() },
	Stream: tracking.Stream, Fields: []string{"root", "edges"}, Key: "root",
	Answers: []string{"root"},
}

// A Ledger is the bolt of one acker task. Make it with New.
type Ledger struct {
	// The XOR of the edges reported of each root that is not complete: of those reported lately, and of those that
	// were last reported before the last tick.
	young, old map[uint64]uint64
	spouts     []string // the operator of each task of the plan
	index      []int    // and its number among that operator's tasks
}

// New returns an empty ledger.
func New() *Ledger { return &Ledger{young: map[uint64]uint64{}, old: map[uint64]uint64{}} }

// Join takes the plan and the settings, and returns the interval of Tick in milliseconds.
func (l *Ledger) Join(plan *topology.Plan, settings recovery.Config) recovery.Tick {
	for _, t := range plan.Tasks {
		l.spouts, l.index = append(l.spouts, t.Alias.Operator), append(l.index, t.Alias.Index)
	}
	return settings.MessageTimeout
}

// Execute takes a report: a root, and the XOR of some of its edges. A root whose edges cancel out is complete.
func (l *Ledger) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	root, edges := t.Uint(0), t.Uint(1)
	if sum, ok := l.young[root]; ok {
		edges ^= sum
		if edges == 0 {
			delete(l.young, root)
		}
	} else if sum, ok := l.old[root]; ok {
		edges ^= sum
		delete(l.old, root)
	}
	if edges != 0 {
		l.young[root] = edges
		return nil
	}
	return l.Complete(root, out)
}

// Complete reports a complete root to its spout.
func (l *Ledger) Complete(root uint64, out bolt.Emitter) error {
	task := tracking.RootTask(root)
	if task >= len(l.spouts) {
		return nil // not a root of this plan
	}
	return out.On(l.spouts[task]).Row().Uint(root).To(l.index[task]).Emit()
}

// Tick drops the roots without a report for a whole interval: their spout has emitted them again.
func (l *Ledger) Tick(context.Context, time.Time, bolt.Emitter) error {
	l.young, l.old = l.old, l.young
	clear(l.young)
	return nil
}

// Len returns how many roots are not complete.
func (l *Ledger) Len() int { return len(l.young) + len(l.old) }
