package task

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// Work runs the operator once: over one frame, or for one poll of the spout. It reports whether there was work.
func (c *Core) Work() (busy bool) {
	busy = c.encodeSome()
	switch {
	case c.work.Kind == 0:
		c.nextWork()
	case c.retry.at > c.now:
		return busy
	}
	if c.err != nil {
		return false
	}
	if c.work.Kind == 0 {
		return busy
	}
	c.call.begin(&c.work)
	defer c.call.end()
	switch {
	case c.work.Kind == recovery.Deliver && c.spout != nil:
		c.openFrame()
		c.takeAnswers()
	case c.work.Kind == recovery.Deliver:
		if !c.retry.waits {
			c.openFrame()
		}
		c.executeFrame()
	case c.work.Kind == recovery.Poll && c.tracker != nil:
		return c.pollFollowed() || busy
	case c.work.Kind == recovery.Poll:
		return c.poll() || busy
	case c.work.Kind == recovery.RunTimer:
		c.runTimer()
	case c.work.Kind == recovery.Finish:
		c.finish()
	}
	return true
}

// nextWork asks the machine for the operator's next run: its timer, if that is due, else a ready input.
func (c *Core) nextWork() {
	if c.tickEvery > 0 && c.now >= c.dueAt && c.quiesce() == 0 {
		c.handle(recovery.Event{Kind: recovery.TimerDue, Value: uint64(c.cfg.Now().UnixNano())})
	}
	switch {
	case c.work.Kind != 0 || c.pollAt > c.now:
		return
	case c.spout != nil && c.quiesce() != 0 && !c.repeating():
		c.pollAt = c.now + quietPoll
		return
	}
	c.pollAt = 0
	c.handle(recovery.Event{Kind: recovery.Ready})
}

// repeating reports whether a restored task has yet to emit tuples again that its targets have from the incarnation before, or
// miss.
func (c *Core) repeating() bool {
	s := c.machine.Status()
	return s.ReplayDebt || s.Recovery.Open()
}

// quietPoll is the interval at which a quiescent spout task checks Config.Quiesce, in milliseconds.
const quietPoll = 10

// openFrame puts the cursor before the first tuple of the frame that is delivered.
func (c *Core) openFrame() {
	ch, f := c.cfg.Task.In[c.work.Input], &c.work.Frame
	c.cursor.Reset(f.Payload(), tuple.Origin{Channel: &ch.ID, First: f.First, Fields: ch.Edge.Stream.Fields})
	if c.tracker != nil {
		c.tracker.Deliver(ch.Number, f.Incarnation)
	}
	c.outputs.birth = f.Birth
}

// executeFrame runs the bolt over the tuples of a frame, one after another. It returns early when a tuple is to be tried
// again after a pause, and continues with that tuple at the next call.
func (c *Core) executeFrame() {
	b, outputs, cur := c.bolt, c.outputs, &c.cursor
	for c.err == nil {
		if !c.retry.waits {
			item, err := cur.Next()
			switch {
			case err != nil:
				// The frame's checksum is right, so its source emitted this. Tuples after it cannot be read.
				c.fail(bolt.Permanent(fmt.Errorf("task %v: item %d of channel %v, and the rest of its frame, cannot be read: %w",
					c.cfg.Task.Alias, cur.Seq()+1, c.cfg.Task.In[c.work.Input].ID, err)))
				return
			case item == tuple.None:
				c.frameDone()
				return
			case item == tuple.End:
				c.handle(recovery.Event{Kind: recovery.EndOfInput, Input: c.work.Input})
				continue
			case item == tuple.Root && c.tracker != nil:
				c.turn(cur.Root())
				continue
			case item != tuple.Data:
				continue
			}
			if len(c.work.GivenUp) > 0 && c.giveUpAgain(cur.Tuple()) {
				continue
			}
		}
		c.retry.waits = false
		t := cur.Tuple()
		err := b.Execute(c.ctx, t, outputs.main)
		if err == nil {
			err = outputs.err
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
		c.retry.tries = 0
		c.determinants.done()
		if c.tracker != nil {
			c.tracker.Executed(cur.Seq())
		}
		c.called()
	}
}

func (c *Core) frameDone() {
	if c.tracker != nil {
		c.turn(0)
	}
	if c.cfg.OnLatency != nil && c.cfg.Task.Sink() && c.work.Frame.Birth != 0 {
		c.cfg.OnLatency(time.Duration(c.cfg.Now().UnixNano() - c.work.Frame.Birth))
	}
	c.consumed()
}

// pollCalls is how often a spout is called at the most before the task takes its messages again.
const pollCalls = 64

// poll calls the spout until a frame is full. It reports whether the spout emitted a tuple, or has ended.
func (c *Core) poll() bool {
	c.hurry()
	c.outputs.birth = c.cfg.Now().UnixNano()
	for n := range pollCalls {
		err := c.spout.Next(c.ctx, c.outputs.main)
		switch {
		case errors.Is(err, io.EOF):
			if c.tracker != nil {
				c.tracker.Pending().InputEnded()
				c.consumed()
			} else {
				c.end()
			}
			return true
		case errors.Is(err, spout.ErrIdle):
			c.pollAt = c.now + 1
			c.consumed()
			return n > 0
		case err == nil:
			err = c.outputs.err
		}
		if err != nil {
			c.failCall("next", err)
			return false
		}
		if c.called() || c.err != nil {
			break
		}
	}
	c.consumed()
	return true
}

// hurry reports to a spout that paces itself whether its task repeats earlier output. Once that has ended it does not begin
// again.
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

func (c *Core) runTimer() {
	c.dueAt = c.now + c.tickEvery
	c.outputs.birth = 0
	err := c.bolt.(bolt.Ticker).Tick(c.ctx, time.Unix(0, int64(c.work.Value)), c.outputs.main)
	if err == nil {
		err = c.outputs.err
	}
	if err != nil {
		c.failCall("tick", err)
		return
	}
	c.called()
	c.determinants.done()
	c.consumed()
}

func (c *Core) finish() {
	c.outputs.birth = 0
	if b, ok := c.bolt.(bolt.Finisher); ok {
		err := b.Finish(c.ctx, c.outputs.main)
		if err == nil {
			err = c.outputs.err
		}
		if err != nil {
			c.failCall("finish", err)
			return
		}
	}
	c.end()
}

// consumed reports to the machine that the operator has done its work.
func (c *Core) consumed() {
	c.called()
	c.work = recovery.Action{}
	c.handle(recovery.Event{Kind: recovery.Consumed})
}

// end closes every channel with an end mark: the operator will emit no more.
func (c *Core) end() {
	c.called()
	c.work = recovery.Action{}
	c.outputs.end()
	c.queueSealed()
	c.drain()
	c.handle(recovery.Event{Kind: recovery.Ended})
}

// called ends a call of the operator that has succeeded: its outputs stay, and the frames that it filled go to the machine.
// It reports whether there are any.
func (c *Core) called() (sealed bool) {
	c.outputs.call++
	if len(c.outputs.sealed) == 0 {
		return false
	}
	c.queueSealed()
	c.drain()
	return true
}
