package task

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Work runs the operator once: over one frame, or for one poll of the spout. It reports whether there was
// anything to do.
func (c *Core) Work() bool {
	captured := c.captureSome()
	if c.work.Kind == 0 {
		if c.pollAt > c.now {
			return captured
		}
		c.pollAt = 0
		if c.spout != nil && c.quiesce() != 0 {
			c.pollAt = c.now + quietPoll
			return captured
		}
		c.step(recovery.Event{Kind: recovery.Ready})
	}
	if c.err != nil {
		return false
	}
	if c.work.Kind != 0 {
		c.call.begin(&c.work)
		defer c.call.end()
	}
	switch c.work.Kind {
	case recovery.Deliver:
		if c.retryAt > c.now {
			return captured
		}
		if c.spout != nil {
			c.runAnswers()
			return true
		}
		c.runFrame()
	case recovery.Poll:
		return c.runSpout() || captured
	case recovery.RunTimer:
		c.runTimer()
	case recovery.Finish:
		c.runFinish()
	default:
		return captured
	}
	return true
}

// quietPoll is how often a spout task looks whether it is still to be quiet, in milliseconds.
const quietPoll = 10

// begin notes what the operator is to do; Work does it.
func (c *Core) begin(a recovery.Action) {
	c.work = a
	switch a.Kind {
	case recovery.Deliver:
		ch := c.cfg.Task.In[a.Input]
		c.cursor.Reset(a.Frame.Payload(), tuple.Origin{Channel: &ch.ID, First: a.Frame.First, Fields: ch.Edge.Stream.Fields})
		if c.trees != nil {
			c.trees.begin(ch.Number, a.Frame.Incarnation)
		}
		c.emit.birth = a.Frame.Birth
	case recovery.RunTimer:
		c.dueAt = c.now + c.tickEvery()
		c.emit.birth = 0
	case recovery.Finish:
		c.emit.birth = 0
	}
}

// consumed tells the machine that the operator has done what was asked.
func (c *Core) consumed() {
	c.work = recovery.Action{}
	c.step(recovery.Event{Kind: recovery.Consumed})
}

// runFrame runs the bolt over the tuples of a frame, one after another. It returns early when a tuple is to be
// tried again after a pause, and goes on from there.
func (c *Core) runFrame() {
	b, out, cur := c.bolt, c.emit.main, &c.cursor
	for c.err == nil {
		if !c.again {
			item, err := cur.Next()
			switch {
			case err != nil:
				// The frame's checksum is right, so its source emitted this. Nothing after it can be read.
				c.fail(bolt.Permanent(fmt.Errorf("task %v: item %d of channel %v, and the rest of its frame, cannot be read: %w",
					c.cfg.Task.Alias, cur.Seq()+1, c.cfg.Task.In[c.work.Input].ID, err)))
				return
			case item == tuple.None:
				c.frameDone()
				return
			case item == tuple.End:
				c.step(recovery.Event{Kind: recovery.EndOfInput, Input: c.work.Input})
				continue
			case item == tuple.Root && c.trees != nil:
				c.trees.turn(c, cur.Root())
				continue
			case item != tuple.Data:
				continue
			}
			if len(c.work.GivenUp) > 0 {
				if k := slices.IndexFunc(c.work.GivenUp, func(g recovery.GivenUp) bool { return g.Seq == cur.Seq() }); k >= 0 {
					reason := c.work.GivenUp[k].Reason
					c.giveUp(cur.Tuple(), reason, errors.New(reason))
					continue
				}
			}
		}
		c.again = false
		t := cur.Tuple()
		err := b.Execute(c.ctx, t, out)
		if err == nil {
			err = c.emit.err
		}
		if err == nil {
			err = t.Err()
		}
		if err != nil {
			if c.failed(t, err) {
				return
			}
			continue
		}
		c.tries = 0
		c.choices.done()
		if c.trees != nil {
			c.trees.processed(cur.Seq())
		}
		c.emit.next(c)
	}
}

func (c *Core) frameDone() {
	if c.trees != nil {
		c.trees.turn(c, 0)
	}
	if c.cfg.OnLatency != nil && c.cfg.Task.Sink() && c.work.Frame.Birth != 0 {
		c.cfg.OnLatency(time.Duration(c.cfg.Now().UnixNano() - c.work.Frame.Birth))
	}
	c.consumed()
}

// failed takes back the output of a failed call of Execute. The tuple is tried again, given up if the operator's policy
// declares that, or fails the task. It reports whether the frame is to be left: for a pause, or for good.
func (c *Core) failed(t tuple.Tuple, err error) (leave bool) {
	c.emit.rollback(c)
	op := c.cfg.Task.Operator
	retry := op.Retry
	switch {
	case c.ctx.Err() != nil: // the task is being stopped, and the call has heeded it
		c.fail(context.Cause(c.ctx))
		return true
	case bolt.IsOutage(err):
		c.fail(fmt.Errorf("operator %q, task %v: %w", op.Name, c.cfg.Task.Alias, err))
		return true
	case bolt.IsPermanent(err):
		c.fail(c.tupleError(t, err))
		return true
	}
	if c.tries < retry.Times {
		c.tries++
		c.counters.Retries++
		c.again = true
		c.choices.retry()
		c.retryAt = c.now + recovery.Tick(retry.Backoff.Milliseconds())
		return c.retryAt > c.now
	}
	c.tries = 0
	c.choices.done()
	if op.OnError == topology.Fail {
		c.fail(c.tupleError(t, err))
		return true
	}
	c.giveUp(t, recovery.Reason(err.Error()), err)
	return c.err != nil
}

