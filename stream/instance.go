package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
	"unsafe"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// An instance is one task of an operator: the steps that were fused, as functions that call each other. One goroutine owns
// it.
type instance struct {
	op    *operator
	ctx   context.Context // of the running call
	task  bolt.Context    // since Prepare
	err   error           // of the running call
	out   tuple.Emitter   // of the running call
	emits []*emitting
	ids   Identifier // the sink that is the operator, if it needs message ids

	ports map[*node][]any // a push for each port
	parts []*part         // of the operator's steps, by their place there

	fields *tuple.Fields // of the tuple before: identifies its input
	take   func(tuple.Tuple) error
	takes  map[*tuple.Fields]func(tuple.Tuple) error
}

// A part is the code of one step besides its inputs.
type part struct {
	node    *node
	prepare func(bolt.Context) error
	tick    func(now time.Time)
	finish  func()
	writer  any // of a sink: for the optional interfaces
}

// newInstance makes the functions of an operator's steps.
func newInstance(op *operator) *instance {
	x := &instance{op: op, ports: make(map[*node][]any), takes: make(map[*tuple.Fields]func(tuple.Tuple) error)}
	for _, n := range op.nodes {
		x.parts = append(x.parts, &part{node: n})
	}
	for _, n := range op.nodes {
		if n.kind != source {
			x.port(n)
		}
	}
	return x
}

// part returns a step's part.
func (x *instance) part(n *node) *part {
	for _, p := range x.parts {
		if p.node == n {
			return p
		}
	}
	panic(fmt.Sprintf("stream: step %s is not of operator %s", n.name, x.op.name()))
}

// port returns the functions that take the values of a step's ports.
func (x *instance) port(n *node) []any {
	if made, ok := x.ports[n]; ok {
		return made
	}
	made := n.make(x)
	x.ports[n] = made
	return made
}

// push returns the function that takes a step's output: it calls the fused steps, and emits for the others.
func (x *instance) push(o *output) any {
	var pushes []any
	for _, r := range x.op.calls[o] {
		pushes = append(pushes, x.port(r.node)[r.port])
	}
	for _, s := range x.op.streams {
		if s.from == o {
			pushes = append(pushes, o.typ.emit(x, s))
		}
	}
	return o.typ.fan(pushes)
}

// begin begins a call.
func (x *instance) begin(ctx context.Context, out tuple.Emitter) {
	x.ctx = ctx
	if x.err != nil {
		x.err = nil
	}
	if !identical(x.out, out) {
		x.out = out
		for _, e := range x.emits {
			e.bind(out)
		}
	}
}

// identical reports whether two emitters are the same value, without the call that comparing interfaces costs.
func identical(a, b tuple.Emitter) bool {
	return *(*[2]uintptr)(unsafe.Pointer(&a)) == *(*[2]uintptr)(unsafe.Pointer(&b))
}

func (x *instance) setErr(err error) {
	if x.err == nil {
		x.err = err
	}
}

// fail fails the running call for a value that a step could not process.
func (x *instance) fail(n *node, err error, value string) {
	if x.err != nil {
		return
	}
	if bolt.IsOutage(err) {
		x.err = fmt.Errorf("step %q: %w", n.name, err)
		return
	}
	if n == x.op.nodes[0] { // the policy is that of the first step, and the runtime names operator and tuple
		x.err = err
		return
	}
	x.err = bolt.Permanent(&bolt.TupleError{Step: n.name, Tuple: value, Err: err})
}

// Execute implements bolt.Bolt.
func (x *instance) Execute(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	x.begin(ctx, out)
	if x.ids != nil {
		x.ids.Identify(t.ID())
	}
	if f := t.Fields(); f != x.fields || x.take == nil {
		if err := x.locate(t, f); err != nil {
			return err
		}
	}
	if err := x.take(t); err != nil {
		return err
	}
	return x.err
}

// locate finds the input of a tuple. The fields of each stream are a value of their own.
func (x *instance) locate(t tuple.Tuple, f *tuple.Fields) error {
	take, ok := x.takes[f]
	if !ok {
		from, stream := t.Source().Operator, t.Stream()
		in := x.op.input(from, stream)
		if in == nil {
			return bolt.Permanent(fmt.Errorf("stream: operator %q does not read %s:%s", x.op.name(), from, stream))
		}
		var err error
		if take, err = x.input(in, f); err != nil {
			return bolt.Permanent(err)
		}
		x.takes[f] = take
	}
	x.fields, x.take = f, take
	return nil
}

// input makes the decoder of one input's tuples for the ports that read it.
func (x *instance) input(in *channelIn, f *tuple.Fields) (func(tuple.Tuple) error, error) {
	var pushes []any
	for _, r := range in.readers {
		pushes = append(pushes, x.port(r.node)[r.port])
	}
	typ := in.stream.from.typ // that of dead letters has a form of its own
	return typ.take(f, typ.fan(pushes))
}

