package wordcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
)

// lines is a source that reads files several times over. All its readers together emit so many lines in a second.
type lines struct {
	files  *files.Source[stream.Reader[files.Line]]
	passes int
	rate   float64 // 0: as many as can be
}

func (l lines) New() stream.Reader[files.Line] {
	return &reader{fileReader: l.files.New().(fileReader), passes: l.passes, rate: l.rate}
}

// A fileReader is what package files makes for a task.
type fileReader interface {
	stream.Reader[files.Line]
	spout.Opener
	spout.Progresser
	io.Closer
}

// A reader is one task's part of the lines.
type reader struct {
	fileReader
	passes, pass int
	start        []byte // the position where each pass begins

	rate  float64   // of this task
	begun time.Time // when it began to emit at that rate; the zero time if it has not
	n     int64     // lines since then
	hurry bool
}

func (r *reader) Open(ctx bolt.Context) error {
	if err := r.fileReader.Open(ctx); err != nil {
		return err
	}
	r.rate /= float64(ctx.Task().Parallel)
	r.start = r.fileReader.Position(nil)
	return nil
}

func (r *reader) Next(ctx context.Context, out func(files.Line)) error {
	if r.rate > 0 {
		if r.begun.IsZero() {
			r.begun = time.Now()
		}
		if !r.hurry && float64(r.n) > time.Since(r.begun).Seconds()*r.rate {
			return spout.ErrIdle
		}
		emit := out
		out = func(l files.Line) {
			r.n++
			emit(l)
		}
	}
	for {
		err := r.fileReader.Next(ctx, out)
		if !errors.Is(err, io.EOF) || r.pass+1 >= r.passes {
			return err
		}
		if err := r.fileReader.Seek(r.start); err != nil {
			return err
		}
		r.pass++
	}
}

func (r *reader) Position(dst []byte) []byte {
	return r.fileReader.Position(binary.AppendUvarint(dst, uint64(r.pass)))
}

func (r *reader) Seek(position []byte) error {
	pass, n := binary.Uvarint(position)
	if n <= 0 || pass >= uint64(r.passes) {
		return fmt.Errorf("a position in pass %d of %d: run with as many passes as before", pass+1, r.passes)
	}
	if err := r.fileReader.Seek(position[n:]); err != nil {
		return err
	}
	r.pass = int(pass)
	return nil
}

func (r *reader) Progress() (done, total int64) {
	done, total = r.fileReader.Progress()
	return int64(r.pass)*total + done, int64(r.passes) * total
}

// Hurry implements spout.Pacer: lines that were emitted before are emitted again at full speed.
func (r *reader) Hurry(on bool) {
	r.hurry, r.begun, r.n = on, time.Time{}, 0
}