// maxTupleText bounds the text of a tuple in an error, in bytes.
const maxTupleText = 512

// tupleError names the tuple that the operator could not process. A step of a fused operator may have begun the error.
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

// panicked adds the tuple, if Execute was running, to the error of a panic.
func (c *Core) panicked(p *bolt.PanicError) error {
	if c.work.Kind != recovery.Deliver || c.bolt == nil {
		return p
	}
	return c.tupleError(c.cursor.Tuple(), p)
}

// giveUp drops a tuple or emits it as a dead letter, as the operator's policy declares, and counts it. The reason is
// recorded, or was when the tuple was consumed first.
func (c *Core) giveUp(t tuple.Tuple, reason string, err error) {
	id := t.ID()
	c.choose(recovery.Event{Determinant: recovery.DeterminantGivenUp, Input: c.work.Input, Value: uint64(id.Seq), Reason: reason})
	if c.cfg.Task.Operator.OnError == topology.DeadLetter {
		out := c.emit.on(topology.DeadStream)
		if e := out.Emit(id.String(), reason, t.Encoded()); e != nil {
			c.emit.rollback(c)
			c.fail(bolt.Permanent(c.tupleError(t, fmt.Errorf("%w; and it cannot become a dead letter: %w", err, e))))
			return
		}
		c.emit.next(c)
		c.lost.Dead++
	} else {
		c.lost.Dropped++
	}
	c.choices.done()
	if c.trees != nil {
		c.trees.processed(id.Seq) // to emit it again would not help
	}
	if n := c.lost.Dead + c.lost.Dropped; n <= 10 || n&(n-1) == 0 { // a log line for each of a million helps nobody
		c.cfg.Log.Warn("tuple given up", zap.String("id", id.String()), zap.Uint64("given up so far", n), zap.Error(err))
	}
	if c.cfg.OnLost != nil {
		c.cfg.OnLost(GivenUp{ID: id, Err: err, Tuple: slices.Clone(t.Encoded())})
	}
}

// A GivenUp is a tuple that an operator could not process and whose loss its policy declares.
type GivenUp struct {
	ID    msgid.ID
	Err   error  // of the last try
	Tuple []byte // msgpack
}

// pollCalls is how often a spout is called at the most before the task looks at its messages again.
const pollCalls = 64

// runSpout polls the spout until a frame is full.
func (c *Core) runSpout() bool {
	c.emit.direct = true
	defer func() { c.emit.direct = false }()
	if c.trees != nil {
		return c.runTrees()
	}
	return c.poll()
}

// hurry tells a spout that paces itself whether its task repeats what was emitted before. When that is over it is over
// for good.
func (c *Core) hurry() {
	if c.unhurried {
		return
	}
	rec := &c.machine.Status().Recovery
	on := rec.Restored && !rec.CaughtUp
	if p, ok := c.spout.(spout.Pacer); ok && on != c.hurried {
		p.Hurry(on)
	}
	c.hurried, c.unhurried = on, !on
}

func (c *Core) poll() bool {
	c.hurry()
	c.emit.birth = c.cfg.Now().UnixNano()
	sealed := c.emit.sealed
	for n := range pollCalls {
		err := c.spout.Next(c.ctx, c.emit.main)
		switch {
		case errors.Is(err, io.EOF):
			if c.trees != nil {
				c.trees.pending.ended = true
				c.consumed()
				return true
			}
			c.work = recovery.Action{}
			c.end()
			return true
		case errors.Is(err, spout.ErrIdle):
			c.pollAt = c.now + 1
			c.consumed()
			return n > 0
		case err == nil:
			err = c.emit.err
		}
		if err != nil {
			c.failCall("next", err)
			return false
		}
		c.emit.stamp++
		if c.emit.sealed != sealed || c.err != nil {
			break
		}
	}
	c.consumed()
	return true
}

func (c *Core) runTimer() {
	c.emit.direct = true
	defer func() { c.emit.direct = false }()
	err := c.bolt.(bolt.Ticker).Tick(c.ctx, time.Unix(0, int64(c.work.Value)), c.emit.main)
	if err == nil {
		err = c.emit.err
	}
	if err != nil {
		c.failCall("tick", err)
		return
	}
	c.emit.stamp++
	c.choices.done()
	c.consumed()
}

func (c *Core) runFinish() {
	c.emit.direct = true
	defer func() { c.emit.direct = false }()
	if b, ok := c.bolt.(bolt.Finisher); ok {
		err := b.Finish(c.ctx, c.emit.main)
		if err == nil {
			err = c.emit.err
		}
		if err != nil {
			c.failCall("finish", err)
			return
		}
	}
	c.work = recovery.Action{}
	c.end()
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
	c.fail(err)
}

// end closes every channel with an end mark.
func (c *Core) end() {
	c.emit.end(c)
	c.step(recovery.Event{Kind: recovery.Ended})
}
