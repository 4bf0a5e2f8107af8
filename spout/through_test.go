package spout_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// words emits the words of a line, those without a letter on the stream "odd". It fails at the word "bad".
var words = bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	for w := range strings.FieldsSeq(t.Field("line").String()) {
		to := out
		if strings.ToLower(w) == strings.ToUpper(w) {
			to = out.On("odd")
		}
		if err := to.Row().String(w).Emit(); err != nil {
			return err
		}
		if w == "bad" {
			return errors.New("a bad word")
		}
	}
	return nil
})

// numbered adds a tuple's id.
var numbered = bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return out.Row().Tuple(t).String(t.ID().String()).Emit()
})

// reader is a source of lines with all interfaces of a spout, several lines in one call.
type reader struct {
	lines    []string
	next     int
	step     int
	events   []string
	ignoring bool
	returns  error // of a call that has emitted
}

func (r *reader) Next(_ context.Context, out spout.Emitter) error {
	if r.next >= len(r.lines) {
		return io.EOF
	}
	for range min(r.step, len(r.lines)-r.next) {
		if err := out.Emit(r.lines[r.next]); err != nil && !r.ignoring {
			return err
		}
		r.next++
	}
	return r.returns
}

func (r *reader) Position(dst []byte) []byte { return append(dst, byte(r.next)) }

func (r *reader) Seek(p []byte) error {
	if len(p) != 1 {
		return spout.ErrPosition
	}
	r.next = int(p[0])
	return nil
}

func (r *reader) Open(ctx bolt.Context) error {
	r.events = append(r.events, "open "+ctx.Task().Alias.String())
	return nil
}

func (r *reader) Progress() (done, total int64) { return int64(r.next), int64(len(r.lines)) }
func (r *reader) Hurry(on bool)                 { r.events = append(r.events, fmt.Sprint("hurry ", on)) }
func (r *reader) Close() error                  { r.events = append(r.events, "close"); return nil }

func through(r *reader) *spout.Fused {
	return spout.Through(spout.Func(func() spout.Spout { return r })).Fields("line").Then("words", words).Fields("word").Then("number", numbered)
}

func opened(t testing.TB, s spout.Source) spout.Spout {
	t.Helper()
	x := s.New()
	if err := x.(spout.Opener).Open(bolttest.NewContext("in", 2, 3)); err != nil {
		t.Fatal(err)
	}
	return x
}

func wordsOut() *bolttest.Emitter { return bolttest.NewEmitter("word", "id").Stream("odd", "word") }

// all reads a spout to its end, or to an error.
func all(s spout.Spout, out spout.Emitter) error {
	for {
		if err := s.Next(context.Background(), out); err != nil {
			return err
		}
	}
}

func TestThrough(t *testing.T) {
	r := &reader{lines: []string{"to 7", "", "be or"}, step: 2}
	s, out := opened(t, through(r)), wordsOut()
	if err := all(s, out); err != io.EOF {
		t.Fatal(err)
	}
	got := fmt.Sprint(out.Rows(""), out.Rows("odd"))
	if got != "[[to words.2>number.2#1] [be words.2>number.2#2] [or words.2>number.2#3]] [[7]]" {
		t.Error(got)
	}
	s.(spout.Pacer).Hurry(true)
	done, total := s.(spout.Progresser).Progress()
	if err := s.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
	if e := fmt.Sprint(r.events, done, total); e != "[open in.2 hurry true close] 3 3" {
		t.Error(e)
	}
}

// A spout that is sought to any position continues as the first one did, with the same ids.
func TestThroughPositions(t *testing.T) {
	lines := []string{"to be", "", "or not", "1 2", "to be"}
	for step := 1; step <= 3; step++ {
		whole := wordsOut()
		s := opened(t, through(&reader{lines: lines, step: step}))
		for {
			position := s.Position(nil)
			before := len(whole.Rows(""))
			rest, again := wordsOut(), opened(t, through(&reader{lines: lines, step: step}))
			if err := again.Seek(position); err != nil {
				t.Fatal(err)
			}
			if p := again.Position(nil); !slices.Equal(p, position) {
				t.Errorf("at %x after Seek(%x)", p, position)
			}
			if err := all(again, rest); err != io.EOF {
				t.Fatal(err)
			}
			if err := s.Next(context.Background(), whole); err == io.EOF {
				break
			}
			next := whole.Rows("")[before:]
			if !slices.EqualFunc(next, rest.Rows("")[:len(next)], slices.Equal) {
				t.Errorf("step %d, at %x: %v, want %v", step, position, rest.Rows(""), next)
			}
			for n := range position {
				if err := opened(t, through(&reader{step: 1})).Seek(position[:n]); !errors.Is(err, spout.ErrPosition) && !bolt.IsPermanent(err) {
					t.Errorf("Seek to %x, which is cut short: %v", position[:n], err)
				}
			}
		}
		if len(whole.Rows("")) != 6 || len(whole.Rows("odd")) != 2 {
			t.Errorf("%v %v", whole.Rows(""), whole.Rows("odd"))
		}
	}
	if err := opened(t, through(&reader{})).Seek([]byte{3}); !errors.Is(err, spout.ErrPosition) {
		t.Errorf("the position of a source without bolts: %v", err)
	}
}

