package bolt_test

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
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// split emits the words of its first field; words without a letter go to the stream "odd".
var split = bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	for w := range strings.FieldsSeq(t.Field("line").String()) {
		to := out
		if strings.ToLower(w) == strings.ToUpper(w) {
			to = out.On("odd")
		}
		if err := to.Row().String(w).Emit(); err != nil {
			return err
		}
	}
	return nil
})

// totals emits each word with how often it came, which it keeps as keyed state, and the number of its tuple.
type totals struct{ n *state.Map[string, int64] }

func newTotals() bolt.Bolt { return &totals{} }

func (b *totals) Prepare(ctx bolt.Context) (err error) {
	b.n, err = state.Open[string, int64](ctx, "counts")
	return err
}

func (b *totals) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	n := b.n.At(t.Field("word").Bytes())
	*n++
	if len(t.Bytes(0)) > 20 {
		return errors.New("too long")
	}
	return out.Emit(t.String(0), *n, t.ID().String())
}

// last has every interface but Commit, and keeps the words that came in its own snapshot.
type last struct {
	name   string
	words  []string
	closed bool
	fails  error
}

func (b *last) Prepare(ctx bolt.Context) error { b.name = ctx.Task().Alias.String(); return nil }

func (b *last) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	b.words = append(b.words, t.Field("word").String())
	return out.Row().Tuple(t).Emit()
}

func (b *last) Tick(_ context.Context, now time.Time, out bolt.Emitter) error {
	return out.Emit(b.name+" ticked", now.Unix(), fmt.Sprint(b.words))
}

func (b *last) Finish(_ context.Context, out bolt.Emitter) error {
	return out.Emit(b.name+" finished", len(b.words), "")
}

func (b *last) Snapshot() ([]byte, error)  { return []byte(strings.Join(b.words, " ")), nil }
func (b *last) Restore(data []byte) error  { b.words = strings.Fields(string(data)); return nil }
func (b *last) Verify(bolt.Strategy) error { return b.fails }
func (b *last) Close() error               { b.closed = true; return b.fails }

type committer struct {
	last
	committed int
}

func (b *committer) Commit() error { b.committed++; return b.fails }

type renameSafe struct{ committer }

func (renameSafe) RenameSafe() {}

type safe interface{ bolt.RenameSafe }

// one is a factory that returns the same bolt, for tests to look at.
func one(b bolt.Bolt) func() bolt.Bolt { return func() bolt.Bolt { return b } }

func threeSteps(end bolt.Bolt) *bolt.Chained {
	return bolt.Chain("split", split).Fields("word").Then("count", newTotals).Fields("word", "n", "id").Then("last", one(end))
}

