package stream_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
)

// mistakes are programs with one mistake each, and Build's report of it, behind the topology's name.
var mistakes = []struct {
	want    string
	declare func(t *stream.Topology, s stream.Stream[Word])
}{
	{`step "no name": is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Map(s, "no name", same)
	}},
	{`step "map": is declared twice: give each step a name of its own`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Map(stream.Map(s, "map", same), "map", same)
	}},
	{`step "map": reads step "theirs" of topology "other": a topology cannot read another one's steps`, func(_ *stream.Topology, s stream.Stream[Word]) {
		theirs := stream.From(stream.New("other"), "theirs", words)
		stream.Map(stream.Merge(s, theirs), "map", same)
	}},
	{`step "nil": the source is nil: give one`, func(t *stream.Topology, _ stream.Stream[Word]) {
		stream.From[Word](t, "nil", nil)
	}},
	{`step "nil": the sink is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(s, "nil", nil)
	}},

	{`step "map": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Map[Word, Word](s, "map", nil)
	}},
	{`step "update": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Update(s, "update", nil)
	}},
	{`step "try": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.TryMap[Word, Word](s, "try", nil)
	}},
	{`step "filter": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Filter(s, "filter", nil)
	}},
	{`step "split": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.FlatMap[Word, Word](s, "split", nil)
	}},
	{`step "split": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.TryFlatMap[Word, Word](s, "split", nil)
	}},
	{`KeyBy: its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.KeyBy[string](s, nil).Count("count")
	}},
	{`step "sum": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Reduce(stream.KeyBy(s, text), "sum", nil)
	}},
	{`step "fold": its function is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Aggregate[string, Word, int64](stream.KeyBy(s, text), "fold", nil)
	}},
	{`step "join": the function that makes its processors is nil`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Process("join", nil, stream.On(s, Join.Word))
	}},
	{`step "join": the method of an input is nil: give one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Process("join", newJoin, stream.On(s, Join.Word), stream.OnEnd[Join, Word](nil))
	}},

	{`step "words": Parallel(0): take 1 to 4096`, func(_ *stream.Topology, s stream.Stream[Word]) { s.Parallel(0) }},
	{`step "words": Parallel(4097): take 1 to 4096`, func(_ *stream.Topology, s stream.Stream[Word]) { s.Parallel(topology.MaxParallel + 1) }},
	{`Parallel on the merge of several streams: call it on the step that reads them`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Merge(s, s).Parallel(2)
	}},
	{`step "join": Isolate on a side output: call it on the step's own stream`, func(_ *stream.Topology, s stream.Stream[Word]) {
		side := stream.Side(stream.Process("join", newJoin, stream.On(s, Join.Word)), late)
		stream.To(side.Isolate(), "late", discard[string]{})
	}},
	{`step "try": Retry(0, 1s): take at least one retry, and a pause that is not negative`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.TryMap(s, "try", try).Retry(0, time.Second)
	}},
	{`step "try": Retry(1, -1s): take at least one retry, and a pause that is not negative`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.TryMap(s, "try", try).Retry(1, -time.Second)
	}},
	{`step "words": a source has no error policy and no retries: declare them for the step that fails`, func(_ *stream.Topology, s stream.Stream[Word]) {
		s.Drop()
	}},
	{`step "try": declares more than one error policy: call Drop or DeadLetters, once`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(stream.DeadLetters[Word](stream.TryMap(s, "try", try).Drop()), "dead", discard[stream.Dead[Word]]{})
	}},
	{`step "try": its dead letters are values of stream_test.Word: DeadLetters[string] was called`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(stream.DeadLetters[string](stream.TryMap(s, "try", try)), "dead", discard[stream.Dead[string]]{})
	}},
	{`step "try": no step reads its dead letters: read the stream that DeadLetters returns, or call Drop`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.DeadLetters[Word](stream.TryMap(s, "try", try))
	}},

	{`step "words": KeyBy of a stream that Rebalance, Broadcast or Global has regrouped: remove one of the two`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.KeyBy(s.Global(), text).Count("count")
	}},
	{`step "count": its key cannot be a key: codec: map[string]int cannot be a key`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.KeyBy(s, func(Word) map[string]int { return nil }).Count("count")
	}},
	{`Every(1µs): take at least 1ms`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.KeyBy(s, text).Every(time.Microsecond).Count("count")
	}},
	{`step "sum": Reduce keeps values of struct { Text []uint8 }, which holds []byte that is valid during one call only: use string, or Aggregate with a copy`,
		func(_ *stream.Topology, s stream.Stream[Word]) {
			views := stream.Map(s, "views", func(Word) (v struct{ Text []byte }) { return v })
			stream.Reduce(stream.KeyBy(views, func(struct{ Text []byte }) int { return 1 }), "sum", func(a, _ struct{ Text []byte }) struct{ Text []byte } { return a })
		}},

	{`step "join": an input is the zero Input: make it with On, OnKeyed, OnTick or OnEnd`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Process("join", newJoin, stream.On(s, Join.Word), stream.Input[Join, Word]{})
	}},
	{`step "join": OnTick(0s): take at least 1ms`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Process("join", newJoin, stream.On(s, Join.Word), stream.OnTick(0, Join.Tick))
	}},
	{`step "join": ticks at two intervals, 1s and 2s: take one`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Process("join", newJoin, stream.On(s, Join.Word), stream.OnTick(time.Second, Join.Tick), stream.OnTick(2*time.Second, Join.Tick))
	}},
	{`Side of a stream that is not a Process's: give it the stream of a Process, and a tag made by NewTag`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.Side(s, stream.Tag[string]{})
	}},

	{`step "out": Tick(1s): its writers have no method Tick (bolt.Ticker): give them one, or do not call Tick`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(s, "out", discard[Word]{}).Tick(time.Second)
	}},
	{`step "out": Tick(0s): take at least 1ms`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(s, "out", ticked{}).Tick(0)
	}},

	{`step "out": reads step "words" twice, and its writers identify values by message ids (stream.Identifier): read it once`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(stream.Merge(s, s), "out", identified{})
	}},
	{`step "out": reads step "funcs" through a channel, since the two are not fused, and its values cannot be encoded`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(stream.Map(s, "funcs", func(Word) func() { return nil }), "out", discard[func()]{})
	}},
	{`step "out": reads step "empty", whose values, of type struct {}, have no fields to encode`, func(_ *stream.Topology, s stream.Stream[Word]) {
		stream.To(stream.Map(s, "empty", func(Word) struct{} { return struct{}{} }), "out", discard[struct{}]{})
	}},
}

