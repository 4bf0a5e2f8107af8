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

// judge compares a world that has come to its end with what it should be. Task by task, from the spouts to the
// sinks, it folds the history of each operator again: plainly, in one go, without the runtime. What the fold emits
// must be what the target consumed, tuple by tuple and each once (I1, I2), and what it keeps must be what the
// operator keeps (I3).
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
	items := make([][][]byte, len(w.plan.Channels)) // what each channel carried
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
	w.judgeRoots(1, 1, w.consumed())
	w.judgeRetained()
}

// remembers reports whether every task keeps a log, so that what its state tells of is not lost with it.
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

// judgeRoots compares how often each root came to the sinks with how often it should, between least and most times
// the copies that the shape makes.
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

// consumed counts the roots that the state of the sinks tells of. Over all incarnations, more may have arrived.
func (w *World) consumed() map[string]int {
	count := map[string]int{}
	for _, s := range w.slots {
		if !s.task.Sink() || s.task.Operator.Spout != nil || s.task.Operator.System {
			continue
		}
		past, _ := operatorOf(s.current).state()
		for _, m := range past {
			if m.kind == tupleMoment {
				count[rootIn(m.data)]++
			}
		}
	}
	return count
}

func (w *World) emittedBy(s *slot) uint64 { return s.current.core.Operator().(*source).next }

func rootIn(encoded []byte) string {
	var c tuple.Cursor
	c.Reset(encoded, tuple.Origin{First: 1})
	if item, err := c.Next(); err != nil || item != tuple.Data {
		return ""
	}
	return c.Tuple().String(0)
}

func operatorOf(in *instance) *operator {
	switch o := in.core.Operator().(type) {
	case finishing:
		return o.operator
	case snapshotting:
		return o.operator
	case committing:
		return o.operator
	}
	return nil
}

// judgeTask folds one task again and fills in what its output channels carried.
func (w *World) judgeTask(s *slot, items [][][]byte) error {
	t := w.newTwin(s.task, items)
	if s.task.Operator.Spout != nil {
		for n := range w.emittedBy(s) {
			w.kit.sources[s.task.Operator.Name](s.task.Alias, n, t)
		}
		return t.end(s)
	}
	o := operatorOf(s.current)
	past, state := o.state()
	l := w.kit.logics[s.task.Operator.Name]
	f := fold{keys: &list{}, self: s.task.Alias}
	next := make([]int, len(s.task.In))
	for i := 0; i < len(past); i++ {
		m := past[i]
		draw := func(kind momentKind) func() uint64 {
			return func() uint64 {
				if i++; i >= len(past) || past[i].kind != kind {
					t.err = fmt.Errorf("its history lacks a choice at %d", i)
					return 0
				}
				return past[i].value
			}
		}
		switch m.kind {
		case tupleMoment:
			ch := s.task.In[m.port]
			carried := items[ch.Number]
			for k := next[m.port]; k < int(m.seq)-1; k++ {
				if !w.givenUp(ch, msgid.Seq(k+1)) {
					return fmt.Errorf("%v#%d is missing in its history, #%d comes next", ch.ID, k+1, m.seq)
				}
			}
			switch {
			case int(m.seq) <= next[m.port]:
				return fmt.Errorf("%v#%d is in its history again, or too late", ch.ID, m.seq)
			case carried == nil: // dead letters: see judgeDead
			case int(m.seq) > len(carried):
				return fmt.Errorf("%v#%d is in its history, but its source has emitted %d", ch.ID, m.seq, len(carried))
			case !bytes.Equal(carried[m.seq-1], m.data):
				return fmt.Errorf("%v#%d is %x in its history, its source has emitted %x", ch.ID, m.seq, m.data, carried[m.seq-1])
			}
			next[m.port] = int(m.seq)
			in := input{port: m.port, now: draw(nowMoment), rand: draw(randMoment), luck: draw(luckMoment)}
			if l != morgue {
				in.root, in.value = rootIn(m.data), valueIn(m.data)
			}
			l.tuple(&f, in, t)
		case tickMoment:
			if l.tick != nil {
				l.tick(&f, int64(m.value), t)
			}
		case finishMoment:
			if l.finish != nil {
				l.finish(&f, t)
			}
		default:
			return fmt.Errorf("its history has a choice too many at %d", i)
		}
		if t.err != nil {
			return t.err
		}
	}
	for port, ch := range s.task.In {
		for k := next[port]; k < len(items[ch.Number]); k++ {
			if !isEnd(items[ch.Number][k]) && !w.givenUp(ch, msgid.Seq(k+1)) {
				return fmt.Errorf("%v#%d is missing at the end of its history", ch.ID, k+1)
			}
		}
	}
	if want := f.append(nil); !bytes.Equal(want, state) {
		return fmt.Errorf("its state is %x, the fold of its history gives %x", state, want)
	}
	if l.commit {
		if err := w.judgeEffects(s, o, past); err != nil {
			return err
		}
	}
	return t.end(s)
}

// givenUp reports whether a tuple went to the dead letters.
func (w *World) givenUp(ch *topology.Channel, seq msgid.Seq) bool {
	return w.outside.dead[msgid.ID{Channel: ch.ID, Seq: seq}]
}

func valueIn(encoded []byte) uint64 {
	var c tuple.Cursor
	c.Reset(encoded, tuple.Origin{First: 1})
	_, _ = c.Next()
	return c.Tuple().Uint(1)
}

// judgeEffects compares what is visible outside with what the sink consumed: each tuple once, in order.
func (w *World) judgeEffects(s *slot, o *operator, past history) error {
	var seen history
	for batch := uint64(0); batch <= o.batch; batch++ {
		seen = append(seen, w.effects[s.task.Alias][batch]...)
	}
	var want history
	for _, m := range past {
		if m.kind == tupleMoment {
			want = append(want, m)
		}
	}
	if n := len(o.staged); w.shape.endless && n > 0 {
		return fmt.Errorf("%d tuples are staged at the end", n)
	}
	if !equal(seen, want) {
		return fmt.Errorf("%d effects are visible outside, want %d", len(seen), len(want))
	}
	return nil
}

// judgeChannels compares both ends of every channel with what it carried.
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

// A twin is the emitter of a fold: it routes, and keeps what each channel carries.
type twin struct {
	task    *topology.Task
	streams []*twinStream
	main    *twinStream
	items   [][][]byte
	got     map[uint32][][]byte // by channel, of those that are dealt out by place: what the target consumed
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
