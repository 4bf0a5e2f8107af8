package streamtest

import "testing"

// SetMaxSteps sets after how many steps a run is taken for one that never comes to rest, until the returned function is
// called.
func SetMaxSteps(n int) (restore func()) {
	was := maxSteps
	maxSteps = n
	return func() { maxSteps = was }
}

// CopyOf is copyOf.
func CopyOf[T any](v T) T { return copyOf(v) }

// Everywhere is KillEverywhere for a test that is expected to fail.
func Everywhere(t testing.TB, test func(t testing.TB, h *Harness)) { everywhere(t, test, nil) }
