package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
)

// A rootSource makes the readers of a source of roots.
type rootSource struct {
	k    *typed
	step *step
}

func (s rootSource) New() stream.Reader[item] {
	r := &rootReader{source: source{world: s.k.w}}
	s.k.made(s.step, r)
	return r
}

// A rootReader emits its roots in order, one to six in a call, each with a value that follows from it.
type rootReader struct{ source }

func (r *rootReader) Next(_ context.Context, out func(item)) error {
	limit, ended := r.world.limit(r.alias)
	switch {
	case r.next < limit:
	case ended:
		return io.EOF
	default:
		return spout.ErrIdle
	}
	if r.world.lulls() {
		return spout.ErrIdle
	}
	for most := min(limit, r.next+1+hashOf(rootOf(r.alias, r.next))%6); r.next < most; r.next++ {
		out(firstOf(r.alias, r.next))
	}
	r.world.emitted(r.alias, r.next)
	return nil
}

// firstOf is the n-th item of a source.
func firstOf(alias msgid.Alias, n uint64) item {
	root := rootOf(alias, n)
	return itemOf(root, hashOf(root))
}

// A stepper runs a logic in one task of a step.
type stepper struct {
	k     *typed
	step  *step
	logic *logic
	alias msgid.Alias
	fold  fold
	// folded holds sum and n of the fold if the state is keyed.
	folded *stream.State[string, uint64]

	// The running call.
	c   *stream.Context
	in  item
	put func(item)
}

func (p *stepper) part() *stepper { return p }

func (p *stepper) open(c *stream.Context, keys table) {
	p.alias = c.Task().Alias
	p.fold.self, p.fold.keys = p.alias, keys
}

func (p *stepper) take(c *stream.Context, v item, out func(item)) error {
	w := p.k.w
	w.panics(p.alias)
	if err := w.outage(); err != nil {
		return err
	}
	if !v.intact() {
		w.violate("I3", "%v gets %q with the pad %x", p.alias, v.Root, v.Pad)
	}
	poison := p.step.fails && w.poisons(p.step.name, p.k.running.id, v.Root)
	if poison && v.Value%2 == 0 {
		return p.k.w.poisoned(p.k.running.id)
	}
	p.begin(c, v, out)
	before := p.fold
	p.logic.tuple(&p.fold, input{
		root: v.Root, value: v.Value,
		now:  func() uint64 { return uint64(c.Now().UnixNano()) },
		rand: c.Rand,
		luck: func() uint64 { return p.k.running.note(luckMoment, w.luck.Uint64()) },
	}, p)
	if poison { // it fails at the end: its output is taken back, and its state it takes back itself
		p.fold = before
		return p.k.w.poisoned(p.k.running.id)
	}
	p.save()
	return nil
}

// begin begins a call, with the fold as it is stored.
func (p *stepper) begin(c *stream.Context, v item, out func(item)) {
	p.c, p.in, p.put = c, v, out
	if p.folded != nil {
		p.fold.sum, _ = p.folded.Get("sum")
		p.fold.n, _ = p.folded.Get("n")
	}
}

// save stores the fold.
func (p *stepper) save() {
	if p.folded != nil {
		p.folded.Put("sum", p.fold.sum)
		p.folded.Put("n", p.fold.n)
	}
}

// state returns the encoded fold.
func (p *stepper) state() []byte {
	p.begin(nil, item{}, nil)
	return p.fold.append(nil)
}

func (p *stepper) tick(c *stream.Context, now time.Time, out func(item)) error {
	p.begin(c, item{}, out)
	p.logic.tick(&p.fold, now.UnixNano(), p)
	p.save()
	return p.k.w.outage()
}

func (p *stepper) end(c *stream.Context, out func(item)) error {
	p.begin(c, item{}, out)
	p.logic.finish(&p.fold, p)
	p.save()
	return p.k.w.outage()
}

