package sim

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// judge checks a world that has come to its end. Task by task, from the spouts to the sinks, it folds the history of each
// operator again, without the runtime. The fold's outputs must be the tuples that the target consumed, each once (I1, I2),
// and its state must be the operator's (I3).
func (w *World) judge() {
	switch w.strategy.Guarantee() {
	case strategy.AtMostOnce:
		w.judgeRoots(0, 1, w.arrived)
		return
	case strategy.AtLeastOnce:
		w.judgeRoots(1, math.MaxInt32, w.arrived)
		if w.remembers() {
			w.judgeRoots(1, math.MaxInt32, w.consumed())
			w.judgeRetained()
		}
		return
	}
	items := make([][][]byte, len(w.plan.Channels)) // the items that each channel carried
	for _, s := range w.slots {
		if s.task.Operator.System {
			continue
		}
		if err := w.judgeTask(s, items); err != nil {
			w.violate("I1", "%v: %v", s.task.Alias, err)
			return
		}
	}
	w.judgeChannels(items)
	w.judgeDead()
	w.judgeRoots(1, 1, w.consumed())
	w.judgeRetained()
}

// remembers reports whether every task keeps a log, so that no state is lost with a task.
func (w *World) remembers() bool {
	return !slices.ContainsFunc(w.slots, func(s *slot) bool { return !w.strategy.Keeps(s.task.Operator) })
}

func (w *World) judgeRetained() {
	for _, s := range w.slots {
		if st := s.current.core.Status(); st.Retained != 0 {
			w.violate("I9", "%v still retains %d bytes at the end", s.task.Alias, st.Retained)
		}
	}
}

// judgeRoots checks how often each root reached the sinks: between least and most times the copies that the shape makes.
func (w *World) judgeRoots(least, most int, count map[string]int) {
	if w.shape.copies == 0 {
		return
	}
	for _, s := range w.slots {
		if s.task.Operator.Spout == nil {
			continue
		}
		for n := range w.emittedBy(s) {
			root := rootOf(s.task.Alias, n)
			if got := count[root]; got > most*w.shape.copies || got < least*w.shape.copies {
				w.violate("I1", "root %s arrived %d times, not %d", root, got, w.shape.copies)
				return
			}
		}
	}
}

// consumed counts the roots in the state of the sinks. Over all incarnations, more may have arrived.
func (w *World) consumed() map[string]int {
	count := map[string]int{}
	for _, s := range w.slots {
		switch o := s.current.core.Operator().(type) {
		case recording:
			for _, part := range o.recorded().parts {
				if wr, ok := part.(*writer); ok {
					for _, m := range wr.written {
						count[string(m.data)]++
					}
				}
			}
		case interface{ row() *operator }:
			if !s.task.Sink() {
				continue
			}
			past, _ := o.row().state()
			for _, m := range past {
				if m.kind == tupleMoment {
					count[rootIn(m.data)]++
				}
			}
		}
	}
	return count
}

func (w *World) emittedBy(s *slot) uint64 { return sourceOf(s.current).next }

func rootIn(encoded []byte) string {
	var c tuple.Cursor
	c.Reset(encoded, tuple.Origin{First: 1})
	if item, err := c.Next(); err != nil || item != tuple.Data {
		return ""
	}
	return c.Tuple().String(0)
}

// historyOf returns the history of the bolt of an instance.
func historyOf(in *instance) (past history) {
	switch o := in.core.Operator().(type) {
	case recording:
		return o.recorded().history()
	case interface{ row() *operator }:
		past, _ = o.row().state()
	}
	return past
}

// A folder folds the history of a bolt again.
type folder interface {
	tuple(ch *topology.Channel, data []byte) error
	tick(now int64) error
	finish() error
	// check compares the bolt's state, and its visible effects, with the fold.
	check(in *instance, past history) error
}

// draws are the determinants that a fold finds in the history that it folds.
type draws struct {
	past history
	at   int // the moment that is being folded
	err  error
}

// of returns a function that returns the next determinant, which must be of that kind.
func (d *draws) of(kind momentKind) func() uint64 {
	return func() uint64 {
		if d.at++; d.at >= len(d.past) || d.past[d.at].kind != kind {
			d.err = fmt.Errorf("its history lacks a determinant at %d", d.at)
			return 0
		}
		return d.past[d.at].value
	}
}

