package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/askback/askback/internal/retry"
)

var errAgain = errors.New("not yet")

// attempts returns an operation that fails n times, and the moments of its calls.
func attempts(n int) (f func(context.Context) error, at *[]time.Duration) {
	var moments []time.Duration
	began := time.Now()
	return func(context.Context) error {
		if moments = append(moments, time.Since(began)); len(moments) <= n {
			return errAgain
		}
		return nil
	}, &moments
}

// Pauses double up to the bound.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, at := attempts(5)
		var told []string
		err := retry.Do(t.Context(), retry.Policy{First: 10 * time.Millisecond, Max: 50 * time.Millisecond, OnRetry: func(err error, tries int) {
			told = append(told, fmt.Sprint(tries, err))
		}}, f)
		if got := fmt.Sprint(*at); err != nil || got != "[0s 10ms 30ms 70ms 120ms 170ms]" {
			t.Errorf("%v, called at %s", err, got)
		}
		if got := fmt.Sprint(told); got != "[1not yet 2not yet 3not yet 4not yet 5not yet]" {
			t.Errorf("OnRetry was called with %s", got)
		}
	})
}

// The random part of a pause depends on the seed alone.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func(seed uint64) string {
			f, at := attempts(6)
			if err := retry.Do(t.Context(), retry.Policy{First: time.Second, Max: time.Second, Jitter: 0.5, Seed: seed}, f); err != nil {
				t.Error(err)
			}
			for i := 1; i < len(*at); i++ {
				if pause := (*at)[i] - (*at)[i-1]; pause < 500*time.Millisecond || pause > time.Second {
					t.Errorf("a pause of %v", pause)
				}
			}
			return fmt.Sprint(*at)
		}
		if a, b, c := run(1), run(1), run(2); a != b || a == c {
			t.Errorf("seeds 1, 1 and 2 give %s, %s and %s", a, b, c)
		}
	})
}

func TestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, at := attempts(100)
		if err := retry.Do(t.Context(), retry.Policy{Tries: 3}, f); !errors.Is(err, errAgain) || len(*at) != 3 {
			t.Errorf("%v after %d calls", err, len(*at))
		}
		broken := errors.New("broken")
		calls := 0
		err := retry.Do(t.Context(), retry.Policy{}, func(context.Context) error {
			calls++
			return fmt.Errorf("connect: %w", retry.Permanent(broken))
		})
		if !errors.Is(err, broken) || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
		if retry.Permanent(nil) != nil {
			t.Error("Permanent(nil) is an error")
		}
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(why) })
		f, at = attempts(1000)
		if err := retry.Do(ctx, retry.Policy{}, f); !errors.Is(err, why) || !errors.Is(err, errAgain) {
			t.Errorf("%v after %d calls", err, len(*at))
		}
		f, at = attempts(0)
		if err := retry.Do(ctx, retry.Policy{}, f); !errors.Is(err, why) || len(*at) != 0 {
			t.Errorf("%v after %d calls with a context that has ended", err, len(*at))
		}
	})
}
