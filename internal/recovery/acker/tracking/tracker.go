package tracking

import (
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// A Machine is a recovery machine whose strategy follows the tuples of spouts.
type Machine interface {
	recovery.Machine
	// Tracker returns the tracker of the machine's task, for the core to call between the machine's steps.
	Tracker() *Tracker
}

// A Tracker follows the tuple trees that one task takes part in. The outputs of a call are anchored to the tuple that it
// executes: their edges are added to the running call's, which count once the call has succeeded. A frame's edges are
// reported root by root. Its methods are for the task's goroutine. Make it with New.
type Tracker struct {
	report  *tuple.Row // on Stream
	root    uint64     // of the next output; 0: none
	salt    uint64     // of the frame that is consumed
	edges   uint64     // of the root, consumed or emitted, and not reported yet
	call    uint64     // emitted by the running call
	pending *Pending
}

// New returns the tracker of a task with these settings, which must have their defaults.
func New(cfg *recovery.Config) *Tracker {
	t := &Tracker{}
	if cfg.Spout {
		t.pending = newPending(cfg.MaxPending, cfg.HardBound, cfg.MessageTimeout)
	}
	return t
}

// Start begins an incarnation of the task with this number. Reports to the ledger are emitted as rows of Stream; a spout is
// at position.
func (t *Tracker) Start(task int, inc msgid.Incarnation, report *tuple.Row, position []byte) {
	t.report = report
	if p := t.pending; p != nil {
		p.base, p.position = RootBase(task, inc), position
	}
}

// Pending returns the tuples of a spout task that are not known to be processed; nil for other tasks.
func (t *Tracker) Pending() *Pending { return t.pending }

// Deliver begins a frame of a channel, sent by an incarnation of its source.
func (t *Tracker) Deliver(channel uint32, inc msgid.Incarnation) { t.salt = EdgeSalt(channel, inc) }

// Turn sets the root of the frame's next tuples; 0 ends the frame. It reports the edges of the root before, by an output
// that stays even if the next call fails.
func (t *Tracker) Turn(root uint64) {
	if t.edges != 0 {
		t.send(t.root, t.edges)
		t.edges = 0
	}
	t.root = root
}

// Executed ends the call over a tuple of the frame: it has succeeded, or the tuple is given up, and emitting it again would
// not help.
func (t *Tracker) Executed(seq msgid.Seq) {
	if t.root != 0 {
		t.edges ^= t.call ^ Edge(t.salt, seq)
	}
	t.call = 0
}

// TakenBack drops the edges of the running call's outputs.
func (t *Tracker) TakenBack() { t.call = 0 }

// Root returns the root of the next output; 0: none.
func (t *Tracker) Root() uint64 { return t.root }

// Anchored adds an edge of the root: the tuple of this number on the channel of an output with this salt.
func (t *Tracker) Anchored(output recovery.Output, salt uint64, seq msgid.Seq) {
	t.call ^= Edge(salt, seq)
	if t.pending != nil {
		t.pending.went(int32(output))
	}
}

// Begin makes the next output of a spout the root of a tree.
func (t *Tracker) Begin() { t.root = t.pending.begin() }

// Emitted keeps the tuple that the spout has just emitted, born at that time (Unix ns), and reports its tree.
func (t *Tracker) Emitted(item []byte, birth int64, now recovery.Tick) {
	t.pending.add(item, birth, now)
	t.begun()
}

// Again takes out the oldest tuple of a spout if it has been pending for too long, and begins another tree of it.
// EmittedAgain follows when it is on the channels that it went to first.
func (t *Tracker) Again(now recovery.Tick) (x Tuple, ok bool) {
	if x, ok = t.pending.overdue(now); ok {
		t.Begin()
	}
	return x, ok
}

// EmittedAgain keeps a tuple that was emitted again, and reports its new tree.
func (t *Tracker) EmittedAgain(x *Tuple, now recovery.Tick) {
	t.pending.keep(*x, now)
	t.begun()
}

// begun reports the tree that a spout has begun.
func (t *Tracker) begun() {
	root, edges := t.root, t.call
	t.root, t.call = 0, 0
	t.send(root, edges)
}

// send reports edges to the ledger.
func (t *Tracker) send(root, edges uint64) {
	_ = t.report.Begin().Uint(root).Uint(edges).Emit() // an error of the output is the call's
}
