package files

import (
	"context"
	"os"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/tuple"
)

// An Option changes what Sink and Bolt do.
type Option func(*options)

type options struct {
	single bool
	roll   int64
	json   bool
	format any // a func(dst []byte, v V) []byte; nil: the default
	buffer int // bytes that are gathered for one write
	fsync  func(*os.File) error
	step   func(doing string) error // for tests; see try
}

// Single makes one file of the whole output, which appears when the input has ended and replaces a file of that name.
// If the sink has several tasks, each makes one.
func Single() Option { return func(o *options) { o.single = true } }

// Roll keeps writing to a part until it has at least n bytes. The default is 0: each snapshot ends a part.
func Roll(n int64) Option { return func(o *options) { o.roll = n } }

// JSON writes each value as one line of JSON, by the rules of encoding/json. So a []byte is base64 whatever is in it, and what
// reads the file need not guess; a text that people are to read is a string, or written by Format. A tuple becomes an object
// with its fields in their order; bytes and text are the same in a tuple, and are written as text, with U+FFFD for what is not
// UTF-8.
func JSON() Option { return func(o *options) { o.json = true } }

// Format sets how a value becomes a line: f appends it to dst, without line feed, and returns the result. For Sink, V is
// the type of its values; for Bolt it is tuple.Tuple. A function for another type fails the sink before it begins.
func Format[V any](f func(dst []byte, v V) []byte) Option {
	return func(o *options) { o.format = f }
}

// Sink returns a typed sink that writes each value as a line to files, exactly once:
//
//	stream.To(totals, "out", files.Sink[Total]("out/words"))
//
// The default line has the exported fields of the struct T, in their order and with tabs between them, those of embedded
// structs among them; a T that is no struct is a line by itself. A []byte and a string are written as they are and
// nothing is escaped in them, a time is in RFC 3339 with nanoseconds, in UTC, and a type with a method AppendText or
// MarshalText is written by that. Other fields have no such form, and the topology is rejected with an error that names the field; see
// JSON and Format.
//
// The output is a sequence of parts, path.00000001, path.00000002 … Each appears complete, when the snapshot that
// covers it is durable, and never changes again. With several tasks the alias stands before the number
// (path.out.1.00000001). With Single the name is path itself, or path.out.1 with several tasks.
//
// The directory must exist, and be shared by all machines that may run the task. Files that are being written lie in it
// under names that end in .tmp; a restored task removes those that its predecessors left there. A fresh run refuses to
// add to the parts of an earlier one with bolt.ErrOutputExists. Two operators must not have the same path.
//
// A consumer may take a part away once the next has appeared, or when the run has ended: until then a restored
// task may look for it.
func Sink[T any](path string, opts ...Option) stream.Sink[T] {
	return &sink[T]{path: path, options: optionsOf(opts)}
}

// Bolt returns the factory of the same sink for a topology of rows: each tuple is a line of its values.
//
//	b.Bolt("out", files.Bolt("out/words")).Shuffle("count")
//
// Lists and maps among the values are written as JSON, and nil as nothing.
func Bolt(path string, opts ...Option) func() bolt.Bolt {
	o := optionsOf(opts)
	return func() bolt.Bolt {
		return &rowWriter{writer[tuple.Tuple]{output: output{options: o, path: path}, derive: tupleFormatter}}
	}
}

func optionsOf(opts []Option) options {
	o := options{buffer: 64 << 10, fsync: (*os.File).Sync}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// sink is a typed sink.
type sink[T any] struct {
	options
	path string
}

// New returns the writer of one task.
func (s *sink[T]) New() stream.Writer[T] {
	return &writer[T]{output: output{options: s.options, path: s.path}, derive: formatterOf[T]}
}

// A writer is one task's part of a sink for values of type V.
type writer[V any] struct {
	output
	derive func(*options) (formatter[V], error)
	format formatter[V]
	line   []byte
}

// Prepare derives the form of a line, and checks the path.
func (w *writer[V]) Prepare(ctx bolt.Context) (err error) {
	if w.format, err = w.derive(&w.options); err != nil {
		return bolt.Permanent(err)
	}
	return w.output.Prepare(ctx)
}

// Verify refuses a type that has no line, and a strategy under which nothing would ever be published.
func (w *writer[V]) Verify(s bolt.Strategy) error {
	if _, err := w.derive(&w.options); err != nil {
		return err
	}
	return w.output.Verify(s)
}

// Write adds a line.
func (w *writer[V]) Write(_ context.Context, v V) (err error) {
	if err := w.accept(); err != nil {
		return err
	}
	if w.line, err = w.format(w.line[:0], v); err != nil {
		return err
	}
	w.line = append(w.line, '\n')
	return w.add(w.line)
}

// A rowWriter is the sink's bolt of one task.
type rowWriter struct{ writer[tuple.Tuple] }

// Execute adds a line.
func (w *rowWriter) Execute(ctx context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	return w.Write(ctx, t)
}

var (
	_ bolt.Preparer   = (*writer[int])(nil)
	_ bolt.Finisher   = (*writer[int])(nil)
	_ bolt.RenameSafe = (*writer[int])(nil)
	_ bolt.Verifier   = (*writer[int])(nil)
)
