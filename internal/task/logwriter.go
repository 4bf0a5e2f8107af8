package task

import (
	"context"
	"errors"

	"github.com/askback/askback/internal/checkpoint"
)

// A LogWriter writes the records that a core passes to its Env to the task log, one at a time: records of determinants go
// between the chunks of a snapshot. It takes at most one record and one snapshot at once, as a core gives them. The
// executor's logger drives it in production, on a goroutine of its own, and the simulator in tests. It blocks only in calls
// of the log, and is not safe for concurrent use.
//
// Records and snapshots belong to an era: a time between two losses of the log, counted from 0. The writer drops those of
// an earlier era than its own, since the task replaces them by a full snapshot.
type LogWriter struct {
	writer *checkpoint.Writer
	era    int
	record []byte // nil: none waits
	upload *checkpoint.Upload
	lost   error // the log was lost, and this incarnation has not begun in it again yet
}

// An Answer reports to a core the outcome of writing a record or a snapshot, or the loss of the log.
type Answer struct {
	Era  int // an answer of another era than the core's is void, but for LogLost, which begins the era
	Kind AnswerKind
}

// An AnswerKind is the kind of an Answer.
type AnswerKind uint8

// The kinds of answer.
const (
	NoAnswer       AnswerKind = iota // a step that needs none
	RecordAppended                   // the record is durable
	SnapshotStored                   // the snapshot is durable
	LogLost                          // the log has vanished or gone back; the incarnation has begun in it again
)

// NewLogWriter returns the log writer of the incarnation that w has begun.
func NewLogWriter(w *checkpoint.Writer) *LogWriter { return &LogWriter{writer: w} }

// Append takes a record of determinants. It must not be changed until it is answered.
func (w *LogWriter) Append(era int, record []byte) {
	if era == w.era {
		w.record = record
	}
}

// Store takes a snapshot. It must not be changed until it is answered.
func (w *LogWriter) Store(era int, parts [][]byte, full bool) {
	if era == w.era {
		w.upload = w.writer.Begin(parts, full)
	}
}

// Busy reports whether a write is pending.
func (w *LogWriter) Busy() bool { return w.record != nil || w.upload != nil || w.lost != nil }

// Step writes one record. After an error that is a checkpoint.ErrFull it may be called again, when there may
// be room again; any other error is permanent.
func (w *LogWriter) Step(ctx context.Context) (Answer, error) {
	answer, err := w.write(ctx)
	if err == nil || errors.Is(err, checkpoint.ErrFull) || ctx.Err() != nil {
		return answer, err
	}
	switch {
	case errors.Is(err, checkpoint.ErrWentBack), errors.Is(err, checkpoint.ErrGone):
		w.lost = err
		return w.write(ctx)
	case errors.Is(err, checkpoint.ErrNeedsFull), errors.Is(err, checkpoint.ErrAbandoned):
		return w.newEra(), nil // the next snapshot is full, and replaces all that was not stored
	}
	return Answer{}, err
}

func (w *LogWriter) write(ctx context.Context) (Answer, error) {
	switch {
	case w.lost != nil:
		if err := w.writer.Rebegin(ctx); err != nil {
			return Answer{}, err
		}
		return w.newEra(), nil
	case w.record != nil:
		if err := w.writer.Append(ctx, w.record); err != nil {
			return Answer{}, err
		}
		w.record = nil
		return Answer{w.era, RecordAppended}, nil
	case w.upload != nil:
		done, err := w.upload.Step(ctx)
		if err != nil || !done {
			return Answer{}, err
		}
		w.upload = nil
		_ = w.writer.Purge(ctx) // the next call takes the rest
		return Answer{w.era, SnapshotStored}, nil
	}
	return Answer{}, nil
}

// newEra drops the records that the core has given up with the log.
func (w *LogWriter) newEra() Answer {
	w.era++
	w.record, w.upload, w.lost = nil, nil, nil
	return Answer{w.era, LogLost}
}
