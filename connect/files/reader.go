package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/position"
	"github.com/askback/askback/spout"
)

// A reader is one task's part of the input: the files numbered index, index+parallel, index+2*parallel … It is the core
// of the typed source and of the spout.
type reader struct {
	lineOptions
	input           *input
	list            *fileList
	index, parallel int

	number int         // of the file that is read now or next; len(list.files) or more at the end
	file   *openedFile // nil: not opened yet
	lines  lines
	above  int64 // line feeds before lines.offset() in the file
	limit  int   // the longest line that is emitted whole
	total  int64 // bytes on disk of this task's files
	before int64 // those of them that are wholly read

	// Fields of a call of Next; see scan.
	room  int    // bytes that it may still emit, about
	found bool   // it has found a line
	ended error  // why it ends
	text  []byte // the present line
	size  int    // bytes of the file that text stands for; 0: there is no present line
	whole bool   // the line ends with text
}

func newReader(in *input) *reader { return &reader{input: in, lineOptions: in.lineOptions} }

// Open makes or shares the list of files.
func (r *reader) Open(ctx bolt.Context) (err error) {
	r.limit = r.maxLine
	switch {
	case r.cut && r.cutMax < 1:
		return fmt.Errorf("files: Cut(%d) must allow at least 1 byte", r.cutMax)
	case r.cut && r.maxPiece < r.cutMax:
		return fmt.Errorf("files: MaxPiece(%d) is less than Cut(%d): raise it", r.maxPiece, r.cutMax)
	case r.cut:
		r.limit = r.cutMax
	case r.maxLine < 1:
		return fmt.Errorf("files: MaxLine(%d) must allow at least 1 byte", r.maxLine)
	}
	if r.list, err = r.input.expand(); err != nil {
		return err
	}
	r.index, r.parallel = ctx.Task().Alias.Index, max(ctx.Task().Parallel, 1)
	for i := r.index; i < len(r.list.files); i += r.parallel {
		r.total += r.list.files[i].size
	}
	r.number = r.index
	r.lines.keepCR = r.keepCR
	return nil
}

// begin prepares a call of Next, in which scan returns one line after the other.
func (r *reader) begin() { r.room, r.found, r.ended, r.size = r.batch, false, nil, 0 }

// scan goes to the next line, which text and place then describe. It returns false when Next is to return r.ended: after
// about a frame's worth, at the end of the input, or at an error.
//
// The line counts as read with the following call: the position stays before a line that could not be emitted.
func (r *reader) scan() bool {
	if r.size > 0 {
		r.pass()
	}
	for r.room > 0 {
		if r.file == nil && !r.next() {
			return false
		}
		text, size, whole, err := r.lines.view(r.limit)
		if !whole {
			text, size, whole, err = r.beginning(text, err)
		}
		if err == nil && size == 0 {
			r.room -= 1024 // a million empty files do not make one call
			err = r.close()
		}
		if err != nil {
			r.ended = err
			return false
		}
		r.text, r.size, r.whole = text, size, whole
		if len(text) > 0 || r.keepEmpty && size > 0 {
			r.found = true
			return true
		}
		if size > 0 {
			r.pass()
		}
	}
	return false
}

// pass takes the line that text describes.
func (r *reader) pass() {
	r.lines.from += r.size
	if r.whole {
		r.above++
	}
	r.room -= r.size + 16
	r.size = 0
}

// next opens the next file. It returns false when there is none, or an error.
func (r *reader) next() bool {
	switch {
	case r.list == nil:
		r.ended = errors.New("files: Next before Open")
	case r.number < len(r.list.files):
		r.ended = r.open(0)
		return r.ended == nil
	case !r.found:
		r.ended = io.EOF
	}
	return false
}

// place returns the line with its place.
func (r *reader) place() Line {
	return Line{Text: r.text, File: r.file.path, Number: r.above + 1, Offset: r.lines.offset()}
}

// unemitted names the line that could not be emitted. It is the next one again.
func (r *reader) unemitted(err error) error {
	r.size = 0
	return fmt.Errorf("emit line %d of %s: %w", r.above+1, r.file.path, err)
}

// beginning returns the first piece of a line that is longer than text, or why there is none.
func (r *reader) beginning(text []byte, err error) ([]byte, int, bool, error) {
	switch {
	case err != nil:
		return nil, 0, false, r.failed(err)
	case r.cut:
		return r.piece(text)
	}
	return nil, 0, false, r.tooLong()
}

// piece cuts the beginning of a line that is longer than b. The view is widened by doubling, so that a function
// which looks at all of it costs in proportion to the piece. It depends on the position alone, as replay demands.
func (r *reader) piece(b []byte) (text []byte, size int, whole bool, err error) {
	for width := r.cutMax; ; {
		n := r.cutAt(b)
		if n < 0 || n > len(b) {
			return nil, 0, false, fmt.Errorf("files: the function given to Cut returned %d for %d bytes", n, len(b))
		}
		if n > 0 {
			return b[:n], n, false, nil
		}
		if width >= r.maxPiece {
			return nil, 0, false, fmt.Errorf("%w: %s at byte %d has no place to cut within %d bytes: raise MaxPiece, or let Cut cut there",
				ErrLongPiece, r.file.path, r.lines.offset(), r.maxPiece)
		}
		width = min(2*width, r.maxPiece)
		wider, size, whole, err := r.lines.view(width)
		if err != nil {
			return nil, 0, false, r.failed(err)
		}
		if whole {
			if n := r.cutAt(wider); n > 0 && n < len(wider) {
				return wider[:n], n, false, nil
			}
			return wider, size, true, nil
		}
		b = wider
	}
}