// No row is processed after the one that fails.
func TestThroughErrors(t *testing.T) {
	misread := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.String(0) == "bad" {
			return out.Emit("wrong", t.Int(3))
		}
		return out.Emit(t.String(0), "id")
	})
	undeclared := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.String(0) == "bad" {
			return out.On("none").Emit("x")
		}
		return out.Emit(t.String(0), "id")
	})
	down := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.String(0) == "bad" {
			return bolt.Outage(errors.New("away"))
		}
		return out.Emit(t.String(0), "id")
	})
	for _, c := range []struct {
		name, line string
		step       func() bolt.Bolt
		says       string
	}{
		{"error", "be bad x", numbered, `step "words" could not process tuple {line: "be bad x"}: a bad word`},
		{"misread", "bad", misread, `step "last" could not process tuple {line: "bad"}: tuple: field #3: want one of 1, got no such field`},
		{"undeclared", "bad", undeclared, `stream "none" is not declared`},
		{"outage", "bad", down, "away"},
	} {
		for _, ignoring := range []string{"no", "yes", "and returns idle", "and returns EOF"} {
			t.Run(fmt.Sprintf("%s, ignored by the source: %v", c.name, ignoring), func(t *testing.T) {
				r := &reader{lines: []string{"to", c.line, "or"}, step: 3, ignoring: ignoring != "no"}
				r.returns = map[string]error{"and returns idle": spout.ErrIdle, "and returns EOF": io.EOF}[ignoring]
				source := spout.Through(spout.Func(func() spout.Spout { return r })).Fields("line")
				f := source.Then("last", c.step)
				if c.name == "error" {
					f = source.Then("words", words).Fields("word").Then("last", c.step)
				}
				s, out := opened(t, f), wordsOut()
				err := s.Next(context.Background(), out)
				var named *bolt.TupleError
				if err == nil || !strings.Contains(err.Error(), c.says) || bolt.IsOutage(err) != (c.name == "outage") ||
					errors.As(err, &named) == bolt.IsOutage(err) {
					t.Errorf("%v, want %s", err, c.says)
				}
				if again := s.Next(context.Background(), out); again != err {
					t.Errorf("the next call returns %v", again)
				}
				for k, row := range out.Rows("") {
					if k == 0 && row[0] != "to" || row[0] == "x" || row[0] == "or" {
						t.Errorf("%v were emitted", out.Rows(""))
					}
				}
			})
		}
	}
}

// A source in error is reported for itself, even if it ignores the error.
func TestThroughSourceRow(t *testing.T) {
	ignores := &reader{lines: []string{"a", "b", "c"}, step: 3, ignoring: true}
	two := spout.Through(spout.Func(func() spout.Spout { return ignores })).Fields("line", "n").Then("words", words)
	if err := opened(t, two).Next(context.Background(), bolttest.NewEmitter("word")); !errors.Is(err, tuple.ErrValueCount) {
		t.Error(err)
	}
	s := opened(t, spout.Through(spout.Slice("a", "b", "c")).Fields("line", "n").Then("words", words))
	if err := s.Next(context.Background(), bolttest.NewEmitter("word")); !errors.Is(err, tuple.ErrValueCount) {
		t.Error(err)
	}
}

// routed is an emitter that notes where rows are directed.
type routed struct {
	row *tuple.Row
	got []string
}

func (r *routed) Row() *tuple.Row          { return r.row.Begin() }
func (r *routed) Emit(values ...any) error { return r.Row().Values(values...).Emit() }
func (r *routed) On(string) tuple.Emitter  { return r }

func (r *routed) Take(row *tuple.Row) error {
	text := string(row.Content(0))
	if task, ok := row.Direct(); ok {
		text += fmt.Sprint(" to ", task)
	}
	if key, ok := row.KeyHash(); ok {
		text += fmt.Sprint(" by ", key)
	}
	r.got = append(r.got, text)
	return nil
}

func TestThroughRoutes(t *testing.T) {
	f, err := tuple.NewFields("line")
	if err != nil {
		t.Fatal(err)
	}
	out := &routed{}
	out.row = tuple.NewRow(f, out)
	n := 0
	direct := func() bolt.Bolt {
		return bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
			row := out.Row().Tuple(t)
			if n++; n == 1 {
				row.To(5)
			} else if n == 2 {
				row.Key(7)
			}
			return row.Emit()
		})()
	}
	if err := all(opened(t, spout.Through(spout.Slice("a", "b", "c", "d", "e", "f", "g", "h", "i")).Fields("line").Then("direct", direct)), out); err != io.EOF {
		t.Fatal(err)
	}
	if got := fmt.Sprint(out.got); got != "[c to 5 f by 7 i]" {
		t.Error(got)
	}
}

