package stream_test

import (
	"context"
	"slices"
	"testing"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
)

// A Wide is a value of more than four words.
type Wide struct{ A, B, C, D, E int64 }

func wide(a int64) Wide { return Wide{A: a, E: -a} }

// A value that Update changes is that step's own: other readers of the stream, before and after it, see the value as it was.
func TestUpdateChangesItsOwn(t *testing.T) {
	double := func(w *Wide) { w.A *= 2 }
	all := func(Wide) bool { return true }
	as := func(factor int64, values ...int64) (all []Wide) {
		for _, a := range values {
			all = append(all, Wide{A: factor * a, E: -a})
		}
		return all
	}
	for name, from := range map[string]func(stream.Stream[Wide]) stream.Stream[Wide]{
		"source":  func(s stream.Stream[Wide]) stream.Stream[Wide] { return s },
		"channel": stream.Stream[Wide].Rebalance,
		"map": func(s stream.Stream[Wide]) stream.Stream[Wide] {
			return stream.Map(s, "map", func(w Wide) Wide { return w })
		},
		"filter": func(s stream.Stream[Wide]) stream.Stream[Wide] { return stream.Filter(s, "filter", all) },
		"channel filter": func(s stream.Stream[Wide]) stream.Stream[Wide] {
			return stream.Filter(s.Rebalance(), "filter", all)
		},
		"update":   func(s stream.Stream[Wide]) stream.Stream[Wide] { return stream.Update(s, "update", func(*Wide) {}) },
		"isolated": func(s stream.Stream[Wide]) stream.Stream[Wide] { return stream.Filter(s, "filter", all).Isolate() },
	} {
		t.Run(name, func(t *testing.T) {
			h := streamtest.New(t)
			in := streamtest.In[Wide](h, "in")
			s := from(in.Stream())
			before := streamtest.Out(h, "before", stream.Map(s, "first", func(w Wide) Wide { return w }))
			once := stream.Update(stream.Filter(s, "once-filter", all), "once", double)
			twice := streamtest.Out(h, "twice", stream.Update(once, "twice-update", double))
			after := streamtest.Out(h, "after", stream.Filter(s, "last", all))
			in.Send(wide(1), wide(2), wide(3))
			h.Finish()
			for _, c := range []struct {
				name      string
				got, want []Wide
			}{
				{"before", before.Values(), as(1, 1, 2, 3)}, {"twice", twice.Values(), as(4, 1, 2, 3)}, {"after", after.Values(), as(1, 1, 2, 3)},
			} {
				if !slices.Equal(c.got, c.want) {
					t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
				}
			}
		})
	}
}

// A step that reads a stream twice, by a merge, has each value twice, as it was, whether it is fused or not.
func TestUpdateOfMergedTwice(t *testing.T) {
	for _, isolated := range []bool{false, true} {
		h := streamtest.New(t)
		in := streamtest.In[Wide](h, "in")
		s := stream.Map(in.Stream(), "map", func(w Wide) Wide { return w })
		if isolated {
			s = s.Isolate()
		}
		out := streamtest.Out(h, "out", stream.Update(stream.Merge(s, s), "add", func(w *Wide) { w.B++ }))
		in.Send(wide(1), wide(2))
		h.Finish()
		want := []Wide{{A: 1, B: 1, E: -1}, {A: 1, B: 1, E: -1}, {A: 2, B: 1, E: -2}, {A: 2, B: 1, E: -2}}
		if got := out.Values(); !slices.Equal(got, want) {
			t.Errorf("isolated %v: got %v, want %v", isolated, got, want)
		}
	}
}

// A sink that needs message ids learns that of each value before it takes it, and the same one after a kill.
func TestIdentifier(t *testing.T) {
	streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
		one, two := streamtest.In[Wide](h, "one"), streamtest.In[Wide](h, "two")
		seen := &idSink{of: make(map[msgid.ID]Wide), t: t}
		all := stream.Merge(stream.Map(one.Stream(), "map", func(w Wide) Wide { return w }), two.Stream())
		stream.To(all, "out", seen)
		for i := range int64(6) {
			one.Send(wide(i))
			two.Send(wide(100 + i))
			h.Settle()
		}
		h.Finish()
		if len(seen.of) != 12 {
			t.Errorf("%d values, want 12: %v", len(seen.of), seen.of)
		}
	})
}

// An idSink notes the value of each id.
type idSink struct {
	t  testing.TB
	of map[msgid.ID]Wide
}

func (s *idSink) New() stream.Writer[Wide] { return &idWriter{to: s} }

type idWriter struct {
	to *idSink
	id msgid.ID
}

func (w *idWriter) Identify(id msgid.ID) { w.id = id }

func (w *idWriter) Write(_ context.Context, v Wide) error {
	if was, ok := w.to.of[w.id]; ok && was != v {
		w.to.t.Errorf("%v is %v, and was %v before", w.id, v, was)
	}
	w.to.of[w.id] = v
	return nil
}
