// Package testkit holds the few helpers that tests of many packages need.
package testkit

import (
	"testing"
	"time"
)

// Must ends the test if err is not nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Get returns a function that returns the value of a call, and ends the test if the call has failed:
// testkit.Get[*os.File](t)(os.Open(name)).
func Get[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		Must(t, err)
		return v
	}
}

// timeout is how long Eventually waits. It bounds tests that hang, and is no expectation.
const timeout = 60 * time.Second

// Eventually waits until a condition holds, and ends the test if that takes a minute; details, if not nil, are printed then.
func Eventually(t testing.TB, what string, holds func() bool, details func() string) {
	t.Helper()
	for deadline := time.Now().Add(timeout); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			text := ""
			if details != nil {
				text = ": " + details()
			}
			t.Fatalf("not within %v: %s%s", timeout, what, text)
		}
	}
}
