package stream_test

import (
	"slices"
	"testing"

	"github.com/askback/askback/state"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
)

// An adder adds up what it receives, in a map of package state.
type adder struct{ n *state.Map[string, int64] }

func (s *adder) Open(c *stream.Context) (err error) {
	s.n, err = state.Open[string, int64](c, "n")
	return err
}

func (s *adder) Add(_ *stream.Context, v int64, out func(int64)) error {
	*s.n.At([]byte("all")) += v
	out(*s.n.At([]byte("all")))
	return nil
}

// Steps that are fused may call their maps alike, and each finds its own again when the task is restored.
func TestMapsOfFusedSteps(t *testing.T) {
	h := streamtest.New(t)
	in := streamtest.In[int64](h, "in")
	process := func(name string, of stream.Stream[int64]) stream.Stream[int64] {
		return stream.Process(name, func() *adder { return &adder{} }, stream.On(of, (*adder).Add))
	}
	out := streamtest.Out(h, "out", process("second", process("first", in.Stream())))
	in.Send(1, 2)
	h.Settle()
	h.Kill("first")
	in.Send(3)
	h.Finish()
	if got, want := out.Values(), []int64{1, 4, 10}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
