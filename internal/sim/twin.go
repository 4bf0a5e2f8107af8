package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A valueKind is the type of an output's values.
type valueKind uint8

const (
	itemValue  valueKind = iota
	entryValue           // a result of an aggregation
	deadValue            // a dead letter
)

// A value is a value of any of these types.
type value struct {
	item item // of a dead letter, the value that could not be processed

	key string
	n   uint64

	id, reason string
}

// read reads a value from the bytes of its tuple, by hand.
func (k valueKind) read(encoded []byte) (v value, err error) {
	t, err := tuple.Parse(nil, encoded)
	if err != nil {
		return v, err
	}
	switch k {
	case itemValue:
		v.item = item{t.String(0), t.Uint(1), bytes.Clone(t.Bytes(2))}
	case entryValue:
		v.key, v.n = t.String(0), t.Uint(1)
	case deadValue:
		v.id, v.reason = t.String(0), t.String(1)
		letter, err := itemValue.read(bytes.Clone(t.Bytes(2)))
		if err != nil {
			return v, err
		}
		v.item = letter.item
	}
	return v, t.Err()
}

// A stepFold folds the input of one task of a step, as the step should.
type stepFold interface {
	take(v value, d *draws, emit func(*stepOutput, value)) error
	tick(now int64, emit func(*stepOutput, value))
	finish(emit func(*stepOutput, value))
	// check compares the state of the step's task, nil if it has none, with the fold.
	check(part any) error
}

// stateless is the common part of folds without state.
type stateless struct{}

func (stateless) tick(int64, func(*stepOutput, value)) {}
func (stateless) finish(func(*stepOutput, value))      {}
func (stateless) check(any) error                      { return nil }

// A passFold is that of a step which was drawn.
type passFold struct {
	stateless
	step *step
	pass *pass
}

func (f passFold) take(v value, _ *draws, emit func(*stepOutput, value)) error {
	f.pass.apply(v.item, func(v item) { emit(f.step.main, value{item: v}) })
	return nil
}

// A mapFold is that of a step which computes.
type mapFold struct {
	stateless
	step *step
	of   func(value) value
}

func (f mapFold) take(v value, _ *draws, emit func(*stepOutput, value)) error {
	emit(f.step.main, f.of(v))
	return nil
}

// A logicFold is that of a step which runs a logic.
type logicFold struct {
	step  *step
	logic *logic
	fold  fold
}

func newLogicFold(st *step, l *logic, self msgid.Alias) *logicFold {
	return &logicFold{step: st, logic: l, fold: fold{keys: &list{}, self: self}}
}

func (f *logicFold) take(v value, d *draws, emit func(*stepOutput, value)) error {
	in := input{root: v.item.Root, value: v.item.Value, now: d.of(nowMoment), rand: d.of(randMoment), luck: d.of(luckMoment)}
	f.logic.tuple(&f.fold, in, outputs{f.step.main, emit})
	return nil
}

func (f *logicFold) tick(now int64, emit func(*stepOutput, value)) {
	if f.logic.tick != nil {
		f.logic.tick(&f.fold, now, outputs{f.step.main, emit})
	}
}

func (f *logicFold) finish(emit func(*stepOutput, value)) {
	if f.logic.finish != nil {
		f.logic.finish(&f.fold, outputs{f.step.main, emit})
	}
}

func (f *logicFold) check(part any) error {
	p, ok := part.(interface{ part() *stepper })
	if !ok {
		return fmt.Errorf("it keeps %T", part)
	}
	if got, want := p.part().state(), f.fold.append(nil); !bytes.Equal(got, want) {
		return fmt.Errorf("its state is %x, the fold of its history gives %x", got, want)
	}
	return nil
}

// outputs takes the tuples that a logic emits in a fold.
type outputs struct {
	to    *stepOutput
	yield func(*stepOutput, value)
}

func (o outputs) emit(root string, v uint64)          { o.yield(o.to, value{item: itemOf(root, v)}) }
func (o outputs) direct(root string, v uint64, _ int) { o.emit(root, v) }

func (o outputs) on(name string) output {
	for _, side := range o.to.step.sides {
		if side.name == name {
			return outputs{side, o.yield}
		}
	}
	return o
}

// An aggregateFold is that of an aggregation.
type aggregateFold struct {
	step    *step
	ticks   bool
	sums    list
	changed []string
}

func (f *aggregateFold) take(v value, _ *draws, _ func(*stepOutput, value)) error {
	key := shortKey(v.item)
	f.sums.set(key, aggregated(f.sums.get(key), v.item))
	if f.ticks && !slices.Contains(f.changed, key) {
		f.changed = append(f.changed, key)
	}
	return nil
}

