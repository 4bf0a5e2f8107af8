package topology

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// TestPlanInvariants builds random valid topologies, each twice.
func TestPlanInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		declare := drawTopology(t)
		plan, err := declare().Build()
		if err != nil {
			t.Fatal(err)
		}
		if err := consistent(plan); err != nil {
			t.Fatalf("%v\n%v", err, plan)
		}
		again, err := declare().Build()
		if err != nil || again.Version != plan.Version || again.String() != plan.String() {
			t.Fatalf("built again (%v):\n%v\n%v", err, plan, again)
		}
		for i, c := range plan.Channels {
			if again.Channels[i].ID != c.ID {
				t.Fatalf("channel %d is %v, then %v", i, c.ID, again.Channels[i].ID)
			}
		}
	})
}

// TestBuildAgain builds one builder twice: the plans share no data that either changes.
func TestBuildAgain(t *testing.T) {
	b := base()
	one, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	two, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Plan{one, two} {
		if err := consistent(p); err != nil {
			t.Error(err)
		}
	}
}

// drawTopology draws a random valid topology. The returned function declares it, in an order in which readers may come
// before the streams they read.
func drawTopology(t *rapid.T) func() *Builder {
	type in struct {
		op, stream string
		grouping   Grouping
	}
	type op struct {
		name     string
		spout    bool
		parallel int
		streams  []string
		inputs   []in
		dead     bool
	}
	var ops []op
	n := rapid.IntRange(1, 8).Draw(t, "operators")
	for i := range n {
		o := op{
			name:     fmt.Sprintf("op%d", i),
			spout:    i == 0 || rapid.IntRange(0, 3).Draw(t, "spout") == 0,
			parallel: rapid.IntRange(1, 5).Draw(t, "parallel"),
			streams:  []string{"", "s", "t"}[rapid.IntRange(0, 2).Draw(t, "first stream"):],
		}
		if !o.spout {
			o.dead = rapid.Bool().Draw(t, "dead")
			var from []in
			for _, before := range ops {
				for _, s := range before.streams {
					from = append(from, in{op: before.name, stream: s})
				}
			}
			read := rapid.SliceOfNDistinct(rapid.SampledFrom(from), 1, min(5, len(from)), rapid.ID[in]).Draw(t, "inputs")
			for j := range read {
				read[j].grouping = Grouping(rapid.IntRange(0, int(Custom)).Draw(t, "grouping"))
			}
			if !slices.ContainsFunc(read, func(i in) bool { return i.grouping != Global }) {
				o.parallel = 1
			}
			o.inputs = read
		}
		ops = append(ops, o)
	}
	ops = rapid.Permutation(ops).Draw(t, "order")
	return func() *Builder {
		b := New("random")
		for _, o := range ops {
			n := b.Bolt(o.name, factory)
			if o.spout {
				b.nodes = b.nodes[:len(b.nodes)-1]
				n = b.Spout(o.name, source)
			}
			n.Parallel(o.parallel)
			for _, s := range o.streams {
				if s == "" {
					n.Fields("a", "b")
				} else {
					n.Stream(s, "a", "b")
				}
			}
			if o.dead {
				n.DeadLetter()
			}
			if o.dead {
				b.Bolt(o.name+"-dead", factory).Shuffle(o.name + ":" + DeadStream)
			}
			for _, i := range o.inputs {
				from := i.op
				if i.stream != "" {
					from += ":" + i.stream
				}
				switch i.grouping {
				case Shuffle:
					n.Shuffle(from)
				case GroupBy:
					n.GroupBy(from, "b")
				case PartialKey:
					n.PartialKey(from, "b", "a")
				case All:
					n.All(from)
				case Global:
					n.Global(from)
				case Direct:
					n.Direct(from)
				case Custom:
					n.Custom(from, "first", first)
				}
			}
		}
		return b
	}
}

