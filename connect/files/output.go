package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/askback/askback/bolt"
)

// An output is one task's files: it stages lines, and publishes what a snapshot covers. It is the core of both forms of
// the sink. It writes one part at a time. A part consists of, in this order:
//
//	segments   what earlier incarnations staged of it, as far as the snapshot covers it
//	file       what this incarnation has staged
//	buf        what is not written yet
//
// Each incarnation stages to files of its own, so a paused predecessor that comes back spoils nothing: it may
// only append to a segment, behind the bytes that the snapshot covers.
type output struct {
	options
	path   string
	dir    string
	names  fileNames
	ready  bool  // leftovers are removed and the way is clear
	broken error // a sync has failed: the content of the disk is unknown from then on

	state   outputState
	file    *os.File // nil: this incarnation has staged nothing
	staged  stagedFile
	buf     []byte
	ended   bool     // the input has ended
	garbage []string // staged files that the present snapshot needs no more
}

// outputState is what a snapshot holds, as JSON.
type outputState struct {
	Part     int          `json:"part"`               // number of the part being written, from 1
	Segments []stagedFile `json:"segments,omitempty"` // its staged parts
	Closed   []stagedFile `json:"closed,omitempty"`   // complete parts that Commit makes visible
}

// stagedFile is a file in the sink's directory, or its beginning.
type stagedFile struct {
	Name string `json:"name"`
	Part int    `json:"part"`
	Size int64  `json:"size"`
}

// Prepare checks the path.
func (o *output) Prepare(ctx bolt.Context) error {
	o.dir = filepath.Dir(o.path)
	o.names = namesOf(filepath.Base(o.path), ctx.Task(), o.single)
	o.state.Part = 1
	info, err := os.Stat(o.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bolt.Permanent(fmt.Errorf("files: directory of the sink: %w: create it first", err))
	case err != nil:
		return outage(fmt.Errorf("files: directory of the sink: %w", err))
	case !info.IsDir():
		return bolt.Permanent(fmt.Errorf("files: directory of the sink: %s is not a directory", o.dir))
	}
	if info, err := os.Stat(o.path); err == nil && info.IsDir() {
		return bolt.Permanent(fmt.Errorf("files: sink: %s is a directory: want the beginning of a file name", o.path))
	}
	return nil
}

// Verify refuses a strategy under which nothing would ever be published.
func (o *output) Verify(s bolt.Strategy) error {
	if !s.Snapshots {
		return fmt.Errorf("files: sink %s publishes its files together with snapshots, and strategy %q takes none of bolts: choose another strategy, or another sink", o.path, s.Name)
	}
	return nil
}

// accept is called before each line is formatted.
func (o *output) accept() error {
	if err := o.begin(); err != nil {
		return err
	}
	if o.ended || o.complete() {
		return fmt.Errorf("files: sink %s: a line after the end of the input", o.path)
	}
	return nil
}

// add adds a line, with its line feed. First comes what may fail, then what changes something: a call may be repeated.
func (o *output) add(line []byte) error {
	if len(o.buf) > 0 && len(o.buf)+len(line) > o.buffer {
		if err := o.flush(); err != nil {
			return err
		}
	}
	o.buf = append(o.buf, line...)
	return nil
}

// Finish lets the next snapshot end the last part.
func (o *output) Finish(context.Context, bolt.Emitter) error {
	o.ended = true
	return o.begin()
}

// Snapshot makes what is staged durable, and ends the part if it is time.
func (o *output) Snapshot() ([]byte, error) {
	if err := o.begin(); err != nil {
		return nil, err
	}
	if err := o.flush(); err != nil {
		return nil, err
	}
	if o.single && o.ended && !o.complete() && o.file == nil && len(o.state.Segments) == 0 {
		if err := o.create(); err != nil { // no output at all is an empty file
			return nil, err
		}
	}
	segments := o.state.Segments
	if o.file != nil {
		if err := o.sync(o.file); err != nil {
			return nil, err
		}
		segments = append(slices.Clip(segments), o.staged)
	}
	size := int64(0)
	for _, seg := range segments {
		size += seg.Size
	}
	if len(segments) > 0 && (o.ended || !o.single && size >= o.roll) {
		if err := o.closePart(segments); err != nil {
			return nil, err
		}
		segments = nil
	}
	if err := o.syncDir(); err != nil { // a created file must survive by name too
		return nil, err
	}
	return json.Marshal(outputState{Part: o.state.Part, Segments: segments, Closed: o.state.Closed})
}

