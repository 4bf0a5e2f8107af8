package files

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

var (
	// ErrLost is returned by a file sink when a staged file that the snapshot counts on is not there, or is
	// shorter: it was deleted, or the task was moved to a machine that does not share the directory.
	ErrLost = errors.New("files: staged output is lost")
)

// An Option changes what Bolt does.
type Option func(*options)

type options struct {
	single bool
	roll   int64
	format func(t tuple.Tuple, dst []byte) []byte
	buffer int // bytes that are gathered for one write
	fsync  func(*os.File) error
	step   func(doing string) // tests stop here, where a process may be killed
}

// Single makes one file of the whole output, which appears when the input has ended and replaces a file of that
// name. Of several tasks each makes one.
func Single() Option { return func(o *options) { o.single = true } }

// Roll keeps writing to a part until it has at least n bytes. The default is 0: each snapshot ends a part.
func Roll(n int64) Option { return func(o *options) { o.roll = n } }

// Format sets how a tuple becomes a line: f appends it to dst, without line feed, and returns the result. The
// default writes the values in their usual text form, with tabs between them and nothing escaped.
func Format(f func(t tuple.Tuple, dst []byte) []byte) Option {
	return func(o *options) { o.format = f }
}

// Bolt returns the factory of a sink that writes each tuple as a line to files, exactly once:
//
//	b.Bolt("out", files.Bolt("out/words")).Shuffle("count")
//
// The output is a sequence of parts, path.00000001, path.00000002 … Each appears complete, when the snapshot that
// covers it is durable, and never changes again. With several tasks the alias stands before the number
// (path.out.1.00000001). With Single the name is path itself, or path.out.1 with several tasks.
//
// The directory must exist, and be shared by all machines that may run the task. What is being written lies in it
// under names that end in .tmp; a restored task removes what its predecessors left there. A fresh run refuses to
// add to the parts of an earlier one with bolt.ErrOutputExists. Two operators must not have the same path.
//
// A consumer may take a part away once the next has appeared, or when the run has ended: until then a restored
// task may look for it.
func Bolt(path string, opts ...Option) func() bolt.Bolt {
	o := options{format: tabbed, buffer: 64 << 10, fsync: (*os.File).Sync}
	for _, opt := range opts {
		opt(&o)
	}
	return func() bolt.Bolt { return &sink{options: o, path: path} }
}

// sink writes one part at a time. What a part will hold is, in this order:
//
//	segments   what earlier incarnations staged of it, as far as the snapshot covers it
//	file       what this incarnation has staged
//	buf        what is not written yet
//
// Each incarnation stages to files of its own, so a paused predecessor that comes back spoils nothing: it may
// only append to a segment, behind what the snapshot covers.
type sink struct {
	options
	path   string
	dir    string
	names  fileNames
	ready  bool  // leftovers are removed and the way is clear
	broken error // a sync has failed: what the disk holds is not known any more

	state   sinkState
	file    *os.File // nil: nothing is staged by this incarnation
	staged  stagedFile
	buf     []byte
	line    []byte
	ended   bool     // the input has ended
	garbage []string // staged files that the present snapshot needs no more
}

// sinkState is what a snapshot holds, as JSON.
type sinkState struct {
	Part     int          `json:"part"`               // number of the part being written, from 1
	Segments []stagedFile `json:"segments,omitempty"` // what is staged of it
	Closed   []stagedFile `json:"closed,omitempty"`   // complete parts that Commit makes visible
}

// stagedFile is a file in the sink's directory, or its beginning.
type stagedFile struct {
	Name string `json:"name"`
	Part int    `json:"part"`
	Size int64  `json:"size"`
}

// Prepare checks the path.
func (s *sink) Prepare(ctx bolt.Context) error {
	s.dir = filepath.Dir(s.path)
	s.names = namesOf(filepath.Base(s.path), ctx.Task(), s.single)
	s.state.Part = 1
	info, err := os.Stat(s.dir)
	switch {
	case err != nil:
		return fmt.Errorf("files: directory of file sink: %w: create it first", err)
	case !info.IsDir():
		return fmt.Errorf("files: directory of file sink: %s is not a directory", s.dir)
	}
	if info, err := os.Stat(s.path); err == nil && info.IsDir() {
		return fmt.Errorf("files: file sink: %s is a directory: want the beginning of a file name", s.path)
	}
	return nil
}

