package sim

import (
	"fmt"
	"slices"
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

	build   func(k *kit)   // of rows; nil: it has no such form
	typed   func(k *typed) // of package stream
	copies  int            // how often a root of a spout reaches the sinks, all together; 0: there is no simple rule
	endless bool           // its spouts do not end
	secret  bool           // an operator is nondeterministic and not declared so: refusal is right
	planted bool           // only asked for by name: it is for tests of tests
}

// A kit builds a shape for one world.
type kit struct {
	w *World
	b *topology.Builder
	// The oracle computes logics and sources again, by operator.
	logics  map[string]*logic
	sources map[string]func(alias msgid.Alias, n uint64, out tuple.Emitter)
	grouped *grouped // of a typed shape: its steps
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
	ordered = &logic{tuple: func(f *fold, in input, out output) {
		out.emit(in.root, f.mix(in.root, in.value))
	}}
	orderedKeyed = &logic{keyed: true, tuple: func(f *fold, in input, out output) {
		f.mix(in.root, in.value)
		out.emit(in.root, f.sum^f.keys.add(keyOf(in.root), 1))
	}}
	counting = &logic{keyed: true, tuple: func(f *fold, in input, out output) {
		out.emit(in.root, f.keys.add(keyOf(in.root), 1))
	}}
	totals = &logic{
		tuple: func(f *fold, in input, _ output) { f.keys.add(keyOf(in.root), f.mix(in.root, in.value)&0xff) },
		finish: func(f *fold, out output) {
			f.keys.all(func(key string, n uint64) { out.emit(key, n) })
		},
	}
	totalsKeyed = &logic{
		keyed:  true,
		tuple:  func(f *fold, in input, _ output) { f.keys.add(keyOf(in.root), f.mix(in.root, in.value)&0xff) },
		finish: totals.finish,
	}
	drop = &logic{tuple: func(f *fold, in input, _ output) { f.mix(in.root, in.value) }}
	sink = drop
	// transactional shows its input to the world outside, exactly once.
	transactional = &logic{commit: true, tuple: drop.tuple}
	named         = &logic{tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.value)
		if hashOf(in.root)%2 == 0 {
			out = out.on("odd")
		}
		out.emit(in.root, v)
	}}
	twice = &logic{tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.value)
		out.emit(in.root, v)
		out.on("side").emit(in.root, v+1)
	}}
	burst = &logic{tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.value)
		for i := range hashOf(in.root) % 12 {
			out.emit(in.root, v+i)
		}
	}}
	directed = &logic{tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.value)
		out.direct(in.root, v, int(hashOf(in.root)%3))
	}}
	ticking = &logic{
		tuple: func(f *fold, in input, out output) { out.emit(in.root, f.mix(in.root, in.value)) },
		tick: func(f *fold, now int64, out output) {
			if v := f.mix("tick", uint64(now)); f.n%3 == 0 {
				out.emit(fmt.Sprintf("tick of %v", f.self), v)
			}
		},
	}
	stamping = &logic{tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.now())
		if in.value%3 == 0 {
			v ^= in.rand()
			v -= in.rand()
		}
		out.emit(in.root, v)
	}}
	lucky = &logic{tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.luck())
		out.emit(in.root, v)
	}}
	luckier = &logic{tuple: func(f *fold, in input, out output) {
		for range in.luck() % 4 {
			out.emit(in.root, f.mix(in.root, in.luck()))
		}
	}}
	luckyKeyed = &logic{keyed: true, tuple: func(f *fold, in input, out output) {
		v := f.mix(in.root, in.luck())
		f.keys.add(keyOf(in.root), v%100)
		out.emit(in.root, v)
	}}
)

func keyOf(root string) string { return fmt.Sprintf("k%d", hashOf(root)%11) }

