// Package retry repeats operations that fail for a while, with pauses that double.
//
// Do repeats one operation. A Backoff is only its pauses, for loops that do more than repeat. The pauses have no random
// part: the callers of one service here are a handful, and begin at different times.
package retry

import (
	"context"
	"time"
)

// A Policy decides when Do tries again. The zero value tries again at once, and for ever.
type Policy struct {
	// Min is the pause after the first failure. Each pause is twice the one before, up to Max.
	Min, Max time.Duration

	// For, unless it is 0, is how long after its start Do still makes attempts.
	For time.Duration

	// Again reports whether another attempt may succeed after an error. Nil: after any.
	Again func(error) bool

	// Failed is called with each error that another attempt follows, before the pause. It may be nil.
	Failed func(error)
}

// Do calls f until it succeeds, its error is permanent, the time is up, or ctx has ended. It returns the last error of f,
// which is called at least once.
func Do(ctx context.Context, p Policy, f func() error) error {
	began, pauses := time.Now(), Backoff{Min: p.Min, Max: p.Max}
	for {
		err := f()
		switch {
		case err == nil, ctx.Err() != nil, p.Again != nil && !p.Again(err), p.For > 0 && time.Since(began) >= p.For:
			return err
		}
		if p.Failed != nil {
			p.Failed(err)
		}
		if pauses.Wait(ctx) != nil {
			return err
		}
	}
}

// A Backoff makes pauses, of which each is twice the one before. It belongs to one goroutine.
type Backoff struct {
	Min, Max time.Duration // the first pause, and the longest

	next time.Duration
}

// Next returns the length of the next pause.
func (b *Backoff) Next() time.Duration { return max(b.next, b.Min) }

// Wait makes the next pause. It returns ctx's error if ctx ends before.
func (b *Backoff) Wait(ctx context.Context) error {
	pause := b.Next()
	b.next = min(2*pause, b.Max)
	return Sleep(ctx, pause)
}

// Reset makes the next pause the first one again.
func (b *Backoff) Reset() { b.next = 0 }

// Sleep waits, or returns ctx's error if ctx ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
