package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// twoHops is two generators, two tasks that pass tuples on, and a sink: two hops, the first of which merges its
// inputs, so that its frames wait for the log.
func twoHops(n int64, perSecond float64) *topology.Builder {
	b := topology.New("relay")
	b.Spout("gen", spout.Generate(n, func(i int64, out spout.Emitter) error {
		return out.Row().Int(i).Emit()
	}).Rate(perSecond)).Parallel(2).Fields("n")
	b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(0)).Emit()
	})).Parallel(2).Shuffle("gen").Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("pass")
	return b
}

// BenchmarkLatency measures how long a tuple takes through two hops at a tenth of full load. One iteration is one
// second at that load.
func BenchmarkLatency(b *testing.B) {
	const most = 2_000_000
	r, err := askback.Run(b.Context(), twoHops(most, 0))
	if err != nil {
		b.Fatal(err)
	}
	full := most / r.Elapsed.Seconds()
	rate := full / 10
	var mu sync.Mutex
	h := hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
	_, err = askback.Run(b.Context(), twoHops(int64(rate)*int64(b.N), rate), askback.OnLatency(func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		if err := h.RecordValue(max(1, d.Microseconds())); err != nil {
			b.Error(err)
		}
	}))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(full, "full-tuples/s")
	b.ReportMetric(rate, "tuples/s")
	b.ReportMetric(float64(h.ValueAtQuantile(50)), "p50-µs")
	b.ReportMetric(float64(h.ValueAtQuantile(99)), "p99-µs")
	b.ReportMetric(float64(h.ValueAtQuantile(99.9)), "p99.9-µs")
}

// BenchmarkRecovery kills 100 tasks of a running word count and measures how long each takes until it has caught
// up, from the moment it was killed: at full load, and at a tenth of it.
func BenchmarkRecovery(b *testing.B) {
	in, err := text()
	if err != nil {
		b.Fatal(err)
	}
	const kills = 100
	for _, load := range []struct {
		name   string
		passes int
		lines  float64 // per second; 0: as many as possible
	}{{"full", 8, 0}, {"tenth", 1, 150_000}} {
		b.Run(load.name, func(b *testing.B) {
			took := hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
			var missed, replayed uint64
			for n := range b.N {
				source := in.Source(load.passes)
				if load.lines > 0 {
					source = in.Paced(load.passes, load.lines)
				}
				topo := WordCount(source, parallel, topology.Optimistic, func([]byte, int64) {})
				var mu sync.Mutex
				_, err := askback.Run(b.Context(), topo, faults.Kill(kills, uint64(n)+1), askback.OnRecovery(func(r askback.Recovery) {
					mu.Lock()
					defer mu.Unlock()
					missed += r.Missed
					replayed += r.Replayed
					if err := took.RecordValue(max(1, r.Took.Microseconds())); err != nil {
						b.Error(err)
					}
				}))
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(took.TotalCount())/float64(b.N), "recoveries")
			b.ReportMetric(float64(took.ValueAtQuantile(50))/1000, "p50-ms")
			b.ReportMetric(float64(took.ValueAtQuantile(99))/1000, "p99-ms")
			b.ReportMetric(float64(replayed)/float64(max(1, missed)), "replayed/missed")
		})
	}
}
