package bolt

import (
	"context"
	"errors"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// ErrOutputExists is returned by a sink that finds the output of an earlier run at its place: the files, the rows or the
// messages are there already. The run cannot continue until the user has removed that output, or has given the sink another
// place.
var ErrOutputExists = errors.New("bolt: output exists already")

// Emitter takes the tuples that a bolt emits; see tuple.Emitter.
type Emitter = tuple.Emitter

// A Bolt consumes tuples, and may emit others.
//
// Threading: one goroutine owns a task. It calls every method of the bolt, one call at a time; a bolt needs no lock, and
// must not pass t, out or bytes read from them to another goroutine or keep them after the call.
//
// Determinism: a restored task consumes the same tuples in the same order again and must emit the same tuples
// and reach the same state. So a bolt takes the time and chance from its Context, never from the machine, and
// does not range over a Go map to emit. A bolt that cannot promise this is declared Nondeterministic when the
// topology is built.
//
// The context of a call ends when the task is stopped or superseded by a newer incarnation. A call that waits for an
// outside system must return then: a call that does not keeps its topology from ending.
//
// An error from Execute, a field that could not be read as it was asked for, and a panic report that this tuple could
// not be processed. The output of the call is taken back and the tuple is tried again by the operator's retries. After
// that the topology fails with a *TupleError, unless the operator declares another policy (topology.Node's DeadLetter
// and Drop). An error made by Outage is not the tuple's: the task is restarted and consumes the tuple again. A change of
// state that the failed call made is not taken back: change state last.
//
// The optional interfaces below are found by type assertion on the value that the operator's factory returns.
type Bolt interface {
	Execute(ctx context.Context, t tuple.Tuple, out Emitter) error
}

// A bolt that implements io.Closer is closed when its task ends or is killed, whatever happened before: Prepare or Restore
// may have failed.

// A Preparer receives its context before the first tuple, in every incarnation, before state is restored.
type Preparer interface {
	Prepare(ctx Context) error
}

// A Finisher is called once when all inputs of the task have ended. Its output is sent before the task's own channels end.
type Finisher interface {
	Finish(ctx context.Context, out Emitter) error
}

// A Ticker is called on the interval set when the topology is built. The time is recorded, so that a restored
// task is ticked at the same place with the same time.
type Ticker interface {
	Tick(ctx context.Context, now time.Time, out Emitter) error
}

// A Snapshotter keeps state of its own form, which is stored whole at each snapshot. State of many keys belongs in a
// state.Map, which stores changed entries only. Snapshot's result is not changed afterwards by the bolt.
type Snapshotter interface {
	Snapshot() ([]byte, error)
	Restore(data []byte) error
}

// A Committer is a sink whose outside effects become visible together with a snapshot. Snapshot (which it must implement)
// closes the effects staged so far and returns how to finish them; Commit makes exactly those visible and is called when no
// failure can take that snapshot back any more (when it is durable, or, if the strategy rolls back all tasks together, when
// all tasks have theirs), and again after a Restore of it. Commit must be repeatable.
type Committer interface {
	Snapshotter
	Commit() error
}

// A RenameSafe sink keeps no progress outside under Task.Topology, so the topology may continue under another name. A
// Committer that is not RenameSafe keeps a cluster from changing the parallelism of its topology.
type RenameSafe interface {
	Committer
	RenameSafe()
}

// A Context gives a task its identity, and time and chance that a replay repeats.
type Context interface {
	// Task returns the task's identity.
	Task() Task
	// State holds the task's keyed state; see state.Open.
	State() *state.Store
	// Now returns the time. It is recorded in the task log, so that a replay returns the same.
	Now() time.Time
	// Rand returns a random number. It is recorded in the task log, so that a replay returns the same.
	Rand() uint64
}

// A Strategy describes the recovery strategy to an operator.
type Strategy struct {
	Name string // such as "backtrack"; "" where a bolt runs outside of a topology
	// ExactlyOnce reports whether each tuple takes effect exactly once on the state of each task.
	ExactlyOnce bool
	// Snapshots reports whether tasks of bolts take snapshots. Where they take none, no Committer ever commits.
	Snapshots bool
	// RollsBack reports whether a failure of any task takes all tasks back to their last common checkpoint. Effects
	// outside that were visible before Commit may then be repeated with other content.
	RollsBack bool
}

// A Verifier reports, when the topology is built, whether it can hold its guarantee under a recovery strategy. An error
// refuses the topology; its text names the remedy.
type Verifier interface {
	Verify(s Strategy) error
}

// An Identifier is a sink that recognizes, by the message id, a tuple that it has processed before. Its outside effects are
// visible before a snapshot is stored. It must be an operator by itself, so that its tuples and their ids do not depend on
// the order in which a task takes its inputs: that order is durable when a frame leaves a task, and effects do not wait for
// it. Chain rejects it.
type Identifier interface {
	Bolt
	Identifies()
}

// Task identifies a task: the operator and the instance.
type Task struct {
	Topology string
	Alias    msgid.Alias
	Parallel int // how many instances the operator has
	// Strategy is the recovery strategy under which the task runs.
	Strategy Strategy
	// Incarnation distinguishes a restored task from the one that it replaces, which may only be paused. Use it in outside
	// names, such as those of staged files; a bolt's output must not depend on it.
	Incarnation msgid.Incarnation
}