// Execute adds a line.
func (s *sink) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if err := s.begin(); err != nil {
		return err
	}
	if s.ended || s.complete() {
		return fmt.Errorf("files: file sink %s: tuple after the end of the input", s.path)
	}
	s.line = append(s.format(t, s.line[:0]), '\n')
	if err := t.Err(); err != nil {
		return err
	}
	// First what may fail, then what changes something: Execute may be tried again.
	if len(s.buf) > 0 && len(s.buf)+len(s.line) > s.buffer {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.buf = append(s.buf, s.line...)
	return nil
}

// Finish lets the next snapshot end the last part.
func (s *sink) Finish(context.Context, bolt.Emitter) error {
	s.ended = true
	return s.begin()
}

// Snapshot makes what is staged durable, and ends the part if it is time.
func (s *sink) Snapshot() ([]byte, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	if s.single && s.ended && !s.complete() && s.file == nil && len(s.state.Segments) == 0 {
		if err := s.create(); err != nil { // no output at all is an empty file
			return nil, err
		}
	}
	segments := s.state.Segments
	if s.file != nil {
		if err := s.sync(s.file); err != nil {
			return nil, err
		}
		segments = append(slices.Clip(segments), s.staged)
	}
	size := int64(0)
	for _, seg := range segments {
		size += seg.Size
	}
	if len(segments) > 0 && (s.ended || !s.single && size >= s.roll) {
		if err := s.closePart(segments); err != nil {
			return nil, err
		}
		segments = nil
	}
	if err := s.syncDir(); err != nil { // what was created must survive by name too
		return nil, err
	}
	return json.Marshal(sinkState{Part: s.state.Part, Segments: segments, Closed: s.state.Closed})
}

// Movable says that the files do not depend on the topology's name.
func (s *sink) Movable() {}

