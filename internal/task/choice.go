package task

import (
	"errors"

	"github.com/askback/askback/internal/recovery"
)

// choices are what the running call of Execute has drawn. A call that fails and is tried again draws the same: on
// replay it may succeed at once, and must then find the record as if it had never failed.
type choices struct {
	drawn []choice
	next  int // of drawn
}

type choice struct {
	kind  recovery.Determinant
	value uint64
}

// retry makes the next call draw the same.
func (d *choices) retry() { d.next = 0 }

// done forgets them: the call has succeeded, or is given up.
func (d *choices) done() { d.drawn, d.next = d.drawn[:0], 0 }

// recorded returns a choice made while the operator runs. While it is being prepared nothing is recorded.
func (c *Core) recorded(kind recovery.Determinant, fresh uint64) uint64 {
	if c.work.Kind == 0 || c.work.Kind == recovery.Poll {
		return fresh
	}
	return c.drawn(kind, fresh)
}

// drawn returns a choice of the running call: what it drew when it was tried before, or a recorded one.
func (c *Core) drawn(kind recovery.Determinant, fresh uint64) uint64 {
	d := &c.choices
	if d.next < len(d.drawn) && d.drawn[d.next].kind == kind {
		d.next++
		return d.drawn[d.next-1].value
	}
	value := c.choose(recovery.Event{Determinant: kind, Value: fresh})
	d.drawn = append(d.drawn[:d.next], choice{kind, value})
	d.next++
	return value
}

// errFew occurs when a machine does not answer a choice.
var errFew = errors.New("task: the strategy did not answer a choice")

// choose asks the machine for a recorded choice, or to record a fresh one.
func (c *Core) choose(fresh recovery.Event) uint64 {
	var do recovery.Actions
	fresh.Kind = recovery.DeterminantRequested
	c.machine.Step(fresh, &do)
	for i := range do.List {
		switch a := &do.List[i]; a.Kind {
		case recovery.ReturnDeterminant:
			return a.Value
		default:
			c.perform(a)
		}
	}
	c.fail(errFew)
	return fresh.Value
}
