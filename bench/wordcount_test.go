package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// text is what the benchmarks count, read once.
var text = sync.OnceValues(func() (*Text, error) { return GoSource(0) })

const parallel = 2

// BenchmarkWordCount counts the words of Go's own source tree. One iteration is one pass; words/s is what counts.
func BenchmarkWordCount(b *testing.B) {
	in, err := text()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("limit", func(b *testing.B) {
		began := time.Now()
		n := limit(b, in, b.N, parallel)
		perSecond(b, in, n, time.Since(began))
	})
	strategies := []struct {
		name    string
		mode    topology.Pessimism
		options []askback.Option
	}{
		{"none", topology.Optimistic, []askback.Option{askback.WithStrategy(strategy.None)}},
		{"backtrack", topology.Optimistic, nil},
		{"backtrack-pessimistic", topology.PerFrame, nil},
		{"backtrack-power", topology.Optimistic, []askback.Option{askback.WithDurability(askback.Power)}},
	}
	for _, s := range strategies {
		b.Run(s.name, func(b *testing.B) {
			var n int64
			topo := WordCount(in.Source(b.N), parallel, s.mode, func(_ []byte, k int64) { n += k })
			r, err := askback.Run(b.Context(), topo, s.options...)
			if err != nil {
				b.Fatal(err)
			}
			perSecond(b, in, n, r.Elapsed)
		})
	}
}

func perSecond(b *testing.B, in *Text, n int64, took time.Duration) {
	if n != in.Words*int64(b.N) {
		b.Fatalf("counted %d words, there are %d", n, in.Words*int64(b.N))
	}
	b.ReportMetric(float64(n)/took.Seconds(), "words/s")
	b.SetBytes(in.Bytes)
}

// BenchmarkTyped counts the same words by package stream and in rows, with and without fusion. Written in rows, "fused" and
// "through" have the same graph as typed and fused: source and split are one task, by hand and by spout.Through, and count has as
// many as elsewhere.
func BenchmarkTyped(b *testing.B) {
	in, err := text()
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func(passes int, found func([]byte, int64)) topology.Topology
	}{
		{"rows", func(n int, found func([]byte, int64)) topology.Topology {
			return WordCount(in.Source(n), parallel, topology.Optimistic, found)
		}},
		{"typed", func(n int, found func([]byte, int64)) topology.Topology {
			return TypedWordCount(in.Lines(n), parallel, false, found)
		}},
		{"rows-fused", func(n int, found func([]byte, int64)) topology.Topology {
			return FusedWordCount(in, n, parallel, found)
		}},
		{"rows-through", func(n int, found func([]byte, int64)) topology.Topology {
			return ThroughWordCount(in, n, parallel, found)
		}},
		{"typed-fused", func(n int, found func([]byte, int64)) topology.Topology {
			return TypedWordCount(in.Lines(n), parallel, true, found)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var n int64
			r, err := askback.Run(b.Context(), c.make(b.N, func(_ []byte, k int64) { n += k }))
			if err != nil {
				b.Fatal(err)
			}
			perSecond(b, in, n, r.Elapsed)
		})
	}
}
