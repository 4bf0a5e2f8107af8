package task

import "github.com/askback/askback/bolt"

// A StateKind is the kind of state that an operator keeps from tuple to tuple.
type StateKind string

// The kinds of state that an operator may keep.
const (
	Nothing  StateKind = ""
	KeyState StateKind = "keyed state"
	OwnState StateKind = "state of its own"
	Effects  StateKind = "effects outside, and Commit"
	Anchored StateKind = "effects outside under the topology's name" // see bolt.RenameSafe
)

// KeepsState returns the kind of state of the task's operator.
func (c *Core) KeepsState() StateKind {
	switch b := c.bolt.(type) {
	case bolt.RenameSafe:
		return Effects
	case bolt.Committer:
		return Anchored
	case interface{ KeepsState() bool }: // a composition: its snapshot may hold only counts
		if b.KeepsState() {
			return OwnState
		}
		return Nothing
	case bolt.Snapshotter:
		return OwnState
	}
	if c.store.Used() {
		return KeyState
	}
	return Nothing
}

// Quiesced reports whether the task stands still as Config.Quiesce asks, and for which number: it has no work, and none of
// its messages is on its way.
func (c *Core) Quiesced() (number uint64, is bool) {
	number = c.quiesce()
	return number, number != 0 && c.work.Kind == 0 && c.capture == nil && c.err == nil && c.machine.Status().Clean
}

// quiesce returns the number that Config.Quiesce returns; 0: the task continues.
func (c *Core) quiesce() uint64 {
	if c.cfg.Quiesce == nil {
		return 0
	}
	return c.cfg.Quiesce()
}
