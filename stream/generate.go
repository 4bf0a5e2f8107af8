package stream

import (
	"context"
	"io"
	"slices"

	"github.com/askback/askback/spout"
)

// A Generator is a source that computes its values. Make one with Generate or Slice, and do not change it once a topology
// runs.
type Generator[T any] struct {
	n     int64
	none  bool // n is 0, and means no values
	rate  float64
	value func(i int64) T
}

// Generate returns a source of the values f(0), f(1) … f(n-1), without end if n is 0. Task j of k emits those for
// j, j+k, j+2k …
//
// The value must follow from i alone: f takes neither time nor chance from the machine; a random number is seeded with i.
// Several goroutines call f at once.
func Generate[T any](n int64, f func(i int64) T) *Generator[T] { return &Generator[T]{n: n, value: f} }

// Slice returns a source of these values, which its tasks share as with Generate. A restored process must give the same
// values.
func Slice[T any](values ...T) *Generator[T] {
	values = slices.Clone(values)
	return &Generator[T]{n: int64(len(values)), none: len(values) == 0, value: func(i int64) T { return values[i] }}
}

// Rate emits values at a steady rate, which all tasks share evenly; 0, the default, is without limit. After a pause the
// source catches up.
func (g *Generator[T]) Rate(perSecond float64) *Generator[T] {
	g.rate = perSecond
	return g
}

// New returns the reader of one task.
func (g *Generator[T]) New() Reader[T] {
	r := &generated[T]{}
	var f func(int64, spout.Emitter) error
	if g.value != nil {
		f = func(i int64, _ spout.Emitter) error {
			if g.none {
				return io.EOF
			}
			r.out(g.value(i))
			return nil
		}
	}
	r.generatedSpout = spout.Generate(g.n, f).Rate(g.rate).New().(generatedSpout)
	return r
}

// generatedSpout is the spout that package spout makes of a generator for one task.
type generatedSpout interface {
	spout.Spout
	spout.Opener
	spout.Progresser
	spout.Pacer
}

// generated is one task's part of a Generator: a spout that computes the numbers of the values.
type generated[T any] struct {
	generatedSpout
	out func(T)
}

// Next implements Reader.
func (g *generated[T]) Next(ctx context.Context, out func(T)) error {
	g.out = out
	return g.generatedSpout.Next(ctx, nil)
}
