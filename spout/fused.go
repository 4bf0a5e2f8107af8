package spout

import (
	"bytes"
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

// A fused is the spout of one task with the bolts that its rows run through.
type fused struct {
	problems []error
	from     Spout
	bolts    bolt.Bolt
	steps    []string
	in       entry

	ctx  context.Context // of the running call
	out  Emitter         // of the calls since outs were made
	outs []*outlet
	err  error // since which nothing is emitted
}

// An entry is the emitter of the source: it runs its rows through the bolts.
type entry struct {
	of      *fused
	row     *tuple.Row
	cursor  tuple.Cursor
	origin  tuple.Origin
	channel msgid.Channel
}

// An outlet holds back what is emitted on one stream until the bolts have processed the source's row.
type outlet struct {
	of   *fused
	name string
	to   Emitter
	row  *tuple.Row // nil before the first
	held tuple.Buffer
}

func (e *entry) init(x *fused, f *tuple.Fields) {
	e.of, e.row = x, tuple.NewRow(f, e)
	e.origin = tuple.Origin{Channel: &e.channel, Fields: f}
	e.goTo(0)
}

// goTo has the next row be the one after seq.
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
	return e.of.outlet(stream)
}

// Refuse implements tuple.Refuser.
func (e *entry) Refuse(err error) { e.of.fail(err) }

// Take implements tuple.Sink.
func (e *entry) Take(r *tuple.Row) error {
	x := e.of
	if x.err != nil {
		return x.err
	}
	e.cursor.View(r)
	t := e.cursor.Tuple()
	if err := x.bolts.Execute(x.ctx, t, x.outlet("")); err != nil {
		x.err = err
	} else if x.err != nil { // a bolt has ignored it
		x.err = &bolt.TupleError{Tuple: t.Summary(maxTuple), Err: x.err}
	}
	return x.flush()
}

// maxTuple bounds the text of a tuple in an error, in bytes.
const maxTuple = 512

// outlet returns the emitter of one of the operator's streams.
func (x *fused) outlet(name string) *outlet {
	for _, o := range x.outs {
		if o.name == name {
			return o
		}
	}
	o := &outlet{of: x, name: name, to: x.out}
	if name != "" {
		o.to = x.out.On(name)
	}
	x.outs = append(x.outs, o)
	return o
}

// Row implements tuple.Emitter.
func (o *outlet) Row() *tuple.Row {
	if o.row == nil {
		to := o.to.Row()
		if f := to.Fields(); f.Len() > 0 {
			o.row = tuple.NewRow(f, o)
		} else { // the stream is not declared, and the row's error tells so
			o.row = tuple.NewBrokenRow(to.Emit(), o)
		}
	}
	return o.row.Begin()
}

// Emit implements tuple.Emitter.
func (o *outlet) Emit(values ...any) error { return o.Row().Values(values...).Emit() }

// On implements tuple.Emitter.
func (o *outlet) On(stream string) tuple.Emitter { return o.of.outlet(stream) }

// Refuse implements tuple.Refuser.
func (o *outlet) Refuse(err error) { o.of.fail(err) }

// Take implements tuple.Sink.
func (o *outlet) Take(r *tuple.Row) error {
	if err := o.of.err; err != nil {
		return err
	}
	o.held.Add(r)
	return nil
}

func (x *fused) fail(err error) {
	if x.err == nil {
		x.err = err
	}
}

// flush emits what is held, unless something has failed.
func (x *fused) flush() error {
	for _, o := range x.outs {
		if o.held.Len() == 0 {
			continue
		}
		if x.err == nil {
			x.err = o.held.Emit(o.to)
		}
		o.held.Reset()
	}
	return x.err
}

// Next implements Spout.
func (x *fused) Next(ctx context.Context, out Emitter) error {
	if x.problems != nil {
		return x.misuse()
	}
	if x.err != nil {
		return x.err
	}
	x.ctx = ctx
	if x.out != out {
		x.out, x.outs = out, nil
	}
	err := x.from.Next(ctx, &x.in)
	if x.flush() != nil {
		return x.err
	}
	return err
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
