package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// A chain is the bolt of one task: steps that call each other. One goroutine owns it.
type chain struct {
	parts    []*part
	problems []error

	ctx  context.Context // of the running call
	out  Emitter         // of the running call
	err  error           // the first one of the running call
	call uint64          // the number of the running call
}

// A part is one step of a chain.
type part struct {
	chain *chain
	name  string
	bolt  Bolt
	next  *handover    // nil of the last
	store *state.Store // its view; nil before Prepare
	call  uint64       // the call in which it was executed last
	tuple tuple.Tuple  // that it is given; the zero Tuple in Tick and Finish
}

// A handover is the emitter of all steps but the last: it passes a row to the next step.
type handover struct {
	chain   *chain
	to      int // the place of the next step
	row     *tuple.Row
	cursor  tuple.Cursor
	origin  tuple.Origin
	refused error     // the error of a row of the running call
	call    uint64    // the call in which it was used last
	mark    msgid.Seq // the tuples before that call
}

// maxStepTuple bounds the text of a step's tuple in an error, in bytes.
const maxStepTuple = 512

func newHandover(c *chain, f *tuple.Fields, to int) *handover {
	h := &handover{chain: c, to: to}
	h.row = tuple.NewRow(f, h)
	h.origin = tuple.Origin{Channel: new(msgid.Channel), Fields: f}
	h.goTo(0)
	return h
}

// goTo makes the next tuple the one after seq.
func (h *handover) goTo(seq msgid.Seq) {
	h.origin.First = seq + 1
	h.cursor.Reset(nil, h.origin)
}

// Row implements tuple.Emitter.
func (h *handover) Row() *tuple.Row { return h.row.Begin() }

// Emit implements tuple.Emitter.
func (h *handover) Emit(values ...any) error { return h.Row().Values(values...).Emit() }

// On implements tuple.Emitter: a named stream is the operator's.
func (h *handover) On(stream string) tuple.Emitter {
	if stream == "" {
		return h
	}
	return h.chain.out.On(stream)
}

// Refuse implements tuple.Refuser.
func (h *handover) Refuse(err error) {
	if h.refused == nil {
		h.refused = err
	}
}

// Take implements tuple.Sink.
func (h *handover) Take(r *tuple.Row) error {
	c := h.chain
	if c.err != nil {
		return c.err
	}
	if h.refused != nil {
		return h.refused
	}
	if t := c.parts[h.to-1].tuple; t != (tuple.Tuple{}) && t.Err() != nil {
		return t.Err() // the result of a wrong reading goes no further
	}
	if h.call != c.call {
		h.call, h.mark = c.call, h.cursor.Seq()
	}
	h.cursor.View(r)
	return c.parts[h.to].execute(h.cursor.Tuple())
}

// execute runs the step, and those after it, over a tuple.
func (p *part) execute(t tuple.Tuple) error {
	c := p.chain
	again := p.call == c.call
	p.call, p.tuple = c.call, t
	err := p.result(p.bolt.Execute(c.ctx, t, p.emitter()))
	if err == nil {
		err = t.Err()
	}
	if err != nil && c.err == nil {
		c.err = c.failed(p, t, err, again)
	}
	return c.err
}

// emitter returns the emitter of the step.
func (p *part) emitter() Emitter {
	if p.next != nil {
		return p.next
	}
	return p.chain.out
}

// result returns the error of a call: its own, or that of a row, which the step may have ignored.
func (p *part) result(err error) error {
	if err == nil && p.next != nil {
		return p.next.refused
	}
	return err
}

// failed returns the error of the whole call for a tuple that a step could not process. Again reports whether it had
// processed another one in the same call.
func (c *chain) failed(p *part, t tuple.Tuple, err error, again bool) error {
	if IsOutage(err) {
		return fmt.Errorf("step %q: %w", p.name, err)
	}
	failed := &TupleError{Step: p.name, Tuple: t.Summary(maxStepTuple), Err: err}
	changed := c.changed(p)
	if changed == nil && again && p.keepsState() {
		changed = p
	}
	if changed == nil || IsPermanent(err) {
		return failed
	}
	return changed.cannotRepeat(failed)
}

// changed returns a step with state, other than the one given, that was executed in the running call; nil if there is none.
func (c *chain) changed(but *part) *part {
	for _, p := range c.parts {
		if p != but && p.call == c.call && p.keepsState() {
			return p
		}
	}
	return nil
}

