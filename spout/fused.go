package spout

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/position"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// A fused is the spout of one task with the bolts that its rows run through. The bolts emit on the spout's streams: the
// runtime sends no output of a call of Next that fails.
type fused struct {
	problems []error
	from     Spout
	bolts    bolt.Bolt
	steps    []string
	in       entry

	ctx context.Context // of the running call
	out Emitter         // of the running call
	err error           // since which no row is processed
}

// An entry is the emitter of the source: it runs its rows through the bolts.
type entry struct {
	of      *fused
	row     *tuple.Row
	cursor  tuple.Cursor
	origin  tuple.Origin
	channel msgid.Channel
}

func (e *entry) init(x *fused, f *tuple.Fields) {
	e.of, e.row = x, tuple.NewRow(f, e)
	e.origin = tuple.Origin{Channel: &e.channel, Fields: f}
	e.goTo(0)
}

// goTo makes the next row the one after seq.
func (e *entry) goTo(seq msgid.Seq) {
	e.origin.First = seq + 1
	e.cursor.Reset(nil, e.origin)
}

// Row implements tuple.Emitter.
func (e *entry) Row() *tuple.Row { return e.row.Begin() }

// Emit implements tuple.Emitter.
func (e *entry) Emit(values ...any) error { return e.Row().Values(values...).Emit() }

// On implements tuple.Emitter: a named stream is the operator's.
func (e *entry) On(stream string) tuple.Emitter {
	if stream == "" {
		return e
	}
	return e.of.out.On(stream)
}

// Refuse implements tuple.Refuser.
func (e *entry) Refuse(err error) { e.of.fail(err) }

// Take implements tuple.Sink.
func (e *entry) Take(r *tuple.Row) error {
	x := e.of
	if x.err == nil {
		e.cursor.View(r)
		x.err = x.bolts.Execute(x.ctx, e.cursor.Tuple(), x.out)
	}
	return x.err
}

func (x *fused) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

// Next implements Spout.
func (x *fused) Next(ctx context.Context, out Emitter) error {
	if x.problems != nil {
		return x.misuse()
	}
	if x.err != nil {
		return x.err
	}
	x.ctx, x.out = ctx, out
	err := x.from.Next(ctx, &x.in)
	return cmp.Or(x.err, err)
}

func (x *fused) misuse() error {
	return bolt.Permanent(fmt.Errorf("spout: the source cannot run through its bolts: %w", errors.Join(x.problems...)))
}

// Open implements Opener.
func (x *fused) Open(ctx bolt.Context) error {
	if x.problems != nil {
		return x.misuse()
	}
	if o, ok := x.from.(Opener); ok {
		if err := o.Open(ctx); err != nil {
			return err
		}
	}
	task := ctx.Task()
	x.in.channel = msgid.Channel{Source: task.Alias, Target: msgid.Alias{Operator: x.steps[0], Index: task.Alias.Index}}
	if err := x.bolts.(bolt.Preparer).Prepare(ctx); err != nil {
		return err
	}
	if task.Strategy.Name != "" {
		if err := x.bolts.(bolt.Verifier).Verify(task.Strategy); err != nil {
			return bolt.Permanent(err)
		}
	}
	if s := ctx.State(); s != nil {
		for _, step := range x.steps {
			if s.Within(step).Used() {
				return bolt.Permanent(notInSpout(step, "opens keyed state"))
			}
		}
	}
	return nil
}

// form begins a position: the rows that the source has emitted, the chain's snapshot after its length, and the source's own
// position follow.
var form = []byte("through1")

// Position implements Spout.
func (x *fused) Position(dst []byte) []byte {
	if x.problems != nil {
		return dst
	}
	counts, err := x.bolts.(bolt.Snapshotter).Snapshot()
	if err != nil { // never: no step has a snapshot
		x.fail(err)
	}
	dst = binary.AppendUvarint(append(dst, form...), uint64(x.in.cursor.Seq()))
	dst = append(binary.AppendUvarint(dst, uint64(len(counts))), counts...)
	return x.from.Position(dst)
}

// Seek implements Spout.
func (x *fused) Seek(to []byte) error {
	if x.problems != nil {
		return x.misuse()
	}
	rest, ok := bytes.CutPrefix(to, form)
	r := position.Reader{B: rest}
	seq, counts := r.Uvarint(), r.Uvarint()
	if !ok || r.Bad || counts > uint64(len(r.B)) {
		return fmt.Errorf("%w: it is not that of a source with bolts: %.40x", ErrPosition, to)
	}
	if err := x.bolts.(bolt.Snapshotter).Restore(r.B[:counts]); err != nil {
		return err
	}
	x.in.goTo(msgid.Seq(seq))
	x.err = nil
	return x.from.Seek(r.B[counts:])
}

// Progress implements Progresser; a source that does not know its progress has none.
func (x *fused) Progress() (done, total int64) {
	if p, ok := x.from.(Progresser); ok {
		return p.Progress()
	}
	return 0, 0
}

// Hurry implements Pacer.
func (x *fused) Hurry(on bool) {
	if p, ok := x.from.(Pacer); ok {
		p.Hurry(on)
	}
}

// Close implements io.Closer.
func (x *fused) Close() error {
	if x.problems != nil {
		return nil
	}
	err := x.bolts.(io.Closer).Close()
	if c, ok := x.from.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}
