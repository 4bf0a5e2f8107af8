package task

import (
	"context"
	"errors"

	"github.com/askback/askback/internal/checkpoint"
)

// A Scribe writes what a core asks of its Env to the task log, one record at a time: order records go between the
// chunks of a snapshot. It takes at most one order record and one snapshot at once, as a core gives them. The
// task's logger drives it in production, on a goroutine of its own, and the simulator in tests. It blocks only in
// calls of the log, and is not safe for concurrent use.
//
// What it is given belongs to an era: a time between two losses of the log, counted from 0. What belongs to an
// earlier era than the scribe's is dropped, since the task makes up for it with a full snapshot.
type Scribe struct {
	writer *checkpoint.Writer
	era    int
	record []byte // nil: none waits
	upload *checkpoint.Upload
	lost   error // the log was lost, and this incarnation has not begun in it again yet
}

// An Answer tells a core what became of an order record, a snapshot, or the log.
type Answer struct {
	Era  int // what belongs to another era than the core's is void, but for StoreLost, which begins the era
	Kind AnswerKind
}

// An AnswerKind says which of the core's methods an answer is for.
type AnswerKind uint8

// The kinds of answer.
const (
	NoAnswer      AnswerKind = iota // a step that needs none
	OrderAppended                   // Core.Appended
	SnapshotStored
	LogLost // Core.StoreLost
)

// NewScribe returns the scribe of the incarnation that w has begun.
func NewScribe(w *checkpoint.Writer) *Scribe { return &Scribe{writer: w} }

// Append takes an order record. It must not be changed until it is answered.
func (s *Scribe) Append(era int, record []byte) {
	if era == s.era {
		s.record = record
	}
}

// Store takes a snapshot. It must not be changed until it is answered.
func (s *Scribe) Store(era int, parts [][]byte, full bool) {
	if era == s.era {
		s.upload = s.writer.Begin(parts, full)
	}
}

// Busy reports whether there is something to write.
func (s *Scribe) Busy() bool { return s.record != nil || s.upload != nil || s.lost != nil }

// Step writes one record. After an error that is a checkpoint.ErrFull it may be called again, when somebody may
// have made room; any other error is for good.
func (s *Scribe) Step(ctx context.Context) (Answer, error) {
	answer, err := s.write(ctx)
	if err == nil || errors.Is(err, checkpoint.ErrFull) || ctx.Err() != nil {
		return answer, err
	}
	switch {
	case errors.Is(err, checkpoint.ErrWentBack), errors.Is(err, checkpoint.ErrGone):
		s.lost = err
		return s.write(ctx)
	case errors.Is(err, checkpoint.ErrNeedsFull), errors.Is(err, checkpoint.ErrAbandoned):
		return s.newEra(), nil // the next snapshot is full, and stands for all that was not stored
	}
	return Answer{}, err
}

func (s *Scribe) write(ctx context.Context) (Answer, error) {
	switch {
	case s.lost != nil:
		if err := s.writer.Rebegin(ctx); err != nil {
			return Answer{}, err
		}
		return s.newEra(), nil
	case s.record != nil:
		if err := s.writer.Append(ctx, s.record); err != nil {
			return Answer{}, err
		}
		s.record = nil
		return Answer{s.era, OrderAppended}, nil
	case s.upload != nil:
		done, err := s.upload.Step(ctx)
		if err != nil || !done {
			return Answer{}, err
		}
		s.upload = nil
		_ = s.writer.Purge(ctx) // what it leaves for now, the next one takes
		return Answer{s.era, SnapshotStored}, nil
	}
	return Answer{}, nil
}

// newEra drops what the core has given up with the log.
func (s *Scribe) newEra() Answer {
	s.era++
	s.record, s.upload, s.lost = nil, nil, nil
	return Answer{s.era, LogLost}
}