type snapshots struct{ bolt.Bolt }

func (snapshots) Snapshot() ([]byte, error) { return nil, nil }
func (snapshots) Restore([]byte) error      { return nil }

type commits struct{ snapshots }

func (commits) Commit() error { return nil }

type ticks struct{ bolt.Bolt }

func (ticks) Tick(context.Context, time.Time, bolt.Emitter) error { return nil }

type finishes struct{ bolt.Bolt }

func (finishes) Finish(context.Context, bolt.Emitter) error { return nil }

type opens struct{ bolt.Bolt }

func (opens) Prepare(ctx bolt.Context) error {
	_, err := state.Open[string, int](ctx, "n")
	return err
}

type choosy struct{ bolt.Bolt }

func (choosy) Verify(s bolt.Strategy) error { return fmt.Errorf("not under %s", s.Name) }

func TestThroughRefuses(t *testing.T) {
	lines := spout.Slice("a")
	for _, c := range []struct {
		b    bolt.Bolt
		says string
	}{
		{snapshots{words()}, `step "x" has Restore`},
		{commits{snapshots{words()}}, `step "x" has Commit`},
		{ticks{words()}, `step "x" has Tick`},
		{finishes{words()}, `step "x" has Finish`},
	} {
		f := spout.Through(lines).Fields("line").Then("words", words).Fields("line").Then("x", func() bolt.Bolt { return c.b })
		problems := f.Problems()
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), c.says) {
			t.Errorf("%v, want %s", problems, c.says)
		}
		// The bolts of a source that is wrapped again are refused when it is opened.
		err := spout.Gate(f, func(spout.Spout, int) bool { return false }).New().(spout.Opener).Open(bolttest.NewContext("in", 0, 1))
		if err == nil || !strings.Contains(err.Error(), c.says) || !bolt.IsPermanent(err) {
			t.Errorf("Open: %v, want %s", err, c.says)
		}
	}
	for _, c := range []struct {
		b    bolt.Bolt
		says string
	}{{opens{words()}, `step "x" opens keyed state`}, {choosy{words()}, `step "x": not under none`}} {
		ctx := bolttest.NewContext("in", 0, 1)
		ctx.Who.Strategy.Name = "none"
		err := spout.Through(lines).Fields("line").Then("x", func() bolt.Bolt { return c.b }).New().(spout.Opener).Open(ctx)
		if err == nil || !strings.Contains(err.Error(), c.says) || !bolt.IsPermanent(err) {
			t.Errorf("%v, want %s", err, c.says)
		}
	}
	bad := spout.Through(spout.Through(nil).Fields("a").Then("b c", words)).Fields().Then("x", nil).Fields("a", "a").Then("x", func() bolt.Bolt { return nil })
	var got []string
	for _, err := range bad.Problems() {
		got = append(got, err.Error())
	}
	if len(got) != 7 {
		t.Errorf("%d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
	s := bad.New()
	for _, err := range []error{s.(spout.Opener).Open(bolttest.NewContext("in", 0, 1)), s.Next(context.Background(), nil), s.Seek(nil)} {
		if !bolt.IsPermanent(err) {
			t.Errorf("a source that is declared wrongly: %v", err)
		}
	}
	if err := s.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
	plain := opened(t, spout.Through(lines))
	if _, ok := plain.(bolt.Composition); ok || plain.Next(context.Background(), bolttest.NewEmitter("line")) == nil {
		t.Error("a source without bolts is not the one given") // task 2 of 3 has no row
	}
}

// counted drops rows.
type counted struct {
	row *tuple.Row
	n   int
}

func newCounted(t testing.TB, fields ...string) *counted {
	f, err := tuple.NewFields(fields...)
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{}
	c.row = tuple.NewRow(f, c)
	return c
}

func (c *counted) Row() *tuple.Row          { return c.row.Begin() }
func (c *counted) Emit(values ...any) error { return c.Row().Values(values...).Emit() }
func (c *counted) On(string) tuple.Emitter  { return c }
func (c *counted) Take(*tuple.Row) error    { c.n++; return nil }

var pass = bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return out.Row().Bytes(t.Bytes(0)).Emit()
})

func passing() spout.Source {
	text := []byte(strings.Repeat("x", 64))
	endless := spout.Generate(0, func(_ int64, out spout.Emitter) error { return out.Row().Bytes(text).Emit() })
	return spout.Through(endless).Fields("text").Then("one", pass).Fields("text").Then("two", pass)
}

func TestThroughAllocs(t *testing.T) {
	s, out := opened(t, passing()), newCounted(t, "text")
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Next(context.Background(), out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per call", n)
	}
	if out.n < 6400 {
		t.Errorf("%d rows", out.n)
	}
}

// One operation is 64 rows of 64 bytes through two bolts.
func BenchmarkThrough(b *testing.B) {
	s, out := opened(b, passing()), newCounted(b, "text")
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Next(context.Background(), out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(out.n), "ns/row")
}
