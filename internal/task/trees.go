package task

import (
	"fmt"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A System bolt is one that a strategy has added to the topology. Before Prepare it is told the plan and the strategy's
// settings, and says how often it wants Tick, in milliseconds; 0: never.
type System interface {
	Join(plan *topology.Plan, settings recovery.Config) recovery.Tick
}

// trees are what a task keeps of the tuple trees that it takes part in, for a strategy that follows them
// (recovery.Tracker). What a call emits is anchored to the tuple that it executes: an edge is added to the running
// call's, which count once the call has succeeded. A frame's edges are reported root by root.
type trees struct {
	report  *stream // to the ledger
	root    uint64  // that what is emitted now comes of; 0: none
	salt    uint64  // of the consumed frame
	edges   uint64  // of the root, consumed or emitted, and not reported yet
	call    uint64  // emitted by the running call
	pending *pending
}

// newTrees returns the trees of a task, or nil if its strategy follows none or the task takes no part in them.
func newTrees(c *Core) *trees {
	tracker, ok := c.machine.(recovery.Tracker)
	t := c.cfg.Task
	if !ok || t.Operator.Stream(recovery.TreeStream) == nil {
		return nil
	}
	x := &trees{report: c.outputs.on(recovery.TreeStream)}
	if t.Operator.Spout != nil {
		most, timeout := tracker.Tracking()
		x.pending = newPending(most, c.cfg.Settings.Defaulted().HardBound, timeout, recovery.RootBase(t.Number, c.incarnation))
		for _, s := range c.outputs.streams {
			if s != x.report {
				s.pending = x.pending
			}
		}
	}
	return x
}

// begin notes that a frame's tuples come next.
func (t *trees) begin(channel uint32, inc msgid.Incarnation) {
	t.salt = recovery.EdgeSalt(channel, inc)
}

// turn reports the root so far, and goes on with another.
func (t *trees) turn(c *Core, root uint64) {
	if t.edges != 0 {
		t.tell(t.root, t.edges)
		t.edges = 0
		c.called() // it stays, whatever becomes of the next call
	}
	t.root = root
}

// tell reports edges to the ledger.
func (t *trees) tell(root, edges uint64) {
	_ = t.report.Row().Uint(root).Uint(edges).Emit() // the emission remembers errors
}

// processed notes that a call is done with a tuple.
func (t *trees) processed(seq msgid.Seq) {
	if t.root != 0 {
		t.edges ^= t.call ^ recovery.Edge(t.salt, seq)
	}
	t.call = 0
}

// anchor makes room for an item in the open frame of a channel and writes which root it comes of, if the items before
// it come of another. The item is an edge of the root.
func (t *trees) anchor(e *outputs, o *outputChannel, size int) {
	if o.root != t.root {
		size += tuple.RootSize
	}
	if !o.builder.Fits(size) {
		e.sealChannel(o)
	}
	if o.root != t.root {
		o.root = t.root
		e.scratch = tuple.AppendRoot(e.scratch[:0], t.root)
		o.builder.Append(e.scratch)
	}
	if t.root == 0 {
		return
	}
	t.call ^= recovery.Edge(o.salt, o.builder.Next())
	if t.pending != nil {
		t.pending.went(int(o.number))
	}
}

// again emits what has been pending for too long again, a little of it, each tuple as a new root on the channels that
// it went to first. It reports whether there was any.
func (t *trees) again(c *Core) (any bool) {
	p := t.pending
	for range pollCalls {
		x, ok := p.overdue(c.now)
		if !ok {
			return any
		}
		any = true
		c.counters.Replayed++
		if s, ok := c.spout.(spout.Acker); ok {
			s.Fail(x.nth)
		}
		c.outputs.birth = x.birth
		t.root = p.begin()
		for _, port := range x.ports {
			c.outputs.put(&c.outputs.channels[port], x.item)
		}
		p.keep(x, c.now)
		t.sent()
		c.called()
	}
	return any
}

// sent reports the tree that was just begun.
func (t *trees) sent() {
	root, edges := t.root, t.call
	t.root, t.call = 0, 0
	t.tell(root, edges)
}

// pollFollowed is one poll of a spout whose tuples are followed: what must be emitted again comes first.
func (c *Core) pollFollowed() (busy bool) {
	p := c.trees.pending
	switch {
	case c.trees.again(c):
		c.consumed()
		return true
	case p.full(), p.ended && !c.trees.ended(c):
		// An answer, or the log's, or time goes on from here.
		c.consumed()
		return false
	case p.safe:
		c.end()
		return true
	}
	before := p.emitted
	busy = c.poll()
	if c.err == nil {
		p.polled(int(p.emitted-before), c.spout.Position(nil))
	}
	return busy
}

// ended reports whether a spout whose input has ended may end its channels: all of it is processed, and that is stored,
// for what would be emitted again after that comes to tasks that have ended themselves.
func (t *trees) ended(c *Core) bool {
	p := t.pending
	if p.open == 0 && !p.empty {
		p.empty = true
		p.polled(0, c.spout.Position(nil))
		c.handle(recovery.Event{Kind: recovery.EndOfInput, Input: recovery.NoInput})
	}
	return p.safe
}

// takeAnswers takes a frame of the ledger's answers to a spout.
func (c *Core) takeAnswers() {
	acker, tell := c.spout.(spout.Acker)
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
		case item == tuple.Data && c.trees != nil:
			if nth, ok := c.trees.pending.complete(c.cursor.Tuple().Uint(0)); ok && tell {
				acker.Ack(nth)
			}
		}
	}
}
