package checkpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/askback/askback/msgid"
)

// Options of Open. The zero value is valid.
type Options struct {
	// AtLeast is the lowest incarnation to begin: the count of the process that assigns tasks. The log's own count may be
	// behind it after a loss of the newest entries.
	AtLeast msgid.Incarnation
	// MaxRecord is the largest record of a snapshot in bytes; default 256 KiB, and never more than the log
	// takes. Determinant records wait behind one such append, hence no larger by default.
	MaxRecord int
	// ID names this writer among all that ever open the alias; default: random. A simulation sets it.
	ID uint64
	// Pause is called before the attempt-th try (2, 3 …) of an append without an answer, to wait a little: this
	// package has no clock. Its error ends the tries. The default does not wait.
	Pause func(ctx context.Context, attempt int) error
	// Accept reports whether a restore may begin at a snapshot; one that it does not accept is passed over, for an
	// older one or for none. Default: every one. To accept one is to decide that all snapshots before the newest
	// one of a writer are good, and never to go back behind it.
	Accept func(snapshot []byte) bool
}

// maxTries bounds the tries that lose to another writer. Ten processes that begin one alias at the same moment would all
// get their turn.
const maxTries = 20

// Open begins a new incarnation of alias (rules R1 and R2): it reads alias's history and appends a begin record on its last
// entry. When it returns, no earlier incarnation can append any more.
//
// It fails with ErrDamaged when the history has a hole that matters, in which case no record is appended; with ErrUnknown
// when ctx ends or Pause fails before the log answers; and with ErrGone and ErrFull.
func Open(ctx context.Context, log Log, alias msgid.Alias, opt Options) (*Writer, *History, error) {
	w := newWriter(log, alias, opt)
	for try := 1; ; try++ {
		w.epoch = w.log.Epoch()
		s, err := w.load(ctx)
		if errors.Is(err, ErrGone) { // a log that has vanished is an empty one; the task's sources will object
			if err = w.reopen(ctx); err == nil {
				s, err = w.load(ctx)
			}
		}
		if err != nil {
			return nil, nil, fmt.Errorf("open task log of %s: %w", alias, err)
		}
		h, err := s.history()
		if err != nil {
			return nil, nil, fmt.Errorf("open task log of %s: %w", alias, err)
		}
		// A record that cannot be read may have begun an incarnation.
		h.Incarnation = max(s.line.incarnation+1+msgid.Incarnation(s.damaged), opt.AtLeast)
		if h.Incarnation <= s.line.incarnation {
			return nil, nil, fmt.Errorf("open task log of %s: no incarnation is left after %d", alias, s.line.incarnation)
		}
		w.resume(s, h.Incarnation)
		err = w.begin(ctx, kindBegin)
		switch {
		case err == nil:
			return w, h, nil
		case !overtaken(err) || try == maxTries:
			return nil, nil, fmt.Errorf("open task log of %s: begin incarnation %d: %w", alias, h.Incarnation, err)
		}
	}
}

// Peek reads alias's history without beginning an incarnation. Its result may be out of date.
func Peek(ctx context.Context, log Log, alias msgid.Alias, opt Options) (*History, error) {
	w := newWriter(log, alias, opt)
	s, err := w.load(ctx)
	switch {
	case errors.Is(err, ErrGone):
		return &History{}, nil
	case err != nil:
		return nil, fmt.Errorf("read task log of %s: %w", alias, err)
	}
	h, err := s.history()
	if err != nil {
		return nil, fmt.Errorf("read task log of %s: %w", alias, err)
	}
	h.Incarnation = s.line.incarnation
	return h, nil
}

// overtaken reports whether the log has changed since it was read.
func overtaken(err error) bool {
	return errors.Is(err, errOvertaken) || errors.Is(err, ErrFenced) || errors.Is(err, ErrWentBack)
}

// load reads the alias's history: the newest part if that suffices, else all.
func (w *Writer) load(ctx context.Context) (*scan, error) {
	if s, err := w.loadNewest(ctx); !errors.Is(err, errMore) {
		return s, err
	}
	return w.loadAll(ctx)
}

func (w *Writer) loadAll(ctx context.Context) (*scan, error) {
	var s *scan
	err := w.patiently(ctx, func() error {
		s = newScan(w.alias, w.opt.Accept, false)
		return w.log.Read(ctx, w.alias, 0, End, func(e Entry) error {
			s.add(e)
			return nil
		})
	})
	return s, err
}

// loadNewest reads the newest snapshot, the ones that it builds on, and the entries after it. Purging lags far behind when
// the log is slow to sync, so this is a small part of the log. It fails with errMore unless that part is perfect.
func (w *Writer) loadNewest(ctx context.Context) (*scan, error) {
	var last Entry
	err := w.patiently(ctx, func() (err error) {
		last, err = w.log.Last(ctx, w.alias)
		return err
	})
	if err != nil {
		return nil, err
	}
	if last.Pos == 0 {
		return newScan(w.alias, w.opt.Accept, false), nil
	}
	r, err := parseRecord(w.seed, last.Data)
	if err != nil || r.keep == 0 {
		return nil, errMore
	}
	s, err := w.loadPart(ctx, r.keep, End)
	if err != nil {
		return nil, err
	}
	for {
		prev, missing := s.missing()
		if !missing {
			return s, nil
		}
		part, err := w.loadPart(ctx, prev.first, prev.pos)
		if err != nil {
			return nil, err
		}
		n := part.newest()
		if n == nil || n.id != prev.id || !n.full && n.prev.pos >= n.pos {
			return nil, errMore
		}
		s.snaps = append([]snap{*n}, s.snaps...)
		if n.full {
			s.fulls = append([]full{{n.pos, n.keep}}, s.fulls...)
		}
	}
}

// loadPart reads the entries from one position to another. They must hold a snapshot, and no damage.
func (w *Writer) loadPart(ctx context.Context, from, to Pos) (*scan, error) {
	var s *scan
	err := w.patiently(ctx, func() error {
		s = newScan(w.alias, w.opt.Accept, true)
		return w.log.Read(ctx, w.alias, from, to, func(e Entry) error {
			s.add(e)
			return nil
		})
	})
	if err == nil && (s.damaged > 0 || s.newest() == nil) {
		err = errMore
	}
	return s, err
}

// patiently calls read until the log answers.
func (w *Writer) patiently(ctx context.Context, read func() error) error {
	for attempt := 1; ; attempt++ {
		err := read()
		if !errors.Is(err, ErrUnknown) {
			return err
		}
		if perr := w.pause(ctx, attempt+1); perr != nil {
			return fmt.Errorf("%w: %w", perr, err)
		}
	}
}

// pause waits before the attempt-th try.
func (w *Writer) pause(ctx context.Context, attempt int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.opt.Pause == nil {
		return nil
	}
	return w.opt.Pause(ctx, attempt)
}
