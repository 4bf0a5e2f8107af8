package task

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/askback/askback/checkpoint"
)

// A logger appends to the task log on a goroutine of its own, so that the task never waits for it. It takes at
// most one order record and one snapshot at a time; order records go between the chunks of a snapshot.
type logger struct {
	writer  *checkpoint.Writer
	box     *inbox
	orders  chan order
	stores  chan store
	failing atomic.Pointer[error] // why nothing can be appended just now
}

// An order or store belongs to an era: a time between two losses of the log. What belongs to an earlier era than
// the logger's is dropped, since the task makes up for it with a full snapshot.
type order struct {
	era    int
	record []byte
}

type store struct {
	era   int
	parts [][]byte
	full  bool
}

// An answer tells the task's goroutine what became of an order, a store or the log.
type answer struct {
	era  int
	kind answerKind
	err  error
}

type answerKind uint8

const (
	appended answerKind = iota + 1
	stored
	storeLost
	logFailed // for good: err says why
)

func newLogger(w *checkpoint.Writer, box *inbox) *logger {
	return &logger{writer: w, box: box, orders: make(chan order, 1), stores: make(chan store, 1)}
}

// run serves until ctx ends, or until the log fails for good.
func (l *logger) run(ctx context.Context) {
	era := 0
	for {
		err := l.serve(ctx, era)
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, checkpoint.ErrWentBack), errors.Is(err, checkpoint.ErrGone):
			err = l.insist(ctx, func() error { return l.writer.Rebegin(ctx) })
		case errors.Is(err, checkpoint.ErrNeedsFull), errors.Is(err, checkpoint.ErrAbandoned):
			err = nil // the next snapshot is full, and stands for all that was not stored
		}
		if err != nil {
			l.box.post(&answer{era: era, kind: logFailed, err: err})
			return
		}
		era++
		l.box.post(&answer{era: era, kind: storeLost})
	}
}

// serve appends what comes until something fails.
func (l *logger) serve(ctx context.Context, era int) error {
	var upload *checkpoint.Upload
	for {
		var err error
		if upload == nil {
			select {
			case o := <-l.orders:
				err = l.append(ctx, o, era)
			case s := <-l.stores:
				if s.era == era {
					upload = l.writer.Begin(s.parts, s.full)
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		} else {
			select {
			case o := <-l.orders:
				err = l.append(ctx, o, era)
			default:
				var done bool
				err = l.insist(ctx, func() (err error) { done, err = upload.Step(ctx); return })
				if err == nil && done {
					upload = nil
					l.box.post(&answer{era: era, kind: stored})
					_ = l.writer.Purge(ctx) // what it leaves for now, the next one takes
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

func (l *logger) append(ctx context.Context, o order, era int) error {
	if o.era != era {
		return nil
	}
	err := l.insist(ctx, func() error { return l.writer.Append(ctx, o.record) })
	if err == nil {
		l.box.post(&answer{era: era, kind: appended})
	}
	return err
}

// insist repeats what fails because the log is full, with growing pauses: someone may make room. Meanwhile the
// task goes on until its bounds stop it, and its state says why.
func (l *logger) insist(ctx context.Context, try func() error) error {
	pause := 50 * time.Millisecond
	for {
		err := try()
		if !errors.Is(err, checkpoint.ErrFull) {
			if l.failing.Load() != nil {
				l.failing.Store(nil)
			}
			return err
		}
		l.failing.Store(&err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}
