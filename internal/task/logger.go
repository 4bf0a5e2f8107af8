package task

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/askback/askback/internal/checkpoint"
)

// A logger appends to the task log on a goroutine of its own, so that the task never waits for it.
type logger struct {
	scribe  *Scribe
	box     *inbox
	orders  chan order
	stores  chan store
	failing *atomic.Pointer[error] // why nothing can be appended just now
	end     func(error)            // ends the incarnation's calls when the log has failed for good
}

// An order or store belongs to an era; see Scribe.
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
	Answer
	err error // the log has failed for good
}

func newLogger(w *checkpoint.Writer, box *inbox, failing *atomic.Pointer[error], end func(error)) *logger {
	return &logger{scribe: NewScribe(w), box: box, failing: failing, end: end, orders: make(chan order, 1), stores: make(chan store, 1)}
}

// run serves until ctx ends, or until the log fails for good.
func (l *logger) run(ctx context.Context) {
	s := l.scribe
	for {
		if s.Busy() { // an order may go between the chunks of a snapshot
			select {
			case o := <-l.orders:
				s.Append(o.era, o.record)
			default:
			}
		} else {
			select {
			case o := <-l.orders:
				s.Append(o.era, o.record)
			case t := <-l.stores:
				s.Store(t.era, t.parts, t.full)
			case <-ctx.Done():
				return
			}
		}
		a, err := l.insist(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.end(err) // a blocked operator must not keep a superseded incarnation alive
			l.box.post(&answer{err: err})
			return
		case a.Kind != NoAnswer:
			l.box.post(&answer{Answer: a})
		}
	}
}

// insist repeats a step that fails because the log is full, with growing pauses: someone may make room. Meanwhile
// the task goes on until its bounds stop it, and its state says why.
func (l *logger) insist(ctx context.Context) (Answer, error) {
	pause := 50 * time.Millisecond
	for {
		a, err := l.scribe.Step(ctx)
		if !errors.Is(err, checkpoint.ErrFull) {
			if l.failing.Load() != nil {
				l.failing.Store(nil)
			}
			return a, err
		}
		l.failing.Store(&err)
		select {
		case <-ctx.Done():
			return Answer{}, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}
