package streamtest_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
	"github.com/askback/askback/topology"
)

type Line struct{ Text string }

type Word struct{ Text string }

type Total = stream.Entry[string, int64]

func split(l Line, out func(Word)) {
	for w := range strings.FieldsSeq(l.Text) {
		out(Word{w})
	}
}

func text(w Word) string { return w.Text }

// totals returns counts by key, and fails the test if a key is there twice.
func totals(t testing.TB, entries []Total) map[string]int64 {
	t.Helper()
	all := make(map[string]int64)
	for _, e := range entries {
		if _, twice := all[e.Key]; twice {
			t.Errorf("%s is there twice in %v", e.Key, entries)
		}
		all[e.Key] = e.Value
	}
	return all
}

func equal[T any](t testing.TB, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// Both strategies come to the same totals, whatever is killed wherever.
func TestKillEverywhere(t *testing.T) {
	for _, s := range []strategy.Strategy{strategy.Backtrack, strategy.Barrier} {
		t.Run(s.String(), func(t *testing.T) {
			runs, restored := 0, 0
			streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
				lines := streamtest.In[Line](h, "lines")
				words := stream.FlatMap(lines.Stream(), "split", split)
				starts := 0
				watched := stream.Process("watch", func() *watch { return &watch{starts: &starts} }, stream.On(words, (*watch).Word))
				out := streamtest.Out(h, "out", stream.KeyBy(watched, text).Count("count").Parallel(2))
				for range 2 {
					lines.Send(Line{"to be or"}, Line{"not to be"})
					h.Settle()
				}
				h.Finish()
				equal(t, totals(t, out.Values()), map[string]int64{"to": 4, "be": 4, "or": 2, "not": 2})
				runs++
				if starts > 1 {
					restored++
				}
			}, streamtest.WithStrategy(s))
			if runs < 50 || restored < runs/8 {
				t.Errorf("%d runs, in %d of which watch was restored", runs, restored)
			}
		})
	}
}

// A watch passes words on and counts how often it is opened.
type watch struct{ starts *int }

func (w *watch) Open(*stream.Context) error { *w.starts++; return nil }

func (w *watch) Word(_ *stream.Context, v Word, out func(Word)) error { out(v); return nil }

// A kill drops the state in memory, and a restore brings back the state in the log: between two calls of Settle as within
// one.
func TestKill(t *testing.T) {
	h := streamtest.New(t)
	lines := streamtest.In[Line](h, "lines")
	words := stream.FlatMap(lines.Stream(), "split", split)
	out := streamtest.Out(h, "out", stream.KeyBy(words, text).Every(time.Second).Count("count").Parallel(2))
	equal(t, h.Tasks(), []string{"lines.0", "count.0", "count.1"})
	want := map[string]int64{}
	for i := range 20 {
		lines.Send(Line{fmt.Sprintf("the word w%d", i%3)})
		for _, w := range []string{"the", "word", fmt.Sprintf("w%d", i%3)} {
			want[w]++
		}
		for range i {
			h.Step()
		}
		h.Kill([]string{"lines", "split", "split.0", "count.1", "out", "count.0"}[i%6])
		if i%4 == 0 {
			h.Settle()
		}
	}
	h.Settle()
	if got := out.Values(); len(got) != 0 {
		t.Errorf("before the tick: %v", got)
	}
	h.Advance(time.Second)
	equal(t, totals(t, out.Values()), want)
	h.Finish()
	if got := out.Values(); len(got) != 2*len(want) {
		t.Errorf("at the end: %v", got)
	}
}

// A checkpoint covers all processed values: a task that is killed afterwards repeats none.
func TestCheckpoint(t *testing.T) {
	for _, s := range []strategy.Strategy{strategy.Backtrack, strategy.Barrier} {
		h := streamtest.New(t, streamtest.WithStrategy(s))
		words := streamtest.In[Word](h, "words")
		store := &committed{}
		stream.To(words.Stream(), "store", store)
		words.Send(Word{"a"}, Word{"b"}, Word{"c"})
		h.Settle()
		h.Checkpoint()
		equal(t, store.visible, []string{"a", "b", "c"})
		written := store.written
		h.Kill("words", "store")
		h.Checkpoint()
		equal(t, store.visible, []string{"a", "b", "c"})
		equal(t, store.written, written)
		h.Finish()
		equal(t, store.visible, []string{"a", "b", "c"})
		if store.open != 0 {
			t.Errorf("%v: %d writers are not closed", s, store.open)
		}
	}
}

