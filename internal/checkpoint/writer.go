package checkpoint

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/askback/askback/msgid"
)

// A Writer appends one incarnation's records to its alias's log. It blocks, and belongs to one goroutine at a
// time.
//
// After ErrFenced the incarnation must stop. After ErrWentBack and ErrGone a live task calls Rebegin. After any
// other error the call may be repeated.
type Writer struct {
	log   Log
	alias msgid.Alias
	seed  uint32
	opt   Options

	line   line // this incarnation, and its last record
	begun  bool
	start  uint64 // the number of the begin record
	last   base   // the alias's last entry
	number uint64 // of the last record that this writer has made
	count  uint64 // how many determinant records are in the alias's history

	chain  link   // the last committed snapshot; none: the next must be full
	after  uint64 // the count of the next commit
	next   Pos    // the keep of the next commit: all behind the last commit
	keep   Pos    // the keep of the last commit
	fulls  []full // full snapshots that are not purged yet, oldest first
	purged Pos
	upload *Upload
	landed landed // the last commit record of this writer in the log

	epoch uint64 // of the log, when the writer last read it
	buf   []byte
}

// landed is a commit record that is in the log. It may get there after the step that tried has failed.
type landed struct {
	upload uint64
	base
	count uint64 // how many determinant records came before it
}

func newWriter(log Log, alias msgid.Alias, opt Options) *Writer {
	if opt.ID == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		opt.ID = binary.LittleEndian.Uint64(b[:])
	}
	if opt.MaxRecord <= 0 {
		opt.MaxRecord = 256 << 10
	}
	w := &Writer{log: log, alias: alias, seed: seedOf(alias), opt: opt}
	w.opt.MaxRecord = max(min(opt.MaxRecord, w.log.MaxEntry()), minRecord)
	return w
}

// minRecord lets a chunk hold at least a little.
const minRecord = overhead + commitSize

// resume makes w continue after the entries of s.
func (w *Writer) resume(s *scan, as msgid.Incarnation) {
	w.line = line{incarnation: as, id: recordID{w.opt.ID, w.number}}
	w.begun, w.last, w.count = false, s.last, s.count
	w.chain, w.after, w.next, w.keep = link{}, 0, 1, 0
	if n := s.newest(); n != nil {
		w.chain, w.after, w.next, w.keep = n.link, n.count, n.pos+1, n.keep
	}
	w.fulls, w.purged, w.upload = s.fulls, 1, nil
}

// begin appends a begin record.
func (w *Writer) begin(ctx context.Context, k kind) error {
	_, err := w.put(ctx, k, w.keep)
	w.begun, w.start = err == nil, w.number
	return err
}

// Incarnation returns the incarnation that the writer has begun.
func (w *Writer) Incarnation() msgid.Incarnation { return w.line.incarnation }

// Alias returns the task's alias.
func (w *Writer) Alias() msgid.Alias { return w.alias }

// Last returns the position of the alias's last entry, as far as the writer knows.
func (w *Writer) Last() Pos { return w.last.pos }

// A Mark is a moment in the alias's history: behind some determinant records, before others. It may be handed to another
// goroutine.
type Mark struct {
	start uint64 // of the begin record before
	count uint64
	next  Pos
}

// Mark returns the moment behind all that the writer has appended; see Upload.Covers.
func (w *Writer) Mark() Mark { return Mark{w.start, w.count, w.last.pos + 1} }

// Append appends one determinant record and returns when it is in the log. It fails with ErrFenced, ErrWentBack,
// ErrGone, ErrFull, ErrTooLarge, ErrDamaged, and, if ctx ends or Pause fails, with ErrUnknown.
func (w *Writer) Append(ctx context.Context, body []byte) error {
	if _, err := w.put(ctx, kindDeterminants, w.keep, body); err != nil {
		return fmt.Errorf("append determinants of %s: %w", w.alias, err)
	}
	return nil
}

// Rebegin begins the same incarnation again on the log's present entries, after ErrWentBack or ErrGone. It fails with
// ErrFenced if a higher incarnation has begun there. The lost determinant records stay lost: only the task's memory
// replaces them, so until the next snapshot, which must be full, is committed, a new incarnation cannot restore and Open
// refuses.
func (w *Writer) Rebegin(ctx context.Context) error {
	fail := func(err error) error {
		return fmt.Errorf("begin incarnation %d of %s again: %w", w.line.incarnation, w.alias, err)
	}
	if err := w.reopen(ctx); err != nil {
		return fail(err)
	}
	mine, determinants := w.line.incarnation, w.count
	for try := 1; ; try++ {
		w.epoch = w.log.Epoch()
		s, err := w.loadAll(ctx)
		if err != nil {
			return fail(err)
		}
		if w.outranked(s.line.incarnation, s.line.id.writer) {
			return fail(&FencedError{Alias: w.alias, Mine: mine, By: s.line.incarnation})
		}
		// One number is skipped: should the begin record become unreadable, the hole shows that there was a break.
		s.snaps, s.fulls, s.count = nil, nil, max(determinants, s.count)+1
		w.resume(s, mine)
		err = w.begin(ctx, kindRebegin)
		switch {
		case err == nil:
			w.after, w.next = w.count, w.last.pos+1
			return nil
		case !overtaken(err) || try == maxTries:
			return fail(err)
		}
	}
}

