package sim

import (
	"context"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery/acker/ledger"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Bugs of strategy acker: of its ledger, and the last one of a spout.
const (
	AnswerEarly   Bug = "answer_early"   // a root counts as processed at its second report
	ShortEdges    Bug = "short_edges"    // edges differ in three bits only
	ReportsLost   Bug = "reports_lost"   // every seventh report is overlooked, so that some trees never come to their end
	AnswersAstray Bug = "answers_astray" // the ledger answers the root before the one that is complete
	PositionAhead Bug = "position_ahead" // the stored position is behind the processed one
)

// AckerBugs lists the bugs that can be planted in strategy acker.
var AckerBugs = []Bug{AnswerEarly, ShortEdges, ReportsLost, AnswersAstray, PositionAhead}

// broken returns an extension with a bug planted in its operator.
func broken(x *topology.Extension, bug Bug) *topology.Extension {
	if x == nil || bug == "" || bug == PositionAhead {
		return x
	}
	y := *x
	y.Bolt = func() bolt.Bolt {
		l, ok := x.Bolt().(*ledger.Ledger)
		if !ok {
			return x.Bolt()
		}
		return &brokenLedger{Ledger: l, bug: bug, sums: map[uint64]uint64{}, reported: map[uint64]bool{}}
	}
	return &y
}

// A brokenLedger has a bug.
type brokenLedger struct {
	*ledger.Ledger
	bug      Bug
	n        int
	sums     map[uint64]uint64
	reported map[uint64]bool
}

func (l *brokenLedger) Execute(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	root := t.Uint(0)
	l.n++
	switch l.bug {
	case AnswerEarly:
		if l.reported[root] {
			return l.Complete(root, out)
		}
		l.reported[root] = true
		return nil
	case ShortEdges:
		l.sums[root] ^= t.Uint(1) & 7
		if l.sums[root] == 0 {
			return l.Complete(root, out)
		}
		return nil
	case ReportsLost:
		if l.n%7 == 0 {
			return nil
		}
	case AnswersAstray:
		if l.sums[root] ^= t.Uint(1); l.sums[root] == 0 {
			return l.Complete(root-1, out)
		}
		return nil
	}
	return l.Ledger.Execute(ctx, t, out)
}