func TestCommitter(t *testing.T) {
	streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
		words := streamtest.In[Word](h, "words")
		store := &committed{}
		stream.To(words.Stream(), "store", store)
		for _, w := range []string{"a", "b", "c", "d", "e"} {
			words.Send(Word{w})
			h.Checkpoint()
		}
		words.Send(Word{"f"})
		h.Finish()
		equal(t, store.visible, []string{"a", "b", "c", "d", "e", "f"})
		if store.open != 0 {
			t.Errorf("%d writers are not closed", store.open)
		}
	})
}

// committed is a sink whose effects become visible with a snapshot.
type committed struct {
	visible []string
	batches int // that are visible
	written int
	open    int // writers that are not closed
}

func (c *committed) New() stream.Writer[Word] { return &committing{to: c} }

type committing struct {
	to             *committed
	opened         bool
	staged, closed []string
	batch          int
	done           bool // closed is visible
}

func (w *committing) Prepare(bolt.Context) error { w.opened = true; w.to.open++; return nil }

func (w *committing) Close() error {
	if w.opened {
		w.to.open--
	}
	return nil
}

func (w *committing) Write(_ context.Context, v Word) error {
	w.to.written++
	w.staged = append(w.staged, v.Text)
	return nil
}

func (w *committing) Snapshot() ([]byte, error) {
	if w.done {
		w.closed, w.done = nil, false
		w.batch++
	}
	w.closed, w.staged = append(w.closed, w.staged...), nil
	return []byte(fmt.Sprintf("%d %s", w.batch, strings.Join(w.closed, " "))), nil
}

func (w *committing) Restore(data []byte) error {
	fields := strings.Fields(string(data))
	_, err := fmt.Sscan(fields[0], &w.batch)
	w.closed = fields[1:]
	return err
}

func (w *committing) Commit() error {
	if w.batch >= w.to.batches {
		w.to.visible = append(w.to.visible, w.closed...)
		w.to.batches = w.batch + 1
	}
	w.done = true
	return nil
}

// The clock moves by hand only, and ticks fire on it, at multiples of their interval.
func TestAdvance(t *testing.T) {
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	h := streamtest.New(t, streamtest.WithTime(at))
	words := streamtest.In[Word](h, "words")
	out := streamtest.Out(h, "out", stream.Process("clock", func() clock { return clock{} },
		stream.On(words.Stream(), clock.Word), stream.OnTick(10*time.Second, clock.Tick)))
	words.Send(Word{"a"})
	h.Settle()
	h.Advance(25 * time.Second)
	words.Send(Word{"b"})
	h.Settle()
	h.Advance(0)
	h.Advance(4999 * time.Millisecond)
	words.Send(Word{"c"})
	h.Settle()
	h.Kill("clock")
	h.Advance(time.Millisecond)
	h.Finish()
	equal(t, out.Values(), []string{"a 0s 0s", "tick 10s 10s", "tick 20s 20s", "b 25s 25s", "c 29.999s 29.999s", "tick 30s 30s"})
	equal(t, h.Now().Sub(at), 30*time.Second)
	if err := failure(t, func(t testing.TB) { streamtest.New(t).Advance(-1) }); !strings.Contains(err, "does not go back") {
		t.Error(err)
	}
}

type clock struct{}

var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func (clock) Word(c *stream.Context, w Word, out func(string)) error {
	out(fmt.Sprintf("%s %v %v", w.Text, c.Now().Sub(epoch), c.Now().Sub(epoch)))
	return nil
}

func (clock) Tick(c *stream.Context, now time.Time, out func(string)) error {
	out(fmt.Sprintf("tick %v %v", now.Sub(epoch), c.Now().Sub(epoch)))
	return nil
}

// A tick is there once, wherever a task is killed.
func TestTicksUnderKills(t *testing.T) {
	streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
		words := streamtest.In[Word](h, "words")
		out := streamtest.Out(h, "out", stream.Process("clock", func() clock { return clock{} },
			stream.On(words.Stream(), clock.Word), stream.OnTick(10*time.Second, clock.Tick)))
		words.Send(Word{"a"})
		h.Advance(10 * time.Second)
		words.Send(Word{"b"})
		h.Advance(15 * time.Second)
		h.Finish()
		got := out.Values()
		if len(got) > 0 && got[0] == "a 10s 10s" {
			got[0] = "a 0s 0s" // all were killed before any record of it was durable: it is consumed for the first time, later
		}
		equal(t, got, []string{"a 0s 0s", "tick 10s 10s", "b 10s 10s", "tick 20s 20s"})
	}, streamtest.WithTime(epoch))
}