func prepared(t testing.TB, c *bolt.Chained, ctx bolt.Context) bolt.Bolt {
	t.Helper()
	b := c.New()
	if problems := b.(bolt.Composition).Problems(); len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := b.(bolt.Preparer).Prepare(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

func execute(b bolt.Bolt, line string, out bolt.Emitter) error {
	return b.Execute(context.Background(), bolttest.MustTuple("line", line), out)
}

func want(t *testing.T, got any, want string) {
	t.Helper()
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

func TestChain(t *testing.T) {
	end := &last{}
	ctx := bolttest.NewContext("words", 3, 4)
	b := prepared(t, threeSteps(end), ctx)
	out := bolttest.NewEmitter("word", "n", "id").Stream("odd", "word")
	check(t, execute(b, "to 7 be", out))
	check(t, execute(b, "to", out))
	want(t, out.Rows(""), "[[to 1 split.3>count.3#1] [be 1 split.3>count.3#2] [to 2 split.3>count.3#3]]")
	want(t, out.Rows("odd"), "[[7]]")
	out.Reset()
	check(t, b.(bolt.Ticker).Tick(context.Background(), time.Unix(9, 0), out))
	check(t, b.(bolt.Finisher).Finish(context.Background(), out))
	want(t, out.Rows(""), "[[last.3 ticked 9 [to be to]] [last.3 finished 3 ]]")
	want(t, b.(bolt.Composition).Steps(), "[split count last]")
	check(t, b.(io.Closer).Close())
	if !end.closed {
		t.Error("the step was not closed")
	}
	end.fails = errors.New("not like this")
	want(t, b.(bolt.Verifier).Verify(bolt.Strategy{}), `step "last": not like this`)
	want(t, b.(io.Closer).Close(), "not like this")
}

// The next step receives a step's tuples of Tick and Finish before its own turn comes.
func TestChainCascades(t *testing.T) {
	b := prepared(t, bolt.Chain("one", one(&last{})).Fields("word", "n", "words").Then("two", one(&last{})).
		Fields("word", "n", "words").Then("three", one(&last{})), bolttest.NewContext("x", 0, 1))
	out := bolttest.NewEmitter("word", "n", "words")
	check(t, b.(bolt.Ticker).Tick(context.Background(), time.Unix(1, 0), out))
	want(t, out.Rows(""), "[[one.0 ticked 1 []] [two.0 ticked 1 [one.0 ticked]] [three.0 ticked 1 [one.0 ticked two.0 ticked]]]")
	out.Reset()
	check(t, b.(bolt.Finisher).Finish(context.Background(), out))
	want(t, out.Rows(""), "[[one.0 finished 0 ] [two.0 finished 2 ] [three.0 finished 4 ]]")
}

// A chain has the interfaces from which the runtime derives a task's state if its steps have.
func TestChainInterfaces(t *testing.T) {
	first := bolt.Chain("first", split).Fields("word")
	ends := []struct {
		name                         string
		end                          bolt.Bolt
		ticks, commits, safe, states bool
	}{
		{"plain", split(), false, false, false, false},
		{"ticking", &last{}, true, false, false, true},
		{"committing", &committer{}, true, true, false, true},
		{"rename safe", &renameSafe{}, true, true, true, true},
		{"committing without tick", struct {
			bolt.Bolt
			bolt.Committer
		}{split(), &committer{}}, false, true, false, true},
		{"rename safe without tick", struct {
			bolt.Bolt
			safe
		}{split(), &renameSafe{}}, false, true, true, true},
	}
	for _, before := range ends {
		for _, two := range ends {
			b := first.Then("one", one(before.end)).Fields("word").Then("two", one(two.end)).New()
			_, ticks := b.(bolt.Ticker)
			_, commits := b.(bolt.Committer)
			_, safe := b.(bolt.RenameSafe)
			got := []bool{ticks, commits, safe, b.(interface{ KeepsState() bool }).KeepsState()}
			unsafe := before.commits && !before.safe || two.commits && !two.safe
			want := []bool{
				before.ticks || two.ticks, before.commits || two.commits, (before.safe || two.safe) && !unsafe, before.states || two.states,
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, then %s: ticks, commits, rename safe, keeps state: %v, want %v", before.name, two.name, got, want)
			}
			if commits {
				check(t, b.(bolt.Committer).Commit())
			}
		}
	}

	b := prepared(t, first.Then("count", newTotals), bolttest.NewContext("x", 0, 1))
	if !b.(interface{ KeepsState() bool }).KeepsState() {
		t.Error("a chain with keyed state reports none")
	}
}

// Two steps of one kind keep their states apart, and a restored chain continues with both, and with its ids.
func TestChainSnapshots(t *testing.T) {
	chain := func(a, b *last) *bolt.Chained {
		return bolt.Chain("split", split).Fields("word").Then("one", newTotals).Fields("word", "n", "id").Then("a", one(a)).
			Fields("word", "n", "id").Then("two", newTotals).Fields("word", "n", "id").Then("b", one(b))
	}
	ctx, out := bolttest.NewContext("x", 0, 1), bolttest.NewEmitter("word", "n", "id")
	b := prepared(t, chain(&last{}, &last{}), ctx)
	check(t, execute(b, "to be", out))
	if err := execute(b, "or "+strings.Repeat("x", 21), out); err == nil {
		t.Fatal("the second word is not too long")
	}
	own, err := b.(bolt.Snapshotter).Snapshot()
	check(t, err)
	ctx.State().Begin(true)
	if done, err := ctx.State().Step(1000); !done || err != nil {
		t.Fatal(done, err)
	}
	keyed := ctx.State().Take()

	again, restored := bolttest.NewContext("x", 0, 1), []*last{{}, {}}
	check(t, again.State().Apply(keyed))
	r := prepared(t, chain(restored[0], restored[1]), again)
	check(t, r.(bolt.Snapshotter).Restore(own))
	out.Reset()
	check(t, execute(r, "to", out))
	want(t, out.Rows(""), "[[to 2 a.0>two.0#3]]") // the tuples of the call that failed do not count
	want(t, restored[1].words, "[to be or to]")

	for _, c := range []struct {
		name  string
		chain *bolt.Chained
		says  string
	}{
		{"without a step that kept state", bolt.Chain("split", split).Fields("word").Then("a", one(&last{})), `state of step "b"`},
		{"a step that keeps none now", bolt.Chain("a", split).Fields("word").Then("b", one(&last{})), `state of step "a", which keeps none`},
	} {
		err := prepared(t, c.chain, bolttest.NewContext("x", 0, 1)).(bolt.Snapshotter).Restore(own)
		if err == nil || !strings.Contains(err.Error(), c.says) || !bolt.IsPermanent(err) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	reordered := bolt.Chain("b", one(&last{})).Fields("word", "n", "id").Then("new", split).Fields("word").Then("a", one(&last{}))
	check(t, prepared(t, reordered, bolttest.NewContext("x", 0, 1)).(bolt.Snapshotter).Restore(own))
	for n := range len(own) {
		if err := prepared(t, chain(&last{}, &last{}), bolttest.NewContext("x", 0, 1)).(bolt.Snapshotter).Restore(own[:n]); err != nil && !bolt.IsPermanent(err) {
			t.Errorf("a snapshot cut to %d bytes: %v", n, err)
		}
	}
}

// The operator's policy decides about an error as long as no state has changed but that of the failing call.
func TestChainErrors(t *testing.T) {
	long := strings.Repeat("x", 21)
	fails := func(err error) func() bolt.Bolt {
		return bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
			if t.String(0) == "bad" {
				return err
			}
			return out.Emit(t.String(0))
		})
	}
	ignores := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		_ = out.Row().Emit()
		_ = out.Emit(t.String(0))
		return nil
	})
	misread := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Emit(fmt.Sprint(t.Field("n").Int()))
	})
	bad := errors.New("bad")
	lines := bolt.Chain("split", split).Fields("word")
	counts := lines.Then("count", newTotals).Fields("word", "n", "id").Then("last", fails(nil))
	for _, c := range []struct {
		name      string
		chain     *bolt.Chained
		line      string
		says      string
		permanent bool
	}{
		{"of a step without state", lines.Then("fails", fails(bad)), "to bad", `step "fails" could not process tuple {word: "bad"}: bad`, false},
		{"of the first step", bolt.Chain("fails", fails(bad)), "bad", `step "fails" could not process tuple {line: "bad"}: bad`, false},
		{"of a step with state, in its first call", counts, long, `step "count" could not process`, false},
		{"of a step with state, in its second call", counts, "to " + long, `step "count" keeps state`, true},
		{"of a step behind one with state", bolt.Chain("keeps", one(&last{})).Fields("word").Then("fails", fails(bad)), "bad", `could not process tuple`, true},
		{"of a step before one with state", lines.Then("fails", fails(bad)).Fields("word").Then("keeps", one(&last{})), "bad", "bad", false},
		{"after a step with state", lines.Then("fails", fails(bad)).Fields("word").Then("keeps", one(&last{})), "to bad", `step "keeps" keeps state`, true},
		{"a field that is not there", lines.Then("misread", misread).Fields("word").Then("keeps", one(&last{})), "to", `step "misread" could not process tuple {word: "to"}: tuple: field n: want one of (word), got no such field`, false},
		{"a row in error, ignored", lines.Then("ignores", ignores).Fields("word").Then("x", fails(bad)), "to", `step "ignores" could not process tuple {word: "to"}: tuple: wrong number of values`, false},
		{"an error of the next, ignored", bolt.Chain("ignores", bolt.Func(func(_ context.Context, _ tuple.Tuple, out bolt.Emitter) error {
			_ = out.Emit("bad")
			_ = out.Emit("to")
			return nil
		})).Fields("word").Then("fails", fails(bad)), "x", `step "fails"`, false},
		{"permanent", lines.Then("fails", fails(bolt.Permanent(bad))), "bad", `step "fails"`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, out := prepared(t, c.chain, bolttest.NewContext("x", 0, 1)), bolttest.NewEmitter("word")
			in := bolttest.MustTuple("line", c.line)
			if b.(bolt.Composition).Steps()[0] == "keeps" {
				in = bolttest.MustTuple("word", c.line)
			}
			err := b.Execute(context.Background(), in, out)
			if err == nil || !strings.Contains(err.Error(), c.says) || bolt.IsPermanent(err) != c.permanent {
				t.Errorf("%v\npermanent: %v, want %q, %v", err, bolt.IsPermanent(err), c.says, c.permanent)
			}
			var named *bolt.TupleError
			if !errors.As(err, &named) || named.Step == "" {
				t.Errorf("%v names no step", err)
			}
			var before [][]any // the row of "to" is emitted before the tuple fails
			if strings.HasPrefix(c.line, "to ") {
				before = [][]any{{"to"}}
			}
			if rows := out.Rows(""); fmt.Sprint(rows) != fmt.Sprint(before) {
				t.Errorf("%v were emitted, want %v: nothing after the error", rows, before)
			}
		})
	}

	down := bolt.Outage(errors.New("disk full"))
	b := prepared(t, lines.Then("count", newTotals).Fields("word", "n", "id").Then("down", fails(down)), bolttest.NewContext("x", 0, 1))
	if err := execute(b, "bad", bolttest.NewEmitter("word")); !bolt.IsOutage(err) || bolt.IsPermanent(err) {
		t.Errorf("an outage became %v", err)
	}
}

