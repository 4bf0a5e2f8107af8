package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/position"
	"github.com/askback/askback/spout"
)

var (
	// ErrNoFiles is returned by Open and Total when a pattern names no regular file.
	ErrNoFiles = errors.New("files: no files")
	// ErrChanged is returned by Seek when the files are not those that the position speaks of, and by Next
	// when a file has become shorter than it was. Such input cannot be replayed.
	ErrChanged = errors.New("files: files have changed")
	// ErrLongLine is returned by Next for a line longer than MaxLine, when Cut is not given.
	ErrLongLine = errors.New("files: line is too long")
	// ErrLongPiece is returned by Next when a line cannot be cut within MaxPiece bytes.
	ErrLongPiece = errors.New("files: line cannot be cut")
)

const (
	defaultMaxLine = 512 << 10 // a frame is at most a server's max_payload, 1 MiB unless configured
	batchBytes     = 16 << 10  // a frame's worth
)

// A Source reads the lines of text files and emits each as a tuple of one field. Make one with Files, set it
// up by its chained methods, and do not change it once a topology runs.
type Source struct {
	lineOptions
	patterns []string
	match    []string

	mu   sync.Mutex
	list *fileList // made once: all tasks, and all incarnations in this process, share it
}

// lineOptions say how a file becomes tuples.
type lineOptions struct {
	keepEmpty, keepCR bool
	maxLine, maxPiece int
	batch             int // what one call of Next emits, in bytes, about
	cut               bool
	cutMax            int
	cutAt             func(b []byte) int
}

// Files returns a source that reads the lines of files. A pattern is a plain file; a directory, which means all
// regular files below it; or a glob in which ** stands for any number of directories ("**/*.go"). A path that
// exists is taken as it is, whatever characters are in it. Hidden files count; links to files are read, links to
// directories are followed only when a pattern names them.
//
// The patterns are expanded when the first task opens. The files are read in the order of their names, each once,
// up to the length that it had at that moment. Of n tasks, task i reads every n-th file, beginning with the i-th.
// A file whose name ends in .gz is decompressed.
//
// A line is the bytes up to a line feed, whatever they are; the last one needs none. A carriage return before it
// is taken away, and empty lines are skipped; see KeepCR and KeepEmpty.
//
// A restored task goes on where its snapshot says. If the names or lengths of the files have changed since then,
// it fails with ErrChanged. A change that leaves the length alone is seen later, by the receiving tasks.
func Spout(patterns ...string) *Source {
	return &Source{
		patterns:    slices.Clone(patterns),
		lineOptions: lineOptions{maxLine: defaultMaxLine, maxPiece: defaultMaxLine, batch: batchBytes},
	}
}

// Match restricts what is read below a directory to the files whose path from that directory matches pattern
// ("**/*.go"). Given several times, one match is enough. It does not concern files and globs.
func (s *Source) Match(pattern string) *Source {
	s.match = append(s.match, pattern)
	return s
}

// Cut emits a line longer than max bytes in pieces. Each piece is cut where at allows it: at(b) returns the length
// of the longest prefix of b after which the line may be cut, and 0 if there is none; then the piece grows, at most
// to MaxPiece bytes, until it can be cut. A nil at cuts anywhere. What at returns must depend on b alone.
//
// A word counter cuts after a space:
//
//	spout.Spout("logs").Cut(16<<10, func(b []byte) int { return bytes.LastIndexByte(b, ' ') + 1 })
func (s *Source) Cut(max int, at func(b []byte) int) *Source {
	s.cut, s.cutMax, s.cutAt = true, max, at
	if at == nil {
		s.cutAt = func(b []byte) int { return len(b) }
	}
	return s
}

// MaxLine sets the longest line in bytes, without its end; 512 KiB by default. A longer one fails the task with
// ErrLongLine, unless Cut is given.
func (s *Source) MaxLine(n int) *Source { s.maxLine = n; return s }

// MaxPiece sets the longest piece in bytes that Cut may grow to; 512 KiB by default.
func (s *Source) MaxPiece(n int) *Source { s.maxPiece = n; return s }

// KeepEmpty emits empty lines too.
func (s *Source) KeepEmpty() *Source { s.keepEmpty = true; return s }

// KeepCR keeps the carriage return at the end of a line.
func (s *Source) KeepCR() *Source { s.keepCR = true; return s }

// Total says how many files there are and how many bytes they hold on disk, without reading them. It may be
// called from any goroutine.
func (s *Source) Total() (files int, bytes int64, err error) {
	list, err := s.expand()
	if err != nil {
		return 0, 0, err
	}
	return len(list.files), list.bytes, nil
}

