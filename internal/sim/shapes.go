package sim

import (
	"fmt"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A Shape is a kind of topology to simulate.
type Shape struct {
	Name  string
	About string

	build   func(k *kit)
	copies  int  // how often a root of a spout reaches the sinks, all together; 0: that follows from nothing simple
	endless bool // its spouts do not end
	secret  bool // an operator is nondeterministic and does not say so: refusal is right
	planted bool // only asked for by name: it is for tests of tests
}

// A kit builds a shape for one world.
type kit struct {
	w *World
	b *topology.Builder
	// logics and sources are what the oracle computes again, by operator.
	logics  map[string]*logic
	sources map[string]func(alias msgid.Alias, n uint64, out tuple.Emitter)
}

var fields = []string{"root", "value", "pad"}

// spout declares a spout that emits its roots.
func (k *kit) spout(name string) *topology.Node {
	return k.spoutOf(name, func(alias msgid.Alias, n uint64, out tuple.Emitter) {
		root := rootOf(alias, n)
		emit(out, root, hashOf(root))
	})
}

func (k *kit) spoutOf(name string, f func(alias msgid.Alias, n uint64, out tuple.Emitter)) *topology.Node {
	k.sources[name] = f
	return k.b.Spout(name, spout.Func(func() spout.Spout { return &source{world: k.w, logic: f} })).Fields(fields...)
}

func rootOf(alias msgid.Alias, n uint64) string { return fmt.Sprintf("%v.%d", alias, n) }

// bolt declares a bolt.
func (k *kit) bolt(name string, l *logic) *topology.Node {
	k.logics[name] = l
	return k.b.Bolt(name, func() bolt.Bolt { return newOperator(k.w, l) })
}

// The logics. Each emits roots unchanged, so that they can be counted at the end.
var (
	// ordered depends on the order of all its inputs, and shows it.
	ordered = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		emit(out, in.root, f.mix(in.root, in.value))
	}}
	orderedKeyed = &logic{keyed: true, tuple: func(f *fold, in input, out tuple.Emitter) {
		f.mix(in.root, in.value)
		emit(out, in.root, f.sum^f.keys.add(keyOf(in.root), 1))
	}}
	counting = &logic{keyed: true, tuple: func(f *fold, in input, out tuple.Emitter) {
		emit(out, in.root, f.keys.add(keyOf(in.root), 1))
	}}
	totals = &logic{
		tuple: func(f *fold, in input, _ tuple.Emitter) { f.keys.add(keyOf(in.root), f.mix(in.root, in.value)&0xff) },
		finish: func(f *fold, out tuple.Emitter) {
			f.keys.all(func(key string, n uint64) { emit(out, key, n) })
		},
	}
	totalsKeyed = &logic{
		keyed:  true,
		tuple:  func(f *fold, in input, _ tuple.Emitter) { f.keys.add(keyOf(in.root), f.mix(in.root, in.value)&0xff) },
		finish: totals.finish,
	}
	drop = &logic{tuple: func(f *fold, in input, _ tuple.Emitter) { f.mix(in.root, in.value) }}
	sink = drop
	// transactional shows its input to the world outside, exactly once.
	transactional = &logic{commit: true, tuple: drop.tuple}
	named         = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.value)
		if hashOf(in.root)%2 == 0 {
			out = out.On("odd")
		}
		emit(out, in.root, v)
	}}
	twice = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.value)
		emit(out, in.root, v)
		emit(out.On("side"), in.root, v+1)
	}}
	burst = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.value)
		for i := range hashOf(in.root) % 12 {
			emit(out, in.root, v+i)
		}
	}}
	directed = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.value)
		_ = out.Row().String(in.root).Uint(v).Bytes(nil).To(int(hashOf(in.root) % 3)).Emit()
	}}
	ticking = &logic{
		tuple: func(f *fold, in input, out tuple.Emitter) { emit(out, in.root, f.mix(in.root, in.value)) },
		tick: func(f *fold, now int64, out tuple.Emitter) {
			if v := f.mix("tick", uint64(now)); f.n%3 == 0 {
				emit(out, fmt.Sprintf("tick of %v", f.self), v)
			}
		},
	}
	stamping = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.now())
		if in.value%3 == 0 {
			v ^= in.rand()
			v -= in.rand()
		}
		emit(out, in.root, v)
	}}
	lucky = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.luck())
		emit(out, in.root, v)
	}}
	luckier = &logic{tuple: func(f *fold, in input, out tuple.Emitter) {
		for range in.luck() % 4 {
			emit(out, in.root, f.mix(in.root, in.luck()))
		}
	}}
	luckyKeyed = &logic{keyed: true, tuple: func(f *fold, in input, out tuple.Emitter) {
		v := f.mix(in.root, in.luck())
		f.keys.add(keyOf(in.root), v%100)
		emit(out, in.root, v)
	}}
)