// moody emits the words of its field, and what it emits at a tick. It fails, in one way after another, at the word "bad": by its
// own error, by a field that is not there, by a row in error that it ignores.
type moody struct{ way int }

func (m *moody) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	for w := range strings.FieldsSeq(t.String(0)) {
		if err := out.Emit(w); err != nil {
			return err
		}
		if w != "bad" {
			continue
		}
		m.way++
		switch m.way % 3 {
		case 0:
			return errors.New("bad")
		case 1:
			t.Int(7)
		default:
			_ = out.Row().Emit()
		}
	}
	return nil
}

func (m *moody) Tick(_ context.Context, _ time.Time, out bolt.Emitter) error { return out.Emit("tick") }

// A call that fails leaves no trace in a chain without state: what it emits afterwards, at ticks too, and the ids, are those of
// a chain that has not made the call.
func TestChainAfterErrors(t *testing.T) {
	ids := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Emit(t.String(0), t.ID().String())
	})
	for at := range 2 { // which step fails
		same := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Tuple(t).Emit() })
		factories := []func() bolt.Bolt{same, same}
		factories[at] = one(&moody{})
		build := func() bolt.Bolt {
			return prepared(t, bolt.Chain("one", factories[0]).Fields("word").Then("two", factories[1]).Fields("word").Then("ids", ids),
				bolttest.NewContext("x", 0, 1))
		}
		tested, whole := build(), build()
		for round := range 12 {
			got, want := bolttest.NewEmitter("word", "id"), bolttest.NewEmitter("word", "id")
			if err := execute(tested, "a bad b", bolttest.NewEmitter("word", "id")); err == nil {
				t.Fatal("the bad word is taken")
			}
			for _, call := range []func(bolt.Bolt, bolt.Emitter) error{
				func(b bolt.Bolt, out bolt.Emitter) error {
					return b.(bolt.Ticker).Tick(context.Background(), time.Time{}, out)
				},
				func(b bolt.Bolt, out bolt.Emitter) error { return execute(b, "to be", out) },
			} {
				check(t, call(tested, got))
				check(t, call(whole, want))
			}
			if fmt.Sprint(got.Rows("")) != fmt.Sprint(want.Rows("")) || len(got.Rows("")) < 2 {
				t.Fatalf("step %d, round %d: got %v, want %v", at, round, got.Rows(""), want.Rows(""))
			}
		}
	}
}