var errBad = errors.New("bad word")

// A step that fails is an error that names it and the value. A repaired program continues at that very value.
func TestErrors(t *testing.T) {
	broken := true
	h := streamtest.New(t)
	words := streamtest.In[Word](h, "words")
	checked := stream.TryMap(words.Stream(), "check", func(_ context.Context, w Word) (Word, error) {
		if w.Text == "bad" && broken {
			return w, errBad
		}
		return w, nil
	})
	out := streamtest.Out(h, "out", checked)
	words.Send(Word{"a"}, Word{"bad"}, Word{"c"})
	err := h.TrySettle()
	var named *bolt.TupleError
	if !errors.Is(err, errBad) || !errors.As(err, &named) || named.Step != "check" || !strings.Contains(err.Error(), `"bad"`) {
		t.Fatalf("error %v", err)
	}
	equal(t, h.Err(), err)
	equal(t, h.TryAdvance(time.Second), err)
	equal(t, h.TryFinish(), err)
	words.Close()
	broken = false
	h.Restart()
	h.Finish()
	equal(t, out.Values(), []Word{{"a"}, {"bad"}, {"c"}})
	equal(t, h.Err(), nil)
}

func TestDeadAndDropped(t *testing.T) {
	streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
		words := streamtest.In[Word](h, "words")
		check := func(bad string) func(context.Context, Word) (Word, error) {
			return func(_ context.Context, w Word) (Word, error) {
				if w.Text == bad {
					return w, errBad
				}
				return w, nil
			}
		}
		one := stream.TryMap(words.Stream(), "one", check("bad")).Drop().Retry(1, time.Minute)
		two := stream.TryMap(one, "two", check("worse"))
		dead := streamtest.Out(h, "dead", stream.DeadLetters[Word](two))
		out := streamtest.Out(h, "out", two)
		words.Send(Word{"a"}, Word{"bad"}, Word{"worse"}, Word{"b"}, Word{"bad"})
		h.Settle()
		equal(t, []uint64{h.Dropped(), h.Dropped("one"), h.Dropped("two", "dead"), h.Dead("one"), h.Dead(), h.Dead("two.0", "two")}, []uint64{2, 2, 0, 0, 1, 1})
		h.Finish()
		equal(t, []uint64{h.Dropped(), h.Dead()}, []uint64{2, 1})
		equal(t, out.Values(), []Word{{"a"}, {"b"}})
		if d := dead.Values(); len(d) != 1 || d[0].Value.Text != "worse" || d[0].Reason != errBad.Error() || d[0].ID == "" {
			t.Errorf("dead letters %+v", d)
		}
	})
}

// An outage keeps its task down until the clock has moved, and has no other effect.
func TestOutage(t *testing.T) {
	away := false
	h := streamtest.New(t)
	words := streamtest.In[Word](h, "words")
	stored := stream.TryMap(words.Stream(), "store", func(_ context.Context, w Word) (Word, error) {
		if away {
			return w, bolt.Outage(errors.New("the server is away"))
		}
		return w, nil
	}).Drop()
	out := streamtest.Out(h, "out", stored)
	words.Send(Word{"a"})
	h.Settle()
	away = true
	words.Send(Word{"b"})
	h.Advance(time.Minute)
	equal(t, out.Values(), []Word{{"a"}})
	away = false
	h.Advance(time.Minute)
	h.Finish()
	equal(t, out.Values(), []Word{{"a"}, {"b"}})
	equal(t, h.Dropped(), 0)
}

func TestPanic(t *testing.T) {
	h := streamtest.New(t)
	words := streamtest.In[Word](h, "words")
	streamtest.Out(h, "out", stream.Map(words.Stream(), "index", func(w Word) byte { return w.Text[1] }))
	words.Send(Word{"a"})
	var panicked *bolt.PanicError
	if err := h.TrySettle(); !errors.As(err, &panicked) || !strings.Contains(err.Error(), "words.0") || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("error %v", err)
	}
}

