package executor_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Every operator that was made is closed: also one that fails, or panics, on its way to where it was.
func TestCloses(t *testing.T) {
	for _, in := range []string{"middle.0", "numbers.0"} {
		for _, stage := range []string{"prepare", "restore", "commit", "seek without a log"} {
			for _, panics := range []bool{false, true} {
				fails := func(f *fragile) { f.stage, f.panics = stage, panics }
				b, made := topology.New("fragile"), &fragile{}
				unlogged := stage == "seek without a log"
				switch {
				case in == "middle.0" && unlogged, in == "numbers.0" && stage == "commit":
					continue // there is no such stage
				case in == "middle.0":
					b.Spout("numbers", numbers(1e9)).Fields("n")
					b.Bolt("middle", func() bolt.Bolt { return &fragileBolt{made.next(fails)} }).Shuffle("numbers").Fields("n")
				default:
					inner := numbers(1e9)
					b.Spout("numbers", spout.Func(func() spout.Spout { return &fragileSpout{inner.New(), made.next(fails)} })).Fields("n")
					b.Bolt("middle", bolt.Func(pass)).Shuffle("numbers").Fields("n")
				}
				b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("middle")
				h := open(t, b, memlog.Options{}, func(o *executor.Options) {
					o.Failures = 2
					if unlogged {
						o.Log, o.Config.Strategy = nil, none.New
					}
				})
				if stage != "prepare" {
					h.until("there is a history to restore", func() bool {
						i := h.tasks[in].Info()
						return i.Counters.Snapshots > 0 || unlogged && i.Counters.Emitted > 0
					})
					h.tasks[in].Kill()
				}
				err := h.fails()
				if !strings.Contains(err.Error(), "cannot "+stage) {
					t.Errorf("%s, %s, panics %v: %v", in, stage, panics, err)
				}
				if n := made.n.Load(); n < 2 || made.closed.Load() != n {
					t.Errorf("%s, %s, panics %v: %d were made, %d closed", in, stage, panics, n, made.closed.Load())
				}
				h.stop()
			}
		}
	}
}

// fragile is an operator that fails at a stage, and the state that it shares with others of the same factory.
type fragile struct {
	stage  string
	panics bool
	of     *fragile

	n, closed atomic.Int64
}

func (f *fragile) next(adjust func(*fragile)) *fragile {
	f.n.Add(1)
	g := &fragile{of: f}
	adjust(g)
	return g
}

func (f *fragile) at(stage string) error {
	switch {
	case stage != f.stage:
		return nil
	case f.panics:
		panic("cannot " + stage)
	}
	return errors.New("cannot " + stage)
}

func (f *fragile) Close() error {
	f.of.closed.Add(1)
	return f.at(f.stage) // which must not hide why it is closed
}

type fragileBolt struct{ *fragile }

func (b *fragileBolt) Prepare(bolt.Context) error { return b.at("prepare") }
func (b *fragileBolt) Execute(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return pass(ctx, t, out)
}
func (b *fragileBolt) Snapshot() ([]byte, error) { return nil, nil }
func (b *fragileBolt) Restore([]byte) error      { b.n.Add(1); return b.at("restore") }

func (b *fragileBolt) Commit() error {
	if b.n.Load() == 0 { // it was not restored
		return nil
	}
	return b.at("commit")
}

type fragileSpout struct {
	spout.Spout
	*fragile
}

func (s *fragileSpout) Open(ctx bolt.Context) error {
	if err := s.at("prepare"); err != nil {
		return err
	}
	return s.Spout.(spout.Opener).Open(ctx)
}

func (s *fragileSpout) Next(ctx context.Context, out spout.Emitter) error {
	time.Sleep(10 * time.Microsecond)
	return s.Spout.Next(ctx, out)
}

func (s *fragileSpout) Seek(position []byte) error {
	if err := errors.Join(s.at("restore"), s.at("seek without a log")); err != nil {
		return err
	}
	return s.Spout.Seek(position)
}
