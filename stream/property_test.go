package stream_test

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/strategy"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
)

// A Num is a value with a key.
type Num struct {
	Key string
	N   int64
}

type (
	pipe  = stream.Stream[Num]
	count = stream.Entry[string, int64]
	sum   = stream.Entry[string, Num]
)

// A stage is one step of a random pipeline, and the same as a plain function over a slice. Where values come in no fixed
// order, stages from then on do not depend on it.
type stage struct {
	text  string
	step  func(s pipe, name string) pipe
	plain func([]Num) []Num
}

// stages draws the stages of a pipeline.
func stages(r *rand.Rand) (all []stage) {
	for range 1 + r.IntN(6) {
		k := int64(1 + r.IntN(5))
		kinds := []func(int64) stage{mapping, updating, trying, filtering, splitting, counting, reducing, processing, crossing, merging}
		s := kinds[r.IntN(len(kinds))](k)
		switch r.IntN(6) {
		case 0:
			s = with(s, "Isolate", func(p pipe) pipe { return p.Isolate() })
		case 1:
			s = with(s, "Parallel", func(p pipe) pipe { return p.Parallel(1 + int(k)%3) })
		case 2:
			s = rebalanced(s)
		}
		all = append(all, s)
	}
	return all
}

func with(s stage, text string, f func(pipe) pipe) stage {
	return stage{s.text + "." + text, func(p pipe, name string) pipe { return f(s.step(p, name)) }, s.plain}
}

// rebalanced deals the values out behind a stage.
func rebalanced(s stage) stage {
	return stage{s.text + ".Rebalance", func(p pipe, name string) pipe {
		return stream.Map(s.step(p, name).Rebalance(), name+"-dealt", same)
	}, s.plain}
}

func each(f func(Num) []Num) func([]Num) []Num {
	return func(in []Num) (out []Num) {
		for _, v := range in {
			out = append(out, f(v)...)
		}
		return out
	}
}

func key(v Num) string { return v.Key }

func mapping(k int64) stage {
	f := func(v Num) Num { return Num{v.Key, v.N*3 + k} }
	return stage{fmt.Sprintf("Map(%d)", k), func(s pipe, name string) pipe { return stream.Map(s, name, f) },
		each(func(v Num) []Num { return []Num{f(v)} })}
}

func updating(k int64) stage {
	f := func(v *Num) { v.Key = string(rune('a' + (v.N+k)%7)) }
	return stage{fmt.Sprintf("Update(%d)", k), func(s pipe, name string) pipe { return stream.Update(s, name, f) },
		each(func(v Num) []Num { f(&v); return []Num{v} })}
}

// trying fails for some values, which it drops.
func trying(k int64) stage {
	bad := func(v Num) bool { return (v.N+k)%6 == 0 }
	return stage{fmt.Sprintf("TryMap(%d).Drop", k), func(s pipe, name string) pipe {
		return stream.TryMap(s, name, func(_ context.Context, v Num) (Num, error) {
			if bad(v) {
				return v, fmt.Errorf("%d is bad", v.N)
			}
			return v, nil
		}).Drop().Retry(1, time.Second)
	}, each(func(v Num) []Num {
		if bad(v) {
			return nil
		}
		return []Num{v}
	})}
}

func filtering(k int64) stage {
	keep := func(v Num) bool { return (v.N+k)%4 != 0 }
	return stage{fmt.Sprintf("Filter(%d)", k), func(s pipe, name string) pipe { return stream.Filter(s, name, keep) },
		each(func(v Num) []Num {
			if keep(v) {
				return []Num{v}
			}
			return nil
		})}
}

func splitting(k int64) stage {
	f := func(v Num, out func(Num)) {
		for i := range (v.N + k) % 3 {
			out(Num{v.Key, v.N + i})
		}
	}
	return stage{fmt.Sprintf("FlatMap(%d)", k), func(s pipe, name string) pipe { return stream.FlatMap(s, name, f) },
		each(func(v Num) (all []Num) {
			f(v, func(n Num) { all = append(all, n) })
			return all
		})}
}

