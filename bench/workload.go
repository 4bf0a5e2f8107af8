package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A Workload is a topology to compare strategies on, with a paced source and a way to tell what was lost.
type Workload struct {
	Name  string
	About string
	Unit  string // of throughput, "words"
	Rate  string // of --rate, if it differs: "lines"

	build func(s *Spec, restores bool) (*job, error)
}

// A job is a workload made ready for one run.
type job struct {
	*meter
	topology *topology.Builder
	sink     string // the operator at which results arrive
	filters  bool   // few results arrive, so the source counts the throughput
	// check compares the results with those of a plain sequential program.
	check func(prior *Resume) (verdict, error)
}

// Workloads lists the workloads.
var Workloads = []*Workload{
	{Name: "relay", About: "constants with a number through a bolt that passes them on: Storm's ConstSpoutIdBoltNullBolt", Unit: "tuples", build: relay},
	{Name: "wordcount", About: "lines of Go's own source, again and again → words → a count of each", Unit: "words", Rate: "lines", build: wordcount},
	{Name: "keyed", About: "a count for each of a million keys, drawn from a Zipf distribution of exponent 1.1", Unit: "tuples", build: keyed},
	{Name: "fanout", About: "each tuple to one task and to all tasks, joined again by key", Unit: "joins", Rate: "tuples", build: fanout},
	{Name: "hops", About: "a chain of bolts that pass tuples on, as many as --hops says", Unit: "tuples", build: hops},
	{Name: "nexmark-q0", About: "Nexmark's bids passed on", Unit: "bids", build: nexmark(query0)},
	{Name: "nexmark-q1", About: "Nexmark's bids with the price in another currency", Unit: "bids", build: nexmark(query1)},
	{Name: "nexmark-q2", About: "Nexmark's bids on one auction of 123", Unit: "bids", build: nexmark(query2)},
}

// WorkloadNamed returns the workload of that name.
func WorkloadNamed(name string) (*Workload, error) {
	var names []string
	for _, w := range Workloads {
		if w.Name == name {
			return w, nil
		}
		names = append(names, w.Name)
	}
	return nil, fmt.Errorf("unknown workload %q: there are %s", name, strings.Join(names, ", "))
}

// RateUnit is what --rate counts.
func (w *Workload) RateUnit() string {
	if w.Rate != "" {
		return w.Rate
	}
	return w.Unit
}

// numbered begins a job whose results are numbered as the tuples of its sources are.
func numbered(s *Spec, restores bool, sources, sinks int) *job {
	j := &job{meter: newMeter(s, sources, sinks, restores), sink: "sink"}
	j.check = func(prior *Resume) (verdict, error) { return j.checkNumbers(prior, every) }
	return j
}

func every(int64) bool { return true }

// relay is one bolt between a source and a sink, as Storm's perf topology of constants.
func relay(s *Spec, restores bool) (*job, error) {
	constant := []byte("some data")
	return chain(s, restores, "relay", 1, []string{"str", "n"},
		func(n int64, out spout.Emitter) error { return out.Row().Bytes(constant).Int(n).Emit() },
		func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
			return out.Row().Bytes(t.Bytes(0)).Int(t.Int(1)).Emit()
		})
}

// hops is a chain of bolts.
func hops(s *Spec, restores bool) (*job, error) {
	if s.Hops < 1 || s.Hops > 16 {
		return nil, fmt.Errorf("bench: a chain of %d hops: want 1 to 16", s.Hops)
	}
	return chain(s, restores, "hops", s.Hops, []string{"n"},
		func(n int64, out spout.Emitter) error { return out.Row().Int(n).Emit() },
		func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Int(t.Int(0)).Emit() })
}

// chain is a source, a number of bolts that pass on what they get, and a sink. The number is the last field. A number
// goes to the same sink always: dealt out, it could come to another after a fault, and would seem new there.
func chain(s *Spec, restores bool, name string, length int, fields []string, emit func(int64, spout.Emitter) error, pass func(context.Context, tuple.Tuple, bolt.Emitter) error) (*job, error) {
	j := numbered(s, restores, s.Parallel, s.Parallel)
	b := topology.New(name)
	b.Spout("source", j.feed(emit)).Parallel(s.Parallel).Fields(fields...)
	from := "source"
	for i := range length {
		to := fmt.Sprintf("hop%d", i+1)
		s.middle(b.Bolt(to, bolt.Func(pass))).Shuffle(from).Fields(fields...)
		from = to
	}
	b.Bolt("sink", j.take(len(fields)-1)).Parallel(s.Parallel).GroupBy(from, fields[len(fields)-1])
	j.topology = b
	return j, nil
}

// middle declares a bolt between source and sink.
func (s *Spec) middle(n *topology.Node) *topology.Node {
	if n.Parallel(s.Parallel); s.mode != topology.Optimistic {
		n.Nondeterministic(s.mode)
	}
	return n
}

// take returns the factory of a sink that finds the number in a field.
func (m *meter) take(field int) func() bolt.Bolt {
	return func() bolt.Bolt { return &taker{sink: sink{m: m}, field: field} }
}

// A taker is a sink that does nothing with what it takes.
type taker struct {
	sink
	field int
}

func (k *taker) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	k.arrive(t.Int(k.field))
	return nil
}

// A sink reports each arrival to the meter. Its counts are its state.
type sink struct {
	m *meter
	*arrivals
}

func (k *sink) Prepare(ctx bolt.Context) error {
	k.arrivals = k.m.sinks[ctx.Task().Alias.Index]
	k.begin()
	return nil
}

func (k *sink) Snapshot() ([]byte, error) { return k.snapshot(), nil }
func (k *sink) Restore(data []byte) error { return k.restore(data) }
func (k *sink) Finish(_ context.Context, _ bolt.Emitter) error {
	k.finish()
	return nil
}
