package jetstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// task is the spout of one task. Messages reach it through its reader, so Next never waits for the network.
type task struct {
	*Source
	index, parallel int
	span            span

	next   uint64 // the sequence number of the message that Next goes on with
	offset int    // where in its data, with Lines
	reader *reader
	batch  batch // its messages before next have been emitted
}

// Open learns what is read, and which part of it is this task's.
func (t *task) Open(ctx bolt.Context) (err error) {
	t.index, t.parallel = ctx.Task().Alias.Index, max(ctx.Task().Parallel, 1)
	if t.span, err = t.Source.open(); err != nil {
		return err
	}
	t.next = t.span.start
	return nil
}

// batchBytes is what one call of Next emits, about: a frame's worth, so that the cost of a call vanishes.
const batchBytes = 16 << 10

// Next emits what has come and belongs to this task.
func (t *task) Next(_ context.Context, out spout.Emitter) error {
	if t.parallel == 0 {
		return errors.New("jetstream: Next before Open")
	}
	emitted := false
	for room := batchBytes; room > 0; {
		if len(t.batch.messages) == 0 {
			err := t.load()
			if emitted && (errors.Is(err, spout.ErrIdle) || errors.Is(err, io.EOF)) {
				return nil // the next call says it again, having emitted nothing
			} else if err != nil {
				return err
			}
			continue
		}
		m := &t.batch.messages[0]
		if !t.mine(m, t.index, t.parallel) {
			t.pass(m)
			room -= 16
			continue
		}
		n, err := t.emit(m, room, out)
		if err != nil {
			return fmt.Errorf("emit message %d of stream %s: %w", m.seq, t.stream, err)
		}
		emitted = emitted || n > 0
		room -= n + 16
	}
	return nil
}

// pass goes on to what follows a message.
func (t *task) pass(m *message) {
	t.next, t.offset = m.seq+1, 0
	t.batch.messages = t.batch.messages[1:]
}

// load takes the next batch, if it has come.
func (t *task) load() error {
	if t.reader == nil && !t.ended() {
		t.reader = startReader(t.Source, t.span, t.next)
	}
	if t.batch.upTo >= t.next {
		t.next, t.offset, t.batch.upTo = t.batch.upTo+1, 0, 0
	}
	if t.ended() {
		return io.EOF
	}
	select {
	case t.batch = <-t.reader.batches:
	default:
		return spout.ErrIdle
	}
	if t.batch.err != nil {
		return t.batch.err
	}
	if t.offset > 0 && (len(t.batch.messages) == 0 || t.batch.messages[0].seq != t.next || t.offset > len(t.batch.messages[0].data)) {
		return &MissingError{Stream: t.stream, From: t.next, To: t.next} // it was in the middle of that message
	}
	return nil
}

// ended reports whether all has been emitted.
func (t *task) ended() bool { return t.ends && t.next > t.span.end }

// emit emits a message, or the next of its lines, and returns how many bytes that was.
func (t *task) emit(m *message, room int, out spout.Emitter) (size int, err error) {
	if !t.lines {
		if err := t.row(out, m, m.data); err != nil {
			return 0, err
		}
		t.pass(m)
		return len(m.data), nil
	}
	for size < room {
		rest := m.data[t.offset:]
		if len(rest) == 0 {
			t.pass(m)
			return size, nil
		}
		line, after := rest, len(m.data)
		if i := bytes.IndexByte(rest, '\n'); i >= 0 {
			line, after = rest[:i], t.offset+i+1
		}
		if len(line) > 0 {
			if err := t.row(out, m, line); err != nil {
				return size, fmt.Errorf("line at byte %d: %w", t.offset, err)
			}
			size += len(line) + 16
		}
		t.offset = after // only now: the position stays before a line that was not emitted
	}
	return size, nil
}

// row emits one tuple.
func (t *task) row(out spout.Emitter, m *message, data []byte) error {
	r := out.Row()
	for _, c := range t.columns {
		switch c {
		case Subject:
			r.String(m.subject)
		case Data:
			r.Bytes(data)
		case Seq:
			r.Uint(m.seq)
		case Time:
			r.Time(m.time)
		}
	}
	return r.Emit()
}

// Progress is in sequence numbers.
func (t *task) Progress() (done, total int64) {
	if t.span.start == 0 {
		return 0, 0
	}
	done = int64(t.next - min(t.span.start, t.next))
	if t.ends {
		total = int64(t.span.end + 1 - min(t.span.start, t.span.end+1))
		done = min(done, total) // a batch may reach beyond the end
	}
	return done, total
}

// Close ends the reader.
func (t *task) Close() error {
	if t.reader != nil {
		t.reader.close()
		t.reader = nil
	}
	return nil
}

const positionForm = 1 // the version of the form below

// Position appends: version, parallelism, what identifies the source and the stream, the span, where Next goes on.
func (t *task) Position(dst []byte) []byte {
	dst = append(dst, positionForm)
	dst = binary.BigEndian.AppendUint64(dst, t.print())
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.span.created.UnixNano()))
	for _, n := range []uint64{uint64(t.parallel), t.span.start, t.span.end, t.next, uint64(t.offset)} {
		dst = binary.AppendUvarint(dst, n)
	}
	return dst
}

// print is a fingerprint of what decides which tuples follow a position.
func (t *task) print() uint64 {
	text := fmt.Appendf(nil, "%q %q %v %v %v %v", t.stream, t.subjects, t.columns, t.ends, t.bySubject, t.lines)
	return tuple.Hash(text)
}

// Seek goes to a position. The start and the end are those of it, whatever the stream holds by now.
func (t *task) Seek(position []byte) error {
	if t.parallel == 0 {
		return errors.New("jetstream: Seek before Open")
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", spout.ErrPosition, fmt.Sprintf(format, args...))
	}
	if len(position) < 17 || position[0] != positionForm {
		return bad("%.40x", position)
	}
	print, created := binary.BigEndian.Uint64(position[1:]), binary.BigEndian.Uint64(position[9:])
	var numbers [5]uint64 // in the order of Position
	rest := position[17:]
	for i := range numbers {
		n, size := binary.Uvarint(rest)
		if size <= 0 {
			return bad("%.80x", position)
		}
		numbers[i], rest = n, rest[size:]
	}
	parallel, start, end, next, offset := numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
	switch {
	case len(rest) > 0 || start == 0 || next < start || end == 1<<64-1 || offset > 1<<31 || offset > 0 && !t.lines:
		return bad("%.80x", position)
	case print != t.print():
		return bad("the stream's name, subjects or columns, or what is read of it, were others")
	case parallel != uint64(t.parallel):
		return bad("it was made by one of %d tasks, and there are %d now", parallel, t.parallel)
	}
	t.span = span{created: time.Unix(0, int64(created)), start: start, end: end}
	t.next, t.offset, t.batch = next, int(offset), batch{}
	return t.Close() // a reader that went on from elsewhere
}

var (
	_ spout.Opener     = (*task)(nil)
	_ spout.Progresser = (*task)(nil)
	_ io.Closer        = (*task)(nil)
)
