package stream_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
)

// A journal holds the calls of an operator's steps, in order.
type journal struct {
	calls []string
	fails string // the call that fails
}

var errCall = errors.New("the call fails")

func (j *journal) note(call string) error {
	if j.calls = append(j.calls, call); call == j.fails {
		return errCall
	}
	return nil
}

// A Noting is a processor that notes its calls, and emits its input.
type Noting struct{ *journal }

func (n Noting) Num(_ *stream.Context, v Num, out func(Num)) error {
	err := n.note(fmt.Sprint("value ", v.N))
	if err == nil {
		out(v)
	}
	return err
}

func (n Noting) Tick(_ *stream.Context, _ time.Time, out func(Num)) error {
	err := n.note("tick")
	if err == nil {
		out(Num{N: 100})
	}
	return err
}

func (n Noting) TickAgain(*stream.Context, time.Time, func(Num)) error { return n.note("tick again") }

func (n Noting) End(_ *stream.Context, out func(Num)) error {
	err := n.note("end")
	if err == nil {
		out(Num{N: 200})
	}
	return err
}

func (n Noting) EndAgain(*stream.Context, func(Num)) error { return n.note("end again") }

// A notingSink makes a writer that notes its calls.
type notingSink struct{ *journal }

func (s notingSink) New() stream.Writer[Num] { return notingWriter(s) }

type notingWriter struct{ *journal }

func (w notingWriter) Write(_ context.Context, v Num) error {
	return w.note(fmt.Sprint("write ", v.N))
}

func (w notingWriter) Tick(context.Context, time.Time, bolt.Emitter) error {
	return w.note("sink's tick")
}

// A writer that commits with snapshots is fused with a step that keeps state.
func (notingWriter) Snapshot() ([]byte, error) { return nil, nil }
func (notingWriter) Restore([]byte) error      { return nil }
func (notingWriter) Commit() error             { return nil }

func (w notingWriter) Finish(context.Context, bolt.Emitter) error { return w.note("sink's finish") }

// Values, ticks and the end reach the steps of an operator in one order: each step's own turn comes before that of the
// steps that read it, and its output reaches them before their own turn. A call that fails is the last: no step is called
// after it, and the error names the step.
func TestCallsOfAnOperator(t *testing.T) {
	all := []string{
		"value 1", "write 1", "value 1", "write 1",
		"tick", "write 100", "tick again", "sink's tick",
		"end", "write 200", "end again", "sink's finish",
	}
	steps := map[string]string{"write": "out", "sink's": "out", "value": "noting", "tick": "noting", "end": "noting"}
	for i, fails := range append([]string{""}, all...) {
		if slices.Contains(all[:max(0, i-1)], fails) {
			continue // the call before it has that name, too
		}
		t.Run(fails, func(t *testing.T) {
			h, j := streamtest.New(t), &journal{fails: fails}
			in := streamtest.In[Num](h, "in")
			twice := stream.FlatMap(in.Stream().Rebalance(), "twice", func(v Num, out func(Num)) { out(v); out(v) })
			noting := stream.Process("noting", func() Noting { return Noting{j} }, stream.On(twice, Noting.Num),
				stream.OnTick(time.Second, Noting.Tick), stream.OnTick(time.Second, Noting.TickAgain),
				stream.OnEnd(Noting.End), stream.OnEnd(Noting.EndAgain))
			stream.To(noting, "out", notingSink{j}).Tick(time.Second)
			in.Send(Num{N: 1})
			err := h.TryAdvance(time.Second)
			if err == nil {
				err = h.TryFinish()
			}
			want := all
			if fails != "" {
				want = all[:slices.Index(all, fails)+1]
				step := fmt.Sprintf("step %q", steps[strings.Fields(fails)[0]])
				if !errors.Is(err, errCall) || !strings.Contains(err.Error(), step) {
					t.Errorf("error %v, want one that names %s", err, step)
				}
			} else if err != nil {
				t.Error(err)
			}
			if fmt.Sprint(j.calls) != fmt.Sprint(want) {
				t.Errorf("calls\n%q, want\n%q\n%s", j.calls, want, h.Plan())
			}
		})
	}
}

// A step that declares no tick is not ticked, though it shares an operator with one that does: an aggregation without Every
// puts out its results at the end only, and a writer is left alone.
func TestTicksOfOtherSteps(t *testing.T) {
	h, j := streamtest.New(t), &journal{}
	in := streamtest.In[Num](h, "in")
	counts := stream.Map(stream.KeyBy(in.Stream(), key).Count("count"), "num", func(e count) Num { return Num{e.Key, e.Value} })
	noting := stream.Process("noting", func() Noting { return Noting{j} }, stream.On(counts, Noting.Num), stream.OnTick(time.Second, Noting.Tick))
	stream.To(noting, "out", notingSink{j})
	in.Send(Num{Key: "a"}, Num{Key: "a"})
	h.Advance(time.Second)
	h.Finish()
	if want := []string{"tick", "write 100", "value 2", "write 2", "sink's finish"}; !slices.Equal(j.calls, want) {
		t.Errorf("calls %q, want %q\n%s", j.calls, want, h.Plan())
	}
}
