package bench

import (
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A world is what is around one core: it drops what the core sends, and its log is durable at once.
type world struct {
	core     *task.Core
	appended bool
}

func (w *world) Send(channel.Kind, msgid.Alias, []byte) {}

func (w *world) Append(int, []byte)        { w.appended = true }
func (w *world) Store(int, [][]byte, bool) {}

// work runs the core until it has nothing to do.
func (w *world) work() {
	for w.core.Work() || w.appended {
		if w.appended {
			w.appended = false
			w.core.Answered(task.Answer{Kind: task.RecordAppended})
		}
	}
}

// newCore starts one task of a word count, with a window that never closes.
func newCore(b *testing.B, by strategy.Strategy, t topology.Topology, alias string) (*task.Core, *topology.Plan, *world) {
	b.Helper()
	s, err := strategies.Of(by)
	if err != nil {
		b.Fatal(err)
	}
	plan, err := t.Builder().BuildWith(s.Extension, s.Described())
	if err != nil {
		b.Fatal(err)
	}
	a, err := msgid.ParseAlias(alias)
	if err != nil {
		b.Fatal(err)
	}
	w := &world{}
	w.core, err = task.NewCore(b.Context(), task.Config{
		Plan: plan, Task: plan.Task(a), Strategy: s.New,
		Settings: recovery.Config{Window: 1 << 40, SoftBound: 1 << 40, HardBound: 1 << 40, SnapshotEvery: 1 << 40},
	}, &checkpoint.History{Incarnation: 1}, w)
	if err != nil {
		b.Fatal(err)
	}
	w.core.Start()
	for _, ch := range plan.Task(a).Out { // every target listens
		hello := channel.Signal{Kind: channel.Hello, Plan: plan.Version, Channel: ch.Number, Incarnation: 1}
		w.core.Receive(channel.Message{Kind: channel.Control, From: ch.Target.Alias, Payload: hello.AppendBinary(nil)})
	}
	return w.core, plan, w
}

// BenchmarkCore measures what one task costs per word, without goroutines and without NATS: split takes frames of
// lines and seals frames of words, count takes frames of words.
func BenchmarkCore(b *testing.B) {
	in, err := text()
	if err != nil {
		b.Fatal(err)
	}
	none := func([]byte, int64) {}
	rows := func() topology.Topology { return WordCount(in.Source(1), 2, topology.Optimistic, none) }
	typed := func() topology.Topology { return TypedWordCount(in.Lines(1), 2, false, none) }
	const most = 1000 // frames of lines
	for _, c := range []struct {
		name string
		make func() topology.Topology
	}{{"split", rows}, {"split-typed", typed}} {
		b.Run(c.name, func(b *testing.B) {
			run(b, strategy.Backtrack, c.make(), "split.0", "lines.0", func(row func([]byte)) (n int) {
				for i := range in.Len() {
					line := in.Line(i)
					row(line)
					for range words.Of(line) {
						n++
					}
					if n > most*2000 {
						break
					}
				}
				return n
			})
		})
	}
	for _, c := range []struct {
		name string
		by   strategy.Strategy
		make func() topology.Topology
	}{{"count", strategy.Backtrack, rows}, {"count-typed", strategy.Backtrack, typed}, {"count-acker", strategy.Acker, rows}} {
		b.Run(c.name, func(b *testing.B) {
			run(b, c.by, c.make(), "count.0", "split.0", func(row func([]byte)) (n int) {
				for i := range in.Len() {
					line := in.Line(i)
					for w := range words.Of(line) {
						row(w)
						n++
					}
					if n > most*2000 {
						break
					}
				}
				return n
			})
		})
	}
}

// run feeds a core with frames of the rows that fill gives, which returns how many words they hold.
func run(b *testing.B, by strategy.Strategy, t topology.Topology, alias, from string, fill func(row func([]byte)) int) {
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		b.StopTimer()
		core, plan, w := newCore(b, by, t, alias)
		var ch *topology.Channel
		for _, c := range plan.Channels {
			if c.Source.Alias.String() == from && c.Target.Alias.String() == alias {
				ch = c
			}
		}
		var frames [][]byte
		build := channel.NewBuilder(plan.Version, ch.Number, 1, 1, 0, 16<<10)
		root, scratch := uint64(1<<50), []byte(nil)
		row := tuple.NewRow(ch.Edge.Stream.Fields, taken(func(r *tuple.Row) error {
			if !build.Fits(len(r.Encoded()) + tuple.RootSize) {
				frames = append(frames, build.Seal().Raw)
			}
			if by == strategy.Acker { // each is the root of a tree
				root++
				scratch = tuple.AppendRoot(scratch[:0], root)
				build.Append(scratch)
			}
			build.Append(r.Encoded())
			return nil
		}))
		n = fill(func(v []byte) { _ = row.Begin().Bytes(v).Emit() })
		b.StartTimer()
		for _, raw := range frames {
			core.Receive(channel.Message{Kind: channel.Data, From: ch.Source.Alias, Payload: raw})
			w.work()
		}
		b.StopTimer()
		if core.Err() != nil || w.core.Status().Counters.Consumed == 0 {
			b.Fatal("the core did not work: ", core.Err())
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/word")
}

type taken func(r *tuple.Row) error

func (t taken) Take(r *tuple.Row) error { return t(r) }
