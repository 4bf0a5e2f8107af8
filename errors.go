package askback

import (
	"errors"

	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/recovery"
)

// Errors of Run, found by errors.Is. The message of the error itself names task, channel and position.
var (
	// ErrConnect occurs when Run reaches no NATS server, or the server rejects the connection.
	ErrConnect = errors.New("askback: no connection to NATS")
	// ErrInUse occurs when another run uses the directory of WithDir.
	ErrInUse = errors.New("askback: the directory is in use")
	// ErrNondeterministic occurs when an operator, consuming the same input again, did something else than before.
	// Take time and chance from bolt.Context, or declare the operator Nondeterministic. A restart does not cure it.
	ErrNondeterministic = errors.New("askback: an operator is not deterministic")
	// ErrLogDamaged occurs when the log has lost what its tasks had acknowledged, or cannot be read. Restore it from a
	// copy, or begin with a new one.
	ErrLogDamaged = errors.New("askback: the log is damaged")
	// ErrExists occurs when another run of a topology of that name is connected to the server. Its frames and its log stay
	// untouched.
	ErrExists = errors.New("askback: the topology runs already")
	// ErrOtherPlan occurs when the log that the run is to go on from was made by a program with another plan. The log stays
	// untouched.
	ErrOtherPlan = errors.New("askback: the log is of another plan")
	// ErrSuperseded occurs when another run of the same topology on the same log has taken over.
	ErrSuperseded = errors.New("askback: superseded by another run")
)

// A classified error prints as the error within, and is also one of the errors above.
type classified struct {
	error
	class error
}

func (e classified) Unwrap() []error { return []error{e.error, e.class} }

// classify adds the error above that err is, if there is one.
func classify(err error) error {
	var diverged *recovery.DivergedError
	var replay *recovery.ReplayError
	var back *recovery.WentBackError
	var claimed *natschan.ClaimedError
	var plan *natslog.PlanError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, natschan.ErrConnect):
		return classified{err, ErrConnect}
	case errors.As(err, &plan):
		return classified{err, ErrOtherPlan}
	case errors.As(err, &claimed):
		return classified{err, ErrExists}
	case errors.Is(err, embed.ErrLocked):
		return classified{err, ErrInUse}
	case errors.As(err, &diverged), errors.As(err, &replay):
		return classified{err, ErrNondeterministic}
	case errors.As(err, &back), errors.Is(err, checkpoint.ErrDamaged), errors.Is(err, checkpoint.ErrWentBack):
		return classified{err, ErrLogDamaged}
	case errors.Is(err, checkpoint.ErrFenced):
		return classified{err, ErrSuperseded}
	}
	return err
}