func (f *aggregateFold) tick(_ int64, emit func(*stepOutput, value)) {
	for _, key := range f.changed {
		emit(f.step.main, value{key: key, n: f.sums.get(key)})
	}
	f.changed = nil
}

func (f *aggregateFold) finish(emit func(*stepOutput, value)) {
	f.sums.all(func(key string, n uint64) { emit(f.step.main, value{key: key, n: n}) })
}

func (f *aggregateFold) check(any) error { return nil } // it puts all out

// A sinkFold is that of a sink.
type sinkFold struct {
	step    *step
	written history
}

func (f *sinkFold) take(v value, _ *draws, _ func(*stepOutput, value)) error {
	f.written = append(f.written, writtenMoment(v.item))
	return nil
}

func (f *sinkFold) tick(int64, func(*stepOutput, value)) {}
func (f *sinkFold) finish(func(*stepOutput, value))      {}

func (f *sinkFold) check(part any) error {
	w, ok := part.(*writer)
	if !ok {
		return fmt.Errorf("it keeps %T", part)
	}
	for i, m := range w.written {
		if i >= len(f.written) || !same(m, f.written[i]) {
			return fmt.Errorf("it has written %q, %d, as number %d, which does not follow from its history", m.data, m.value, i)
		}
	}
	if len(w.written) < len(f.written) {
		return fmt.Errorf("it has written %d items, of %d", len(w.written), len(f.written))
	}
	if !w.commits {
		return nil
	}
	return w.k.w.judgeEffects(w.alias, &w.batches, w.written)
}

// A groupFold folds the history of an operator of package stream: the folds of its steps, which call each other.
type groupFold struct {
	g     *grouped
	task  *topology.Task
	twin  *twin
	folds map[*step]stepFold
	draws *draws
	err   error
}

func (w *World) newGroupFold(t *topology.Task, x *twin, d *draws) *groupFold {
	f := &groupFold{g: w.kit.grouped, task: t, twin: x, draws: d, folds: map[*step]stepFold{}}
	for _, st := range f.steps() {
		if st.fold != nil {
			f.folds[st] = st.fold(msgid.Alias{Operator: st.name, Index: t.Alias.Index})
		}
	}
	return f
}

func (f *groupFold) steps() []*step { return f.g.steps[f.task.Operator.Name] }

// read gives a value of an output to the operator's steps that read it.
func (f *groupFold) read(from *stepOutput, v value) {
	for _, st := range f.steps() {
		for _, p := range st.ports {
			for _, r := range p.from {
				if r.from == from && f.err == nil {
					if err := f.folds[st].take(v, f.draws, f.emit); err != nil {
						f.err = fmt.Errorf("step %s: %w", st.name, err)
					}
				}
			}
		}
	}
}

// emit takes an output of a step: for the steps of the operator first, then for others.
func (f *groupFold) emit(from *stepOutput, v value) {
	f.read(from, v)
	for _, s := range f.task.Operator.Streams {
		c, ok := f.g.streams[s]
		if !ok || c.from != from {
			continue
		}
		row := f.twin.On(s.Name).Row()
		switch from.kind {
		case itemValue:
			row.String(v.item.Root).Uint(v.item.Value).Bytes(v.item.Pad)
		case entryValue:
			row.String(v.key).Uint(v.n)
		}
		if c.key != noKey {
			row.Key(c.key.hash(v.item))
		}
		if err := row.Emit(); err != nil && f.err == nil {
			f.err = err
		}
	}
}

// tuple implements folder.
func (f *groupFold) tuple(ch *topology.Channel, data []byte) error {
	c, ok := f.g.streams[ch.Edge.Stream]
	if !ok {
		return fmt.Errorf("it reads %v, which no step does", ch.ID)
	}
	v, err := c.from.kind.read(data)
	if err != nil {
		return err
	}
	if first := f.steps()[0]; first.fails && f.g.k.w.incurable(first.name, v.item.Root) {
		return fmt.Errorf("step %s has processed %s, which cannot be", first.name, v.item.Root)
	}
	f.read(c.from, v)
	return f.err
}

func (f *groupFold) tick(now int64) error {
	for _, st := range f.steps() {
		if r := f.folds[st]; r != nil {
			r.tick(now, f.emit)
		}
	}
	return f.err
}

func (f *groupFold) finish() error {
	for _, st := range f.steps() {
		if r := f.folds[st]; r != nil {
			r.finish(f.emit)
		}
	}
	return f.err
}

// check implements folder.
func (f *groupFold) check(in *instance, _ history) error {
	r := in.core.Operator().(recording).recorded()
	for _, st := range f.steps() {
		if err := f.folds[st].check(r.parts[st]); err != nil {
			return fmt.Errorf("step %s: %w", st.name, err)
		}
	}
	return nil
}
