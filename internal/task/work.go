package task

import (
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
	case recovery.Fire:
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
		ch := c.cfg.Task.In[a.Port]
		c.cursor.Reset(a.Frame.Payload(), tuple.Origin{Channel: &ch.ID, First: a.Frame.First, Fields: ch.Edge.Stream.Fields})
		if c.trees != nil {
			c.trees.begin(ch.Number, a.Frame.Incarnation)
		}
		c.emit.birth = a.Frame.Birth
	case recovery.Fire:
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
				// The frame's checksum is right, so its source meant this. Nothing after it can be read.
				c.counters.Malformed++
				c.cfg.Log.Error("malformed tuple dropped, with the rest of its frame",
					zap.Stringer("channel", c.cfg.Task.In[c.work.Port].ID), zap.Uint64("seq", uint64(cur.Seq())), zap.Error(err))
				c.frameDone()
				return
			case item == tuple.None:
				c.frameDone()
				return
			case item == tuple.End:
				c.step(recovery.Event{Kind: recovery.EndOfInput, Port: c.work.Port})
				continue
			case item == tuple.Root && c.trees != nil:
				c.trees.turn(c, cur.Root())
				continue
			case item != tuple.Data:
				continue
			}
			if len(c.work.Dead) > 0 && slices.Contains(c.work.Dead, cur.Seq()) {
				c.bury(cur.Tuple(), errRecorded)
				continue
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

// errRecorded is why a tuple goes to the dead letters when its operator is restored.
var errRecorded = errors.New("it went there before the task was restored")

// failed takes back what a failed call of Execute emitted, and tries the tuple again by the operator's policy or
// gives it up. It reports whether to wait before the next try.
func (c *Core) failed(t tuple.Tuple, err error) (wait bool) {
	c.emit.rollback(c)
	retry := c.cfg.Task.Operator.Retry
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
	c.choose(recovery.ChoiceDead, c.work.Port, uint64(t.ID().Seq))
	c.bury(t, err)
	return false
}

// bury sends a tuple to the dead letters.
func (c *Core) bury(t tuple.Tuple, err error) {
	if errors.Is(err, errRecorded) {
		c.choose(recovery.ChoiceDead, c.work.Port, uint64(t.ID().Seq))
	}
	c.counters.Dead++
	id := t.ID()
	if c.cfg.Task.Operator.DeadLetters {
		// The reason is for people and may differ on a replay, so it is not part of the tuple.
		out := c.emit.on(topology.DeadStream)
		if e := out.Emit(id.String(), "execute failed", t.Encoded()); e != nil {
			c.emit.rollback(c)
			c.cfg.Log.Error("dead letter dropped", zap.Stringer("id", idString{id}), zap.Error(e))
		}
		c.choices.done()
		c.emit.next(c)
	}
	if c.trees != nil {
		c.trees.processed(id.Seq) // to emit it again would not help
	}
	c.cfg.Log.Warn("tuple given up", zap.Stringer("id", idString{id}), zap.Error(err))
	if c.cfg.OnDead != nil {
		c.cfg.OnDead(DeadLetter{ID: id, Err: err, Tuple: slices.Clone(t.Encoded())})
	}
}

type idString struct{ msgid.ID }

func (s idString) String() string { return s.ID.String() }

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
			c.fail(fmt.Errorf("spout %v: %w", c.cfg.Task.Alias, err))
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
	b, ok := c.bolt.(bolt.Ticker)
	if !ok {
		c.fail(fmt.Errorf("operator %q has a tick interval but no method Tick(time.Time, bolt.Emitter) error", c.cfg.Task.Operator.Name))
		return
	}
	err := b.Tick(c.ctx, time.Unix(0, int64(c.work.Value)), c.emit.main)
	if err == nil {
		err = c.emit.err
	}
	if err != nil {
		c.fail(fmt.Errorf("tick %v: %w", c.cfg.Task.Alias, err))
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
			c.fail(fmt.Errorf("finish %v: %w", c.cfg.Task.Alias, err))
			return
		}
	}
	c.work = recovery.Action{}
	c.end()
}

// end closes every channel with an end mark.
func (c *Core) end() {
	c.emit.end(c)
	c.step(recovery.Event{Kind: recovery.Ended})
}