// cannotRepeat returns the permanent error of a call in which the step may have changed its state.
func (p *part) cannotRepeat(err error) error {
	return Permanent(fmt.Errorf("%w (neither tried again nor given up: step %q keeps state and has processed a part of the tuple)", err, p.name))
}

// keepsState reports whether the step has a snapshot of its own or keyed state.
func (p *part) keepsState() bool {
	if p.store != nil && p.store.Used() {
		return true
	}
	_, snapshots := p.bolt.(Snapshotter)
	return snapshots
}

func (c *chain) begin(ctx context.Context, out Emitter) {
	c.ctx, c.out = ctx, out
	c.err = nil
	c.call++
}

// end ends a call. The tuples between steps of a call that failed do not count.
func (c *chain) end() error {
	if c.err == nil {
		return nil
	}
	for _, p := range c.parts {
		if h := p.next; h != nil {
			if h.call == c.call {
				h.goTo(h.mark)
			}
			h.refused = nil
		}
	}
	return c.err
}

// Execute implements Bolt.
func (c *chain) Execute(ctx context.Context, t tuple.Tuple, out Emitter) error {
	if c.problems != nil {
		return c.misuse()
	}
	c.begin(ctx, out)
	if err := c.parts[0].execute(t); err == nil {
		// The runtime fails a call that has ignored the error of a row. The runtime must not repeat the call if a tuple
		// would then count twice.
		if o, ok := out.(interface{ Err() error }); ok && o.Err() != nil {
			if p := c.changed(nil); p != nil {
				c.err = p.cannotRepeat(o.Err())
			}
		}
	}
	return c.end()
}

// each calls f for the steps in order, until one fails.
func (c *chain) each(f func(p *part) error) error {
	for _, p := range c.parts {
		p.tuple = tuple.Tuple{}
		if err := f(p); err != nil && c.err == nil {
			c.err = fmt.Errorf("step %q: %w", p.name, err)
		}
		if c.err != nil {
			break
		}
	}
	return c.end()
}

// Finish implements Finisher.
func (c *chain) Finish(ctx context.Context, out Emitter) error {
	c.begin(ctx, out)
	return c.each(func(p *part) error {
		if b, ok := p.bolt.(Finisher); ok {
			return p.result(b.Finish(ctx, p.emitter()))
		}
		return nil
	})
}

// ticking adds Tick to a chain with a step that has it.
type ticking struct{ of *chain }

// Tick implements Ticker.
func (x ticking) Tick(ctx context.Context, now time.Time, out Emitter) error {
	x.of.begin(ctx, out)
	return x.of.each(func(p *part) error {
		if b, ok := p.bolt.(Ticker); ok {
			return p.result(b.Tick(ctx, now, p.emitter()))
		}
		return nil
	})
}

func (c *chain) misuse() error {
	return Permanent(fmt.Errorf("bolt: the chain cannot run: %w", errors.Join(c.problems...)))
}

// Steps implements Composition.
func (c *chain) Steps() (names []string) {
	for _, p := range c.parts {
		names = append(names, p.name)
	}
	return names
}

// Problems implements Composition.
func (c *chain) Problems() []error { return slices.Clone(c.problems) }

// KeepsState reports whether a step does. The chain's own counts are no state.
func (c *chain) KeepsState() bool { return slices.ContainsFunc(c.parts, (*part).keepsState) }