// After a step whose Tick or Finish fails no other step is called, and the error names it.
func TestChainEndsAtTheFirstError(t *testing.T) {
	end := &last{}
	b := prepared(t, bolt.Chain("one", one(failing{})).Fields("word").Then("last", one(end)), bolttest.NewContext("x", 0, 1))
	for name, call := range map[string]func(bolt.Emitter) error{
		"tick":   func(out bolt.Emitter) error { return b.(bolt.Ticker).Tick(context.Background(), time.Time{}, out) },
		"finish": func(out bolt.Emitter) error { return b.(bolt.Finisher).Finish(context.Background(), out) },
	} {
		out := bolttest.NewEmitter("word", "n", "words")
		want(t, call(out), `step "one": no `+name)
		if rows := out.Rows(""); len(rows) > 0 {
			t.Errorf("%s: %v were emitted", name, rows)
		}
	}
}

// failing is a bolt whose Tick and Finish fail.
type failing struct{ bolt.Bolt }

func (failing) Tick(context.Context, time.Time, bolt.Emitter) error { return errors.New("no tick") }
func (failing) Finish(context.Context, bolt.Emitter) error          { return errors.New("no finish") }

// refusing is an emitter whose rows the runtime refuses, as one whose tuples are too large.
type refusing struct{ *bolttest.Emitter }

func (refusing) Err() error { return errors.New("too large") }

