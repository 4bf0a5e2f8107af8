package task

import (
	"errors"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/topology"
)

// determinants are those of the running call of Execute: times, random numbers, which targets are local. A call that fails
// and is tried again gets the same: on replay it may succeed at once, and must then find the log as if it had never failed.
type determinants struct {
	drawn []determinant
	next  int // of drawn
}

type determinant struct {
	kind  recovery.Determinant
	value uint64
}

// again makes the next call draw the same.
func (d *determinants) again() { d.next = 0 }

// done drops them: the call has succeeded, or its tuple is given up.
func (d *determinants) done() { d.drawn, d.next = d.drawn[:0], 0 }

// recorded returns a determinant that the operator asks for. Those of an operator that is being prepared, and of a
// spout, are not recorded.
func (c *Core) recorded(kind recovery.Determinant, fresh uint64) uint64 {
	if c.work.Kind == 0 || c.work.Kind == recovery.Poll {
		return fresh
	}
	return c.draw(kind, fresh)
}

// draw returns a determinant of the running call: the one that it drew when it was tried before, or the next one of
// the machine.
func (c *Core) draw(kind recovery.Determinant, fresh uint64) uint64 {
	d := &c.determinants
	if d.next < len(d.drawn) && d.drawn[d.next].kind == kind {
		d.next++
		return d.drawn[d.next-1].value
	}
	value := c.request(recovery.Event{Determinant: kind, Value: fresh})
	d.drawn = append(d.drawn[:d.next], determinant{kind, value})
	d.next++
	return value
}

// errUnanswered occurs when a machine does not answer a request for a determinant.
var errUnanswered = errors.New("task: the strategy did not answer a request for a determinant")

// request has the machine replace a determinant by the recorded one, or record the fresh one. The operator waits for
// the answer in the middle of its call, so this event does not go through the queue.
func (c *Core) request(fresh recovery.Event) (value uint64) {
	fresh.Kind = recovery.DeterminantRequested
	c.machine.Step(fresh, &c.answers)
	value, answered := fresh.Value, false
	for i := range c.answers.List {
		if a := &c.answers.List[i]; a.Kind == recovery.ReturnDeterminant {
			value, answered = a.Value, true
		} else {
			c.perform(a)
		}
	}
	c.answers.Reset()
	if !answered {
		c.fail(errUnanswered)
	}
	return value
}

// settle gives a router the targets that are local. A replay does not repeat the placement of tasks, and a restored task
// may have other neighbours; so the set of local targets is a determinant, and so is the number of picks that it holds for.
// No frame that follows from it is released before it is durable.
func (c *Core) settle(r *topology.Router) {
	outs := r.Outs()
	picks := c.settled(c.cfg.LocalFor)
	c.local = c.local[:0]
	for len(outs) > 0 {
		n, word := min(64, len(outs)), uint64(0)
		for i, ch := range outs[:n] {
			if c.cfg.Local(ch.Target.Alias) {
				word |= 1 << i
			}
		}
		c.local = append(c.local, c.settled(word))
		outs = outs[n:]
	}
	r.Prefer(c.local, picks)
}

// settled returns one number of the answer to a router. Only a call of Execute may be taken back and repeated: its
// determinants are remembered until it has succeeded.
func (c *Core) settled(fresh uint64) uint64 {
	if c.work.Kind == recovery.Deliver {
		return c.draw(recovery.DeterminantLocal, fresh)
	}
	return c.request(recovery.Event{Determinant: recovery.DeterminantLocal, Value: fresh})
}
