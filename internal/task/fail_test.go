package task_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/tuple"
)

// An error that no policy covers fails the task at once, and names all that a user needs.
func TestExecuteFails(t *testing.T) {
	for name, f := range map[string]func(context.Context, tuple.Tuple, bolt.Emitter) error{
		"cause": func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
			if t.Int(0) == 50 {
				return errors.New("cause")
			}
			return pass(ctx, t, out)
		},
		"no such field": func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
			if t.Int(0) == 50 {
				t.Int(7)
			}
			return pass(ctx, t, out)
		},
		"which it does not declare": func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
			if t.Int(0) == 50 {
				_ = out.On("elsewhere").Emit(1) // its error is ignored, and counts all the same
			}
			return pass(ctx, t, out)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, node, _ := chain(100, bolt.Func(f))
			node.Retry(2, 0)
			h := open(t, b, memlog.Options{}, nil)
			err := h.fails()
			var at *bolt.TupleError
			if !errors.As(err, &at) || at.Alias.String() != "middle.0" || at.ID.String() != "numbers.0>middle.0#51" || at.Tuple != "{n: 50}" {
				t.Fatal(err)
			}
			for _, part := range []string{`operator "middle"`, "task middle.0", "numbers.0>middle.0#51", "{n: 50}", name} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not name %q", err, part)
				}
			}
			i := h.tasks["middle.0"].Info()
			if len(h.failures) != 0 || i.Core.Retries != 2 || i.State != task.Failed || i.Lost != (task.Lost{}) {
				t.Errorf("%d restarts, %+v", len(h.failures), i)
			}
		})
	}
}

// Tuples that are dropped by declaration are counted once, although the task is killed and repeats its work.
func TestDrop(t *testing.T) {
	b, node, sink := chain(5000, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0)%10 == 0 {
			return errors.New("tens are not wanted")
		}
		return pass(ctx, t, out)
	}))
	node.Drop()
	h := open(t, b, memlog.Options{}, nil)
	for _, some := range []int{100, 2000, 4000} {
		h.until("some rows are there", func() bool { return sink.Len() >= some })
		h.tasks["middle.0"].Kill()
	}
	h.complete()
	if n := sink.Len(); n != 4500 {
		t.Errorf("%d rows, want 4500", n)
	}
	if i := h.tasks["middle.0"].Info(); i.Lost != (task.Lost{Dropped: 500}) {
		t.Errorf("%+v dropped, want 500", i.Lost)
	}
}

// An outage of the outside restarts the task as often as it takes, and gives no tuple up.
func TestOutage(t *testing.T) {
	var tries atomic.Int64
	b, node, sink := chain(1000, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0) == 500 && tries.Add(1) < 12 {
			return bolt.Outage(errors.New("the disk is full"))
		}
		return pass(ctx, t, out)
	}))
	node.Drop()
	h := open(t, b, memlog.Options{}, nil)
	h.complete()
	has(t, sink, 1000)
	if i := h.tasks["middle.0"].Info(); i.Restarts != 11 || i.Lost != (task.Lost{}) {
		t.Errorf("%d restarts, lost %+v", i.Restarts, i.Lost)
	}
}

// A call that waits for its context ends when the task is killed, and the tuple is consumed again.
func TestCallIsCancelled(t *testing.T) {
	var blocked atomic.Int64
	b, _, sink := chain(100, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0) == 50 && blocked.Add(1) == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return pass(ctx, t, out)
	}))
	h := open(t, b, memlog.Options{}, nil)
	h.until("it blocks", func() bool { return blocked.Load() == 1 })
	if call := h.tasks["middle.0"].Calling(); call.Method != "Execute" || call.First.Seq > 51 || call.Last.Seq < 51 {
		t.Errorf("%+v", call)
	}
	h.tasks["middle.0"].Kill()
	h.complete()
	has(t, sink, 100)
	if len(h.failures) != 0 {
		t.Errorf("a kill counts as failure: %v", h.failures)
	}
}
