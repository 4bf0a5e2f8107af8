package executor_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A call of Next that fails has no output, however many frames it filled: the next incarnation may emit other tuples in
// their place.
func TestNextFailsHalfway(t *testing.T) {
	var consumed, failed atomic.Bool
	b, sink := topology.New("halfway"), bolt.NewCollector()
	b.Spout("numbers", spout.Func(func() spout.Spout { return &halfway{consumed: &consumed, failed: &failed} })).Fields("n")
	b.Bolt("middle", bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		consumed.Store(true)
		return pass(ctx, t, out)
	})).Shuffle("numbers").Fields("n")
	b.Bolt("sink", sink.New).Global("middle")
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Config.FrameSize = 256 })
	h.complete()
	has(t, sink, 3000)
	if len(h.failures) != 1 || !strings.Contains(h.failures[0].Error(), "halfway") {
		t.Errorf("failures: %v", h.failures)
	}
}

// A halfway spout emits 1000 numbers with each call. Once, when its target has consumed some, it emits others and fails.
type halfway struct {
	consumed, failed *atomic.Bool
	calls            int64
}

func (s *halfway) Next(_ context.Context, out spout.Emitter) error {
	fails := false
	switch {
	case s.calls == 3:
		return io.EOF
	case s.calls == 1 && !s.failed.Load():
		if !s.consumed.Load() {
			return spout.ErrIdle
		}
		fails = true
	}
	for k := range int64(1000) {
		n := 1000*s.calls + k
		if fails {
			n = -1
		}
		if err := out.Row().Int(n).Emit(); err != nil {
			return err
		}
	}
	if fails {
		s.failed.Store(true)
		return errors.New("halfway")
	}
	s.calls++
	return nil
}

func (s *halfway) Position(dst []byte) []byte { return binary.AppendVarint(dst, s.calls) }

func (s *halfway) Seek(position []byte) error {
	s.calls, _ = binary.Varint(position)
	return nil
}

// A tuple that its target could never take, since it is longer than all that the target may buffer, is an error and no
// endless repetition. One that is only longer than a window passes.
func TestTupleBeyondBounds(t *testing.T) {
	for size, want := range map[int]string{1500: "", 3000: "hard bound or the window"} {
		b, sink := topology.New("long"), bolt.NewCollector()
		b.Spout("texts", spout.Generate(3, func(_ int64, out spout.Emitter) error { return out.Emit(strings.Repeat("x", size)) })).Fields("text")
		b.Bolt("sink", sink.New).Global("texts")
		h := open(t, b, memlog.Options{}, func(o *executor.Options) {
			o.Config.Settings.HardBound, o.Config.Settings.SoftBound, o.Config.Settings.Window = 1024, 512, 256
		})
		if want == "" {
			h.complete()
			if got := len(sink.Rows()); got != 3 {
				t.Errorf("%d of 3 tuples of %d bytes", got, size)
			}
		} else if err := h.fails(); !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "a tuple of 300") || len(h.failures) > 0 {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

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
			if len(h.failures) != 0 || i.Core.Retries != 2 || i.State != executor.Failed || i.Lost != (task.Lost{}) {
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

// A call that waits for its context ends when the task is killed, and the tuple is consumed again: it is neither tried again
// nor given up for that, whatever the operator declares.
func TestCallIsCancelled(t *testing.T) {
	for name, declare := range map[string]func(*topology.Node){
		"fail": func(*topology.Node) {}, "drop": func(n *topology.Node) { n.Drop() }, "retry": func(n *topology.Node) { n.Retry(3, 0).Drop() },
	} {
		t.Run(name, func(t *testing.T) {
			var blocked atomic.Int64
			b, node, sink := chain(100, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
				if t.Int(0) == 50 && blocked.Add(1) == 1 {
					<-ctx.Done()
				}
				if ctx.Err() != nil {
					return ctx.Err()
				}
				return pass(ctx, t, out)
			}))
			declare(node)
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
			if i := h.tasks["middle.0"].Info(); len(h.lost) != 0 || i.Lost != (task.Lost{}) || i.Core.Retries != 0 {
				t.Errorf("a kill gives tuples up: %v, %+v, %d retries", h.lost, i.Lost, i.Core.Retries)
			}
		})
	}
}

// The call that runs is named with the message ids of its frame, from the first to the last.
func TestCallingNamesTheFrame(t *testing.T) {
	var allowed, blocked atomic.Int64
	end := make(chan struct{})
	defer close(end)
	b := topology.New("calling")
	b.Spout("numbers", gated(100, &allowed)).Fields("n")
	b.Bolt("middle", bolt.Func(func(ctx context.Context, t tuple.Tuple, _ bolt.Emitter) error {
		blocked.Store(t.Int(0) + 1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end:
			return nil
		}
	})).Shuffle("numbers")
	allowed.Store(1)
	h := open(t, b, memlog.Options{}, nil)
	h.until("it blocks", func() bool { return blocked.Load() == 1 })
	call := h.tasks["middle.0"].Calling()
	if call.Method != "Execute" || call.First.String() != "numbers.0>middle.0#1" || call.Last != call.First || call.Alias.String() != "middle.0" {
		t.Errorf("%+v, want the frame of one tuple", call)
	}
	if call := h.tasks["numbers.0"].Calling(); call.Method == "Execute" || call.First != (msgid.ID{}) || call.Last != (msgid.ID{}) {
		t.Errorf("a spout: %+v", call)
	}
}

// A panic in a call that concerns no tuple names none.
func TestPanicInFinish(t *testing.T) {
	b, _, _ := chain(10, func() bolt.Bolt { return panicking{bolt.Func(pass)()} })
	h := open(t, b, memlog.Options{}, nil)
	err := h.fails()
	var p *bolt.PanicError
	var at *bolt.TupleError
	if !errors.As(err, &p) || p.Value != "at the end" || errors.As(err, &at) || !strings.Contains(err.Error(), "middle.0") {
		t.Error(err)
	}
}

type panicking struct{ bolt.Bolt }

func (panicking) Finish(context.Context, bolt.Emitter) error { panic("at the end") }