func counting(k int64) stage {
	tasks := 1 + int(k)%3
	return stage{fmt.Sprintf("Count×%d", tasks), func(s pipe, name string) pipe {
		counts := stream.KeyBy(s, key).Count(name).Parallel(tasks)
		return stream.Map(counts, name+"-num", func(e count) Num { return Num{e.Key, e.Value} })
	}, folded(func(sum, _ int64) int64 { return sum + 1 })}
}

func reducing(k int64) stage {
	tasks := 1 + int(k)%3
	return stage{fmt.Sprintf("Reduce×%d", tasks), func(s pipe, name string) pipe {
		sums := stream.Reduce(stream.KeyBy(s, key), name, func(sum, v Num) Num { return Num{v.Key, sum.N + v.N} }).Parallel(tasks)
		return stream.Map(sums, name+"-num", func(e sum) Num { return e.Value })
	}, folded(func(sum, n int64) int64 { return sum + n })}
}

// folded folds the numbers of each key, beginning with 0.
func folded(f func(sum, n int64) int64) func([]Num) []Num {
	return func(in []Num) (out []Num) {
		sums := map[string]int64{}
		for _, v := range in {
			sums[v.Key] = f(sums[v.Key], v.N)
		}
		for k, n := range sums {
			out = append(out, Num{k, n})
		}
		return out
	}
}

// A Largest emits the values that it receives, and at the end the largest number of each key and, on the side, how many
// values there were.
type Largest struct{ seen *stream.State[string, Seen] }

type Seen struct{ Max, Values int64 }

var seen = stream.NewTag[Num]("seen")

func (l *Largest) Open(c *stream.Context) (err error) {
	l.seen, err = stream.OpenState[string, Seen](c, "seen")
	return err
}

func (l *Largest) Num(_ *stream.Context, v Num, out func(Num)) error {
	s := l.seen.At(v.Key)
	if s.Values++; s.Values == 1 || v.N > s.Max {
		s.Max = v.N
	}
	out(v)
	return nil
}

func (l *Largest) End(c *stream.Context, out func(Num)) error {
	for k, s := range l.seen.All() {
		out(Num{k, s.Max})
		seen.Emit(c, Num{k, s.Values})
	}
	return nil
}

func processing(k int64) stage {
	tasks := 1 + int(k)%2
	return stage{fmt.Sprintf("Process×%d", tasks), func(s pipe, name string) pipe {
		main := stream.Process(name, func() *Largest { return new(Largest) },
			stream.OnKeyed(stream.KeyBy(s, key), (*Largest).Num), stream.OnEnd((*Largest).End)).Parallel(tasks)
		return stream.Map(stream.Merge(main, stream.Side(main, seen)), name+"-both", same)
	}, func(in []Num) []Num {
		values, largest := map[string]int64{}, map[string]int64{}
		for _, v := range in {
			if values[v.Key]++; values[v.Key] == 1 || v.N > largest[v.Key] {
				largest[v.Key] = v.N
			}
		}
		out := slices.Clone(in)
		for k, n := range values {
			out = append(out, Num{k, largest[k]}, Num{k, n})
		}
		return out
	}}
}

// A Crossed counts the values of each key and, by another key of the same stream, those of each remainder.
type Crossed struct{ keys, remainders *stream.State[string, int64] }

func (x *Crossed) Open(c *stream.Context) (err error) {
	if x.keys, err = stream.OpenState[string, int64](c, "keys"); err == nil {
		x.remainders, err = stream.OpenState[string, int64](c, "remainders")
	}
	return err
}

func (x *Crossed) Key(_ *stream.Context, v Num, _ func(Num)) error { *x.keys.At(v.Key)++; return nil }