func keyOf(root string) string { return fmt.Sprintf("k%d", hashOf(root)%11) }

// Shapes are all shapes, the simplest first.
var Shapes = []Shape{
	{Name: "pair", About: "a spout and a sink", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("z", sink).Global("a")
	}},
	{Name: "chain", About: "three in a row", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ordered).Shuffle("a").Fields(fields...)
		k.bolt("z", sink).Global("b")
	}},
	{Name: "long_chain", About: "six in a row", copies: 1, build: func(k *kit) {
		k.spout("a")
		for i := range 4 {
			k.bolt(string(rune('b'+i)), ordered).Global(string(rune('a' + i))).Fields(fields...)
		}
		k.bolt("z", sink).Global("e")
	}},
	{Name: "merge", About: "two spouts, merged by one order-sensitive bolt", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.spout("b")
		k.bolt("m", ordered).Global("a").Global("b").Fields(fields...)
		k.bolt("z", sink).Global("m")
	}},
	{Name: "diamond", About: "one stream shuffled over two, merged again", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", ordered).Global("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "double_diamond", About: "parallel spouts, two layers of order-sensitive bolts, each merging all", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("c", orderedKeyed).Parallel(2).GroupBy("b", "root").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "wide", About: "shuffled three ways twice", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(3).Shuffle("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(3).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Parallel(2).Shuffle("c")
	}},
	{Name: "fan_out", About: "every tuple to all of three", copies: 3, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ordered).Global("a").Fields(fields...)
		k.bolt("z", sink).Parallel(3).All("b")
	}},
	{Name: "fan_in", About: "three spouts of different kinds into one sink", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.spout("b")
		k.spout("c")
		k.bolt("m", ordered).Global("a").Global("b").Global("c").Fields(fields...)
		k.bolt("z", sink).Global("m")
	}},
	{Name: "named", About: "two named streams to two bolts, merged again", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", named).Global("a").Fields(fields...).Stream("odd", fields...)
		k.bolt("c", ordered).Global("b").Fields(fields...)
		k.bolt("d", counting).Parallel(2).GroupBy("b:odd", "root").Fields(fields...)
		k.bolt("z", sink).Global("c").Global("d")
	}},
	{Name: "two_streams", About: "two channels between the same two tasks", copies: 2, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", twice).Global("a").Fields(fields...).Stream("side", fields...)
		k.bolt("c", ordered).Global("b").Global("b:side").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "keyed", About: "counting by key, in keyed state", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", counting).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("z", sink).Global("b")
	}},
	{Name: "partial_key", About: "keys divided between two tasks by load", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", counting).Parallel(3).PartialKey("a", "root").Fields(fields...)
		k.bolt("c", orderedKeyed).Parallel(2).PartialKey("b", "root", "value").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "direct", About: "the emitter names the target", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", directed).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(3).Direct("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "custom", About: "a function picks the target", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(3).Custom("a", "by_length", func(r *tuple.Row, targets int) int {
			return len(r.Encoded()) % targets
		}).Fields(fields...)
		k.bolt("z", sink).Global("b")
	}},
	{Name: "totals", About: "nothing is emitted before the end", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", totals).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("c", totalsKeyed).Global("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "burst", About: "a bolt that makes many of one", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", burst).Global("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(2).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "ticking", About: "timers between tuples, on one input and on several", build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ticking).Parallel(2).Shuffle("a").Tick(3 * time.Millisecond).Fields(fields...)
		k.bolt("c", ticking).Global("b").Tick(7 * time.Millisecond).Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "stamping", About: "recorded time and chance, on one input and on several", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", stamping).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", stamping).Global("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "pessimistic_frame", About: "undetermined bolts, logged frame by frame", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", lucky).Parallel(2).Shuffle("a").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("c", luckyKeyed).Global("b").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "pessimistic_tuple", About: "undetermined bolts, logged tuple by tuple", build: func(k *kit) {
		k.spout("a")
		k.bolt("b", luckier).Global("a").Nondeterministic(topology.PerTuple).Fields(fields...)
		k.bolt("c", ordered).Parallel(2).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
	{Name: "mixed", About: "pessimistic, ticking and order-sensitive bolts in one topology", build: func(k *kit) {
		k.spout("a")
		k.spout("b")
		k.bolt("c", luckier).Parallel(2).Shuffle("a").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("d", ticking).Global("c").Global("b").Tick(5 * time.Millisecond).Fields(fields...)
		k.bolt("e", totals).Global("d").Fields(fields...)
		k.bolt("z", transactional).Global("e").Global("d")
	}},
	{Name: "dead_letters", About: "tuples given up, to a stream of their own", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Retry(2, 3*time.Millisecond).DeadLetter().Fields(fields...)
		k.bolt("c", stamping).Global("b").Retry(1, 0).DeadLetter().Fields(fields...)
		k.bolt("y", morgue).Global("b:dead").Global("c:dead")
		k.bolt("z", sink).Global("c")
	}},
	{Name: "dead_pessimistic", About: "tuples given up by undetermined bolts", build: func(k *kit) {
		k.spout("a")
		k.bolt("b", lucky).Global("a").Nondeterministic(topology.PerFrame).Retry(1, time.Millisecond).DeadLetter().Fields(fields...)
		k.bolt("c", lucky).Global("b").Nondeterministic(topology.PerTuple).Retry(1, 0).DeadLetter().Fields(fields...)
		k.bolt("y", morgue).Global("b:dead").Global("c:dead")
		k.bolt("z", sink).Global("c")
	}},
	{Name: "transactional", About: "effects outside, committed with snapshots", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("z", transactional).Parallel(2).GroupBy("b", "root")
	}},
	{Name: "local", About: "dealt out by place, from tasks of one input and of several", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", stamping).Parallel(2).LocalOrShuffle("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(3).LocalOrShuffle("b").Fields(fields...)
		k.bolt("z", sink).Parallel(2).LocalOrShuffle("c")
	}},
	{Name: "local_dead", About: "dealt out by place, by calls that fail", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Retry(2, 3*time.Millisecond).DeadLetter().Fields(fields...)
		k.bolt("c", burst).Parallel(2).GroupBy("b", "root").Retry(1, 0).DeadLetter().Fields(fields...)
		k.bolt("y", morgue).Parallel(2).LocalOrShuffle("b:dead").LocalOrShuffle("c:dead")
		k.bolt("z", sink).Parallel(3).LocalOrShuffle("c")
	}},
	{Name: "local_mixed", About: "dealt out by place, between spouts, pessimistic and ticking bolts", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", luckier).Parallel(2).LocalOrShuffle("a").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("c", ticking).Parallel(3).LocalOrShuffle("b").Tick(5 * time.Millisecond).Fields(fields...)
		k.bolt("d", totals).Parallel(2).LocalOrShuffle("c").Fields(fields...)
		k.bolt("z", transactional).Parallel(2).LocalOrShuffle("d")
	}},
	{Name: "endless", About: "spouts that do not end", endless: true, copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", orderedKeyed).Global("b").Fields(fields...)
		k.bolt("z", transactional).Global("c")
	}},
	{Name: "secret", About: "an undetermined bolt that does not say so: refusal is right", secret: true, planted: true, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", lucky).Global("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(2).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}},
}

// morgue takes dead letters: their fields are others than those of all other tuples.
var morgue = &logic{tuple: func(*fold, input, tuple.Emitter) {}}

// ShapeNamed returns the shape of that name.
func ShapeNamed(name string) (*Shape, error) {
	for i := range Shapes {
		if Shapes[i].Name == name {
			return &Shapes[i], nil
		}
	}
	return nil, fmt.Errorf("sim: there is no shape %q", name)
}
