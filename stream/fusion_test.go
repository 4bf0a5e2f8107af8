package stream_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/stream"
)

var update = flag.Bool("update", false, "write testdata/plans.txt anew")

// A Word is a word with its place.
type Word struct {
	Text string
	Line int64
}

// words is a source of words; it makes none.
var words = stream.Slice[Word]()

// discard is a sink without state that drops its values.
type discard[T any] struct{}

func (discard[T]) New() stream.Writer[T] { return discard[T]{} }

func (discard[T]) Write(context.Context, T) error { return nil }

// committing is a sink that commits its effects with snapshots.
type committing struct{ discard[Word] }

func (committing) New() stream.Writer[Word]  { return committing{} }
func (committing) Snapshot() ([]byte, error) { return nil, nil }
func (committing) Restore([]byte) error      { return nil }
func (committing) Commit() error             { return nil }

// identified is a sink that needs message ids.
type identified struct{ discard[Word] }

func (identified) New() stream.Writer[Word] { return identified{} }
func (identified) Identify(msgid.ID)        {}

func same[T any](v T) T { return v }

func try[T any](_ context.Context, v T) (T, error) { return v, nil }

func every[T any](T) bool { return true }

// A Join is a processor with two inputs.
type Join struct{}

func (Join) Word(*stream.Context, Word, func(Word)) error { return nil }

func (Join) Total(*stream.Context, stream.Entry[string, int64], func(Word)) error { return nil }

func (Join) Tick(*stream.Context, time.Time, func(Word)) error { return nil }

func newJoin() Join { return Join{} }

// late is a side output of a Join.
var late = stream.NewTag[string]("late")

// plans are pipelines, and each is to show one reason why steps are fused or are not.
var plans = []struct {
	name    string
	declare func(t *stream.Topology)
}{
	{"steps that compute are fused with their source, a sink is not", func(t *stream.Topology) {
		s := stream.Map(stream.From(t, "words", words), "map", same)
		s = stream.Update(stream.Filter(s, "filter", every), "update", func(*Word) {})
		stream.To(stream.FlatMap(s, "split", func(w Word, out func(Word)) { out(w) }), "out", discard[Word]{})
	}},
	{"behind a channel the sink is fused, too", func(t *stream.Topology) {
		s := stream.Map(stream.From(t, "words", words).Rebalance(), "map", same)
		stream.To(stream.TryMap(s, "try", try), "out", discard[Word]{})
	}},
	{"an isolated step is alone", func(t *stream.Topology) {
		s := stream.Map(stream.From(t, "words", words), "one", same)
		s = stream.Map(s, "two", same).Isolate()
		s = stream.Map(s, "three", same)
		stream.To(s, "out", discard[Word]{}).Isolate()
	}},
	{"a step with a policy begins an operator, which holds no state", func(t *stream.Topology) {
		s := stream.Map(stream.From(t, "words", words).Rebalance(), "one", same)
		s = stream.TryMap(s, "two", try).Retry(3, time.Second).Drop()
		s = stream.Map(s, "three", same)
		stream.To(stream.Map(stream.KeyBy(s, func(w Word) string { return w.Text }).Count("count"), "four", same), "out", discard[stream.Entry[string, int64]]{})
		stream.To(s, "other", discard[Word]{})
	}},
	{"a change of parallelism divides", func(t *stream.Topology) {
		s := stream.Map(stream.From(t, "words", words).Parallel(2), "one", same)
		s = stream.Map(stream.Map(s, "two", same).Parallel(3), "three", same)
		stream.To(s, "out", discard[Word]{}).Parallel(1)
	}},
	{"branches of one operator merge within it", func(t *stream.Topology) {
		s := stream.From(t, "words", words)
		one, two := stream.Map(s, "one", same), stream.Filter(s, "two", every)
		stream.To(stream.Map(stream.Merge(one, two, s), "all", same), "out", discard[Word]{})
	}},
	{"a merge of two operators begins one", func(t *stream.Topology) {
		one := stream.Map(stream.From(t, "one", words), "map", same)
		two := stream.From(t, "two", words).Parallel(2)
		stream.To(stream.Map(stream.Merge(one, two), "all", same), "out", discard[Word]{})
	}},
	{"side outputs and dead letters are streams of their own", func(t *stream.Topology) {
		s := stream.From(t, "words", words).Parallel(2)
		joined := stream.Process("join", newJoin, stream.On(s, Join.Word))
		dead := stream.DeadLetters[Word](joined)
		stream.To(stream.Map(joined, "map", same), "out", discard[Word]{})
		stream.To(stream.Side(joined, late), "late", discard[string]{})
		stream.To(dead, "dead", discard[stream.Dead[Word]]{})
	}},
	{"side outputs within an operator are calls", func(t *stream.Topology) {
		joined := stream.Process("join", newJoin, stream.On(stream.From(t, "words", words), Join.Word))
		stream.Map(stream.Side(joined, late), "late", same)
		stream.Map(joined, "map", same)
	}},
	{"broadcast and global values go to all tasks and to the first one", func(t *stream.Topology) {
		s := stream.From(t, "words", words)
		stream.To(stream.Map(s.Broadcast(), "all", same).Parallel(3), "out", discard[Word]{})
		stream.To(stream.Map(s.Parallel(2).Global(), "first", same), "one", discard[Word]{})
	}},
	{"values by key go to the task of their key", func(t *stream.Topology) {
		s := stream.Map(stream.From(t, "words", words), "map", same)
		text := func(w Word) string { return w.Text }
		counts := stream.KeyBy(s, text).Count("count").Parallel(2)
		joined := stream.Process("join", newJoin, stream.OnKeyed(stream.KeyBy(s, text), Join.Word),
			stream.OnKeyed(stream.KeyBy(counts, func(e stream.Entry[string, int64]) string { return e.Key }), Join.Total)).Parallel(2)
		stream.To(joined, "out", discard[Word]{})
		stream.To(counts, "totals", discard[stream.Entry[string, int64]]{})
	}},
	{"behind state a sink is fused if it commits, and one that needs message ids never is", func(t *stream.Topology) {
		s := stream.From(t, "words", words).Rebalance()
		stream.To(stream.Map(s, "map", same), "identified", identified{})
		joined := stream.Process("join", newJoin, stream.On(s, Join.Word))
		stream.To(joined, "commits", committing{})
		stream.To(joined, "writes", discard[Word]{})
	}},
	{"steps that are ticked alike are fused, and others are not", func(t *stream.Topology) {
		s := stream.From(t, "words", words)
		counts := stream.KeyBy(s, func(w Word) string { return w.Text }).Every(time.Second).Count("count")
		again := stream.Process("again", newJoin, stream.On(counts, Join.Total), stream.OnTick(time.Second, Join.Tick))
		stream.To(stream.Process("slow", newJoin, stream.On(again, Join.Word), stream.OnTick(time.Minute, Join.Tick)), "out", discard[Word]{})
	}},
}

// The printed plan shows the fused steps and the connections of operators.
func TestFusion(t *testing.T) {
	version := regexp.MustCompile(`, version [0-9a-f]{16}`) // shows only that a value has changed
	var all strings.Builder
	for _, p := range plans {
		top := stream.New("plan")
		p.declare(top)
		plan, err := top.Builder().Build()
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		fmt.Fprintf(&all, "# %s\n\n%s\n", p.name, version.ReplaceAllString(plan.String(), ""))
	}
	file := filepath.Join("testdata", "plans.txt")
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := all.String(); got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test ./stream -run Fusion -update writes it anew)", file, got, want)
	}
}