func (x *Crossed) Remainder(_ *stream.Context, v Num, _ func(Num)) error {
	*x.remainders.At(remainder(v))++
	return nil
}

func (x *Crossed) End(_ *stream.Context, out func(Num)) error {
	for _, counts := range []*stream.State[string, int64]{x.keys, x.remainders} {
		for k, n := range counts.All() {
			out(Num{k, n})
		}
	}
	return nil
}

func remainder(v Num) string { return fmt.Sprint("remainder ", v.N%3) }

// crossing has one step read a stream by two keys.
func crossing(k int64) stage {
	tasks := 1 + int(k)%3
	return stage{fmt.Sprintf("Process by two keys×%d", tasks), func(s pipe, name string) pipe {
		return stream.Process(name, func() *Crossed { return new(Crossed) }, stream.OnKeyed(stream.KeyBy(s, key), (*Crossed).Key),
			stream.OnKeyed(stream.KeyBy(s, remainder), (*Crossed).Remainder), stream.OnEnd((*Crossed).End)).Parallel(tasks)
	}, func(in []Num) (out []Num) {
		for _, by := range []func(Num) string{key, remainder} {
			counts := map[string]int64{}
			for _, v := range in {
				counts[by(v)]++
			}
			for k, n := range counts {
				out = append(out, Num{k, n})
			}
		}
		return out
	}}
}

// merging reads a stream in two ways.
func merging(k int64) stage {
	one, two := mapping(k), filtering(k)
	return stage{fmt.Sprintf("Merge(%s, %s)", one.text, two.text), func(s pipe, name string) pipe {
		return stream.Map(stream.Merge(one.step(s, name+"-one"), two.step(s, name+"-two")), name, same)
	}, func(in []Num) []Num { return append(one.plain(in), two.plain(in)...) }}
}

// Random pipelines, with tasks killed at random points, emit the same values as the same functions over slices, each as
// often.
func TestRandomPipelines(t *testing.T) {
	seed, runs := uint64(time.Now().UnixNano()), 3000
	if testing.Short() {
		runs = 300
	}
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	for range runs {
		seed++
		if !runPipeline(t, seed) {
			return
		}
	}
}

// runPipeline reports whether the pipeline of a seed is right.
func runPipeline(t *testing.T, seed uint64) bool {
	r := rand.New(rand.NewPCG(seed, 0))
	h := streamtest.New(t, streamtest.WithStrategy([]strategy.Strategy{strategy.Backtrack, strategy.Barrier}[r.IntN(2)]))
	in := streamtest.In[Num](h, "in")
	s := in.Stream().Parallel(1 + r.IntN(2))
	var text []string
	pipeline := stages(r)
	for i, st := range pipeline {
		s = st.step(s, fmt.Sprintf("s%d", i))
		text = append(text, st.text)
	}
	out := streamtest.Out(h, "out", s)
	tasks := h.Tasks()
	var sent []Num
	for range r.IntN(4) {
		for range r.IntN(8) {
			sent = append(sent, Num{string(rune('a' + r.IntN(5))), r.Int64N(20)})
			in.Send(sent[len(sent)-1])
		}
		for range r.IntN(4) {
			h.KillAt(h.Steps()+r.IntN(60), tasks[r.IntN(len(tasks))])
		}
		if r.IntN(2) == 0 {
			h.Settle()
		}
		if r.IntN(8) == 0 {
			h.Restart()
		}
	}
	h.Finish()
	want := sent
	for _, st := range pipeline {
		want = st.plain(want)
	}
	got, want := sorted(out.Values()), sorted(want)
	if slices.Equal(got, want) {
		return true
	}
	t.Errorf("%s of %v\ngot  %v\nwant %v\n%s", strings.Join(text, " → "), sent, got, want, h.Plan())
	return false
}

func sorted(values []Num) []Num {
	return slices.SortedFunc(slices.Values(values), func(a, b Num) int { return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.N, b.N)) })
}