func TestChainRowRefused(t *testing.T) {
	plain := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Tuple(t).Emit() })
	for _, c := range []struct {
		factory func() bolt.Bolt
		fails   bool
	}{{plain, false}, {one(&last{}), true}} {
		b := prepared(t, bolt.Chain("first", plain).Fields("word").Then("second", c.factory), bolttest.NewContext("x", 0, 1))
		err := b.Execute(context.Background(), bolttest.MustTuple("word", "to"), refusing{bolttest.NewEmitter("word")})
		if bolt.IsPermanent(err) != c.fails || (err == nil) == c.fails {
			t.Errorf("keeps state: %v: error %v", c.fails, err)
		}
	}
}

// An identifier is a sink that skips tuples by their ids.
type identifier struct{ bolt.Bolt }

func (identifier) Identifies() {}

func TestChainMisuse(t *testing.T) {
	c := bolt.Chain("a b", nil).Fields().Then("x", one(nil)).Fields("n", "n").Then("x", split).Fields("a").Then("chain", bolt.Chain("y", split).New).Fields("b").Then("ids", one(identifier{}))
	b := c.New()
	var got []string
	for _, err := range b.(bolt.Composition).Problems() {
		got = append(got, err.Error())
	}
	for _, part := range []string{`step "a b" has no valid name`, `step "a b" has no factory`, `step "a b" hands on tuples by .Fields([])`,
		`step "x" has a factory that returned nil`, `step "x" hands on tuples by .Fields(["n" "n"])`, `step "x" is there twice`, `step "chain" is a composition itself`,
		`step "ids" identifies tuples by message ids`} {
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, part) }) {
			t.Errorf("%q is not reported", part)
		}
	}
	if len(got) != 8 {
		t.Errorf("%d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
	if err := b.(bolt.Preparer).Prepare(bolttest.NewContext("x", 0, 1)); !bolt.IsPermanent(err) {
		t.Errorf("Prepare: %v", err)
	}
	if err := execute(b, "x", nil); !bolt.IsPermanent(err) {
		t.Errorf("Execute: %v", err)
	}
}

// A chain that is continued in two ways is two chains.
func TestChainBranches(t *testing.T) {
	first := bolt.Chain("split", split)
	a, b := first.Fields("a").Then("one", split), first.Fields("b").Then("two", split)
	c, d := a.Fields("c").Then("three", split), a.Fields("d").Then("four", split)
	for _, x := range []struct {
		c    *bolt.Chained
		want string
	}{{a, "[split one]"}, {b, "[split two]"}, {c, "[split one three]"}, {d, "[split one four]"}} {
		want(t, x.c.New().(bolt.Composition).Steps(), x.want)
	}
}

// discard is an emitter that drops rows.
type discard struct {
	row *tuple.Row
	n   int
}

func newDiscard(fields ...string) *discard {
	f, err := tuple.NewFields(fields...)
	if err != nil {
		panic(err)
	}
	d := &discard{}
	d.row = tuple.NewRow(f, d)
	return d
}

func (d *discard) Row() *tuple.Row          { return d.row.Begin() }
func (d *discard) Emit(values ...any) error { return d.Row().Values(values...).Emit() }
func (d *discard) On(string) tuple.Emitter  { return d }
func (d *discard) Take(*tuple.Row) error    { d.n++; return nil }

var pass = bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return out.Row().Bytes(t.Bytes(0)).Emit()
})

func passes(n int) *bolt.Chained {
	c := bolt.Chain("pass-0", pass)
	for i := range n - 1 {
		c = c.Fields("text").Then(fmt.Sprintf("pass-%d", i+1), pass)
	}
	return c
}

func TestChainAllocs(t *testing.T) {
	b, out, in := prepared(t, passes(4), bolttest.NewContext("x", 0, 1)), newDiscard("text"), bolttest.MustTuple("text", strings.Repeat("x", 64))
	if n := testing.AllocsPerRun(100, func() {
		if err := b.Execute(context.Background(), in, out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per tuple", n)
	}
	if out.n == 0 {
		t.Error("no tuple was emitted")
	}
}

// One operation is a tuple with 64 bytes. The difference between two lines is the cost of one more step.
func BenchmarkChain(b *testing.B) {
	for _, n := range []int{1, 2, 6} {
		b.Run(fmt.Sprintf("%d_steps", n), func(b *testing.B) {
			x, out, in := prepared(b, passes(n), bolttest.NewContext("x", 0, 1)), newDiscard("text"), bolttest.MustTuple("text", strings.Repeat("x", 64))
			b.ReportAllocs()
			for b.Loop() {
				if err := x.Execute(context.Background(), in, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
