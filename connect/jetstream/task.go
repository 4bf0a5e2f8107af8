package jetstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// task reads one task's part of the input. It is the core of the typed source and of the spout. Messages reach it through its
// reader, so Next never waits for the network.
type task struct {
	*input
	index, parallel int
	span            span

	next   uint64 // the sequence number of the message that Next goes on with
	offset int    // where in its data, with Lines
	reader *reader
	batch  batch // its messages before next have been emitted

	// Fields of a call of Next; see scan.
	room    int    // bytes that it may still emit, about
	found   bool   // it has found something
	why     error  // why it ends
	present bool   // text is to be emitted, of the first message of the batch
	text    []byte // its data, or a line of it
	after   int    // where in its data the next line begins
}

// Open learns what is read, and which part of it is this task's.
func (t *task) Open(ctx bolt.Context) (err error) {
	t.index, t.parallel = ctx.Task().Alias.Index, max(ctx.Task().Parallel, 1)
	if t.span, err = t.input.open(); err != nil {
		return err
	}
	t.next = t.span.start
	return nil
}

// batchBytes is what one call of Next emits, about: a frame's worth, so that the cost of a call vanishes.
const batchBytes = 16 << 10

// begin prepares a call of Next, in which scan finds one message or line after the other.
func (t *task) begin() { t.room, t.found, t.why, t.present = batchBytes, false, nil, false }

// scan goes to the next message or line that has come and belongs to this task. It returns false when Next is to return
// t.why.
//
// The position stays before it until the following call, so that a message which could not be emitted is not passed.
func (t *task) scan() bool {
	if t.present {
		t.take()
	}
	for t.room > 0 {
		if len(t.batch.messages) == 0 {
			err := t.load()
			switch {
			case err == nil:
				continue
			case !t.found || !errors.Is(err, spout.ErrIdle) && !errors.Is(err, io.EOF):
				t.why = err
			} // else the next call returns it again, having emitted nothing
			return false
		}
		m := &t.batch.messages[0]
		switch rest := m.data[t.offset:]; {
		case !t.mine(m, t.index, t.parallel):
			t.pass(m)
			t.room -= 16
		case !t.lines:
			t.text, t.present, t.found = m.data, true, true
			return true
		case len(rest) == 0:
			t.pass(m)
			t.room -= 16
		default:
			t.text, t.after = rest, len(m.data)
			if i := bytes.IndexByte(rest, '\n'); i >= 0 {
				t.text, t.after = rest[:i], t.offset+i+1
			}
			if len(t.text) > 0 {
				t.present, t.found = true, true
				return true
			}
			t.offset = t.after
		}
	}
	return false
}

// take takes what scan has found.
func (t *task) take() {
	t.present = false
	t.room -= len(t.text) + 16
	if t.lines {
		t.offset = t.after
	} else {
		t.pass(&t.batch.messages[0])
	}
}

// pass goes on to what follows a message.
func (t *task) pass(m *message) {
	t.next, t.offset = m.seq+1, 0
	t.batch.messages = t.batch.messages[1:]
}

// load takes the next batch, if it has come.
func (t *task) load() error {
	if t.parallel == 0 {
		return errors.New("jetstream: Next before Open")
	}
	if t.reader == nil && !t.ended() {
		t.reader = startReader(t.input, t.span, t.next)
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
		return bolt.Permanent(t.batch.err)
	}
	if t.offset > 0 && (len(t.batch.messages) == 0 || t.batch.messages[0].seq != t.next || t.offset > len(t.batch.messages[0].data)) {
		return bolt.Permanent(&MissingError{Stream: t.stream, From: t.next, To: t.next}) // it was in the middle of that message
	}
	return nil
}

// ended reports whether all has been emitted.
func (t *task) ended() bool { return t.ends && t.next > t.span.end }

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

// Position appends: version, parallelism, the identity of source and stream, the span, where Next goes on.
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

// messageReader is a task's reader of typed messages.
type messageReader struct{ task }

// Next emits what has come and belongs to this task.
func (r *messageReader) Next(_ context.Context, out func(Message)) error {
	r.begin()
	for r.scan() {
		m := &r.batch.messages[0]
		out(Message{Subject: m.subject, Data: r.text, Header: m.header, ID: m.header.Get(nats.MsgIdHdr), Seq: m.seq, Time: m.time})
	}
	return r.why
}

// rowReader is a task's spout of rows.
type rowReader struct{ task }

// Next emits what has come and belongs to this task.
func (r *rowReader) Next(_ context.Context, out spout.Emitter) error {
	r.begin()
	for r.scan() {
		m, row := &r.batch.messages[0], out.Row()
		for _, c := range r.columns {
			switch c {
			case Subject:
				row.String(m.subject)
			case Data:
				row.Bytes(r.text)
			case Seq:
				row.Uint(m.seq)
			case Time:
				row.Time(m.time)
			}
		}
		if err := row.Emit(); err != nil {
			r.present = false
			return fmt.Errorf("emit message %d of stream %s: at byte %d: %w", m.seq, r.stream, r.offset, err)
		}
	}
	return r.why
}