// consistent checks all that readers of a plan rely on.
func consistent(p *Plan) error {
	if p.Version == 0 {
		return errors.New("version 0")
	}
	tasks := 0
	reached := make(map[*Operator]bool)
	for _, o := range p.Operators {
		if (o.Spout == nil) == (o.Bolt == nil) || len(o.Tasks) != o.Parallel || p.Operator(o.Name) != o {
			return fmt.Errorf("operator %s: %+v", o.Name, o)
		}
		if o.Spout != nil {
			reach(o, reached)
		}
		for i, task := range o.Tasks {
			if task.Operator != o || task.Alias != (msgid.Alias{Operator: o.Name, Index: i}) || p.Task(task.Alias) != task ||
				task.Number != tasks || p.Tasks[tasks] != task {
				return fmt.Errorf("task %d of %s: %+v", i, o.Name, task)
			}
			tasks++
		}
		for i, e := range o.Inputs {
			if e.To != o || e.Input != i || e.Stream.Operator != e.From || !slices.Contains(e.Stream.Edges, e) {
				return fmt.Errorf("edge %v to %s: %+v", e, o.Name, e)
			}
		}
		for _, s := range o.Streams {
			if s.Operator != o || o.Stream(s.Name) != s || s.Fields.Len() == 0 {
				return fmt.Errorf("stream %v", s)
			}
		}
	}
	for _, o := range p.Operators {
		if !reached[o] {
			return fmt.Errorf("no spout reaches %s", o.Name)
		}
	}
	return consistentChannels(p)
}

func reach(o *Operator, reached map[*Operator]bool) {
	if !reached[o] {
		reached[o] = true
		for _, to := range o.readers() {
			reach(to, reached)
		}
	}
}

func consistentChannels(p *Plan) error {
	want, in, out := 0, 0, 0
	for _, task := range p.Tasks {
		var wantOut, wantIn []*Edge
		for _, s := range task.Operator.Streams {
			for _, e := range s.Edges {
				wantOut = append(wantOut, slices.Repeat([]*Edge{e}, e.Targets())...)
			}
		}
		for _, e := range task.Operator.Inputs {
			if task.Alias.Index < e.Targets() {
				wantIn = append(wantIn, slices.Repeat([]*Edge{e}, e.From.Parallel)...)
			}
		}
		edge := func(c *Channel) *Edge { return c.Edge }
		if !slices.Equal(apply(task.Out, edge), wantOut) || !slices.Equal(apply(task.In, edge), wantIn) {
			return fmt.Errorf("task %v: channels in %v, out %v", task.Alias, apply(task.In, id), apply(task.Out, id))
		}
		want += len(wantOut)
		in += len(task.In)
		out += len(task.Out)
	}
	if len(p.Channels) != want || in != want || out != want {
		return fmt.Errorf("%d channels, %d in, %d out, want %d", len(p.Channels), in, out, want)
	}
	seen := make(map[msgid.Channel]bool)
	for i, c := range p.Channels {
		wantID := msgid.Channel{Source: c.Source.Alias, Stream: c.Edge.Stream.Name, Target: c.Target.Alias}
		if c.Number != uint32(i) || p.Channel(c.Number) != c || c.ID != wantID || seen[c.ID] ||
			c.Source.Operator != c.Edge.From || c.Target.Operator != c.Edge.To ||
			c.Source.Out[c.Out] != c || c.Target.In[c.In] != c {
			return fmt.Errorf("channel %d: %+v", i, c)
		}
		seen[c.ID] = true
	}
	return nil
}

func id(c *Channel) string { return c.ID.String() }

func apply[A, B any](from []A, f func(A) B) (to []B) {
	for _, a := range from {
		to = append(to, f(a))
	}
	return to
}

func TestPlanFindsNothing(t *testing.T) {
	p := build(t, base())
	for _, alias := range []msgid.Alias{{Operator: "nobody"}, {Operator: "x", Index: 3}, {Operator: "x", Index: -1}} {
		if task := p.Task(alias); task != nil {
			t.Errorf("task %v is %v", alias, task.Alias)
		}
	}
	for _, n := range []uint32{uint32(len(p.Channels)), math.MaxUint32} {
		if c := p.Channel(n); c != nil {
			t.Errorf("channel %d is %v", n, c.ID)
		}
	}
	if p.Operator("") != nil || p.Operator("x").Stream("nothing") != nil {
		t.Error("found a task that is not there")
	}
}

// base is the topology whose version the next test compares with.
func base() *Builder { return variant(nil) }

