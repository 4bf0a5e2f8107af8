package files

import (
	"context"
	"slices"
	"sync"

	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
)

const (
	defaultMaxLine = 512 << 10 // a frame is at most a server's max_payload, 1 MiB unless configured
	batchBytes     = 16 << 10  // a frame's worth
)

// A Line is one line of a file, or one piece of it if the source cuts long lines.
type Line struct {
	Text   []byte // without its end; a view that is valid during the call that receives it
	File   string // path as the pattern found it; safe to keep
	Number int64  // of the line in its file, from 1; empty lines count, and pieces of one line have the same
	Offset int64  // of the first byte of Text in the file's content, after decompression
}

// A Source reads the lines of text files. Lines and Spout make one, its chained methods set it up, and it is not to be
// changed once a topology runs. The type parameter is what New returns: a stream.Reader[Line], or a spout.Spout.
type Source[R any] struct {
	input
	task func(*input) R
}

// Lines returns a typed source of the lines of files, for a stream:
//
//	lines := stream.From(t, "lines", files.Lines("logs/**/*.txt.gz"))
//
// A pattern is a plain file; a directory, which means all regular files below it; or a glob in which ** stands for any
// number of directories ("**/*.go"). A path that exists is taken as it is, whatever characters are in it. Hidden files
// count; links to files are read, links to directories are followed only when a pattern names them.
//
// The patterns are expanded when the first task opens. The files are read in the order of their names, each once, up to
// the length that it had at that moment. With n tasks, task i reads every n-th file, beginning with the i-th. A file
// whose name ends in .gz is decompressed.
//
// A line is the bytes up to a line feed, whatever they are; the last one needs none. A carriage return before it
// is taken away, and empty lines are skipped; see KeepCR and KeepEmpty.
//
// A restored task goes on where its snapshot ends. If the names or lengths of the files have changed since then,
// it fails with ErrChanged. A change that leaves the length alone is noticed later, by the receiving tasks.
func Lines(patterns ...string) *Source[stream.Reader[Line]] {
	return newSource(patterns, func(in *input) stream.Reader[Line] { return &lineReader{newReader(in)} })
}

// Spout returns the same source for a topology of rows: each line is a tuple of one field.
//
//	b.Spout("lines", files.Spout("logs/**/*.txt.gz")).Fields("line")
func Spout(patterns ...string) *Source[spout.Spout] {
	return newSource(patterns, func(in *input) spout.Spout { return &rowReader{newReader(in)} })
}

func newSource[R any](patterns []string, task func(*input) R) *Source[R] {
	return &Source[R]{
		input: input{
			patterns:    slices.Clone(patterns),
			lineOptions: lineOptions{maxLine: defaultMaxLine, maxPiece: defaultMaxLine, batch: batchBytes},
		},
		task: task,
	}
}

// Match restricts what is read below a directory to the files whose path from that directory matches pattern
// ("**/*.go"). Given several times, one match is enough. It does not concern files and globs.
func (s *Source[R]) Match(pattern string) *Source[R] {
	s.match = append(s.match, pattern)
	return s
}

// Cut emits a line longer than max bytes in pieces. Each piece is cut where at allows it: at(b) returns the length
// of the longest prefix of b after which the line may be cut, and 0 if there is none; then the piece grows, at most
// to MaxPiece bytes, until it can be cut. A nil at cuts anywhere. The result of at must depend on b alone.
//
// A word counter cuts after a space:
//
//	files.Lines("logs").Cut(16<<10, func(b []byte) int { return bytes.LastIndexByte(b, ' ') + 1 })
func (s *Source[R]) Cut(max int, at func(b []byte) int) *Source[R] {
	s.cut, s.cutMax, s.cutAt = true, max, at
	if at == nil {
		s.cutAt = func(b []byte) int { return len(b) }
	}
	return s
}

// MaxLine sets the longest line in bytes, without its end; 512 KiB by default. A longer one fails the task with
// ErrLongLine, unless Cut is given.
func (s *Source[R]) MaxLine(n int) *Source[R] { s.maxLine = n; return s }

// MaxPiece sets the longest piece in bytes that Cut may grow to; 512 KiB by default.
func (s *Source[R]) MaxPiece(n int) *Source[R] { s.maxPiece = n; return s }

// KeepEmpty emits empty lines too.
func (s *Source[R]) KeepEmpty() *Source[R] { s.keepEmpty = true; return s }

// KeepCR keeps the carriage return at the end of a line.
func (s *Source[R]) KeepCR() *Source[R] { s.keepCR = true; return s }

// Total returns how many files there are and how many bytes they hold on disk, without reading them. It may be
// called from any goroutine.
func (s *Source[R]) Total() (files int, bytes int64, err error) {
	list, err := s.expand()
	if err != nil {
		return 0, 0, err
	}
	return len(list.files), list.bytes, nil
}

// New returns the reader of one task.
func (s *Source[R]) New() R { return s.task(&s.input) }

// input is what the tasks of a source share.
type input struct {
	lineOptions
	patterns []string
	match    []string

	mu   sync.Mutex
	list *fileList // made once: all tasks, and all incarnations in this process, share it
}

// lineOptions are the rules by which a file becomes lines.
type lineOptions struct {
	keepEmpty, keepCR bool
	maxLine, maxPiece int
	batch             int // bytes that one call of Next emits, about
	cut               bool
	cutMax            int
	cutAt             func(b []byte) int
}

// expand makes the list of files, once. An error is not kept: the next incarnation tries again.
func (in *input) expand() (*fileList, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.list != nil {
		return in.list, nil
	}
	list, err := expand(in.patterns, in.match)
	if err == nil {
		in.list = list
	}
	return list, err
}

// lineReader is a task's reader of typed lines.
type lineReader struct{ *reader }

// Next emits the next lines, about a frame's worth, so that the cost of a call vanishes.
func (r *lineReader) Next(_ context.Context, out func(Line)) error {
	r.begin()
	for r.scan() {
		out(r.place())
	}
	return r.ended
}

// rowReader is a task's spout of rows.
type rowReader struct{ *reader }

// Next emits the next lines, about a frame's worth, so that the cost of a call vanishes.
func (r *rowReader) Next(_ context.Context, out spout.Emitter) error {
	r.begin()
	for r.scan() {
		if err := out.Row().Bytes(r.text).Emit(); err != nil {
			return r.unemitted(err)
		}
	}
	return r.ended
}
