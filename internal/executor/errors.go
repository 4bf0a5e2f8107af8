package executor

import (
	"errors"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
)

// ErrKilled is the end of an incarnation by Kill.
var ErrKilled = errors.New("task: killed")

// errJoin is the end of an incarnation that could not join the transport.
var errJoin = errors.New("join the transport")

// permanent reports whether a restart cannot cure an error.
func permanent(err error) bool {
	var tuple *bolt.TupleError
	var panicked *bolt.PanicError
	if bolt.IsPermanent(err) || errors.As(err, &tuple) && !errors.As(err, &panicked) {
		return true
	}
	var diverged *recovery.DivergedError
	var replay *recovery.ReplayError
	var back *recovery.WentBackError
	return errors.As(err, &diverged) || errors.As(err, &replay) || errors.As(err, &back) ||
		errors.Is(err, checkpoint.ErrFenced) || errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, task.ErrSnapshot)
}

// panickedAgain reports whether the operator has panicked at the same tuple as the last time: it is deterministic.
func (e *Executor) panickedAgain(err error) bool {
	var at *bolt.TupleError
	if !errors.As(err, &at) || at.ID == (msgid.ID{}) {
		return false
	}
	again := at.ID == e.panickedAt
	e.panickedAt = at.ID
	return again
}

// isOutage reports whether an error is no failure of the task: an outside system that it needs is not available. An outage
// may last, and must not make the task FAILED.
func isOutage(err error) bool {
	return bolt.IsOutage(err) || errors.Is(err, errJoin) && !errors.Is(err, channel.ErrClosed) && !errors.Is(err, channel.ErrAddress) ||
		errors.Is(err, checkpoint.ErrUnknown) || errors.Is(err, checkpoint.ErrFull) || errors.Is(err, checkpoint.ErrGone)
}

// rolledBack reports whether a task was ended only because others were.
func rolledBack(err error) bool {
	var back *recovery.RollbackError
	return errors.As(err, &back) && !back.Stale
}