// Prepare implements bolt.Preparer.
func (x *instance) Prepare(ctx bolt.Context) error {
	x.task = ctx
	for _, p := range x.parts {
		own := stepContext{ctx, p.node.name}
		if p.prepare != nil {
			if err := p.prepare(own); err != nil {
				return x.named(p, err)
			}
		}
		if w, ok := p.writer.(bolt.Preparer); ok {
			if err := w.Prepare(own); err != nil {
				return x.named(p, err)
			}
		}
	}
	return nil
}

// named adds a step's name to an error, where an operator has several.
func (x *instance) named(p *part, err error) error {
	if len(x.parts) == 1 {
		return err
	}
	return fmt.Errorf("step %q: %w", p.node.name, err)
}

// Tick implements bolt.Ticker: one step after another, each before those that read it.
func (x *instance) Tick(ctx context.Context, now time.Time, out bolt.Emitter) error {
	x.begin(ctx, out)
	for _, p := range x.parts {
		if p.node.tick == 0 {
			continue
		}
		if p.tick != nil {
			p.tick(now)
		}
		if w, ok := p.writer.(bolt.Ticker); ok && x.err == nil {
			if err := w.Tick(ctx, now, nil); err != nil {
				return x.named(p, err)
			}
		}
	}
	return x.err
}

// Finish implements bolt.Finisher.
func (x *instance) Finish(ctx context.Context, out bolt.Emitter) error {
	x.begin(ctx, out)
	for _, p := range x.parts {
		if p.finish != nil {
			p.finish()
		}
		if w, ok := p.writer.(bolt.Finisher); ok && x.err == nil {
			if err := w.Finish(ctx, nil); err != nil {
				return x.named(p, err)
			}
		}
		if x.err != nil {
			return x.err
		}
	}
	return nil
}

// Verify implements bolt.Verifier.
func (x *instance) Verify(s bolt.Strategy) error {
	var errs []error
	for _, p := range x.parts {
		if w, ok := p.writer.(bolt.Verifier); ok {
			if err := w.Verify(s); err != nil {
				errs = append(errs, x.named(p, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Close implements io.Closer.
func (x *instance) Close() error {
	var errs []error
	for _, p := range x.parts {
		if c, ok := p.writer.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// A stepContext is the context of a step: that of the operator, with the step's own name. So outside names, such as those
// of files, stay the same under any fusion.
type stepContext struct {
	bolt.Context
	step string
}

func (c stepContext) Task() bolt.Task {
	t := c.Context.Task()
	t.Alias = msgid.Alias{Operator: c.step, Index: t.Alias.Index}
	return t
}

// State returns the step's own part of the task's keyed state, so names of maps need be unique within the step only.
func (c stepContext) State() *state.Store { return c.Context.State().Within(c.step) }

// A reading is a source's reader as part of a spout: Next passes the values that it reads to the steps.
type reading struct {
	reader any // a Reader[T]: for the optional interfaces
	next   func(ctx context.Context) error
	positioned
}

type positioned interface {
	Position(dst []byte) []byte
	Seek(position []byte) error
}

func newReading[T any](r Reader[T], out func(T)) reading {
	return reading{reader: r, positioned: r, next: func(ctx context.Context) error { return r.Next(ctx, out) }}
}

// A reader is a source and the steps that are fused with it, as a spout.
type reader struct {
	*instance
	reading
}

func newReader(op *operator) *reader {
	x := newInstance(op)
	return &reader{instance: x, reading: op.nodes[0].reader(x)}
}

// Next implements spout.Spout.
func (r *reader) Next(ctx context.Context, out spout.Emitter) error {
	r.begin(ctx, out)
	err := r.next(ctx)
	if r.err != nil {
		return r.err
	}
	return err
}

// Open implements spout.Opener.
func (r *reader) Open(ctx bolt.Context) error {
	if o, ok := r.reading.reader.(spout.Opener); ok {
		if err := o.Open(stepContext{ctx, r.op.nodes[0].name}); err != nil {
			return err
		}
	}
	return r.Prepare(ctx)
}

// Progress implements spout.Progresser; a source that does not know its progress has none.
func (r *reader) Progress() (done, total int64) {
	if p, ok := r.reading.reader.(spout.Progresser); ok {
		return p.Progress()
	}
	return 0, 0
}

// Hurry implements spout.Pacer.
func (r *reader) Hurry(on bool) {
	if p, ok := r.reading.reader.(spout.Pacer); ok {
		p.Hurry(on)
	}
}

// Close implements io.Closer.
func (r *reader) Close() error {
	err := r.instance.Close()
	if c, ok := r.reading.reader.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}
