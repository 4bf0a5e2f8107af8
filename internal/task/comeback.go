package task

import (
	"errors"
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Recovery tells how a task came back.
type Recovery struct {
	Alias       msgid.Alias
	Cause       error
	Incarnation msgid.Incarnation
	Asked       msgid.Set
	Missed      uint64 // tuples asked for
	Replayed    uint64 // tuples resent for them
	// Reprocessed counts tuples consumed again that the lost incarnation had consumed. If that was in another process,
	// it is those of recorded order.
	Reprocessed uint64
	Duplicates  uint64 // tuples dropped because they were there already

	// The phases, one after another.
	Detect time.Duration // from the lost incarnation's last sign of life until the loss was noticed; 0 in one process
	Start  time.Duration // until this one was begun
	Load   time.Duration // until its log was read
	Replay time.Duration // until it had caught up; of a task that was rolled back, until it had done as much again
	Took   time.Duration // all together
}

// RolledBack reports whether the task came back only because others did.
func (r *Recovery) RolledBack() bool { return rolledBack(r.Cause) }

// rolledBack reports whether a task was ended only because others were.
func rolledBack(err error) bool {
	var back *recovery.RollbackError
	return errors.As(err, &back) && !back.Stale
}

// A Loss is how an incarnation ended that was in another process. Its times are of one clock.
type Loss struct {
	Cause error
	Last  time.Time // its last sign of life
	Noted time.Time // when its loss was noticed
}

// lost is what is known of an incarnation that has ended; nothing, if at is zero.
type lost struct {
	cause  error
	detect time.Duration
	at     time.Time // when its loss was noticed
}

// here returns the loss by this process's clock, which counts from here on. It may differ from the other one.
func (l *Loss) here() lost {
	now := lost{cause: l.Cause, detect: max(0, l.Noted.Sub(l.Last)), at: time.Now()}
	if !l.Noted.IsZero() {
		now.at = now.at.Add(-max(0, time.Since(l.Noted)))
	}
	return now
}

// report tells of a recovery once, when the task has caught up.
func (s *Supervisor) report(r *runner, rec *recovery.Recovery) {
	if s.reported || !rec.CaughtUp && !r.core.Done() || s.lost.at.IsZero() {
		return
	}
	if s.opt.Base != nil && !r.core.Done() && items(positions(r.core)) < items(s.at) {
		return // it has begun, but from a checkpoint that is behind
	}
	s.reported = true
	again := r.again(s.at)
	if s.first {
		again = rec.Reprocessed
	}
	if s.opt.OnRecovery != nil {
		s.opt.OnRecovery(Recovery{
			Alias: s.info.Alias, Cause: s.lost.cause, Incarnation: s.info.Incarnation,
			Asked: rec.Asked, Missed: rec.Missed, Replayed: rec.Replayed, Reprocessed: again, Duplicates: rec.Duplicates,
			Detect: s.lost.detect, Start: s.begunAt.Sub(s.lost.at), Load: s.loaded.Sub(s.begunAt), Replay: time.Since(s.loaded),
			Took: s.lost.detect + time.Since(s.lost.at),
		})
	}
}

// positions returns where a task stands: what it has consumed, or, of a spout, what it has emitted.
func positions(c *Core) []recovery.Position {
	st := c.Status()
	at := st.Inputs
	if c.spout != nil {
		at = st.Outputs
	}
	return append([]recovery.Position(nil), at...)
}

// items counts what came through some channels. Of each single one, another order of inputs may lead to more or less.
func items(at []recovery.Position) (n uint64) {
	for _, p := range at {
		n += uint64(p.Seq)
	}
	return n
}