// judgeTask folds one task again and fills in the items that its output channels carried.
func (w *World) judgeTask(s *slot, items [][][]byte) error {
	t := w.newTwin(s.task, items)
	if s.task.Operator.Spout != nil {
		w.repeat(s, t)
		return t.end(s)
	}
	past := historyOf(s.current)
	d := &draws{past: past}
	var f folder
	if w.typed() {
		f = w.newGroupFold(s.task, t, d)
	} else {
		f = w.newRowFold(s.task, t, d)
	}
	next := make([]int, len(s.task.In)) // tuples of each input that were consumed, or given up
	var lost []loss
	skip := func(ch *topology.Channel, to int) error {
		for k := next[ch.In]; k < to; k++ {
			item := items[ch.Number][k]
			if isEnd(item) {
				continue
			}
			id := msgid.ID{Channel: ch.ID, Seq: msgid.Seq(k + 1)}
			if !w.outside.dead[id] {
				return fmt.Errorf("%v is missing in its history", id)
			}
			lost = append(lost, loss{id, item})
		}
		next[ch.In] = to
		return nil
	}
	for ; d.at < len(past); d.at++ {
		var err error
		switch m := past[d.at]; m.kind {
		case tupleMoment:
			ch, k := s.task.In[m.port], int(m.seq)
			switch carried := items[ch.Number]; {
			case k <= next[m.port]:
				return fmt.Errorf("%v#%d is in its history again, or too late", ch.ID, k)
			case ch.Edge.Stream.Name == topology.DeadStream: // see judgeDead
				w.met[ch.Number] = append(w.met[ch.Number], m.data)
			case k > len(carried):
				return fmt.Errorf("%v#%d is in its history, but its source has emitted %d", ch.ID, k, len(carried))
			case !bytes.Equal(carried[k-1], m.data):
				return fmt.Errorf("%v#%d is %x in its history, its source has emitted %x", ch.ID, k, m.data, carried[k-1])
			default:
				if err := skip(ch, k-1); err != nil {
					return err
				}
			}
			next[m.port] = k
			err = f.tuple(ch, m.data)
		case tickMoment:
			err = f.tick(int64(m.value))
		case finishMoment:
			err = f.finish()
		default:
			return fmt.Errorf("its history has a determinant too many at %d", d.at)
		}
		for _, err := range []error{err, d.err, t.err} {
			if err != nil {
				return err
			}
		}
	}
	for _, ch := range s.task.In {
		if err := skip(ch, max(next[ch.In], len(items[ch.Number]))); err != nil {
			return err
		}
	}
	if err := f.check(s.current, past); err != nil {
		return err
	}
	if err := w.judgeLost(s, lost); err != nil {
		return err
	}
	return t.end(s)
}

// repeat emits a spout's tuples again.
func (w *World) repeat(s *slot, t *twin) {
	n := w.emittedBy(s)
	if !w.typed() {
		for i := range n {
			w.kit.sources[s.task.Operator.Name](s.task.Alias, i, t)
		}
		return
	}
	f := w.newGroupFold(s.task, t, nil)
	from := f.steps()[0].main
	for i := range n {
		f.emit(from, value{item: firstOf(s.task.Alias, i)})
	}
	if t.err == nil {
		t.err = f.err
	}
}

// A rowFold folds the history of an operator of a row shape.
type rowFold struct {
	w     *World
	op    *topology.Operator
	logic *logic
	fold  fold
	out   output
	draws *draws
}

func (w *World) newRowFold(t *topology.Task, x *twin, d *draws) *rowFold {
	return &rowFold{w: w, op: t.Operator, logic: w.kit.logics[t.Operator.Name], fold: fold{keys: &list{}, self: t.Alias}, out: rows{x}, draws: d}
}

func (f *rowFold) tuple(_ *topology.Channel, data []byte) error {
	in := input{now: f.draws.of(nowMoment), rand: f.draws.of(randMoment), luck: f.draws.of(luckMoment)}
	if f.logic != morgue {
		in.root, in.value = rootIn(data), valueIn(data)
		if f.op.Retry.Times > 0 && f.w.incurable(f.op.Name, in.root) {
			return fmt.Errorf("it has processed %s, which cannot be", in.root)
		}
	}
	f.logic.tuple(&f.fold, in, f.out)
	return nil
}

func (f *rowFold) tick(now int64) error {
	if f.logic.tick != nil {
		f.logic.tick(&f.fold, now, f.out)
	}
	return nil
}

func (f *rowFold) finish() error {
	if f.logic.finish != nil {
		f.logic.finish(&f.fold, f.out)
	}
	return nil
}

func (f *rowFold) check(in *instance, past history) error {
	o := in.core.Operator().(interface{ row() *operator }).row()
	_, state := o.state()
	if want := f.fold.append(nil); !bytes.Equal(want, state) {
		return fmt.Errorf("its state is %x, the fold of its history gives %x", state, want)
	}
	if !f.logic.commit {
		return nil
	}
	var want history
	for _, m := range past {
		if m.kind == tupleMoment {
			want = append(want, moment{kind: tupleMoment, port: m.port, seq: m.seq})
		}
	}
	return f.w.judgeEffects(o.alias, &o.batches, want)
}

