package spout

import (
	"context"
	"errors"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

// Emitter takes the tuples that a spout emits; see tuple.Emitter.
type Emitter = tuple.Emitter

// ErrPosition is returned by Seek for a position that the same source cannot have given.
var ErrPosition = errors.New("spout: not a position of this spout")

// ErrIdle is returned by Next when there is no tuple to emit now but may be later. The task calls Next again after a short
// pause.
var ErrIdle = errors.New("spout: nothing to emit now")

// A Spout reads replayable, offset-addressed input.
//
// Threading: as for a bolt, one goroutine calls every method, one call at a time.
//
// The output of Next must follow from the position alone: after Seek(p), the same calls emit the same tuples that followed
// Position() == p before. The division of the tuples among calls of Next does not matter.
type Spout interface {
	// Next emits the next tuples, usually one, at most a few. It returns io.EOF when the input has ended (and must not have
	// emitted in that call), and ErrIdle when there is no tuple now. Any other error fails the task, which is restarted and
	// seeks to its last snapshot.
	Next(ctx context.Context, out Emitter) error
	// Position appends to dst the encoded position of the next call of Next.
	Position(dst []byte) []byte
	// Seek goes to a position that Position gave, perhaps in an earlier process.
	Seek(position []byte) error
}

// An Opener receives its context before the first call of Next or Seek.
type Opener interface {
	Open(ctx bolt.Context) error
}

// A Progresser reports its progress, in a unit of its own (such as bytes). Total is 0 if unknown. Progress is called on the
// task's goroutine.
type Progresser interface {
	Progress() (done, total int64)
}

// An Acker receives the outcome of its tuples, under a strategy that follows them (acker). The n-th tuple that the spout
// has emitted since it was opened is number n; a call concerns one. The runtime itself emits failed tuples again; Acker is
// for spouts that notify others. Both are called on the task's goroutine, never within Next.
type Acker interface {
	// Ack reports that a tuple, and all tuples emitted because of it, are processed.
	Ack(n uint64)
	// Fail reports that it was not processed in time, and will be emitted again.
	Fail(n uint64)
}

// A Pacer holds back tuples by the clock.
type Pacer interface {
	// Hurry(true) reports that the task was restored and repeats the output of its predecessor: others wait for it, so the
	// spout must not hold back. Hurry(false) reports that it has caught up. It is called on the task's goroutine.
	Hurry(on bool)
}

// A spout that implements io.Closer is closed when its task ends or is killed.

// A Source makes the spout of each task. A topology is built from sources, since each task needs its own.
type Source interface {
	New() Spout
}

// Func is a Source made of a function.
type Func func() Spout

// New calls f.
func (f Func) New() Spout { return f() }