func variant(change func(in, x, y *Node)) *Builder {
	b := New("t")
	in := b.Spout("in", source).Parallel(2).Fields("a", "b")
	x := b.Bolt("x", factory).Parallel(3).GroupBy("in", "a").Fields("f")
	y := b.Bolt("y", factory).Parallel(3).Custom("x", "first", first).PartialKey("in", "a", "b")
	if change != nil {
		change(in, x, y)
	}
	return b
}

func TestVersion(t *testing.T) {
	same := map[string]*Builder{
		"nothing": base(),
		"drop":    variant(func(_, x, _ *Node) { x.Drop() }),
		"note":    variant(func(_, x, _ *Node) { x.Note("a remark") }),
		"retry":   variant(func(_, x, _ *Node) { x.Retry(3, time.Second) }),
		"needs":   variant(func(in, x, _ *Node) { in.Memory(1 << 30); x.CPU(50).Memory(1 << 20) }),
		"another function, by the name a promise to pick alike": variant(func(_, _, y *Node) {
			y.inputs[0].pick = func(*tuple.Row, int) int { return 1 }
		}),
	}
	other := map[string]*Builder{
		"topology":     {name: "u", nodes: base().nodes},
		"operator":     variant(func(_, _, y *Node) { y.name = "z" }),
		"order":        variant(func(in, _, y *Node) { *in, *y = *y, *in }),
		"parallel":     variant(func(_, x, _ *Node) { x.Parallel(2) }),
		"field name":   variant(func(_, x, _ *Node) { x.streams[0].fields = []string{"g"} }),
		"field order":  variant(func(in, _, _ *Node) { in.streams[0].fields = []string{"b", "a"} }),
		"field added":  variant(func(_, x, _ *Node) { x.streams[0].fields = []string{"f", "g"} }),
		"stream added": variant(func(_, x, _ *Node) { x.Stream("s", "f") }),
		"stream named": variant(func(_, x, y *Node) {
			x.streams[0] = stream{name: "s", named: true, fields: []string{"f"}}
			y.inputs[0].from = "x:s"
		}),
		"grouping":     variant(func(_, x, _ *Node) { x.inputs[0].grouping = PartialKey }),
		"locality":     variant(func(_, x, _ *Node) { x.inputs[0] = input{from: "in", grouping: LocalOrShuffle} }),
		"shuffle":      variant(func(_, x, _ *Node) { x.inputs[0] = input{from: "in"} }),
		"key":          variant(func(_, x, _ *Node) { x.inputs[0].fields = []string{"b"} }),
		"key order":    variant(func(_, _, y *Node) { y.inputs[1].fields = []string{"b", "a"} }),
		"custom name":  variant(func(_, _, y *Node) { y.inputs[0].name = "second" }),
		"input order":  variant(func(_, _, y *Node) { slices.Reverse(y.inputs) }),
		"input added":  variant(func(_, x, y *Node) { x.Stream("s", "f"); y.Shuffle("x:s") }),
		"pessimism":    variant(func(_, x, _ *Node) { x.Nondeterministic(PerFrame) }),
		"per tuple":    variant(func(_, x, _ *Node) { x.Nondeterministic(PerTuple) }),
		"tick":         variant(func(_, x, _ *Node) { x.Tick(time.Second) }),
		"tick slower":  variant(func(_, x, _ *Node) { x.Tick(time.Minute) }),
		"dead letters": variant(func(_, x, y *Node) { x.DeadLetter(); y.Shuffle("x:" + DeadStream) }),
	}
	want := build(t, base()).Version
	// It stays the same from release to release, or no log could be read any more. Change it knowingly.
	const pinned = uint64(0xa0bda7dae2cb28b5)
	if want != pinned {
		t.Errorf("version %#x, want %#x", want, pinned)
	}
	for name, b := range same {
		if got := build(t, b).Version; got != want {
			t.Errorf("%s: version changed from %x to %x", name, want, got)
		}
	}
	seen := map[uint64]string{want: "base"}
	for name, b := range other {
		got := build(t, b).Version
		if twin, ok := seen[got]; ok {
			t.Errorf("%s: version %x is that of %s", name, got, twin)
		}
		seen[got] = name
	}
}

func build(t testing.TB, b *Builder) *Plan {
	t.Helper()
	p, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
