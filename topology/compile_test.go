package topology

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// source and factory are never called by the builder, so they need not work.
var (
	source  = spout.Func(func() spout.Spout { return nil })
	factory = func() bolt.Bolt { return idle{} }
	first   = func(*tuple.Row, int) int { return 0 }
)

func TestBuildErrors(t *testing.T) {
	long := strings.Repeat("x", 65)
	tests := []struct {
		name  string
		build func(b *Builder) // added to a spout "in" with the default stream "a, b" and the stream "in:s" "c"
		want  []string
	}{
		{"operator unknown", func(b *Builder) { b.Bolt("x", factory).Shuffle("inn") },
			[]string{`operator "x": stream "inn": there is no operator "inn": there are in, x`}},
		{"named stream unknown", func(b *Builder) { b.Bolt("x", factory).Shuffle("in:r") },
			[]string{`operator "x": stream "in:r": operator "in" has no stream "r": it has in, in:s`}},
		{"default stream unknown", func(b *Builder) {
			b.Bolt("x", factory).Shuffle("in").Stream("only", "f")
			b.Bolt("y", factory).Shuffle("x")
		}, []string{`operator "y": stream "x": operator "x" has no default stream: it has x:only`}},
		{"no stream at all", func(b *Builder) {
			b.Bolt("x", factory).Shuffle("in")
			b.Bolt("y", factory).Shuffle("x")
		}, []string{`operator "y": stream "x": operator "x" has no default stream: it declares none with Fields or Stream`}},
		{"from with two colons", func(b *Builder) { b.Bolt("x", factory).Shuffle("in:s:t") },
			[]string{`operator "x": subscription to "in:s:t": want op or op:stream, each 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"from with empty stream", func(b *Builder) { b.Bolt("x", factory).Shuffle("in:") },
			[]string{`operator "x": subscription to "in:": want op or op:stream, each 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"from empty", func(b *Builder) { b.Bolt("x", factory).Shuffle("") },
			[]string{`operator "x": subscription to "": want op or op:stream, each 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"stream read twice", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").GroupBy("in", "a") },
			[]string{`operator "x": stream "in": is read twice by the bolt: subscribe once`}},
		{"key field unknown", func(b *Builder) { b.Bolt("x", factory).GroupBy("in", "a", "c") },
			[]string{`operator "x": stream "in": field "c": the stream has no such field to group by: it has a, b`}},
		{"partial key field unknown", func(b *Builder) { b.Bolt("x", factory).PartialKey("in:s", "a") },
			[]string{`operator "x": stream "in:s": field "a": the stream has no such field to group by: it has c`}},
		{"key field twice", func(b *Builder) { b.Bolt("x", factory).GroupBy("in", "a", "a") },
			[]string{`operator "x": stream "in": field "a": is twice in the key: name it once`}},
		{"no key", func(b *Builder) { b.Bolt("x", factory).GroupBy("in") },
			[]string{`operator "x": stream "in": grouping by no field: name the fields of the key`}},
		{"the runtime's names", func(b *Builder) { b.Bolt("_x", factory).Shuffle("in").Stream("_s", "f") },
			[]string{`operator "_x": names that begin with an underscore are the runtime's own: take another`,
				`operator "_x": stream "_s": names that begin with an underscore are the runtime's own: take another`}},
		{"custom nil", func(b *Builder) { b.Bolt("x", factory).Custom("in", "c", nil) },
			[]string{`operator "x": stream "in": the custom grouping's function is nil: give one that picks the target`}},
		{"custom name", func(b *Builder) { b.Bolt("x", factory).Custom("in", "c d", first) },
			[]string{`operator "x": stream "in": the custom grouping's name "c d" is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`}},

		{"operator twice", func(b *Builder) { b.Spout("in", source).Fields("f") },
			[]string{`operator "in": is declared twice: give each operator a name of its own`}},
		{"operator name", func(b *Builder) { b.Bolt("a.b", factory).Shuffle("in") },
			[]string{`operator "a.b" is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"operator name long", func(b *Builder) { b.Bolt(long, factory).Shuffle("in") },
			[]string{`operator "` + long + `" is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"stream name", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Stream("", "f") },
			[]string{`operator "x": stream "" is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"stream twice", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Stream("s", "f").Stream("s", "g") },
			[]string{`operator "x": stream "s": is declared twice: give each stream of an operator a name of its own`}},
		{"default stream twice", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Fields("f").Fields("g") },
			[]string{`operator "x": the default stream is declared twice: call Fields once, or name the other with Stream`}},
		{"dead stream twice", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Stream("dead", "f").DeadLetter() },
			[]string{`operator "x": stream "dead": DeadLetter declares this stream: give yours another name`}},
		{"default stream without fields", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Fields() },
			[]string{`operator "x": the default stream has no fields: name at least one`}},
		{"stream without fields", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Stream("s") },
			[]string{`operator "x": stream "s": the stream has no fields: name at least one`}},
		{"field name", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Fields("f", "g h", "") }, []string{
			`operator "x": field "g h" of the default stream is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`,
			`operator "x": field "" of the default stream is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`}},
		{"field twice", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Stream("s", "f", "g", "f") },
			[]string{`operator "x": stream "s": field "f": is named twice: give each field a name of its own`}},
		{"too many fields", func(b *Builder) {
			var names []string
			for i := range tuple.MaxFields + 1 {
				names = append(names, "f"+strconv.Itoa(i))
			}
			b.Bolt("x", factory).Shuffle("in").Fields(names...)
		}, []string{`operator "x": tuple: bad field names: 1025 fields, at most 1024`}},
		{"a stream in error is known to its readers", func(b *Builder) {
			b.Bolt("x", factory).Shuffle("in").Fields("f", "f")
			b.Bolt("y", factory).GroupBy("x", "f")
		}, []string{`operator "x": field "f": is named twice: give each field a name of its own`}},

		{"parallel too low", func(b *Builder) { b.Bolt("x", factory).Parallel(0).Shuffle("in") },
			[]string{`operator "x": Parallel(0): take 1 to 4096`}},
		{"parallel too high", func(b *Builder) { b.Bolt("x", factory).Parallel(4097).Shuffle("in") },
			[]string{`operator "x": Parallel(4097): take 1 to 4096`}},
		{"global to many", func(b *Builder) { b.Bolt("x", factory).Parallel(2).Global("in").Global("in:s") },
			[]string{`operator "x": all inputs are Global, so only the first of 2 tasks would get any: drop Parallel or group otherwise`}},
		{"too many channels", func(b *Builder) {
			b.Bolt("x", factory).Parallel(1000).Shuffle("in").Fields("f")
			b.Bolt("y", factory).Parallel(1000).Shuffle("x")
		}, []string{`operator "y": stream "x": 1001000 channels up to here, more than 1000000: lower Parallel of x or of y`}},
		{"factory nil", func(b *Builder) { b.Bolt("x", nil).Shuffle("in") },
			[]string{`operator "x": the bolt's factory is nil: give a function that returns a new bolt`}},
		{"source nil", func(b *Builder) {
			b.Spout("x", nil).Fields("f")
			b.Spout("y", spout.Func(nil)).Fields("f")
		}, []string{
			`operator "x": the spout's source is nil: give one, such as spout.Func`,
			`operator "y": the spout's source is nil: give one, such as spout.Func`}},

		{"spout with an input", func(b *Builder) { b.Spout("x", source).Fields("f").Shuffle("in") },
			[]string{`operator "x": a spout reads no stream, yet it subscribes to "in": make it a bolt`}},
		{"spout without a stream", func(b *Builder) { b.Spout("x", source) },
			[]string{`operator "x": the spout has no stream to emit on: declare one with Fields or Stream`}},
		{"spout with settings of bolts", func(b *Builder) {
			b.Spout("x", source).Fields("f").Tick(time.Second).Nondeterministic(PerFrame).Retry(1, 0).DeadLetter()
		}, []string{
			`operator "x": Tick is for bolts only: remove it from the spout`,
			`operator "x": Nondeterministic is for bolts only: remove it from the spout`,
			`operator "x": Retry is for bolts only: remove it from the spout`,
			`operator "x": DeadLetter is for bolts only: remove it from the spout`}},
		{"tick", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Tick(0) },
			[]string{`operator "x": Tick(0s): take at least 1ms`}},
		{"pessimism", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Nondeterministic(3) },
			[]string{`operator "x": Nondeterministic(3): take Optimistic, PerFrame or PerTuple`}},
		{"retry", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").Retry(-1, 0) },
			[]string{`operator "x": Retry(-1, 0s): neither may be negative`}},
		{"needs", func(b *Builder) { b.Bolt("x", factory).Shuffle("in").CPU(-1).Memory(-2) }, []string{
			`operator "x": CPU(-1): take percent of a core, or 0 for no need`,
			`operator "x": Memory(-2): take bytes, or 0 for no need`}},

		{"no input", func(b *Builder) {
			b.Bolt("x", factory).Fields("f")
			b.Bolt("y", factory).Shuffle("x") // not reached either, but that is x's fault
		}, []string{`operator "x": the bolt has no input: subscribe it to a stream, such as with Shuffle`}},
		{"cycle", func(b *Builder) {
			b.Bolt("x", factory).Shuffle("in").Shuffle("z").Fields("f")
			b.Bolt("y", factory).Shuffle("x").Fields("f").Stream("s", "g")
			b.Bolt("z", factory).Shuffle("y").Shuffle("y:s").Fields("f")
		}, []string{`operator "x": reads its own output: x > y > z > x: cut this cycle, for a topology has none`}},
		{"cycle of one, that no spout reaches", func(b *Builder) { b.Bolt("x", factory).Shuffle("x").Fields("f") },
			[]string{`operator "x": reads its own output: x > x: cut this cycle, for a topology has none`}},

		{"all errors at once", func(b *Builder) {
			b.Bolt("x", nil).Parallel(-1).Shuffle("nobody").Fields("f")
			b.Bolt("y", factory).GroupBy("x", "g")
		}, []string{
			`operator "x": Parallel(-1): take 1 to 4096`,
			`operator "x": the bolt's factory is nil: give a function that returns a new bolt`,
			`operator "x": stream "nobody": there is no operator "nobody": there are in, x, y`,
			`operator "y": stream "x": field "g": the stream has no such field to group by: it has f`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := New("t")
			b.Spout("in", source).Fields("a", "b").Stream("s", "c")
			test.build(b)
			fails(t, b, test.want)
		})
	}
}

func TestBuildErrorsOfTheWhole(t *testing.T) {
	fails(t, New(""), []string{
		`the topology's name "" is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`,
		`has no spout: declare one with Spout, for every tuple comes from one`})
	b := New("a>b")
	b.Spout("in", source).Fields("f")
	fails(t, b, []string{`the topology's name "a>b" is not a name: take 1 to 64 of A-Z a-z 0-9 _ -`})
}

// fails checks the text of all errors of b, each of which must be an *Error.
func fails(t *testing.T, b *Builder, want []string) {
	t.Helper()
	plan, err := b.Build()
	if plan != nil || err == nil {
		t.Fatalf("Build succeeded, want %q", want)
	}
	if valid := b.Validate(); valid == nil || valid.Error() != err.Error() {
		t.Errorf("Validate says %v, Build %v", valid, err)
	}
	var got []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		if one := (*Error)(nil); !errors.As(err, &one) {
			t.Errorf("%T %v is not an *Error", err, err)
		}
		got = append(got, err.Error())
	}
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = "topology: " + want[i]
		}
		if g != w {
			t.Errorf("error %d:\n got %s\nwant %s", i, g, w)
		}
	}
}

