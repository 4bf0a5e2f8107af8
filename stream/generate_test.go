package stream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
)

// The tasks of a generator share its values, each emits its own in order, and a restored one continues where its snapshot
// ends.
func TestGenerators(t *testing.T) {
	square := func(i int64) int64 { return i * i }
	for _, c := range []struct {
		name  string
		from  stream.Source[int64]
		tasks int
		want  []int64
	}{
		{"generate", stream.Generate(5, square), 1, []int64{0, 1, 4, 9, 16}},
		{"tasks", stream.Generate(5, square), 2, []int64{0, 4, 16, 1, 9}},
		{"rate", stream.Generate(5, square).Rate(1e9), 1, []int64{0, 1, 4, 9, 16}},
		{"slice", stream.Slice[int64](3, 1, 2), 1, []int64{3, 1, 2}},
		{"nothing", stream.Slice[int64](), 2, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
				numbers := stream.From(h.Topology(), "numbers", c.from).Parallel(c.tasks)
				out := streamtest.Out(h, "out", numbers)
				h.Finish()
				got := out.Values()
				if c.tasks > 1 {
					slices.Sort(got)
					c.want = slices.Sorted(slices.Values(c.want))
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("got %v, want %v", got, c.want)
				}
			})
		})
	}
}

// A slice is copied, so later changes to it have no effect.
func TestSliceCopies(t *testing.T) {
	h := streamtest.New(t)
	values := []string{"a", "b"}
	from := stream.Slice(values...)
	values[0] = "x"
	out := streamtest.Out(h, "out", stream.From(h.Topology(), "values", from))
	h.Finish()
	if got := fmt.Sprint(out.Values()); got != "[a b]" {
		t.Errorf("got %s", got)
	}
}

// A generator that is set up wrongly fails its topology, with an error that shows the settings.
func TestGeneratorErrors(t *testing.T) {
	for name, from := range map[string]stream.Source[int64]{
		"Generate(-1, f)": stream.Generate(-1, func(i int64) int64 { return i }),
		"Rate(-2)":        stream.Generate(3, func(i int64) int64 { return i }).Rate(-2),
		"and a function":  stream.Generate[int64](3, nil),
	} {
		h := streamtest.New(t)
		streamtest.Out(h, "out", stream.From(h.Topology(), "values", from))
		if err := h.TryFinish(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
