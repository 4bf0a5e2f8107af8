package executor_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A task without a log counts each tuple that it gives up and each retry once, through all of its incarnations: also what it did just
// before it ended, and of which nothing was published yet.
func TestCountsWithoutLog(t *testing.T) {
	const outages = 4
	var tries atomic.Uint64 // that failed and were repeated
	var away atomic.Int64
	b := topology.New("counts")
	b.Spout("numbers", spout.Generate(0, func(i int64, out spout.Emitter) error { // ten in one frame
		for k := range int64(10) {
			if err := out.Row().Int(10*i + k).Emit(); err != nil {
				return err
			}
		}
		return nil
	}).Rate(500)).Fields("n")
	b.Bolt("middle", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
		switch n := t.Int(0); {
		case n%10 == 3:
			tries.Add(1)
			return errors.New("threes are not wanted")
		case n%10 == 4 && n > 100*away.Load() && away.Add(1) <= outages:
			return bolt.Outage(errors.New("away"))
		}
		return nil
	})).Retry(1, 0).Drop().Shuffle("numbers")
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Log, o.Config.Strategy = nil, none.New })
	h.until("the task has come back and counts everything", func() bool {
		i := h.tasks["middle.0"].Info()
		h.mu.Lock()
		defer h.mu.Unlock()
		return i.Restarts == outages && len(h.lost) > 100 && i.Lost == (task.Lost{Dropped: uint64(len(h.lost))}) && i.Core.Retries == tries.Load()/2
	})
}

// A transport that is closed for good is no outage: the task fails.
func TestTransportClosed(t *testing.T) {
	b, _, _ := chain(10, bolt.Func(pass))
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Transport = closed{o.Transport} })
	if err := h.fails(); !errors.Is(err, channel.ErrClosed) {
		t.Error(err)
	}
}

type closed struct{ channel.Transport }

func (closed) Join(msgid.Alias, func(channel.Message)) (channel.Endpoint, error) {
	return nil, channel.ErrClosed
}

// A log that is not there when a task begins is an outage: the task waits for it as long as it takes, and does not fail.
func TestLogGoneAtTheStart(t *testing.T) {
	b, _, sink := chain(100, bolt.Func(pass))
	away := &goneLog{}
	h := open(t, b, memlog.Options{}, func(o *executor.Options) {
		if o.Config.Task.Alias.Operator == "middle" {
			away.Log, o.Log = o.Log, away
		}
	})
	h.complete()
	has(t, sink, 100)
	if len(h.failures) > 0 {
		t.Errorf("failures: %v", h.failures)
	}
	if n := away.tries.Load(); n <= 20 {
		t.Errorf("the log was asked %d times only", n)
	}
}

// A goneLog is not there for the first tries.
type goneLog struct {
	checkpoint.Log
	tries atomic.Int64
}

func (l *goneLog) gone() bool { return l.tries.Add(1) <= 20 }

func (l *goneLog) Read(ctx context.Context, alias msgid.Alias, from, to checkpoint.Pos, yield func(checkpoint.Entry) error) error {
	if l.gone() {
		return checkpoint.ErrGone
	}
	return l.Log.Read(ctx, alias, from, to, yield)
}

func (l *goneLog) Last(ctx context.Context, alias msgid.Alias) (checkpoint.Entry, error) {
	if l.gone() {
		return checkpoint.Entry{}, checkpoint.ErrGone
	}
	return l.Log.Last(ctx, alias)
}

func (l *goneLog) Append(ctx context.Context, alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	if l.gone() {
		return 0, checkpoint.ErrGone
	}
	return l.Log.Append(ctx, alias, expect, data)
}
