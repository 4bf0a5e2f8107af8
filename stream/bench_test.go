package stream

import (
	"context"
	"fmt"
	"testing"
)

// A record is a value of 64 bytes.
type record struct{ A, B, C, D, E, F, G, H int64 }

type records struct{}

func (records) New() Reader[record] { return &endless{} }

type endless struct{ n int64 }

func (e *endless) Next(_ context.Context, out func(record)) error {
	for range 64 {
		e.n++
		out(record{A: e.n, H: e.n})
	}
	return nil
}

func (e *endless) Position(dst []byte) []byte { return dst }
func (e *endless) Seek([]byte) error          { return nil }

// BenchmarkMap measures steps that are fused with their source: the difference of two lengths is the cost of a Map.
func BenchmarkMap(b *testing.B) {
	benchmarkSteps(b, func(in Stream[record], name string) Stream[record] {
		return Map(in, name, func(r record) record {
			r.B += r.A
			return r
		})
	})
}

// BenchmarkMapNew is BenchmarkMap with a function that builds its result.
func BenchmarkMapNew(b *testing.B) {
	benchmarkSteps(b, func(in Stream[record], name string) Stream[record] {
		return Map(in, name, func(r record) record {
			return record{r.A, r.B + r.A, r.C, r.D, r.E, r.F, r.G, r.H}
		})
	})
}

// BenchmarkUpdate is BenchmarkMap in place.
func BenchmarkUpdate(b *testing.B) {
	benchmarkSteps(b, func(in Stream[record], name string) Stream[record] {
		return Update(in, name, func(r *record) { r.B += r.A })
	})
}

func benchmarkSteps(b *testing.B, step func(in Stream[record], name string) Stream[record]) {
	for _, steps := range []int{1, 2, 10, 20} {
		b.Run(fmt.Sprintf("steps=%d", steps), func(b *testing.B) {
			t := New("steps")
			s := From(t, "records", records{})
			for i := range steps {
				s = step(s, fmt.Sprintf("step%d", i))
			}
			var sum int64
			Filter(s, "none", func(r record) bool { sum += r.B; return false })
			c := compiled(b, t)
			r := newReader(c)
			b.ReportAllocs()
			for n := 0; n < b.N; n += 64 {
				if err := r.Next(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			if sum == 0 {
				b.Fatal("the last step received no value")
			}
		})
	}
}

// compiled returns the operator of a topology that has one.
func compiled(b *testing.B, t *Topology) *operator {
	b.Helper()
	c := &compiler{t: t, of: make(map[*node]*operator)}
	for _, n := range t.nodes {
		c.place(n)
	}
	for _, n := range t.nodes {
		c.connect(n)
	}
	if len(c.operators) != 1 || len(t.problems)+len(c.problems) > 0 {
		b.Fatalf("%d operators, %v %v", len(c.operators), t.problems, c.problems)
	}
	return c.operators[0]
}
