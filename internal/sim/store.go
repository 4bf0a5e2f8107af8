package sim

import (
	"context"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/msgid"
)

// A store is the task log of a world: memlog, with the bugs of the log.
type store struct {
	*memlog.Log
	bug Bug
	end checkpoint.Pos // where the last append landed
}

func newStore(lag int, bug Bug) *store {
	return &store{Log: memlog.New(memlog.Options{SyncLag: lag}), bug: bug}
}

// Append implements checkpoint.Log. Without a fence, an append lands wherever the log's end is.
func (s *store) Append(ctx context.Context, alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	if s.bug == NoFence {
		if e, err := s.Log.Last(ctx, alias); err == nil {
			expect = e.Pos
		}
	}
	pos, err := s.Log.Append(ctx, alias, expect, data)
	if err == nil {
		s.end = pos
	}
	return pos, err
}

// Synced implements checkpoint.Log.
func (s *store) Synced() checkpoint.Pos {
	if s.bug == PurgeTooEarly {
		return checkpoint.End
	}
	return s.Log.Synced()
}
