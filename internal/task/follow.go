package task

import (
	"fmt"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// turn sets another root for the next tuples of a frame.
func (c *Core) turn(root uint64) {
	c.tracker.Turn(root)
	c.called() // its report stays, whatever becomes of the next call
}

// pollFollowed is one poll of a spout with a tracker: tuples that must be emitted again come first.
func (c *Core) pollFollowed() (busy bool) {
	p := c.tracker.Pending()
	switch {
	case c.emitAgain():
		c.consumed()
		return true
	case p.Over():
		c.end()
		return true
	case !p.MayPoll():
		c.consumed()
		return false
	}
	busy = c.poll()
	if c.err == nil {
		p.Polled(c.spout.Position(nil))
	}
	return busy
}

// emitAgain emits some of the tuples again that have been pending for too long, each as the root of a new tree, on the
// channels that it went to first. It reports whether there was any.
func (c *Core) emitAgain() (any bool) {
	for range pollCalls {
		x, ok := c.tracker.Again(c.now)
		if !ok {
			return any
		}
		any = true
		c.counters.Replayed++
		if s, ok := c.spout.(spout.Acker); ok {
			s.Fail(x.Nth)
		}
		c.outputs.birth = x.Birth
		for _, output := range x.Outputs {
			c.outputs.put(&c.outputs.channels[output], x.Item)
		}
		c.tracker.EmittedAgain(&x, c.now)
		c.called()
	}
	return any
}

// takeAnswers takes a frame of the ledger's answers to a spout.
func (c *Core) takeAnswers() {
	acker, listens := c.spout.(spout.Acker)
	for {
		item, err := c.cursor.Next()
		switch {
		case err != nil:
			c.fail(bolt.Permanent(fmt.Errorf("task %v: an answer of the strategy's operator cannot be read: %w", c.cfg.Task.Alias, err)))
			return
		case item == tuple.None:
			c.consumed()
			return
		case item == tuple.End:
			c.handle(recovery.Event{Kind: recovery.EndOfInput, Input: c.work.Input})
		case item == tuple.Data && c.tracker != nil:
			if nth, ok := c.tracker.Pending().Complete(c.cursor.Tuple().Uint(0)); ok && listens {
				acker.Ack(nth)
			}
		}
	}
}
