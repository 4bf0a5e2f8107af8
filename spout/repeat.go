package spout

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
)

// Repeat is a source that reads another one n times over. N below 1 counts as 1.
func Repeat(source Source, n int) Source {
	return Func(func() Spout { return &repeated{Spout: source.New(), passes: max(1, n)} })
}

// repeated is a spout that begins again when its input has ended.
type repeated struct {
	Spout
	passes int
	pass   int
	start  []byte // the position where each pass begins
}

func (r *repeated) Open(ctx bolt.Context) error {
	if o, ok := r.Spout.(Opener); ok {
		if err := o.Open(ctx); err != nil {
			return err
		}
	}
	r.start = r.Spout.Position(nil)
	return nil
}

func (r *repeated) Next(ctx context.Context, out Emitter) error {
	for {
		err := r.Spout.Next(ctx, out)
		if !errors.Is(err, io.EOF) || r.pass+1 >= r.passes {
			return err
		}
		if err := r.Spout.Seek(r.start); err != nil {
			return err
		}
		r.pass++
	}
}

func (r *repeated) Position(dst []byte) []byte {
	return r.Spout.Position(binary.AppendUvarint(dst, uint64(r.pass)))
}

func (r *repeated) Seek(position []byte) error {
	pass, n := binary.Uvarint(position)
	if n <= 0 || pass >= uint64(r.passes) {
		return fmt.Errorf("spout: a position in pass %d of %d; run with as many passes as before", pass+1, r.passes)
	}
	if err := r.Spout.Seek(position[n:]); err != nil {
		return err
	}
	r.pass = int(pass)
	return nil
}

// Progress implements Progresser; the total is 0 if the repeated spout does not know its own.
func (r *repeated) Progress() (done, total int64) {
	p, ok := r.Spout.(Progresser)
	if !ok {
		return 0, 0
	}
	done, total = p.Progress()
	return int64(r.pass)*total + done, int64(r.passes) * total
}

func (r *repeated) Close() error {
	if c, ok := r.Spout.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
