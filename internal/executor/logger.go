package executor

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/internal/task"
)

// A logger appends to the task log on a goroutine of its own, so that the task never waits for it.
type logger struct {
	writer    *task.LogWriter
	inbox     *inbox // for its answers
	records   chan record
	snapshots chan snapshot
	failing   *atomic.Pointer[error] // why the log rejects appends just now
	end       func(error)            // ends the incarnation's calls when the log has failed for good
}

// A record of determinants and a snapshot belong to an era; see task.LogWriter.
type record struct {
	era  int
	data []byte
}

type snapshot struct {
	era   int
	parts [][]byte
	full  bool
}

// An answer reports the outcome of a write to the task's goroutine, or the loss of the log.
type answer struct {
	task.Answer
	err error // the log has failed for good
}

// The logger's channels have room for one each: a core gives no more before it has an answer.
func newLogger(w *checkpoint.Writer, inbox *inbox, failing *atomic.Pointer[error], end func(error)) *logger {
	return &logger{
		writer: task.NewLogWriter(w), inbox: inbox, failing: failing, end: end,
		records: make(chan record, 1), snapshots: make(chan snapshot, 1),
	}
}

// run serves until ctx ends, or until the log fails for good.
func (l *logger) run(ctx context.Context) {
	w := l.writer
	for {
		if w.Busy() { // a record may go between the chunks of a snapshot
			select {
			case r := <-l.records:
				w.Append(r.era, r.data)
			default:
			}
		} else {
			select {
			case r := <-l.records:
				w.Append(r.era, r.data)
			case s := <-l.snapshots:
				w.Store(s.era, s.parts, s.full)
			case <-ctx.Done():
				return
			}
		}
		a, err := l.retry(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.end(err) // a blocked operator must not keep a superseded incarnation running
			l.inbox.post(&answer{err: err})
			return
		case a.Kind != task.NoAnswer:
			l.inbox.post(&answer{Answer: a})
		}
	}
}

// retry repeats a step that fails because the log is full, with growing pauses, until there is room again. Meanwhile the
// task continues until its bounds stop it, and its Info has the reason.
func (l *logger) retry(ctx context.Context) (a task.Answer, err error) {
	err = retry.Do(ctx, retry.Policy{
		Min: 50 * time.Millisecond, Max: 2 * time.Second,
		Again:  func(err error) bool { return errors.Is(err, checkpoint.ErrFull) },
		Failed: func(err error) { l.failing.Store(&err) },
	}, func() error {
		a, err = l.writer.Step(ctx)
		return err
	})
	if l.failing.Load() != nil && !errors.Is(err, checkpoint.ErrFull) {
		l.failing.Store(nil)
	}
	return a, err
}