// A step that keeps a []byte without a copy finds it overwritten.
func TestScramble(t *testing.T) {
	type bytes struct{ B []byte }
	h := streamtest.New(t)
	in := streamtest.In[bytes](h, "in")
	var kept []byte
	out := streamtest.Out(h, "out", stream.Map(in.Stream(), "keep", func(b bytes) bytes { kept = b.B; return b }))
	sent := bytes{[]byte("abc")}
	in.Send(sent)
	sent.B[0] = 'x' // Send has copied it
	h.Finish()
	equal(t, out.Values(), []bytes{{[]byte("abc")}})
	if string(kept) == "abc" || len(kept) != 3 {
		t.Errorf("the kept bytes are %q", kept)
	}
}

// Values of all shapes are copied, with all values that they refer to.
func TestCopies(t *testing.T) {
	type deep struct {
		List []string
		Map  map[string][]int
		To   *deep
		Any  any
		Two  [2][]byte
		At   time.Time
		own  []byte // not exported: shared
	}
	v := deep{
		List: []string{"a"}, Map: map[string][]int{"x": {1}}, To: &deep{List: []string{}}, Any: []byte("any"), Two: [2][]byte{nil, {}},
		At: time.Now(), own: []byte("own"),
	}
	c := streamtest.CopyOf(v)
	equal(t, c, v)
	c.List[0], c.Map["x"][0], c.To.List, c.Any.([]byte)[0] = "b", 2, nil, 'b'
	if v.List[0] != "a" || v.Map["x"][0] != 1 || v.To.List == nil || string(v.Any.([]byte)) != "any" {
		t.Errorf("the copy shares: %+v", v)
	}
}

type none[T any] struct{}

func (none[T]) New() stream.Writer[T] { return none[T]{} }

func (none[T]) Write(context.Context, T) error { return nil }

// An input's tasks take the values in turn.
func TestParallelInput(t *testing.T) {
	streamtest.KillEverywhere(t, func(t testing.TB, h *streamtest.Harness) {
		words := streamtest.In[Word](h, "words")
		words.Stream().Parallel(2)
		out := streamtest.Out(h, "out", words.Stream())
		equal(t, h.Tasks(), []string{"words.0", "words.1", "out.0", "out.1"})
		var want []string
		for i := range 8 {
			words.Send(Word{fmt.Sprint("w", i)})
			want = append(want, fmt.Sprint("w", i))
		}
		h.Finish()
		var got []string
		for _, w := range out.Values() {
			got = append(got, w.Text)
		}
		slices.Sort(got)
		slices.Sort(want)
		equal(t, got, want)
	})
}

// Any topology runs, with sources and sinks of its own.
func TestOf(t *testing.T) {
	got := bolt.NewCollector()
	b := topology.New("rows")
	b.Spout("words", spout.Slice("to", "be", "or")).Fields("word")
	b.Bolt("sink", got.New).GroupBy("words", "word")
	h := streamtest.Of(t, b)
	h.Settle()
	h.Kill("sink.0")
	h.Finish()
	equal(t, fmt.Sprint(got.Rows()), "[[to] [be] [or]]")
	text := failure(t, func(t testing.TB) { streamtest.In[Word](streamtest.Of(t, topology.New("rows")), "in") })
	if !strings.Contains(text, "*topology.Builder") {
		t.Error(text)
	}
}

// The same test takes the same steps.
func TestDeterministic(t *testing.T) {
	run := func() (trace []string) {
		h := streamtest.New(t)
		lines := streamtest.In[Line](h, "lines")
		words := stream.FlatMap(lines.Stream(), "split", split)
		random := stream.Process("random", func() dice { return dice{} }, stream.On(words, dice.Throw)).Parallel(2)
		out := streamtest.Out(h, "out", random)
		h.KillAt(20, "random.1")
		for range 5 {
			lines.Send(Line{"a b c"})
			h.Settle()
			trace = append(trace, fmt.Sprint(h.Steps(), out.Values()))
		}
		h.Finish()
		return append(trace, fmt.Sprint(h.Steps(), out.Values()))
	}
	equal(t, run(), run())
}

type dice struct{}

func (dice) Throw(c *stream.Context, w Word, out func(string)) error {
	out(fmt.Sprint(w.Text, c.Rand()))
	return nil
}

