// Package retry repeats an operation, with growing pauses, until it succeeds or there is no point in going on.
//
//	err := retry.Do(ctx, retry.Policy{First: 50 * time.Millisecond, Max: 2 * time.Second}, func(ctx context.Context) error {
//		nc, err = connect()
//		if errors.Is(err, errBadCredentials) {
//			return retry.Permanent(err)
//		}
//		return err
//	})
package retry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// A Policy says how an operation is repeated. The zero Policy repeats it until the context ends, with pauses of 50 ms that
// double up to 2 s.
type Policy struct {
	First time.Duration // pause after the first failure; default 50 ms. Each further pause is twice as long
	Max   time.Duration // longest pause; default 2 s
	Tries int           // number of attempts; 0: no bound
	// Jitter is the part of each pause, from 0 to 1, that is random. The default is none.
	Jitter float64
	Seed   uint64 // of the random part
	// OnRetry is called before each pause, with the error of the attempt and the number of attempts so far. It may be nil.
	OnRetry func(err error, tries int)
}

// A permanentError ends Do.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks an error after which Do does not try again; nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// Do calls f until it returns nil, or an error that Permanent has marked (Do returns the error without the mark), until all
// tries are used up (Do returns the last error), or until ctx ends (Do returns the context's cause and wraps the last error,
// if there is one). An ended context prevents the first call, too.
func Do(ctx context.Context, p Policy, f func(context.Context) error) error {
	pause, most := cmp.Or(p.First, 50*time.Millisecond), cmp.Or(p.Max, 2*time.Second)
	random := rand.New(rand.NewPCG(p.Seed, 0))
	var last error
	for tries := 1; ; tries++ {
		if ctx.Err() != nil {
			return ended(ctx, last)
		}
		last = f(ctx)
		var permanent *permanentError
		switch {
		case last == nil:
			return nil
		case errors.As(last, &permanent):
			if marked, ok := last.(*permanentError); ok {
				return marked.err
			}
			return last
		case tries == p.Tries:
			return last
		}
		if p.OnRetry != nil {
			p.OnRetry(last, tries)
		}
		timer := time.NewTimer(jittered(min(pause, most), p.Jitter, random))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ended(ctx, last)
		}
		pause = min(2*pause, most)
	}
}

func ended(ctx context.Context, last error) error {
	if last == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), last)
}

// jittered returns a pause of which the part jitter is random.
func jittered(pause time.Duration, jitter float64, random *rand.Rand) time.Duration {
	return time.Duration(float64(pause) * (1 - jitter*random.Float64()))
}
