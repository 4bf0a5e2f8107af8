package spout

import (
	"context"
	"io"

	"github.com/askback/askback/bolt"
)

// Gate returns a source with spouts that emit no tuple while shut returns true. Shut is called before each call of Next, on
// the task's goroutine, with the spout and the index of its task; so it must be quick.
func Gate(source Source, shut func(s Spout, task int) bool) Source {
	return Func(func() Spout { return &gated{Spout: source.New(), shut: shut} })
}

// gated is a spout behind a gate. It forwards the optional methods of a spout.
type gated struct {
	Spout
	shut func(s Spout, task int) bool
	task int
}

func (g *gated) Open(ctx bolt.Context) error {
	g.task = ctx.Task().Alias.Index
	if o, ok := g.Spout.(Opener); ok {
		return o.Open(ctx)
	}
	return nil
}

func (g *gated) Next(ctx context.Context, out Emitter) error {
	if g.shut(g.Spout, g.task) {
		return ErrIdle
	}
	return g.Spout.Next(ctx, out)
}

func (g *gated) Progress() (done, total int64) {
	if p, ok := g.Spout.(Progresser); ok {
		return p.Progress()
	}
	return 0, 0
}

func (g *gated) Ack(n uint64) {
	if a, ok := g.Spout.(Acker); ok {
		a.Ack(n)
	}
}

func (g *gated) Fail(n uint64) {
	if a, ok := g.Spout.(Acker); ok {
		a.Fail(n)
	}
}

func (g *gated) Hurry(on bool) {
	if p, ok := g.Spout.(Pacer); ok {
		p.Hurry(on)
	}
}

func (g *gated) Close() error {
	if c, ok := g.Spout.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