// reopen makes the log again if it has vanished, or waits until the party that is to make it has done so.
func (w *Writer) reopen(ctx context.Context) error {
	return w.patiently(ctx, func() error {
		err := w.log.Reopen(ctx)
		if errors.Is(err, ErrGone) {
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return err
	})
}

// Purge removes the entries that no restore can need any more: those that only serve snapshots older than the newest full
// one that is safe from a power cut and is not the newest of all. So there are always two to choose from; with
// Options.Accept, the last one that was accepted is among them. Call it after a commit; it may find no entry to remove.
func (w *Writer) Purge(ctx context.Context) error {
	synced := w.log.Synced()
	next := 1
	if w.opt.Accept != nil {
		next = 2 // the next one counts when another party has decided so, which the one after it proves
	}
	for len(w.fulls) > 2 && w.fulls[next].commit <= synced {
		w.fulls = w.fulls[1:]
	}
	if len(w.fulls) < 2 || w.fulls[0].commit > synced || w.fulls[0].keep <= w.purged {
		return nil
	}
	below := w.fulls[0].keep
	if err := w.log.Purge(ctx, w.alias, below); err != nil {
		return fmt.Errorf("purge task log of %s below %d: %w", w.alias, below, err)
	}
	w.purged = below
	return nil
}

// put appends a record, and settles a lost answer (rule D4).
func (w *Writer) put(ctx context.Context, k kind, keep Pos, body ...[]byte) (Pos, error) {
	if !w.begun && k != kindBegin && k != kindRebegin {
		return 0, fmt.Errorf("%w; begin again first", ErrWentBack)
	}
	w.number++
	number, open := w.number, false // open: an earlier try may be in the log, or still arrive
	fail := func(err error) (Pos, error) {
		if open && !errors.Is(err, ErrUnknown) && !overtaken(err) {
			err = fmt.Errorf("%w, after %w", err, ErrUnknown)
		}
		return 0, err
	}
	for attempt := 1; ; attempt++ {
		r := record{kind: k, incarnation: w.line.incarnation, id: recordID{w.opt.ID, number}, count: w.count, keep: keep}
		w.buf = appendRecord(w.buf[:0], w.seed, r, body...)
		if size, most := len(w.buf), w.log.MaxEntry(); size > most {
			w.buf = nil
			return fail(fmt.Errorf("%w: %d bytes, the log takes %d", ErrTooLarge, size, most))
		}
		pos, err := w.log.Append(ctx, w.alias, w.last.pos, w.buf)
		epoch := w.log.Epoch()
		switch {
		case err == nil && epoch == w.epoch:
			if len(body) > 0 {
				r.body = body[0]
			}
			w.land(pos, r)
			return pos, nil
		case err == nil, errors.Is(err, ErrUnknown):
			open = true
		case !errors.Is(err, ErrConflict):
			return fail(err)
		}
		before := w.last
		var found Pos
		serr := w.patiently(ctx, func() (err error) {
			if found, err = w.settle(ctx, r, body); found != 0 {
				err = nil
			}
			return err
		})
		if serr != nil {
			return fail(serr)
		}
		w.epoch = epoch
		switch {
		case found != 0:
			return found, nil
		case w.last != before:
			continue // a late record of ours is in its place; this record goes behind it
		case !open && attempt >= maxTries:
			return fail(err)
		}
		if err == nil {
			err = ErrUnknown // the entry was there, and is no longer
		}
		if perr := w.pause(ctx, attempt+1); perr != nil {
			return fail(fmt.Errorf("%w: %w", perr, err))
		}
	}
}

// errOvertaken occurs when another writer appends between the reading of a log and the begin record.
var errOvertaken = errors.New("checkpoint: another writer was faster")

// settle reads the log from the last known entry on, and returns the position of want, or 0 if it is not there.
func (w *Writer) settle(ctx context.Context, want record, body [][]byte) (found Pos, err error) {
	known := w.last
	based := known.pos == 0
	unmoved := known.id == recordID{} || w.log.Epoch() == w.epoch // an unreadable entry is still the same entry
	err = w.log.Read(ctx, w.alias, known.pos, End, func(e Entry) error {
		r, perr := parseRecord(w.seed, e.Data)
		readable := perr != errHead
		if e.Pos == known.pos && (readable && r.id == known.id || !readable && unmoved) {
			based = true
			return nil
		}
		switch {
		case readable && w.outranked(r.incarnation, r.id.writer):
			// A higher incarnation may have purged our last entry: this is no reason to think that the log
			// went back.
			if found != 0 {
				return ErrStop // we were in time; the next append will see it
			}
			if !w.begun && r.incarnation == w.line.incarnation {
				return errOvertaken
			}
			return &FencedError{Alias: w.alias, Mine: w.line.incarnation, By: r.incarnation}
		case !based:
			return nil // it went back; look on whether there is a higher incarnation
		case !readable:
			return &DamagedError{Alias: w.alias, Near: e.Pos, What: "an entry that cannot be read follows this incarnation's last one"}
		case r.incarnation == w.line.incarnation && r.id.number > w.line.id.number:
			w.land(e.Pos, r)
			if r.id == want.id || r.repeats(want, body) {
				found = e.Pos
			}
		case !w.begun:
			return errOvertaken
		default:
			w.last = base{e.Pos, r.id} // it does not count, see line
		}
		return nil
	})
	if err == nil && !based {
		err = &WentBackError{Alias: w.alias, Known: known.pos}
	}
	return found, err
}

// outranked reports whether a record of that incarnation and writer fences w. If two writers have one incarnation, which is
// possible only after the log went back, the one in the log wins.
func (w *Writer) outranked(i msgid.Incarnation, writer uint64) bool {
	return i > w.line.incarnation || i == w.line.incarnation && writer != w.opt.ID
}

// land takes note of a record of ours that is in the log.
func (w *Writer) land(pos Pos, r record) {
	w.last, w.line.id = base{pos, r.id}, r.id
	switch r.kind {
	case kindDeterminants:
		w.count++
	case kindCommit:
		if c, ok := parseCommit(r.body); ok {
			w.landed = landed{c.upload, w.last, w.count}
		}
	}
}
