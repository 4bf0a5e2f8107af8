package task

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"go.uber.org/zap"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// failed takes back the output of a failed call of Execute. The tuple is tried again, given up if the operator's policy
// declares that, or fails the task. It reports whether the frame is to be left: for a pause, or for good.
func (c *Core) failed(t tuple.Tuple, err error) (leave bool) {
	c.outputs.rollback()
	op := c.cfg.Task.Operator
	switch {
	case c.ctx.Err() != nil: // the task is being stopped, and the call has returned for that
		c.fail(context.Cause(c.ctx))
		return true
	case bolt.IsOutage(err):
		c.fail(fmt.Errorf("operator %q, task %v: %w", op.Name, c.cfg.Task.Alias, err))
		return true
	case bolt.IsPermanent(err):
		c.fail(c.tupleError(t, err))
		return true
	}
	if c.retry.tries < op.Retry.Times {
		c.counters.Retries++
		c.determinants.again()
		c.retry.tries++
		c.retry.waits, c.retry.at = true, c.now+recovery.Tick(op.Retry.Backoff.Milliseconds())
		return c.retry.at > c.now
	}
	c.retry.tries = 0
	c.determinants.done()
	if op.OnError == topology.Fail {
		c.fail(c.tupleError(t, err))
		return true
	}
	c.giveUp(t, recovery.Reason(err.Error()), err)
	return c.err != nil
}

// maxTupleText bounds the text of a tuple in an error, in bytes.
const maxTupleText = 512

// tupleError names the tuple that the operator could not process. The error of a fused operator may already name the step.
func (c *Core) tupleError(t tuple.Tuple, err error) *bolt.TupleError {
	e := &bolt.TupleError{Err: err}
	var begun *bolt.TupleError
	if errors.As(err, &begun) {
		*e = *begun
	}
	e.Alias, e.ID = c.cfg.Task.Alias, t.ID()
	if e.Tuple == "" {
		e.Tuple = t.Summary(maxTupleText)
	}
	return e
}

// Guard calls f, and returns a panic of it as a *bolt.PanicError.
func Guard(alias msgid.Alias, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &bolt.PanicError{Alias: alias, Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// Panicked names the tuple in the error of a panic, if Execute was running.
func (c *Core) Panicked(p *bolt.PanicError) error {
	if c.work.Kind != recovery.Deliver || c.bolt == nil {
		return p
	}
	return c.tupleError(c.cursor.Tuple(), p)
}

// giveUpAgain gives a tuple up if the record holds that it was given up before. It reports whether it does.
func (c *Core) giveUpAgain(t tuple.Tuple) bool {
	seq := t.ID().Seq
	for _, g := range c.work.GivenUp {
		if g.Seq == seq {
			c.giveUp(t, g.Reason, errors.New(g.Reason))
			return true
		}
	}
	return false
}

// giveUp drops a tuple or emits it as a dead letter, as the operator's policy declares, and counts it. The reason is
// recorded, or read from the record in a replay.
func (c *Core) giveUp(t tuple.Tuple, reason string, err error) {
	id := t.ID()
	c.request(recovery.Event{Determinant: recovery.DeterminantGivenUp, Input: c.work.Input, Value: uint64(id.Seq), Reason: reason})
	if c.cfg.Task.Operator.OnError == topology.DeadLetter {
		out := c.outputs.on(topology.DeadStream)
		if e := out.Emit(id.String(), reason, t.Encoded()); e != nil {
			c.outputs.rollback()
			c.fail(bolt.Permanent(c.tupleError(t, fmt.Errorf("%w; and it cannot become a dead letter: %w", err, e))))
			return
		}
		c.called()
		c.lost.Dead++
	} else {
		c.lost.Dropped++
	}
	c.determinants.done()
	if c.tracker != nil {
		c.tracker.Executed(id.Seq)
	}
	if n := c.lost.Dead + c.lost.Dropped; n <= 10 || n&(n-1) == 0 { // a log line for each of a million is of no use
		c.cfg.Log.Warn("tuple given up", zap.String("id", id.String()), zap.Uint64("given up so far", n), zap.Error(err))
	}
	if c.cfg.OnLost != nil {
		c.cfg.OnLost(GivenUp{ID: id, Err: err, Tuple: slices.Clone(t.Encoded())})
	}
}

// A GivenUp is a tuple that an operator could not process and gave up by its declared policy.
type GivenUp struct {
	ID    msgid.ID
	Err   error  // of the last try
	Tuple []byte // msgpack
}

// failCall fails the task with the error of a call that concerns no tuple.
func (c *Core) failCall(call string, err error) {
	var e *bolt.TupleError
	switch {
	case c.ctx.Err() != nil:
		err = context.Cause(c.ctx)
	case errors.As(err, &e): // of a step that is fused into the operator
		named := *e
		named.Alias = c.cfg.Task.Alias
		err = bolt.Permanent(&named)
	default:
		err = fmt.Errorf("operator %q, %s of task %v: %w", c.cfg.Task.Operator.Name, call, c.cfg.Task.Alias, err)
	}
	if c.outputs.err != nil && c.ctx.Err() == nil { // the call would emit the same again
		err = bolt.Permanent(err)
	}
	c.fail(err)
}
