package task

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// emitting are the outputs of a bolt task with two streams and edges of every grouping, and the frames that they have sealed.
type emitting struct {
	*outputs
	tracker *tracking.Tracker
	sent    map[recovery.Output][]channel.Frame
}

func newEmitting(t *testing.T, under strategy.Strategy) *emitting {
	t.Helper()
	nothing := bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })
	b := topology.New("emitting")
	b.Spout("in", spout.Slice("a")).Fields("text")
	b.Bolt("x", nothing).Shuffle("in").Fields("n", "text").Stream("side", "n", "text")
	for _, from := range []string{"x", "x:side"} {
		name := func(grouping string) string { return fmt.Sprintf("%s-%d", grouping, len(from)) }
		b.Bolt(name("shuffle"), nothing).Parallel(3).Shuffle(from)
		b.Bolt(name("group"), nothing).Parallel(2).GroupBy(from, "n")
		b.Bolt(name("all"), nothing).Parallel(2).All(from)
		b.Bolt(name("local"), nothing).Parallel(3).LocalOrShuffle(from)
		b.Bolt(name("global"), nothing).Global(from)
	}
	s, err := strategies.Of(under)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := b.BuildWith(s.Extension, s.Described())
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Plan: plan, Task: plan.Operator("x").Tasks[0], FrameSize: 600}
	cfg.applyDefaults()
	e := &emitting{sent: map[recovery.Output][]channel.Frame{}}
	e.outputs = newOutputs(&cfg, 1, make([]recovery.Position, len(cfg.Task.Out)))
	e.settle = func(r *topology.Router) { r.Prefer([]uint64{0b101}, 3) }
	if s.Extension != nil {
		e.tracker = tracking.New(&recovery.Config{})
		e.tracker.Start(cfg.Task.Number, 1, e.on(tracking.Stream).row, nil)
		e.follow(cfg.Task, 1, e.tracker)
	}
	return e
}

// called ends a call that has succeeded, as the core does.
func (e *emitting) called() {
	e.call++
	e.take()
}

func (e *emitting) take() {
	for _, s := range e.sealed {
		e.sent[s.output] = append(e.sent[s.output], s.frame)
	}
	e.taken()
}

// turn begins tuples of another root, in a frame that was born at some time.
func (e *emitting) turn(root uint64, birth int64) {
	e.birth = birth
	if e.tracker != nil {
		e.tracker.Deliver(1, 1)
		e.tracker.Turn(root)
		e.called()
	}
}

// executed ends a call over a tuple: it has succeeded, or its tuple is given up.
func (e *emitting) executed(seq msgid.Seq) {
	if e.tracker != nil {
		e.tracker.Executed(seq)
	}
	e.called()
}

// A draft is one output tuple of a call.
type draft struct {
	stream string
	n      int64
	text   []byte
}

func (e *emitting) emit(t *testing.T, all []draft) {
	t.Helper()
	for _, d := range all {
		if err := e.on(d.stream).Row().Int(d.n).Bytes(d.text).Emit(); err != nil {
			t.Fatal(err)
		}
	}
}

// A call that fails leaves no trace: the frames of all channels are those of a task that has not made it, to the byte. That
// goes for open frames, for frames that the call has filled, for where routers stand, and for tuple trees.
func TestFailedCallsLeaveNoTrace(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for _, under := range []strategy.Strategy{strategy.Backtrack, strategy.Acker} {
		t.Run(under.String(), func(t *testing.T) {
			for round := range uint64(60) {
				r := rand.New(rand.NewPCG(seed, round))
				got, want := newEmitting(t, under), newEmitting(t, under)
				for seq := range msgid.Seq(120) {
					switch r.IntN(8) {
					case 0:
						got.seal(0)
						got.take()
						want.seal(0)
						want.take()
					case 1:
						root, birth := uint64(1+r.IntN(3)), 1+r.Int64N(1000)
						got.turn(root, birth)
						want.turn(root, birth)
					}
					var all []draft
					for range r.IntN(5) {
						text := bytes.Repeat([]byte{'x'}, []int{0, 20, 200, 500, 900}[r.IntN(5)])
						all = append(all, draft{[]string{"", "side"}[r.IntN(2)], r.Int64N(5), text})
					}
					got.emit(t, all)
					if r.IntN(2) == 0 {
						got.rollback()
					} else {
						want.emit(t, all)
					}
					got.executed(seq + 1)
					want.executed(seq + 1)
				}
				for _, e := range []*emitting{got, want} {
					e.turn(0, 0)
					e.end()
					e.called()
				}
				for i := range got.channels {
					a, b := got.sent[recovery.Output(i)], want.sent[recovery.Output(i)]
					if !slices.EqualFunc(a, b, func(a, b channel.Frame) bool { return bytes.Equal(a.Raw, b.Raw) }) {
						t.Fatalf("seed %d, round %d, output %d: %s\nwant %s", seed, round, i, headers(a), headers(b))
					}
				}
			}
		})
	}
}

func headers(frames []channel.Frame) (text string) {
	for i := range frames {
		f := &frames[i]
		text += fmt.Sprintf("\n%d..%d, %d bytes, born %d, sums %x %x", f.First, f.Last(), len(f.Raw), f.Birth, f.Before, f.After)
	}
	return text
}