// RenameSafe declares that the files do not depend on the topology's name.
func (o *output) RenameSafe() {}

// Commit gives the parts that the last snapshot closed their names.
func (o *output) Commit() error {
	if len(o.state.Closed) == 0 {
		return nil
	}
	for _, part := range o.state.Closed {
		if err := o.publish(part); err != nil {
			return err
		}
	}
	if err := o.syncDir(); err != nil {
		return err
	}
	o.state.Closed = nil
	for _, name := range o.garbage {
		if err := o.remove("remove segment", name); err != nil {
			return err
		}
	}
	o.garbage = nil
	return nil
}

// Restore goes on from a snapshot: files that were staged later are removed.
func (o *output) Restore(data []byte) error {
	var state outputState
	if err := json.Unmarshal(data, &state); err != nil {
		return bolt.Permanent(fmt.Errorf("files: restore sink %s: %w", o.path, err))
	}
	for _, f := range slices.Concat(state.Segments, state.Closed) {
		if _, _, ok := o.names.parseStaged(f.Name); !ok || f.Part < 1 || f.Part > state.Part || f.Size < 0 {
			return bolt.Permanent(fmt.Errorf("files: restore sink %s: the snapshot names %.100q, which is no staged file of it", o.path, f.Name))
		}
	}
	for _, seg := range state.Segments {
		info, err := os.Stat(filepath.Join(o.dir, seg.Name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return outage(fmt.Errorf("files: restore sink: %w", err))
		}
		if err != nil || info.Size() < seg.Size {
			return o.lost(seg)
		}
	}
	o.state, o.ready = state, false
	return o.begin()
}

// Close closes the file that is open. It commits nothing.
func (o *output) Close() error {
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}

// begin removes, once, what earlier incarnations staged and the snapshot does not cover. It comes after Restore,
// or before the first tuple if there is nothing to restore.
func (o *output) begin() error {
	if o.ready || o.broken != nil {
		return o.broken
	}
	var entries []os.DirEntry
	err := o.try("list", func() (err error) {
		entries, err = os.ReadDir(o.dir)
		return err
	})
	if err != nil {
		return err
	}
	keep := make(map[string]bool)
	for _, f := range slices.Concat(o.state.Segments, o.state.Closed) {
		keep[f.Name] = true
	}
	for _, e := range entries {
		if part, ok := o.names.parseFinal(e.Name()); ok && part >= o.state.Part {
			return bolt.Permanent(fmt.Errorf("%w: %s, and the next to be written is part %d: take it away, or choose another path",
				bolt.ErrOutputExists, filepath.Join(o.dir, e.Name()), o.state.Part))
		}
		// A file of a higher incarnation is in use: then this one is the paused predecessor.
		_, incarnation, ok := o.names.parseStaged(e.Name())
		if !ok || keep[e.Name()] || incarnation > o.names.incarnation {
			continue
		}
		if err := o.remove("remove leftover", e.Name()); err != nil {
			return err
		}
	}
	o.ready = true
	return nil
}

// create begins to stage a part.
func (o *output) create() (err error) {
	o.file, o.staged, err = o.stage()
	return err
}

// stage makes a new staged file for the present part.
func (o *output) stage() (file *os.File, staged stagedFile, err error) {
	name := o.names.staged(o.state.Part)
	err = o.try("create", func() (err error) {
		file, err = os.OpenFile(filepath.Join(o.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
		return err
	})
	return file, stagedFile{Name: name, Part: o.state.Part}, err
}

// flush writes what is buffered. When it fails, half a write perhaps, the next flush writes the same place again.
func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	if o.file == nil {
		if err := o.create(); err != nil {
			return err
		}
	}
	err := o.try("write", func() error {
		_, err := o.file.WriteAt(o.buf, o.staged.Size)
		return err
	})
	if err != nil {
		return err
	}
	o.staged.Size += int64(len(o.buf))
	o.buf = o.buf[:0]
	return nil
}

// sync makes what is written durable. After a failure the kernel may have dropped what it could not write, and
// would not report that again: only a restored task can write it once more.
func (o *output) sync(f *os.File) error {
	o.broken = o.try("sync", func() error { return o.fsync(f) })
	return o.broken
}

// syncDir makes the names in the directory durable.
func (o *output) syncDir() error {
	var d *os.File
	err := o.try("open directory", func() (err error) {
		d, err = os.Open(o.dir)
		return err
	})
	if err != nil {
		return err
	}
	defer d.Close()
	return o.sync(d)
}

// closePart completes the part. It is joined from its segments if earlier incarnations began it, even if there is
// only one: a paused predecessor may still append to that.
func (o *output) closePart(segments []stagedFile) error {
	whole := o.staged
	if len(o.state.Segments) > 0 {
		var err error
		if whole, err = o.join(segments); err != nil {
			return err
		}
		for _, seg := range segments {
			o.garbage = append(o.garbage, seg.Name)
		}
	}
	if err := o.try("close", o.Close); err != nil {
		return err
	}
	o.state.Closed = append(slices.Clip(o.state.Closed), whole)
	o.state.Part++
	o.state.Segments = nil
	return nil
}

// join copies segments, as far as they are covered, into a new staged file.
func (o *output) join(segments []stagedFile) (stagedFile, error) {
	f, whole, err := o.stage()
	if err != nil {
		return whole, err
	}
	defer f.Close()
	for _, seg := range segments {
		if err := o.copySegment(f, seg); err != nil {
			return whole, err
		}
		whole.Size += seg.Size
	}
	return whole, o.sync(f)
}

func (o *output) copySegment(to *os.File, seg stagedFile) error {
	err := o.try("copy segment", func() error {
		from, err := os.Open(filepath.Join(o.dir, seg.Name))
		if err != nil {
			return err
		}
		defer from.Close()
		_, err = io.CopyN(to, from, seg.Size)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, io.EOF) {
		return o.lost(seg)
	}
	return err
}

// publish gives a closed part its name. Once that has happened it does nothing; a paused predecessor may do the
// same at the same time.
func (o *output) publish(part stagedFile) error {
	staged, final := filepath.Join(o.dir, part.Name), filepath.Join(o.dir, o.names.final(part.Part))
	if _, err := os.Stat(final); err == nil && !o.single {
		if _, err := os.Stat(staged); err == nil {
			return bolt.Permanent(fmt.Errorf("%w: %s: does another sink write to the same path?", bolt.ErrOutputExists, final))
		}
	}
	err := o.try("rename", func() error { return os.Rename(staged, final) })
	if errors.Is(err, fs.ErrNotExist) {
		if info, err := os.Stat(final); err == nil && info.Size() == part.Size {
			return nil
		}
		return o.lost(part)
	}
	return err
}

// complete reports whether a single file has been closed: nothing may follow.
func (o *output) complete() bool { return o.single && o.state.Part > 1 }

func (o *output) lost(f stagedFile) error {
	return bolt.Permanent(fmt.Errorf("%w: %s with %d bytes for %s: it was deleted, or the path differs from that of the run that goes on, or another run writes there; on a cluster the directory must be shared by all hosts that may run the task",
		ErrLost, filepath.Join(o.dir, f.Name), f.Size, o.names.final(f.Part)))
}

// remove removes a file that may be gone already.
func (o *output) remove(doing, name string) error {
	return o.try(doing, func() error {
		err := os.Remove(filepath.Join(o.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// try does one thing to the file system. It is the place where tests stop, because a process may be killed there, and where
// they have the file system fail.
func (o *output) try(doing string, do func() error) error {
	var err error
	if o.step != nil {
		err = o.step(doing)
	}
	if err == nil {
		err = do()
	}
	if err != nil {
		return outage(fmt.Errorf("files: sink: %s: %w", doing, err))
	}
	return nil
}
