package checkpoint

import (
	"context"

	"github.com/askback/askback/msgid"
)

// A Pos is a position in the log. It grows with every entry of any alias; 0 means none. A log that has lost its newest
// entries, or vanished, gives positions again that it gave before: so a position alone identifies no record, and every
// record names its writer.
type Pos uint64

// End is a position after all others.
const End = ^Pos(0)

// An Entry is one record of one alias as the log holds it.
type Entry struct {
	Pos  Pos
	Data []byte // may be kept, must not be changed
}

// A Log is one topology's log: one sequence of entries, each of which belongs to one task alias. It is safe for
// concurrent use by different aliases.
//
// All aliases share one sequence on purpose: a record then comes after all entries that it depends on, so every prefix of
// the log is a consistent cut of the topology.
type Log interface {
	// Append adds data as alias's next entry if alias's last entry is at expect (0: it has none), and returns
	// its position. It does not keep data. It fails with ErrConflict, ErrUnknown, ErrFull, ErrGone or
	// ErrTooLarge; only ErrUnknown leaves open whether the entry is, or will yet be, in the log.
	Append(ctx context.Context, alias msgid.Alias, expect Pos, data []byte) (Pos, error)
	// Read calls yield for each entry of alias from one position to another, both included, oldest first. An error of yield
	// ends it and is returned, except ErrStop, which ends it without an error. It fails with ErrUnknown when the log does
	// not answer, and with ErrGone. Yield may be called with the entries that were read before an error.
	Read(ctx context.Context, alias msgid.Alias, from, to Pos, yield func(Entry) error) error
	// Last returns alias's last entry, or one with Pos 0 if it has none, without reading those before. It fails as Read
	// does.
	Last(ctx context.Context, alias msgid.Alias) (Entry, error)
	// Purge removes alias's entries before below. It may be repeated.
	Purge(ctx context.Context, alias msgid.Alias, below Pos) error
	// Reopen makes the log again, empty, if it has vanished (ErrGone), and has no effect otherwise. It fails with ErrGone
	// if another party is to make the log and has not done so yet.
	Reopen(ctx context.Context) error

	// MaxEntry returns the size of the largest entry in bytes.
	MaxEntry() int
	// Synced returns the position up to which a power cut can remove no entry any more. A log that never loses an
	// acknowledged entry returns End. It does not block.
	Synced() Pos
	// Epoch returns a number that changes when entries may have been lost. A position that is given twice can deceive
	// compare-and-set: the record that a paused incarnation remembers as the last one may be lost, and the begin record of
	// its successor may have taken the same position. So after a change of the epoch a Writer looks twice. It does not
	// block.
	Epoch() uint64
}
