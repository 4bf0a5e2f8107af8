package askback_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Programs with a bug end with an error that names it, acknowledge nothing for the tuple, and go on to the right result
// from the log when they are repaired.
func TestRepaired(t *testing.T) {
	const n, bad = 3000, 1000
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, bug := range map[string]struct {
		f    func(context.Context, tuple.Tuple) error
		says []string
	}{
		"field 7": {
			func(_ context.Context, t tuple.Tuple) error { t.Int(7); return nil },
			[]string{`operator "square"`, "task square.", "numbers.0>square.", "no such field", "{n: 1000, text: "},
		},
		"error": {
			func(context.Context, tuple.Tuple) error { return errors.New("not a number for me") },
			[]string{`operator "square"`, "task square.", "numbers.0>square.", "not a number for me", "{n: 1000, text: "},
		},
		"panic": {
			func(context.Context, tuple.Tuple) error { panic("out of order") },
			[]string{`operator "square"`, "task square.", "numbers.0>square.", "out of order", "{n: 1000, text: ", "fail_test.go"},
		},
		"blocked": {
			func(context.Context, tuple.Tuple) error { <-release; return nil },
			[]string{`operator "square"`, "task square.", "numbers.0>square.", "has not returned from Execute"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			run := func(ctx context.Context, square func(context.Context, tuple.Tuple) error, sink *bolt.Collector) (*askback.Report, error) {
				b := topology.New("squares")
				b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error {
					return out.Row().Int(i).String("some text").Emit()
				})).Fields("n", "text")
				b.Bolt("square", bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
					if t.Int(0) == bad {
						if err := square(ctx, t); err != nil {
							return err
						}
					}
					return out.Row().Int(t.Int(0) * t.Int(0)).Emit()
				})).Parallel(2).Shuffle("numbers").Fields("square")
				b.Bolt("sink", sink.New).Global("square")
				return askback.Run(ctx, b, askback.WithDir(dir), askback.WithStopTimeout(500*time.Millisecond))
			}
			ctx, cancel := t.Context(), func() {}
			if name == "blocked" {
				ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
			}
			defer cancel()
			r, err := run(ctx, bug.f, bolt.NewCollector())
			if err == nil || r == nil {
				t.Fatalf("%v, %v", r, err)
			}
			for _, part := range bug.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoes not name %q", err, part)
				}
			}
			for _, task := range r.Tasks {
				if task.Restarts > 1 {
					t.Errorf("%v was restarted %d times for what is deterministic", task.Alias, task.Restarts)
				}
			}
			sink := bolt.NewCollector()
			if _, err := run(t.Context(), func(context.Context, tuple.Tuple) error { return nil }, sink); err != nil {
				t.Fatal(err)
			}
			hasSquares(t, sink, n)
		})
	}
}
