package task

import (
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/topology"
)

// settle tells a router which of its targets are local. Where tasks run follows from nothing that a replay repeats, and
// a restored task may have other neighbours; so the answer is a recorded choice, and for how many picks it holds is part
// of it. No frame that follows from it is released before it is durable.
func (e *emission) settle(r *topology.Router) {
	c, outs := e.core, r.Outs()
	picks := c.settled(c.cfg.LocalFor)
	e.local = e.local[:0]
	for len(outs) > 0 {
		n, word := min(64, len(outs)), uint64(0)
		for i, ch := range outs[:n] {
			if c.cfg.Local(ch.Target.Alias) {
				word |= 1 << i
			}
		}
		e.local = append(e.local, c.settled(word))
		outs = outs[n:]
	}
	r.Prefer(e.local, picks)
}

// settled returns one recorded number of an answer. Only a call of Execute may be taken back and repeated: what it drew
// is remembered until it has succeeded.
func (c *Core) settled(fresh uint64) uint64 {
	if c.work.Kind == recovery.Deliver {
		return c.drawn(recovery.DeterminantLocal, fresh)
	}
	return c.choose(recovery.Event{Determinant: recovery.DeterminantLocal, Value: fresh})
}
