package executor

import (
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Recovery is the account of how a task caught up with its lost incarnation.
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
	Replay time.Duration // until it had caught up; of a task that was rolled back, until it had repeated the lost work
	Took   time.Duration // all together
}

// RolledBack reports whether the task was restarted only because others were.
func (r *Recovery) RolledBack() bool { return rolledBack(r.Cause) }

// A Loss is the end of an incarnation in another process. Its times are of one clock.
type Loss struct {
	Cause error
	Last  time.Time // its last sign of life
	Noted time.Time // when its loss was noticed
}

// lost is the known part of an incarnation's end; it is empty if at is zero.
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

// report calls OnRecovery, once for each incarnation, when the task has caught up.
func (e *Executor) report(in *incarnation, rec *recovery.Recovery) {
	if e.reported || !rec.CaughtUp && !in.core.Done() || e.lost.at.IsZero() {
		return
	}
	if e.opt.Base != nil && !in.core.Done() && items(in.positions()) < items(e.at) {
		return // it has begun, but from an earlier checkpoint
	}
	e.reported = true
	again := in.again(e.at)
	if e.first {
		again = rec.Reprocessed
	}
	if e.opt.OnRecovery != nil {
		e.opt.OnRecovery(Recovery{
			Alias: e.info.Alias, Cause: e.lost.cause, Incarnation: e.info.Incarnation,
			Asked: rec.Asked, Missed: rec.Missed, Replayed: rec.Replayed, Reprocessed: again, Duplicates: rec.Duplicates,
			Detect: e.lost.detect, Start: e.begunAt.Sub(e.lost.at), Load: e.loaded.Sub(e.begunAt), Replay: time.Since(e.loaded),
			Took: e.lost.detect + time.Since(e.lost.at),
		})
	}
}

// items counts the items of some channels together. Another order of inputs may lead to more or less on each single one.
func items(at []recovery.Position) (n uint64) {
	for _, p := range at {
		n += uint64(p.Seq)
	}
	return n
}
