// Package must ends tests at errors that they do not expect.
package must

// A T is a test, a benchmark, a fuzz target, or a *rapid.T.
type T interface {
	Helper()
	Fatal(args ...any)
}

// Do ends the test if err is an error.
func Do(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Get returns v, and panics if err is an error. It is for calls within an expression, whose failure is a fault of the test.
func Get[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