// New returns the spout of one task.
func (s *Source) New() spout.Spout { return &task{source: s, lineOptions: s.lineOptions} }

// expand makes the list of files, once. An error is not kept: the next incarnation tries again.
func (s *Source) expand() (*fileList, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list != nil {
		return s.list, nil
	}
	list, err := expand(s.patterns, s.match)
	if err == nil {
		s.list = list
	}
	return list, err
}

// task reads the files numbered index, index+parallel, index+2*parallel …
type task struct {
	lineOptions
	source          *Source
	list            *fileList
	index, parallel int

	number int         // of the file that is read now or next; len(list.files) or more at the end
	file   *openedFile // nil: not opened yet
	lines  lines
	limit  int   // the longest line that is emitted whole
	total  int64 // bytes on disk of this task's files
	before int64 // those of them that are wholly read
}

// Open makes or shares the list of files.
func (s *task) Open(ctx bolt.Context) (err error) {
	s.limit = s.maxLine
	switch {
	case s.cut && s.cutMax < 1:
		return fmt.Errorf("files: Cut(%d) must allow at least 1 byte", s.cutMax)
	case s.cut && s.maxPiece < s.cutMax:
		return fmt.Errorf("files: MaxPiece(%d) is less than Cut(%d): raise it", s.maxPiece, s.cutMax)
	case s.cut:
		s.limit = s.cutMax
	case s.maxLine < 1:
		return fmt.Errorf("files: MaxLine(%d) must allow at least 1 byte", s.maxLine)
	}
	if s.list, err = s.source.expand(); err != nil {
		return err
	}
	s.index, s.parallel = ctx.Task().Alias.Index, max(ctx.Task().Parallel, 1)
	for i := s.index; i < len(s.list.files); i += s.parallel {
		s.total += s.list.files[i].size
	}
	s.number = s.index
	s.lines.keepCR = s.keepCR
	return nil
}

// Next emits the next lines, about a frame's worth, so that the cost of a call vanishes.
func (s *task) Next(_ context.Context, out spout.Emitter) error {
	if s.list == nil {
		return errors.New("files: Next before Open")
	}
	emitted := false
	for room := s.batch; room > 0; {
		if s.file == nil {
			if s.number >= len(s.list.files) {
				if emitted {
					return nil
				}
				return io.EOF
			}
			if err := s.open(0); err != nil {
				return err
			}
		}
		line, size, err := s.line()
		if err != nil {
			return err
		}
		if size == 0 {
			if err := s.close(); err != nil {
				return err
			}
			room -= 1024 // a million empty files do not make one call
			continue
		}
		if len(line) > 0 || s.keepEmpty {
			if err := out.Row().Bytes(line).Emit(); err != nil {
				return fmt.Errorf("emit line at byte %d of %s: %w", s.lines.offset(), s.file.path, err)
			}
			emitted = true
		}
		s.lines.from += size // only now: the position stays before a line that was not emitted
		room -= size + 16
	}
	return nil
}

// line finds the next line or piece, and how many bytes of the file it stands for; 0 is the end of the file.
func (s *task) line() (line []byte, size int, err error) {
	line, size, whole, err := s.lines.view(s.limit)
	switch {
	case err != nil:
		return nil, 0, fmt.Errorf("files: read %s at byte %d: %w", s.file.path, s.lines.offset(), err)
	case whole:
		return line, size, nil
	case s.cut:
		return s.piece(line)
	}
	return nil, 0, s.tooLong()
}

// piece cuts the beginning of a line that is longer than b. The view is widened by doubling, so that a function
// which looks at all of it costs in proportion to the piece. It depends on the position alone, as replay demands.
func (s *task) piece(b []byte) ([]byte, int, error) {
	for width := s.cutMax; ; {
		n := s.cutAt(b)
		if n < 0 || n > len(b) {
			return nil, 0, fmt.Errorf("files: the function given to Cut returned %d for %d bytes", n, len(b))
		}
		if n > 0 {
			return b[:n], n, nil
		}
		if width >= s.maxPiece {
			return nil, 0, fmt.Errorf("%w: %s at byte %d has no place to cut within %d bytes: raise MaxPiece, or let Cut cut there",
				ErrLongPiece, s.file.path, s.lines.offset(), s.maxPiece)
		}
		width = min(2*width, s.maxPiece)
		wider, size, whole, err := s.lines.view(width)
		if err != nil {
			return nil, 0, fmt.Errorf("files: read %s at byte %d: %w", s.file.path, s.lines.offset(), err)
		}
		if whole {
			if n := s.cutAt(wider); n > 0 && n < len(wider) {
				return wider[:n], n, nil
			}
			return wider, size, nil
		}
		b = wider
	}
}