func text(w Word) string { return w.Text }

// ticked is a sink whose writers can be ticked.
type ticked struct{ discard[Word] }

func (ticked) New() stream.Writer[Word] { return ticked{} }

func (ticked) Tick(context.Context, time.Time, bolt.Emitter) error { return nil }

// Each mistake is an error of Build that names topology, step and remedy, and the only one.
func TestBuildErrors(t *testing.T) {
	for _, m := range mistakes {
		top := stream.New("wrong")
		m.declare(top, stream.From(top, "words", words))
		_, err := top.Builder().Build()
		var named *stream.Error
		if !errors.As(err, &named) || named.Topology != "wrong" {
			t.Errorf("got the error %v, want %s", err, m.want)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if want := `stream: topology "wrong": ` + m.want; !strings.HasPrefix(lines[0], want) || len(lines) > 1 && !strings.HasPrefix(lines[1], " ") {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// A topology without steps has no source, and its name is a name like others.
func TestBuildErrorsOfTheWhole(t *testing.T) {
	_, err := stream.New("a b").Builder().Build()
	for _, want := range []string{`stream: topology "a b": has no source: begin with From`, `name "a b" is not a name: take 1 to 64`} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "spout") {
			t.Errorf("got the error %v, want %s", err, want)
		}
	}
}

// All mistakes of a program are reported at once.
func TestBuildErrorsAtOnce(t *testing.T) {
	top := stream.New("wrong")
	s := stream.From(top, "words", words)
	var want []string
	for _, m := range mistakes {
		if strings.Contains(m.want, "declared twice") || slices.Contains(want, m.want) {
			continue
		}
		m.declare(top, s)
		want = append(want, m.want)
	}
	_, err := top.Builder().Build()
	if err == nil {
		t.Fatal("Build has no error")
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("not reported: %s", w)
		}
	}
}

// A step cannot read the zero Stream: there is no topology that could report it.
func TestZeroStream(t *testing.T) {
	for name, declare := range map[string]func(){
		"map":     func() { stream.Map(stream.Stream[Word]{}, "map", same) },
		"process": func() { stream.Process[Join, Word]("process", newJoin) },
	} {
		func() {
			defer func() {
				if got := recover(); got == nil || !strings.Contains(got.(string), name) {
					t.Errorf("%s: recovered %v", name, got)
				}
			}()
			declare()
		}()
	}
}