// failed names the place where reading failed.
func (r *reader) failed(err error) error {
	return outage(fmt.Errorf("files: read %s at byte %d: %w", r.file.path, r.lines.offset(), err))
}

// tooLong describes the line at the present position. Its length is measured only now.
func (r *reader) tooLong() error {
	offset := r.lines.offset()
	length, err := r.list.files[r.number].measure(offset)
	if err != nil {
		return fmt.Errorf("%w: %s:%d: over %d bytes, at byte %d", ErrLongLine, r.file.path, r.above+1, r.maxLine, offset)
	}
	return fmt.Errorf("%w: %s:%d: %s bytes, at byte %d; the limit is %d: raise MaxLine, or give Cut to emit it in pieces",
		ErrLongLine, r.file.path, r.above+1, length, offset, r.maxLine)
}

// open opens the file that is next, at an offset.
func (r *reader) open(offset int64) error {
	f, err := r.list.files[r.number].open(offset)
	if err != nil {
		return err
	}
	r.file, r.above = f, 0
	r.lines.reset(f, offset)
	return nil
}

// close ends the present file and goes to the next.
func (r *reader) close() error {
	err := r.file.Close()
	r.file = nil
	r.before += r.list.files[r.number].size
	r.number += r.parallel
	return err
}

// Close closes the file that is open.
func (r *reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// Progress is in bytes on disk.
func (r *reader) Progress() (done, total int64) {
	done = r.before
	if r.file != nil {
		done += r.file.taken(r.lines.offset())
	}
	return done, r.total
}

const positionForm = 1 // the version of the form below

// Position appends: version, parallelism, the list's fingerprint, number of files and bytes; then the file's
// number, its own fingerprint, the offset in it, before compression, and the number of line feeds before that.
func (r *reader) Position(dst []byte) []byte {
	dst = append(dst, positionForm)
	dst = binary.AppendUvarint(dst, uint64(r.parallel))
	dst = binary.BigEndian.AppendUint64(dst, r.list.print)
	dst = binary.AppendUvarint(dst, uint64(len(r.list.files)))
	dst = binary.AppendUvarint(dst, uint64(r.list.bytes))
	dst = binary.AppendUvarint(dst, uint64(r.number))
	if r.number >= len(r.list.files) {
		return dst
	}
	dst = binary.BigEndian.AppendUint64(dst, r.list.files[r.number].print)
	offset, above := int64(0), int64(0)
	if r.file != nil {
		offset, above = r.lines.offset(), r.above
	}
	dst = binary.AppendUvarint(dst, uint64(offset))
	return binary.AppendUvarint(dst, uint64(above))
}

// Seek goes to a position, if the files are still the same.
func (r *reader) Seek(at []byte) error {
	if r.list == nil {
		return errors.New("files: Seek before Open")
	}
	p := position.Reader{B: at}
	version, parallel := p.Byte(), p.Uvarint()
	print, files, bytes := p.Uint64(), p.Uvarint(), p.Uvarint()
	number := p.Uvarint()
	var filePrint, offset, above uint64
	if number < files {
		filePrint, offset, above = p.Uint64(), p.Uvarint(), p.Uvarint()
	}
	if p.Bad || len(p.B) > 0 || version != positionForm {
		return fmt.Errorf("%w: %.40x", spout.ErrPosition, at)
	}
	if parallel != uint64(r.parallel) {
		return fmt.Errorf("%w: it was made by one of %d tasks, and there are %d now", spout.ErrPosition, parallel, r.parallel)
	}
	if print != r.list.print || files != uint64(len(r.list.files)) {
		return r.changed(files, bytes, number, filePrint)
	}
	if number%parallel != uint64(r.index) || number >= files+parallel || offset > 1<<62 || above > offset {
		return fmt.Errorf("%w: file number %d at byte %d, line %d", spout.ErrPosition, number, offset, above)
	}

	if err := r.Close(); err != nil {
		return err
	}
	r.number, r.before = int(number), 0
	for i := r.index; i < min(r.number, len(r.list.files)); i += r.parallel {
		r.before += r.list.files[i].size
	}
	if number >= files || offset == 0 {
		return nil
	}
	err := r.open(int64(offset))
	r.above = int64(above)
	return err
}

// changed describes a change as far as it is known: the file that was being read, or only the sums.
func (r *reader) changed(files, bytes, number, filePrint uint64) error {
	was := fmt.Sprintf("the snapshot was taken over %d files with %d bytes, and there are %d files with %d bytes now",
		files, bytes, len(r.list.files), r.list.bytes)
	if number < files && number < uint64(len(r.list.files)) && r.list.files[number].print != filePrint {
		was += fmt.Sprintf("; file number %d, being read, is not the present %s", number, r.list.files[number].path)
	}
	return fmt.Errorf("%w: %s: put the files back, or start the topology afresh", ErrChanged, was)
}

var (
	_ spout.Opener     = (*reader)(nil)
	_ spout.Progresser = (*reader)(nil)
	_ io.Closer        = (*reader)(nil)
)