// Commit gives the parts that the last snapshot closed their names.
func (s *sink) Commit() error {
	if len(s.state.Closed) == 0 {
		return nil
	}
	for _, part := range s.state.Closed {
		if err := s.publish(part); err != nil {
			return err
		}
	}
	if err := s.syncDir(); err != nil {
		return err
	}
	s.state.Closed = nil
	for _, name := range s.garbage {
		s.doing("remove segment")
		if err := remove(filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	s.garbage = nil
	return nil
}

// Restore goes on from a snapshot: what was staged later is removed.
func (s *sink) Restore(data []byte) error {
	var state sinkState
	if err := json.Unmarshal(data, &state); err != nil {
		return fmt.Errorf("files: restore file sink %s: %w", s.path, err)
	}
	for _, f := range slices.Concat(state.Segments, state.Closed) {
		if _, _, ok := s.names.parseStaged(f.Name); !ok || f.Part < 1 || f.Part > state.Part || f.Size < 0 {
			return fmt.Errorf("files: restore file sink %s: the snapshot names %.100q, which is no staged file of it", s.path, f.Name)
		}
	}
	for _, seg := range state.Segments {
		info, err := os.Stat(filepath.Join(s.dir, seg.Name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("files: restore file sink: %w", err)
		}
		if err != nil || info.Size() < seg.Size {
			return s.lost(seg)
		}
	}
	s.state, s.ready = state, false
	return s.begin()
}

// Close closes the file that is open. It commits nothing.
func (s *sink) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// begin removes, once, what earlier incarnations staged and the snapshot does not cover. It comes after Restore,
// or before the first tuple if there is nothing to restore.
func (s *sink) begin() error {
	if s.ready || s.broken != nil {
		return s.broken
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return fmt.Errorf("files: file sink: %w", err)
	}
	keep := make(map[string]bool)
	for _, f := range slices.Concat(s.state.Segments, s.state.Closed) {
		keep[f.Name] = true
	}
	for _, e := range entries {
		if part, ok := s.names.parseFinal(e.Name()); ok && part >= s.state.Part {
			return fmt.Errorf("%w: %s, and the next to be written is part %d: take it away, or choose another path",
				bolt.ErrOutputExists, filepath.Join(s.dir, e.Name()), s.state.Part)
		}
		// What a higher incarnation stages is in use: then this one is the paused predecessor.
		_, incarnation, ok := s.names.parseStaged(e.Name())
		if !ok || keep[e.Name()] || incarnation > s.names.incarnation {
			continue
		}
		s.doing("remove leftover")
		if err := remove(filepath.Join(s.dir, e.Name())); err != nil {
			return err
		}
	}
	s.ready = true
	return nil
}

// create begins to stage a part.
func (s *sink) create() (err error) {
	s.file, s.staged, err = s.stage()
	return err
}

// stage makes a new staged file for the present part.
func (s *sink) stage() (*os.File, stagedFile, error) {
	s.doing("create")
	name := s.names.staged(s.state.Part)
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return nil, stagedFile{}, fmt.Errorf("files: stage output: %w", err)
	}
	return f, stagedFile{Name: name, Part: s.state.Part}, nil
}

// flush writes what is buffered. When it fails, half a write perhaps, the next flush writes the same place again.
func (s *sink) flush() error {
	if len(s.buf) == 0 {
		return nil
	}
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	s.doing("write")
	if _, err := s.file.WriteAt(s.buf, s.staged.Size); err != nil {
		return fmt.Errorf("files: stage output: %w", err)
	}
	s.staged.Size += int64(len(s.buf))
	s.buf = s.buf[:0]
	return nil
}

// sync makes what is written durable. After a failure the kernel may have dropped what it could not write, and
// would not say so again: only a restored task can write it once more.
func (s *sink) sync(f *os.File) error {
	s.doing("sync")
	if err := s.fsync(f); err != nil {
		s.broken = fmt.Errorf("files: file sink: %w", err)
	}
	return s.broken
}

// syncDir makes the names in the directory durable.
func (s *sink) syncDir() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("files: file sink: %w", err)
	}
	defer d.Close()
	return s.sync(d)
}

// closePart completes the part. It is joined from its segments if earlier incarnations began it, even if there is
// only one: a paused predecessor may still append to that.
func (s *sink) closePart(segments []stagedFile) error {
	whole := s.staged
	if len(s.state.Segments) > 0 {
		var err error
		if whole, err = s.join(segments); err != nil {
			return err
		}
		for _, seg := range segments {
			s.garbage = append(s.garbage, seg.Name)
		}
	}
	if err := s.Close(); err != nil {
		return fmt.Errorf("files: stage output: %w", err)
	}
	s.state.Closed = append(slices.Clip(s.state.Closed), whole)
	s.state.Part++
	s.state.Segments = nil
	return nil
}

// join copies segments, as far as they are covered, into a new staged file.
func (s *sink) join(segments []stagedFile) (stagedFile, error) {
	f, whole, err := s.stage()
	if err != nil {
		return whole, err
	}
	defer f.Close()
	for _, seg := range segments {
		if err := s.copySegment(f, seg); err != nil {
			return whole, err
		}
		whole.Size += seg.Size
	}
	return whole, s.sync(f)
}

func (s *sink) copySegment(to *os.File, seg stagedFile) error {
	s.doing("copy segment")
	from, err := os.Open(filepath.Join(s.dir, seg.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return s.lost(seg)
	}
	if err != nil {
		return fmt.Errorf("files: join output: %w", err)
	}
	defer from.Close()
	_, err = io.CopyN(to, from, seg.Size)
	if err == io.EOF {
		return s.lost(seg)
	}
	if err != nil {
		return fmt.Errorf("files: join output: %w", err)
	}
	return nil
}

// publish gives a closed part its name. Once that has happened it does nothing; a paused predecessor may do the
// same at the same time.
func (s *sink) publish(part stagedFile) error {
	staged, final := filepath.Join(s.dir, part.Name), filepath.Join(s.dir, s.names.final(part.Part))
	if _, err := os.Stat(final); err == nil && !s.single {
		if _, err := os.Stat(staged); err == nil {
			return fmt.Errorf("%w: %s: does another sink write to the same path?", bolt.ErrOutputExists, final)
		}
	}
	s.doing("rename")
	err := os.Rename(staged, final)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(final); err == nil && info.Size() == part.Size {
			return nil
		}
		return s.lost(part)
	}
	if err != nil {
		return fmt.Errorf("files: publish output: %w", err)
	}
	return nil
}

