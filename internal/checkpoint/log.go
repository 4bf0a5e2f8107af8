package checkpoint

import (
	"context"

	"github.com/askback/askback/msgid"
)

// A Pos is a position in the log. It grows with every entry of any alias; 0 means none. A log that has lost its
// newest entries, or vanished, gives positions again that it gave before: a position alone proves nothing, which
// is why every record names its writer.
type Pos uint64

// An Entry is one record of one alias as the log holds it.
type Entry struct {
	Pos  Pos
	Data []byte // may be kept, must not be changed
}

// A Log is one topology's log: one sequence of entries, each of which belongs to one task alias. It is safe for
// concurrent use by different aliases.
//
// All aliases share one sequence on purpose: a record then comes after everything that it depends on, so every
// prefix of the log is a consistent cut of the topology.
type Log interface {
	// Append adds data as alias's next entry if alias's last entry is at expect (0: it has none), and returns
	// its position. It does not keep data. It fails with ErrConflict, ErrUnknown, ErrFull, ErrGone or
	// ErrTooLarge; only ErrUnknown leaves open whether the entry is, or will yet be, in the log.
	Append(ctx context.Context, alias msgid.Alias, expect Pos, data []byte) (Pos, error)
	// Read calls yield for each entry of alias at or after from, oldest first. An error of yield ends it and is
	// returned, except ErrStop, which ends it well. It fails with ErrUnknown when the log does not answer, and with
	// ErrGone. Yield may be called with what was read before an error.
	Read(ctx context.Context, alias msgid.Alias, from Pos, yield func(Entry) error) error
	// Purge removes alias's entries before below. It may be repeated.
	Purge(ctx context.Context, alias msgid.Alias, below Pos) error
}

// A Syncer is a Log that knows what a power cut can no longer take from it. A Log that is none counts as one
// that never loses what it has acknowledged.
type Syncer interface {
	// Synced returns the last position that is safe, and all before it are. It does not block.
	Synced() Pos
}

// A Limiter is a Log that has a largest entry.
type Limiter interface {
	// MaxEntry returns it in bytes.
	MaxEntry() int
}

// A Tailer is a Log that finds an alias's last entry at once. Open then reads only what it needs, not all that
// purging has left.
type Tailer interface {
	// Last returns alias's last entry, or one with Pos 0 if it has none. It fails as Read does.
	Last(ctx context.Context, alias msgid.Alias) (Entry, error)
}

// A Ranger is a Log that can read a part without fetching what follows it.
type Ranger interface {
	// ReadRange is Read for the entries from one position to another, both included.
	ReadRange(ctx context.Context, alias msgid.Alias, from, to Pos, yield func(Entry) error) error
}

// An Epocher is a Log that can tell when it may have gone back. A position that is given twice can deceive
// compare-and-set: the record that a paused incarnation remembers as the last one may be lost, and the begin record
// of its successor have taken the very place. So after a change of the epoch a Writer looks twice.
type Epocher interface {
	// Epoch returns a number that changes when entries may have been lost. It does not block.
	Epoch() uint64
}

// A Reopener is a Log that can be made again, empty, after it has vanished (ErrGone).
type Reopener interface {
	// Reopen makes the log if it does not exist, and does nothing otherwise. It fails with ErrGone if that is for
	// somebody else to do, who has not done it yet.
	Reopen(ctx context.Context) error
}