// Verify implements Verifier.
func (c *chain) Verify(s Strategy) error {
	var errs []error
	for _, p := range c.parts {
		if b, ok := p.bolt.(Verifier); ok {
			if err := b.Verify(s); err != nil {
				errs = append(errs, fmt.Errorf("step %q: %w", p.name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Close implements io.Closer.
func (c *chain) Close() error {
	var errs []error
	for _, p := range c.parts {
		if b, ok := p.bolt.(io.Closer); ok {
			errs = append(errs, b.Close())
		}
	}
	return errors.Join(errs...)
}

// Prepare implements Preparer.
func (c *chain) Prepare(ctx Context) error {
	if c.problems != nil {
		return c.misuse()
	}
	index := ctx.Task().Alias.Index
	for i, p := range c.parts {
		own := stepContext{Context: ctx, step: p.name}
		if s := ctx.State(); s != nil {
			p.store = s.Within(p.name)
			own.store = p.store
		}
		if p.next != nil {
			next := msgid.Alias{Operator: c.parts[i+1].name, Index: index}
			*p.next.origin.Channel = msgid.Channel{Source: msgid.Alias{Operator: p.name, Index: index}, Target: next}
		}
		if b, ok := p.bolt.(Preparer); ok {
			if err := b.Prepare(own); err != nil {
				return fmt.Errorf("step %q: %w", p.name, err)
			}
		}
	}
	return nil
}

// A stepContext is the context of one step: that of the task, with the step's own name and state.
type stepContext struct {
	Context
	step  string
	store *state.Store
}

func (x stepContext) Task() Task {
	t := x.Context.Task()
	t.Alias.Operator = x.step
	return t
}

func (x stepContext) State() *state.Store { return x.store }

// A chain's snapshot is, for each step in order: its name after its length, the number of the tuples that it has handed to the next
// step, and 0, or 1 followed by its own snapshot after its length. All numbers are varints.

// Snapshot implements Snapshotter.
func (c *chain) Snapshot() ([]byte, error) {
	var all []byte
	for _, p := range c.parts {
		all = append(binary.AppendUvarint(all, uint64(len(p.name))), p.name...)
		handed := msgid.Seq(0)
		if p.next != nil {
			handed = p.next.cursor.Seq()
		}
		all = binary.AppendUvarint(all, uint64(handed))
		b, ok := p.bolt.(Snapshotter)
		if !ok {
			all = append(all, 0)
			continue
		}
		own, err := b.Snapshot()
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", p.name, err)
		}
		all = append(binary.AppendUvarint(append(all, 1), uint64(len(own))), own...)
	}
	return all, nil
}

// Restore implements Snapshotter. A step without a part in the snapshot begins anew; a part with state must belong to a
// step of the chain.
func (c *chain) Restore(data []byte) error {
	for len(data) > 0 {
		name, rest, ok := cutPart(data)
		seq, width := binary.Uvarint(rest)
		if !ok || width <= 0 || len(rest) == width || rest[width] > 1 {
			return Permanent(errors.New("bolt: the snapshot is not that of a chain"))
		}
		kept := rest[width] == 1
		var own []byte
		if data = rest[width+1:]; kept {
			if own, data, ok = cutPart(data); !ok {
				return Permanent(errors.New("bolt: the snapshot is not that of a chain"))
			}
		}
		i := slices.IndexFunc(c.parts, func(p *part) bool { return p.name == string(name) })
		if i < 0 {
			if kept {
				return Permanent(fmt.Errorf("bolt: the snapshot holds state of step %.80q, which the chain does not have: keep the step and its name", name))
			}
			continue
		}
		p := c.parts[i]
		if p.next != nil {
			p.next.goTo(msgid.Seq(seq))
		}
		b, ok := p.bolt.(Snapshotter)
		if !ok && kept {
			return Permanent(fmt.Errorf("bolt: the snapshot holds state of step %.80q, which keeps none: give it back its Restore", name))
		}
		if kept {
			if err := b.Restore(own); err != nil {
				return fmt.Errorf("step %q: %w", p.name, err)
			}
		}
	}
	return nil
}

// cutPart splits off a part with its length in front.
func cutPart(b []byte) (part, rest []byte, ok bool) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > uint64(len(b)-width) {
		return nil, nil, false
	}
	return b[width : width+int(n)], b[width+int(n):], true
}

// A chain has Commit, RenameSafe and Tick if its steps have, since the runtime derives from them the state that a task
// keeps.
type (
	committing struct{ *chain }
	renameSafe struct{ committing }
)

// Commit implements Committer.
func (c committing) Commit() error {
	for _, p := range c.parts {
		if b, ok := p.bolt.(Committer); ok {
			if err := b.Commit(); err != nil {
				return fmt.Errorf("step %q: %w", p.name, err)
			}
		}
	}
	return nil
}

// RenameSafe implements RenameSafe.
func (renameSafe) RenameSafe() {}

// withInterfaces returns the chain with the interfaces that its steps have.
func (c *chain) withInterfaces() Bolt {
	ticks, commits, safe := 0, 0, 0
	for _, p := range c.parts {
		if _, ok := p.bolt.(Ticker); ok {
			ticks++
		}
		if _, ok := p.bolt.(Committer); ok {
			commits++
		}
		if _, ok := p.bolt.(RenameSafe); ok {
			safe++
		}
	}
	switch t := (ticking{c}); {
	case commits > safe && ticks > 0:
		return struct {
			committing
			ticking
		}{committing{c}, t}
	case commits > safe:
		return committing{c}
	case commits > 0 && ticks > 0:
		return struct {
			renameSafe
			ticking
		}{renameSafe{committing{c}}, t}
	case commits > 0:
		return renameSafe{committing{c}}
	case ticks > 0:
		return struct {
			*chain
			ticking
		}{c, t}
	}
	return c
}
