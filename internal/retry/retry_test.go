package retry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/askback/askback/internal/retry"
)

var errBusy, errGone = errors.New("busy"), errors.New("gone")

// Attempts come after pauses that double up to the longest, and end with the first success.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var at []time.Duration
		failed := 0
		err := retry.Do(t.Context(), retry.Policy{Min: 10 * time.Millisecond, Max: 40 * time.Millisecond, Failed: func(error) { failed++ }}, func() error {
			if at = append(at, time.Since(began)/time.Millisecond); len(at) < 6 {
				return errBusy
			}
			return nil
		})
		if want := []time.Duration{0, 10, 30, 70, 110, 150}; err != nil || failed != 5 || !slices.Equal(at, want) {
			t.Errorf("attempts at %d ms, want %d; %d reported, error %v", at, want, failed, err)
		}
	})
}

// A permanent error, the end of the time and the end of the context each return the last error.
func TestEnds(t *testing.T) {
	for name, c := range map[string]struct {
		policy   retry.Policy
		cancel   time.Duration
		attempts int
		want     error
	}{
		"permanent": {retry.Policy{Again: func(err error) bool { return errors.Is(err, errBusy) }}, time.Hour, 3, errGone},
		"time":      {retry.Policy{Min: time.Second, Max: time.Second, For: 1500 * time.Millisecond}, time.Hour, 3, errGone},
		"context":   {retry.Policy{Min: time.Second, Max: time.Second}, 500 * time.Millisecond, 1, errBusy},
		"before":    {retry.Policy{}, 0, 1, errBusy},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.cancel)
				defer cancel()
				attempts := 0
				err := retry.Do(ctx, c.policy, func() error {
					if attempts++; attempts < 3 {
						return fmt.Errorf("attempt %d: %w", attempts, errBusy)
					}
					return errGone
				})
				if attempts != c.attempts || !errors.Is(err, c.want) {
					t.Errorf("error %v after %d attempts, want %v after %d", err, attempts, c.want, c.attempts)
				}
			})
		})
	}
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := retry.Backoff{Min: time.Second, Max: time.Minute}
		began := time.Now()
		for range 3 {
			_ = b.Wait(t.Context())
		}
		b.Reset()
		_ = b.Wait(t.Context())
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("pauses of %v together, want 1 + 2 + 4 + 1 s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
	})
}

func ExampleDo() {
	policy := retry.Policy{Min: time.Millisecond, Max: time.Second, Failed: func(err error) { fmt.Println("not yet:", err) }}
	tries := 0
	err := retry.Do(context.Background(), policy, func() error {
		if tries++; tries < 3 {
			return errBusy
		}
		return nil
	})
	fmt.Println(tries, err)
	// Output:
	// not yet: busy
	// not yet: busy
	// 3 <nil>
}