// complete reports whether a single file has been closed: nothing may follow.
func (s *sink) complete() bool { return s.single && s.state.Part > 1 }

func (s *sink) lost(f stagedFile) error {
	return fmt.Errorf("%w: %s with %d bytes for %s: the directory must be shared by all machines that may run the task",
		ErrLost, filepath.Join(s.dir, f.Name), f.Size, s.names.final(f.Part))
}

func (s *sink) doing(what string) {
	if s.step != nil {
		s.step(what)
	}
}

// remove removes a file that may be gone already.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("files: remove staged output: %w", err)
	}
	return nil
}

// fileNames makes and reads the names of one task's files.
type fileNames struct {
	single       bool
	finalPrefix  string
	stagedPrefix string // always has the alias, so that no task takes another's for its own
	incarnation  msgid.Incarnation
}

func namesOf(base string, task bolt.Task, single bool) fileNames {
	n := fileNames{single: single, finalPrefix: base, incarnation: task.Incarnation}
	n.stagedPrefix = base + "." + task.Alias.String() + "."
	if task.Parallel > 1 {
		n.finalPrefix = base + "." + task.Alias.String()
	}
	if !single {
		n.finalPrefix += "."
	}
	return n
}

// final returns the name of a part, "words.00000001".
func (n fileNames) final(part int) string {
	if n.single {
		return n.finalPrefix
	}
	return fmt.Sprintf("%s%08d", n.finalPrefix, part)
}

// parseFinal reads the number of a part. A single file has none: it may be replaced.
func (n fileNames) parseFinal(name string) (part int, ok bool) {
	digits, ok := strings.CutPrefix(name, n.finalPrefix)
	if !ok || n.single {
		return 0, false
	}
	part, err := strconv.Atoi(digits)
	return part, err == nil && n.final(part) == name
}

// staged returns a name that was never used, "words.sink.0.00000001.3-K7QX2LBA.tmp": part 1, incarnation 3.
func (n fileNames) staged(part int) string {
	return fmt.Sprintf("%s%08d.%d-%s.tmp", n.stagedPrefix, part, n.incarnation, rand.Text()[:8])
}

// parseStaged reads such a name.
func (n fileNames) parseStaged(name string) (part int, incarnation msgid.Incarnation, ok bool) {
	rest, ok := strings.CutPrefix(name, n.stagedPrefix)
	if !ok {
		return 0, 0, false
	}
	number, rest, _ := strings.Cut(rest, ".")
	middle, ok := strings.CutSuffix(rest, ".tmp")
	start, random, dashed := strings.Cut(middle, "-")
	part, err := strconv.Atoi(number)
	inc, err2 := strconv.ParseUint(start, 10, 32)
	ok = ok && dashed && err == nil && err2 == nil && msgid.ValidName(random)
	return part, msgid.Incarnation(inc), ok
}

// tabbed appends the values of a tuple with tabs between them.
func tabbed(t tuple.Tuple, dst []byte) []byte {
	for i := range t.Len() {
		if i > 0 {
			dst = append(dst, '\t')
		}
		switch v := t.Any(i).(type) {
		case string:
			dst = append(dst, v...)
		case []byte:
			dst = append(dst, v...)
		case int64:
			dst = strconv.AppendInt(dst, v, 10)
		case uint64:
			dst = strconv.AppendUint(dst, v, 10)
		default:
			dst = fmt.Append(dst, v)
		}
	}
	return dst
}
