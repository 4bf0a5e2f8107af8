package stream

import (
	"context"

	"github.com/askback/askback/msgid"
)

// A Source reads replayable, offset-addressed input as values of type T. A topology makes one Reader for each task.
type Source[T any] interface {
	// New returns the reader of one task. Tasks share no reader.
	New() Reader[T]
}

// A Reader is one task's part of a source.
//
// Threading: one goroutine calls every method, one call at a time.
//
// Values that Next emits must follow from the position alone: after Seek(p), the same calls emit the same values that
// followed Position() == p before. A []byte inside a value may be a view that is valid during out only.
//
// The optional interfaces of a spout count here too, found by type assertion: spout.Opener, spout.Progresser,
// spout.Pacer, io.Closer.
type Reader[T any] interface {
	// Next emits the next values, at most a few. It returns io.EOF when the input has ended (and must not have emitted in
	// that call), and spout.ErrIdle when there is no value now. Any other error fails the task, which is restarted and
	// seeks to its last snapshot. The context ends when the task is stopped.
	Next(ctx context.Context, out func(T)) error
	// Position appends to dst the encoded position of the next call of Next.
	Position(dst []byte) []byte
	// Seek goes to a position that Position returned, perhaps in an earlier process.
	Seek(position []byte) error
}

// A Sink has an effect outside for each value of type T. A topology makes one Writer for each task.
//
// The writers of a sink with a method Every() time.Duration are ticked on that interval, unless SinkStep.Tick sets another
// one or Every returns 0.
type Sink[T any] interface {
	// New returns the writer of one task. Tasks share no writer. It is also called when the topology is built, to find the
	// optional interfaces of its writers.
	New() Writer[T]
}

// A Writer is one task's part of a sink.
//
// Threading: one goroutine calls every method, one call at a time. A []byte inside v is a view that is valid during the
// call only.
//
// The optional interfaces of a bolt count here too, found by type assertion: bolt.Preparer, bolt.Ticker, bolt.Finisher (the
// emitter is nil in both), bolt.Snapshotter, bolt.Committer, io.Closer. A sink with exactly-once effects is a
// bolt.Committer, or idempotent: an Identifier gets the id by which it recognizes a value that it has written.
//
// A restored task may take the values that no snapshot covers in another order. So the number of calls identifies no value.
type Writer[T any] interface {
	Write(ctx context.Context, v T) error
}

// An Identifier is a Writer that needs the message ids of its values. A value that comes again after a failure has the id
// that it had, under a strategy that is exactly once and rolls no task back. The sink is an operator of its own.
type Identifier interface {
	// Identify is called before each Write, with the id of the value.
	Identify(id msgid.ID)
}
