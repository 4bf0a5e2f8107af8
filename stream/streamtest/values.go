package streamtest

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"slices"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
)

// An Input is a source of the values that a test sends. Make it with In.
type Input[T any] struct {
	h      *Harness
	stream stream.Stream[T]
	values []T
	closed bool
}

// In adds a source to the topology. Where it has several tasks (Parallel, called on its stream), they take the values in
// turn.
//
// A []byte in a value is overwritten as soon as the steps that the source is fused with have returned, as a frame of
// production may be: so a step that keeps one without a copy is detected.
func In[T any](h *Harness, name string) *Input[T] {
	h.t.Helper()
	t := h.Topology()
	h.declaring("In", name)
	in := &Input[T]{h: h}
	in.stream = stream.From(t, name, in)
	h.inputs = append(h.inputs, in)
	return in
}

// Stream returns the stream of the values.
func (in *Input[T]) Stream() stream.Stream[T] { return in.stream }

// Send sends values: they are processed when the run continues. They are copied, except data that only their unexported
// fields refer to. Sending after Close fails the test.
func (in *Input[T]) Send(values ...T) {
	in.h.t.Helper()
	if in.closed {
		in.h.t.Fatalf("streamtest: Send after Close, or after Finish")
	}
	for _, v := range values {
		in.values = append(in.values, copyOf(v))
	}
}

// Close ends the input once the sent values have been processed.
func (in *Input[T]) Close() { in.closed = true }

// New implements stream.Source.
func (in *Input[T]) New() stream.Reader[T] { return &reader[T]{in: in, step: 1} }

// A reader is one task of an Input. It pauses after a few values, so that a short input makes many frames.
type reader[T any] struct {
	in   *Input[T]
	next int // of the input's values
	step int
	run  int // values since the last pause
}

const longestRun = 3

// Open implements spout.Opener.
func (r *reader[T]) Open(ctx bolt.Context) error {
	r.next, r.step = ctx.Task().Alias.Index, ctx.Task().Parallel
	return nil
}

// Next implements stream.Reader.
func (r *reader[T]) Next(_ context.Context, out func(T)) error {
	switch {
	case r.run == longestRun:
		r.run = 0
	case r.next < len(r.in.values):
		r.run++
		v := copyOf(r.in.values[r.next])
		r.next += r.step
		out(v)
		scramble(reflect.ValueOf(&v).Elem())
		return nil
	case r.in.closed:
		return io.EOF
	}
	return spout.ErrIdle
}

// Position implements stream.Reader.
func (r *reader[T]) Position(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(r.next)) }

// Seek implements stream.Reader.
func (r *reader[T]) Seek(position []byte) error {
	n, width := binary.Uvarint(position)
	if width <= 0 {
		return errPosition
	}
	r.next = int(n)
	return nil
}

var errPosition = errors.New("streamtest: the snapshot is of another run")

// An Output is a sink that keeps the values that reach it. Make it with Out. The methods of the embedded step, such as
// Parallel and Isolate, are for before the start.
type Output[T any] struct {
	*stream.SinkStep[T]
	tasks     [][]T // by index
	snapshots [][]T // the output at each snapshot of a task
}

// Out ends a stream in a sink that keeps its values.
func Out[T any](h *Harness, name string, in stream.Stream[T]) *Output[T] {
	h.t.Helper()
	h.declaring("Out", name)
	out := &Output[T]{}
	out.SinkStep = stream.To(in, name, sink[T]{out})
	return out
}

// Values returns the values that have reached the sink: those of its first task in the order in which they came, then those
// of the second, and so on. After Settle each value is there exactly once, after any kills. Values that no snapshot covers
// yet may come in another order after a kill, where the sink has several inputs or a step draws random numbers.
func (o *Output[T]) Values() []T {
	var all []T
	for _, values := range o.tasks {
		all = append(all, values...)
	}
	return all
}

type sink[T any] struct{ to *Output[T] }

// New implements stream.Sink.
func (s sink[T]) New() stream.Writer[T] { return &writer[T]{to: s.to} }

// A writer is one task of an Output. Its snapshot is a number in Output.snapshots: values need no encoding.
type writer[T any] struct {
	to    *Output[T]
	index int
}

// Prepare implements bolt.Preparer. It begins with no values; Restore brings back those of a snapshot.
func (w *writer[T]) Prepare(ctx bolt.Context) error {
	w.index = ctx.Task().Alias.Index
	for len(w.to.tasks) <= w.index {
		w.to.tasks = append(w.to.tasks, nil)
	}
	w.to.tasks[w.index] = nil
	return nil
}

// Write implements stream.Writer.
func (w *writer[T]) Write(_ context.Context, v T) error {
	w.to.tasks[w.index] = append(w.to.tasks[w.index], copyOf(v))
	return nil
}

// Snapshot implements bolt.Snapshotter.
func (w *writer[T]) Snapshot() ([]byte, error) {
	w.to.snapshots = append(w.to.snapshots, slices.Clip(w.to.tasks[w.index]))
	return binary.AppendUvarint(nil, uint64(len(w.to.snapshots)-1)), nil
}

// Commit implements bolt.Committer. A value counts only with the snapshot that covers it: Restore takes back all others.
func (w *writer[T]) Commit() error { return nil }

// Restore implements bolt.Snapshotter.
func (w *writer[T]) Restore(data []byte) error {
	n, width := binary.Uvarint(data)
	if width <= 0 || n >= uint64(len(w.to.snapshots)) {
		return errPosition
	}
	w.to.tasks[w.index] = w.to.snapshots[n]
	return nil
}

// declaring fails the test if the topology runs already.
func (h *Harness) declaring(what, name string) {
	h.t.Helper()
	if h.started {
		h.t.Fatalf("streamtest: %s(%q) after the start: declare the topology before", what, name)
	}
}