// tooLong tells of the line at the present position. Its number is counted only now: nobody pays for it before.
func (s *task) tooLong() error {
	offset := s.lines.offset()
	number, length, err := s.list.files[s.number].locate(offset)
	if err != nil {
		return fmt.Errorf("%w: %s at byte %d: over %d bytes", ErrLongLine, s.file.path, offset, s.maxLine)
	}
	return fmt.Errorf("%w: %s:%d: %s bytes, at byte %d; the limit is %d: raise MaxLine, or give Cut to emit it in pieces",
		ErrLongLine, s.file.path, number, length, offset, s.maxLine)
}

// open opens the file that is next, at an offset.
func (s *task) open(offset int64) error {
	f, err := s.list.files[s.number].open(offset)
	if err != nil {
		return err
	}
	s.file = f
	s.lines.reset(f, offset)
	return nil
}

// close ends the present file and goes to the next.
func (s *task) close() error {
	err := s.file.Close()
	s.file = nil
	s.before += s.list.files[s.number].size
	s.number += s.parallel
	return err
}

// Close closes the file that is open.
func (s *task) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// Progress is in bytes on disk.
func (s *task) Progress() (done, total int64) {
	done = s.before
	if s.file != nil {
		done += s.file.taken(s.lines.offset())
	}
	return done, s.total
}

const filePosition = 1 // the version of the form below

// Position appends: version, parallelism, the list's fingerprint, number of files and bytes; then the file's
// number, its own fingerprint, and the offset in it, before compression.
func (s *task) Position(dst []byte) []byte {
	dst = append(dst, filePosition)
	dst = binary.AppendUvarint(dst, uint64(s.parallel))
	dst = binary.BigEndian.AppendUint64(dst, s.list.print)
	dst = binary.AppendUvarint(dst, uint64(len(s.list.files)))
	dst = binary.AppendUvarint(dst, uint64(s.list.bytes))
	dst = binary.AppendUvarint(dst, uint64(s.number))
	if s.number >= len(s.list.files) {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(dst, s.list.files[s.number].print)
	offset := int64(0)
	if s.file != nil {
		offset = s.lines.offset()
	}
	return binary.AppendUvarint(dst, uint64(offset))
}

// Seek goes to a position, if the files are still the same.
func (s *task) Seek(at []byte) error {
	if s.list == nil {
		return errors.New("files: Seek before Open")
	}
	r := position.Reader{B: at}
	version, parallel := r.Byte(), r.Uvarint()
	print, files, bytes := r.Uint64(), r.Uvarint(), r.Uvarint()
	number := r.Uvarint()
	var filePrint, offset uint64
	if number < files {
		filePrint, offset = r.Uint64(), r.Uvarint()
	}
	if r.Bad || len(r.B) > 0 || version != filePosition {
		return fmt.Errorf("%w: %.40x", spout.ErrPosition, at)
	}
	if parallel != uint64(s.parallel) {
		return fmt.Errorf("%w: it was made by one of %d tasks, and there are %d now", spout.ErrPosition, parallel, s.parallel)
	}
	if print != s.list.print || files != uint64(len(s.list.files)) {
		return s.changed(files, bytes, number, filePrint)
	}
	if number%parallel != uint64(s.index) || number >= files+parallel || offset > 1<<62 {
		return fmt.Errorf("%w: file number %d at byte %d", spout.ErrPosition, number, offset)
	}

	if err := s.Close(); err != nil {
		return err
	}
	s.number, s.before = int(number), 0
	for i := s.index; i < min(s.number, len(s.list.files)); i += s.parallel {
		s.before += s.list.files[i].size
	}
	if number >= files || offset == 0 {
		return nil
	}
	return s.open(int64(offset))
}

// changed tells what is known of a change: the file that was being read, or only the sums.
func (s *task) changed(files, bytes, number, filePrint uint64) error {
	was := fmt.Sprintf("the snapshot was taken over %d files with %d bytes, and there are %d files with %d bytes now",
		files, bytes, len(s.list.files), s.list.bytes)
	if number < files && number < uint64(len(s.list.files)) && s.list.files[number].print != filePrint {
		was += fmt.Sprintf("; file number %d, being read, is not the present %s", number, s.list.files[number].path)
	}
	return fmt.Errorf("%w: %s: put the files back, or start the topology afresh", ErrChanged, was)
}