// made returns the item of a root; the pad of the input's own root is that view.
func (p *stepper) made(root string, value uint64) item {
	if root == p.in.Root {
		return item{root, value, p.in.Pad}
	}
	return itemOf(root, value)
}

// emit, direct and on implement output.
func (p *stepper) emit(root string, value uint64)          { p.put(p.made(root, value)) }
func (p *stepper) direct(root string, value uint64, _ int) { p.emit(root, value) }
func (p *stepper) on(name string) output                   { return sideStepper{p, tags[name]} }

type sideStepper struct {
	*stepper
	tag stream.Tag[item]
}

func (p sideStepper) emit(root string, value uint64) { p.tag.Emit(p.c, p.made(root, value)) }

// A keyedStepper keeps its fold in keyed state.
type keyedStepper struct{ stepper }

func (p *keyedStepper) Open(c *stream.Context) error {
	counts, err := stream.OpenState[string, uint64](c, "counts")
	folded, err2 := stream.OpenState[string, uint64](c, "folded")
	p.folded = folded
	p.open(c, stateTable{counts})
	return errors.Join(err, err2)
}

// stateTable is a table in keyed state.
type stateTable struct {
	*stream.State[string, uint64]
}

func (t stateTable) add(key string, n uint64) uint64 {
	p := t.At(key)
	*p += n
	return *p
}

func (t stateTable) all(yield func(string, uint64)) {
	for k, n := range t.All() {
		yield(k, n)
	}
}

// An ownStepper stores its fold whole.
type ownStepper struct{ stepper }

func (p *ownStepper) Open(c *stream.Context) error {
	p.open(c, &list{})
	return nil
}

func (p *ownStepper) Snapshot() ([]byte, error) { return p.fold.append(nil), nil }

func (p *ownStepper) Restore(b []byte) error { return p.fold.read(b) }

// A rootSink makes the writers of a sink.
type rootSink struct {
	k     *typed
	step  *step
	logic *logic
}

func (s rootSink) New() stream.Writer[item] {
	w := &writer{k: s.k, step: s.step, commits: s.logic.commit}
	s.k.made(s.step, w)
	if s.logic.commit {
		return committingWriter{w}
	}
	return w
}

// A writer keeps the written items. If it commits, the world outside sees it in batches.
type writer struct {
	k       *typed
	step    *step
	alias   msgid.Alias
	written history
	commits bool
	batches
}

func (w *writer) Prepare(ctx bolt.Context) error {
	w.alias = ctx.Task().Alias
	return nil
}

func (w *writer) Write(_ context.Context, v item) error {
	world := w.k.w
	world.panics(w.alias)
	if err := world.outage(); err != nil {
		return err
	}
	if w.step.fails && world.poisons(w.step.name, w.k.running.id, v.Root) {
		return world.poisoned(w.k.running.id)
	}
	if !v.intact() {
		world.violate("I3", "%v gets %q with the pad %x", w.alias, v.Root, v.Pad)
	}
	m := writtenMoment(v)
	w.written = append(w.written, m)
	if w.commits {
		w.staged = append(w.staged, m)
	}
	world.reached(w.alias, v.Root)
	return nil
}

// writtenMoment is a writer's record of an item.
func writtenMoment(v item) moment {
	return moment{kind: tupleMoment, value: v.Value, data: []byte(v.Root)}
}

func (w *writer) Snapshot() ([]byte, error) { return w.batches.close(w.written.append(nil)), nil }

func (w *writer) Restore(b []byte) (err error) {
	if w.written, b, err = readHistory(b); err != nil {
		return err
	}
	if b, err = w.batches.read(b); err == nil && len(b) > 0 {
		err = fmt.Errorf("sim: %d bytes too many in the state of %v", len(b), w.alias)
	}
	return err
}

type committingWriter struct{ *writer }

func (w committingWriter) Commit() error {
	w.committed = true
	w.k.w.effect(w.alias, w.batch, w.closed)
	return nil
}