// A mistake in a test fails it, with a text that names the remedy.
func TestMistakes(t *testing.T) {
	defer streamtest.SetMaxSteps(2000)()
	begun := func(t testing.TB, options ...streamtest.Option) (*streamtest.Harness, *streamtest.Input[Word], *streamtest.Output[Word]) {
		h := streamtest.New(t, options...)
		words := streamtest.In[Word](h, "words")
		return h, words, streamtest.Out(h, "out", stream.Map(words.Stream(), "map", func(w Word) Word { return w }))
	}
	for name, wrong := range map[string]struct {
		says string
		do   func(t testing.TB)
	}{
		"build": {`step "no name": is not a name`, func(t testing.TB) {
			h := streamtest.New(t)
			streamtest.In[Word](h, "no name")
			h.Start()
		}},
		"no task": {`called "word.0": there are words.0 (words, map), out.0`, func(t testing.TB) {
			h, _, _ := begun(t)
			h.Kill("word.0")
		}},
		"no such index": {`called "words.1"`, func(t testing.TB) {
			h, _, _ := begun(t)
			h.Kill("words.1")
		}},
		"no number": {`called "words.x"`, func(t testing.TB) {
			h, _, _ := begun(t)
			h.KillAt(3, "words.x")
			h.Start()
		}},
		"no name": {`called "nothing"`, func(t testing.TB) {
			h, _, _ := begun(t)
			h.Dropped("nothing")
		}},
		"late": {`In("more") after the start`, func(t testing.TB) {
			h, _, _ := begun(t)
			h.Start()
			streamtest.In[Word](h, "more")
		}},
		"closed": {"Send after Close", func(t testing.TB) {
			_, words, _ := begun(t)
			words.Close()
			words.Send(Word{})
		}},
		"restart": {"Restart after Finish", func(t testing.TB) {
			h, _, _ := begun(t)
			h.Finish()
			h.Restart()
		}},
		"strategy": {"strategy ack is at least once", func(t testing.TB) {
			h, _, _ := begun(t, streamtest.WithStrategy(strategy.Ack))
			h.Start()
		}},
		"error": {"the topology failed at step", func(t testing.TB) {
			h := streamtest.New(t)
			words := streamtest.In[Word](h, "words")
			stream.To(stream.TryMap(words.Stream(), "fail", func(context.Context, Word) (Word, error) { return Word{}, errBad }), "out", none[Word]{})
			words.Send(Word{"x"})
			h.Settle()
		}},
		"endless": {"a source without end never does", func(t testing.TB) {
			b := topology.New("endless")
			b.Spout("numbers", spout.Generate(0, func(i int64, out spout.Emitter) error { return out.Emit(i) })).Fields("n")
			b.Bolt("sink", bolt.NewCollector().New).Shuffle("numbers")
			streamtest.Of(t, b).Settle()
		}},
	} {
		if text := failure(t, wrong.do); !strings.Contains(text, wrong.says) {
			t.Errorf("%s: %q does not say %q", name, text, wrong.says)
		}
	}
}

// A failure of a test under KillEverywhere names the step of the kill.
func TestKillEverywhereNamesTheKill(t *testing.T) {
	for name, want := range map[string]string{"": "without a kill: as told", "later": "with in.0 killed at step 2 of "} {
		runs := 0
		text := failure(t, func(t testing.TB) {
			streamtest.Everywhere(t, func(t testing.TB, h *streamtest.Harness) {
				in := streamtest.In[Word](h, "in")
				streamtest.Out(h, "out", in.Stream())
				h.Finish()
				runs++
				if name == "" || runs == 8 {
					t.Errorf("as %s", "told")
				}
			})
		})
		if !strings.HasPrefix(text, want) {
			t.Errorf("%q, want %q", text, want)
		}
		if want := map[string]int{"": 1, "later": 8}[name]; runs != want {
			t.Errorf("%d runs", runs)
		}
	}
}

// failure returns the message with which f fails its test.
func failure(t *testing.T, f func(testing.TB)) string {
	fake := &fakeTB{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() {
			for _, f := range fake.cleanups {
				f()
			}
		}()
		f(fake)
	}()
	<-ended
	return fake.text
}

type fakeTB struct {
	testing.TB
	text     string
	cleanups []func()
}

func (t *fakeTB) Helper()                           {}
func (t *fakeTB) Cleanup(f func())                  { t.cleanups = append(t.cleanups, f) }
func (t *fakeTB) Failed() bool                      { return t.text != "" }
func (t *fakeTB) Errorf(format string, args ...any) { t.text += fmt.Sprintf(format, args...) }

func (t *fakeTB) Fatalf(format string, args ...any) {
	t.text += fmt.Sprintf(format, args...)
	runtime.Goexit()
}