func TestErrorNames(t *testing.T) {
	b := New("t")
	b.Spout("in", source).Fields("a")
	b.Bolt("x", factory).GroupBy("in", "z")
	var err *Error
	if !errors.As(b.Validate(), &err) {
		t.Fatal("no *Error")
	}
	if err.Operator != "x" || err.Stream != "in" || err.Field != "z" || !strings.Contains(err.Problem, "it has a") {
		t.Errorf("%+v", err)
	}
}

// idle is a bolt without effect, with every optional method that a topology may ask for.
type idle struct{}

func (idle) Execute(context.Context, tuple.Tuple, bolt.Emitter) error { return nil }
func (idle) Tick(context.Context, time.Time, bolt.Emitter) error      { return nil }

// A bolt that lacks a method for its declarations is refused when the topology is built.
func TestSample(t *testing.T) {
	plain := bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })
	for name, c := range map[string]struct {
		declare func(*Builder)
		says    string
	}{
		"nil":        {func(b *Builder) { b.Bolt("x", func() bolt.Bolt { return nil }).Shuffle("in") }, `operator "x": the bolt's factory returned nil`},
		"panic":      {func(b *Builder) { b.Bolt("x", func() bolt.Bolt { panic("oops") }).Shuffle("in") }, `operator "x": the bolt's factory panicked: oops`},
		"no ticker":  {func(b *Builder) { b.Bolt("x", plain).Shuffle("in").Tick(time.Second) }, "has no method Tick(context.Context, time.Time, bolt.Emitter) error"},
		"unread":     {func(b *Builder) { b.Bolt("x", plain).Shuffle("in").DeadLetter() }, `operator "x": stream "dead": no operator reads the dead letters: subscribe a bolt to "x:dead", or call Drop`},
		"two":        {func(b *Builder) { b.Bolt("x", plain).Shuffle("in").Drop().Drop() }, "more than one error policy"},
		"unverified": {func(b *Builder) { b.Bolt("x", func() bolt.Bolt { return picky{} }).Shuffle("in") }, `operator "x": not under barrier`},
		"rejected":   {func(b *Builder) { b.Bolt("x", plain).Shuffle("in"); b.Reject(errors.New("found elsewhere")) }, "found elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			b := New("t")
			b.Spout("in", source).Fields("a")
			c.declare(b)
			if _, err := b.BuildWith(nil, bolt.Strategy{Name: "barrier", RollsBack: true}); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

// picky holds its guarantee only under strategies without rollback.
type picky struct{ idle }

func (picky) Verify(s bolt.Strategy) error {
	if s.RollsBack {
		return fmt.Errorf("not under %s", s.Name)
	}
	return nil
}