// Shapes are all shapes, the simplest first. Those that can be of rows stand in front.
var Shapes = []Shape{
	{Name: "pair", About: "a spout and a sink", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("z", sink).Global("a")
	}, typed: func(k *typed) {
		k.to("z", sink, k.from("a", 1))
	}},
	{Name: "chain", About: "three in a row", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ordered).Shuffle("a").Fields(fields...)
		k.bolt("z", sink).Global("b")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 1))
		k.to("z", sink, b)
	}},
	{Name: "long_chain", About: "six in a row", copies: 1, build: func(k *kit) {
		k.spout("a")
		for i := range 4 {
			k.bolt(string(rune('b'+i)), ordered).Global(string(rune('a' + i))).Fields(fields...)
		}
		k.bolt("z", sink).Global("e")
	}, typed: func(k *typed) {
		f := k.from("a", 1)
		for i := range 4 {
			f = k.process(string(rune('b'+i)), []*logic{ordered, orderedKeyed}[i%2], f)
		}
		k.to("z", sink, f)
	}},
	{Name: "merge", About: "two spouts, merged by one order-sensitive bolt", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.spout("b")
		k.bolt("m", ordered).Global("a").Global("b").Fields(fields...)
		k.bolt("z", sink).Global("m")
	}, typed: func(k *typed) {
		m := k.process("m", ordered, k.from("a", 1), k.from("b", 1))
		k.to("z", sink, m)
	}},
	{Name: "diamond", About: "one stream shuffled over two, merged again", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", ordered).Global("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 1)).tasks(2)
		c := k.process("c", ordered, b.global())
		k.to("z", sink, c)
	}},
	{Name: "double_diamond", About: "parallel spouts, two layers of order-sensitive bolts, each merging all", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("c", orderedKeyed).Parallel(2).GroupBy("b", "root").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2).by(byRoot)).tasks(2)
		c := k.process("c", orderedKeyed, b.by(byPad)).tasks(2)
		k.to("z", sink, c.global())
	}},
	{Name: "wide", About: "shuffled three ways twice", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(3).Shuffle("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(3).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Parallel(2).Shuffle("c")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2)).tasks(3)
		c := k.process("c", ordered, b)
		k.to("z", sink, c.rebalance()).tasks(2)
	}},
	{Name: "fan_out", About: "every tuple to all of three", copies: 3, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ordered).Global("a").Fields(fields...)
		k.bolt("z", sink).Parallel(3).All("b")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 1))
		k.to("z", sink, b.all()).tasks(3)
	}},
	{Name: "fan_in", About: "three spouts of different kinds into one sink", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.spout("b")
		k.spout("c")
		k.bolt("m", ordered).Global("a").Global("b").Global("c").Fields(fields...)
		k.bolt("z", sink).Global("m")
	}, typed: func(k *typed) {
		m := k.process("m", ordered, k.merge(k.from("a", 2), k.from("b", 1)), k.from("c", 1).global()).tasks(1)
		k.to("z", sink, m)
	}},
	{Name: "named", About: "two named streams to two bolts, merged again", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", named).Global("a").Fields(fields...).Stream("odd", fields...)
		k.bolt("c", ordered).Global("b").Fields(fields...)
		k.bolt("d", counting).Parallel(2).GroupBy("b:odd", "root").Fields(fields...)
		k.bolt("z", sink).Global("c").Global("d")
	}, typed: func(k *typed) {
		b := k.process("b", named, k.from("a", 1))
		c := k.process("c", ordered, b)
		d := k.process("d", counting, b.side("odd").by(byRoot)).tasks(2)
		k.to("z", sink, k.merge(c, d)).tasks(1)
	}},
	{Name: "two_streams", About: "two channels between the same two tasks", copies: 2, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", twice).Global("a").Fields(fields...).Stream("side", fields...)
		k.bolt("c", ordered).Global("b").Global("b:side").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", twice, k.from("a", 1))
		c := k.process("c", ordered, b, b.side("side"))
		k.to("z", sink, c)
	}},
	{Name: "keyed", About: "counting by key, in keyed state", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", counting).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("z", sink).Global("b")
	}, typed: func(k *typed) {
		b := k.process("b", counting, k.from("a", 2).by(byRoot)).tasks(2)
		k.to("z", sink, b.global())
	}},
	{Name: "partial_key", About: "keys divided between two tasks by load", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", counting).Parallel(3).PartialKey("a", "root").Fields(fields...)
		k.bolt("c", orderedKeyed).Parallel(2).PartialKey("b", "root", "value").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", counting, k.from("a", 1).by(byShort)).tasks(3)
		c := k.process("c", orderedKeyed, b.by(byPair)).tasks(2)
		k.to("z", sink, c.global())
	}},
	{Name: "direct", About: "the emitter names the target", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", directed).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(3).Direct("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", directed, k.from("a", 1)).tasks(2)
		c := k.process("c", ordered, b.by(byTarget)).tasks(3)
		k.to("z", sink, c.global())
	}},
	{Name: "custom", About: "a function picks the target", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(3).Custom("a", "by_length", func(r *tuple.Row, targets int) int {
			return len(r.Encoded()) % targets
		}).Fields(fields...)
		k.bolt("z", sink).Global("b")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2).by(byPad)).tasks(3)
		k.to("z", sink, b.global())
	}},
	{Name: "totals", About: "no tuple is emitted before the end", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", totals).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("c", totalsKeyed).Global("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.aggregate("b", 2, 0, k.from("a", 2))
		c := k.process("c", totalsKeyed, b.global())
		k.to("z", sink, c)
	}},
	{Name: "burst", About: "a bolt that makes many of one", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", burst).Global("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(2).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", burst, k.from("a", 2).global())
		c := k.process("c", ordered, b).tasks(2)
		k.to("z", sink, c.global())
	}},
	{Name: "ticking", About: "timers between tuples, on one input and on several", build: func(k *kit) {
		k.spout("a")
		k.bolt("b", ticking).Parallel(2).Shuffle("a").Tick(3 * time.Millisecond).Fields(fields...)
		k.bolt("c", ticking).Global("b").Tick(7 * time.Millisecond).Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", every(3*time.Millisecond), k.from("a", 1)).tasks(2)
		c := k.process("c", every(7*time.Millisecond), b.global())
		d := k.process("d", every(7*time.Millisecond), c)
		k.to("z", sink, d)
	}},
	{Name: "stamping", About: "recorded time and chance, on one input and on several", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", stamping).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", stamping).Global("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", stamping, k.from("a", 1)).tasks(2)
		c := k.process("c", stamping, b.global())
		d := k.process("d", stamping, c)
		k.to("z", sink, d)
	}},
	{Name: "pessimistic_frame", About: "undetermined bolts, logged frame by frame", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", lucky).Parallel(2).Shuffle("a").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("c", luckyKeyed).Global("b").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", lucky, k.from("a", 1)).tasks(2)
		c := k.process("c", luckyKeyed, b.global())
		k.to("z", sink, c)
		k.undetermined(topology.PerFrame)
	}},
	{Name: "pessimistic_tuple", About: "undetermined bolts, logged tuple by tuple", build: func(k *kit) {
		k.spout("a")
		k.bolt("b", luckier).Global("a").Nondeterministic(topology.PerTuple).Fields(fields...)
		k.bolt("c", ordered).Parallel(2).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", luckier, k.from("a", 1))
		c := k.process("c", ordered, b).tasks(2)
		k.to("z", sink, c.global())
		k.undetermined(topology.PerTuple)
	}},
	{Name: "mixed", About: "pessimistic, ticking and order-sensitive bolts in one topology", build: func(k *kit) {
		k.spout("a")
		k.spout("b")
		k.bolt("c", luckier).Parallel(2).Shuffle("a").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("d", ticking).Global("c").Global("b").Tick(5 * time.Millisecond).Fields(fields...)
		k.bolt("e", totals).Global("d").Fields(fields...)
		k.bolt("z", transactional).Global("e").Global("d")
	}, typed: func(k *typed) {
		a, b := k.from("a", 1), k.from("b", 1)
		c := k.process("c", luckier, a).tasks(2)
		d := k.process("d", every(5*time.Millisecond), c, b).tasks(1)
		e := k.process("e", totals, d)
		k.to("z", transactional, k.merge(e, d))
		k.undetermined(topology.PerFrame)
	}},
	{Name: "dead_letters", About: "tuples given up, to a stream of their own", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Retry(2, 3*time.Millisecond).DeadLetter().Fields(fields...)
		k.bolt("c", stamping).Global("b").Retry(1, 0).DeadLetter().Fields(fields...)
		k.bolt("y", morgue).Global("b:dead").Global("c:dead")
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2)).retry(2, 3*time.Millisecond)
		c := k.process("c", stamping, b.global()).retry(1, 0)
		k.morgue("y", b.dead(), c.dead())
		k.to("z", sink, c)
	}},
	{Name: "dead_pessimistic", About: "tuples given up by undetermined bolts", build: func(k *kit) {
		k.spout("a")
		k.bolt("b", lucky).Global("a").Nondeterministic(topology.PerFrame).Retry(1, time.Millisecond).DeadLetter().Fields(fields...)
		k.bolt("c", lucky).Global("b").Nondeterministic(topology.PerTuple).Retry(1, 0).DeadLetter().Fields(fields...)
		k.bolt("y", morgue).Global("b:dead").Global("c:dead")
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", lucky, k.from("a", 1)).retry(1, time.Millisecond)
		c := k.process("c", lucky, b).retry(1, 0)
		k.morgue("y", b.dead(), c.dead())
		k.to("z", sink, c)
		k.undetermined(topology.PerTuple)
	}},
	{Name: "transactional", About: "effects outside, committed with snapshots", copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).GroupBy("a", "root").Fields(fields...)
		k.bolt("z", transactional).Parallel(2).GroupBy("b", "root")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2).by(byRoot)).tasks(2)
		k.to("z", transactional, b)
	}},
	{Name: "local", About: "dealt out by place, from tasks of one input and of several", copies: 1, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", stamping).Parallel(2).LocalOrShuffle("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(3).LocalOrShuffle("b").Fields(fields...)
		k.bolt("z", sink).Parallel(2).LocalOrShuffle("c")
	}, typed: func(k *typed) {
		b := k.process("b", stamping, k.from("a", 1)).tasks(2)
		c := k.process("c", ordered, b).tasks(3)
		k.to("z", sink, c).tasks(2)
	}},
	{Name: "local_dead", About: "dealt out by place, by calls that fail", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Retry(2, 3*time.Millisecond).DeadLetter().Fields(fields...)
		k.bolt("c", burst).Parallel(2).GroupBy("b", "root").Retry(1, 0).DeadLetter().Fields(fields...)
		k.bolt("y", morgue).Parallel(2).LocalOrShuffle("b:dead").LocalOrShuffle("c:dead")
		k.bolt("z", sink).Parallel(3).LocalOrShuffle("c")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2)).retry(2, 3*time.Millisecond)
		c := k.process("c", burst, b.by(byRoot)).retry(1, 0)
		k.morgue("y", b.dead(), c.dead())
		k.to("z", sink, c).tasks(3)
	}},
	{Name: "local_mixed", About: "dealt out by place, between spouts, pessimistic and ticking bolts", build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", luckier).Parallel(2).LocalOrShuffle("a").Nondeterministic(topology.PerFrame).Fields(fields...)
		k.bolt("c", ticking).Parallel(3).LocalOrShuffle("b").Tick(5 * time.Millisecond).Fields(fields...)
		k.bolt("d", totals).Parallel(2).LocalOrShuffle("c").Fields(fields...)
		k.bolt("z", transactional).Parallel(2).LocalOrShuffle("d")
	}, typed: func(k *typed) {
		b := k.process("b", luckier, k.from("a", 2))
		c := k.process("c", every(5*time.Millisecond), b).tasks(3)
		d := k.process("d", totals, c).tasks(2)
		k.to("z", transactional, d)
		k.undetermined(topology.PerFrame)
	}},
	{Name: "endless", About: "spouts that do not end", endless: true, copies: 1, build: func(k *kit) {
		k.spout("a").Parallel(2)
		k.bolt("b", ordered).Parallel(2).Shuffle("a").Fields(fields...)
		k.bolt("c", orderedKeyed).Global("b").Fields(fields...)
		k.bolt("z", transactional).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", ordered, k.from("a", 2))
		c := k.process("c", orderedKeyed, b.global())
		k.to("z", transactional, c)
	}},
	{Name: "secret", About: "an undetermined bolt that is not declared so: refusal is right", secret: true, planted: true, build: func(k *kit) {
		k.spout("a")
		k.bolt("b", lucky).Global("a").Fields(fields...)
		k.bolt("c", ordered).Parallel(2).Shuffle("b").Fields(fields...)
		k.bolt("z", sink).Global("c")
	}, typed: func(k *typed) {
		b := k.process("b", lucky, k.from("a", 1))
		c := k.process("c", ordered, b).tasks(2)
		k.to("z", sink, c.global())
	}},
	{Name: "chained_state", About: "typed: states of one name in each of several steps, and timers", typed: func(k *typed) {
		b := k.process("b", orderedKeyed, k.from("a", 2).by(byShort)).tasks(2)
		c := k.process("c", counting, b)
		d := k.process("d", every(4*time.Millisecond), c)
		e := k.process("e", orderedKeyed, d, b)
		k.to("y", transactional, c)
		k.to("z", transactional, e)
	}},
	{Name: "aggregates", About: "typed: results by key, on an interval and at the end", typed: func(k *typed) {
		a := k.from("a", 2)
		b := k.aggregate("b", 2, 5*time.Millisecond, a)
		c := k.aggregate("c", 2, 0, a)
		d := k.aggregate("d", 1, 5*time.Millisecond, b)
		k.to("y", transactional, c)
		k.to("z", sink, d)
	}},
	{Name: "inner_diamond", About: "typed: an output that several steps read, merged again, within one operator", copies: 3, typed: func(k *typed) {
		a := k.from("a", 1)
		b := k.process("b", ordered, a)
		c := k.process("c", ordered, b)
		d := k.process("d", stamping, k.merge(b, c), b)
		k.to("z", sink, d)
	}},
	{Name: "drops", About: "typed: values dropped by steps and by a sink, with retries and without", typed: func(k *typed) {
		b := k.try("b", k.from("a", 2)).drop()
		c := k.process("c", ordered, b.global())
		d := k.try("d", c).retry(2, 2*time.Millisecond).drop()
		e := k.process("e", orderedKeyed, d)
		k.to("z", transactional, e).retry(1, 0).drop()
	}},
	{Name: "dead_steps", About: "typed: dead letters of steps and of sinks", typed: func(k *typed) {
		b := k.try("b", k.from("a", 2)).retry(1, time.Millisecond)
		c := k.process("c", stamping, b).tasks(2)
		d := k.process("d", burst, c.by(byRoot))
		y := k.to("x", sink, c)
		k.to("z", transactional, d.global())
		k.morgue("y", b.dead(), d.dead(), y.dead())
	}},
	{Name: "source_steps", About: "typed: steps that fail, fused with sources", copies: 1, typed: func(k *typed) {
		f := k.from("a", 2)
		for _, p := range []*pass{mapping, tryingFlat, tryingFlat, trying} {
			f = f.pass(p)
		}
		b := k.process("b", ordered, f.by(byRoot)).tasks(2)
		k.to("z", transactional, b)
	}},
	{Name: "retried", About: "typed: a step that is tried again after one with state", typed: func(k *typed) {
		b := k.process("b", orderedKeyed, k.from("a", 1))
		c := k.try("c", b).retry(3, time.Millisecond).drop()
		k.to("z", sink, c)
	}},
}

// morgue takes dead letters: their fields are others than those of all other tuples.
var morgue = &logic{tuple: func(*fold, input, output) {}}

// rowShapes is how many shapes can be of rows.
var rowShapes = slices.IndexFunc(Shapes, func(s Shape) bool { return s.build == nil })

// every is a logic that is ticked on an interval.
func every(interval time.Duration) *logic {
	l := *ticking
	l.every = interval
	return &l
}

// ShapeNamed returns the shape of that name.
func ShapeNamed(name string) (*Shape, error) {
	for i := range Shapes {
		if Shapes[i].Name == name {
			return &Shapes[i], nil
		}
	}
	return nil, fmt.Errorf("sim: there is no shape %q", name)
}
