package wordcheck

import (
	"context"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// paced is a source whose spouts emit so many tuples in a second, all together.
func paced(source spout.Source, rate float64) spout.Source {
	return spout.Func(func() spout.Spout { return &pace{Spout: source.New(), rate: rate} })
}

type pace struct {
	spout.Spout
	rate  float64
	begun time.Time
	out   counter
	hurry bool
}

func (p *pace) Open(ctx bolt.Context) error {
	p.rate /= float64(ctx.Task().Parallel)
	if o, ok := p.Spout.(spout.Opener); ok {
		return o.Open(ctx)
	}
	return nil
}

func (p *pace) Next(ctx context.Context, out spout.Emitter) error {
	if p.begun.IsZero() {
		p.begun = time.Now()
	}
	if !p.hurry && float64(p.out.n) > time.Since(p.begun).Seconds()*p.rate {
		return spout.ErrIdle
	}
	p.out.Emitter = out
	return p.Spout.Next(ctx, &p.out)
}

// Hurry implements spout.Pacer: tuples that were emitted before are emitted again at full speed.
func (p *pace) Hurry(on bool) {
	p.hurry, p.begun, p.out.n = on, time.Time{}, 0
}

func (p *pace) Progress() (done, total int64) {
	if s, ok := p.Spout.(spout.Progresser); ok {
		return s.Progress()
	}
	return 0, 0
}

func (p *pace) Close() error {
	if c, ok := p.Spout.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// counter counts the tuples that are begun.
type counter struct {
	spout.Emitter
	n int64
}

func (c *counter) Row() *tuple.Row {
	c.n++
	return c.Emitter.Row()
}