func valueIn(encoded []byte) uint64 {
	var c tuple.Cursor
	c.Reset(encoded, tuple.Origin{First: 1})
	_, _ = c.Next()
	return c.Tuple().Uint(1)
}

// judgeEffects compares a sink's visible effects with its input: each tuple once, in order.
func (w *World) judgeEffects(sink msgid.Alias, b *batches, want history) error {
	var seen history
	for batch := uint64(0); batch <= b.batch; batch++ {
		seen = append(seen, w.effects[sink][batch]...)
	}
	if n := len(b.staged); w.shape.endless && n > 0 {
		return fmt.Errorf("%d tuples are staged at the end", n)
	}
	if !equal(seen, want) {
		return fmt.Errorf("%d effects are visible outside, want %d", len(seen), len(want))
	}
	return nil
}

// judgeChannels compares both ends of every channel with the items that it carried.
func (w *World) judgeChannels(items [][][]byte) {
	for _, ch := range w.plan.Channels {
		out := w.slots[ch.Source.Number].current.core.Status().Outputs[ch.Out]
		in := w.slots[ch.Target.Number].current.core.Status().Inputs[ch.In]
		if out != in {
			w.violate("I2", "%v: the source has emitted #%d %08x, the target consumed #%d %08x", ch.ID, out.Seq, out.Sum, in.Seq, in.Sum)
			return
		}
		if items[ch.Number] == nil {
			continue
		}
		sum := uint32(0)
		for _, item := range items[ch.Number] {
			sum = channel.Checksum(sum, item)
		}
		if n := msgid.Seq(len(items[ch.Number])); n != out.Seq || sum != out.Sum {
			w.violate("I2", "%v: the fold emits #%d %08x, the source has emitted #%d %08x", ch.ID, n, sum, out.Seq, out.Sum)
			return
		}
	}
}

// A twin is the emitter of a fold: it routes, and keeps the items of each channel.
type twin struct {
	task    *topology.Task
	streams []*twinStream
	main    *twinStream
	items   [][][]byte
	got     map[uint32][][]byte // by channel, of those that are dealt out by place: the tuples that the target consumed
	err     error
}

type twinStream struct {
	*twin
	name    string
	row     *tuple.Row
	routers []*topology.Router
}

func (w *World) newTwin(t *topology.Task, items [][][]byte) *twin {
	x := &twin{task: t, items: items, got: map[uint32][][]byte{}}
	for _, s := range t.Operator.Streams {
		ts := &twinStream{twin: x, name: s.Name}
		ts.row = tuple.NewRow(s.Fields, ts)
		for _, e := range s.Edges {
			ts.routers = append(ts.routers, topology.NewRouter(e, t))
		}
		x.streams = append(x.streams, ts)
		if s.Name == "" {
			x.main = ts
		}
	}
	for _, ch := range t.Out {
		if ch.Edge.Stream.Name != topology.DeadStream {
			items[ch.Number] = [][]byte{}
			if ch.Edge.Grouping == topology.LocalOrShuffle {
				x.got[ch.Number] = w.gotBy(ch)
			}
		}
	}
	return x
}

func (t *twin) Row() *tuple.Row          { return t.main.row.Begin() }
func (t *twin) Emit(values ...any) error { return t.Row().Values(values...).Emit() }

func (t *twin) On(stream string) tuple.Emitter {
	for _, s := range t.streams {
		if s.name == stream {
			return s
		}
	}
	return t
}

func (s *twinStream) Row() *tuple.Row          { return s.row.Begin() }
func (s *twinStream) Emit(values ...any) error { return s.Row().Values(values...).Emit() }

// Take implements tuple.Sink.
func (s *twinStream) Take(r *tuple.Row) error {
	for _, router := range s.routers {
		k, err := router.Pick(r)
		if outs := router.Outs(); outs[0].Edge.Grouping == topology.LocalOrShuffle {
			k, err = s.follow(outs, r.Encoded())
		}
		if err != nil {
			s.err = err
			return err
		}
		for i, ch := range router.Outs() {
			if i == k || k == topology.AllTargets {
				s.items[ch.Number] = append(s.items[ch.Number], bytes.Clone(r.Encoded()))
			}
		}
	}
	return nil
}

// end adds the end marks of a task that has finished.
func (t *twin) end(s *slot) error {
	if s.current.core.Status().Finished {
		for _, ch := range t.task.Out {
			if t.items[ch.Number] != nil {
				t.items[ch.Number] = append(t.items[ch.Number], tuple.AppendEnd(nil))
			}
		}
	}
	return t.err
}

func isEnd(item []byte) bool { return bytes.Equal(item, tuple.AppendEnd(nil)) }
