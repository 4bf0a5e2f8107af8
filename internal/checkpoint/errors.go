package checkpoint

import (
	"errors"
	"fmt"

	"github.com/askback/askback/msgid"
)

// Errors of a Log.
var (
	// ErrConflict occurs when the alias's last entry is another than the one expected. The entry was not appended.
	ErrConflict = errors.New("checkpoint: the last entry is another one")
	// ErrUnknown occurs when the answer was lost: the entry is in the log, or not, or will be later. A Writer
	// settles this itself and returns ErrUnknown only if its context ends first; the record may then still turn
	// up in the log, and the Writer takes account of that at its next append.
	ErrUnknown = errors.New("checkpoint: no answer from the log")
	// ErrFull occurs when the log has no room. The entry was not appended.
	ErrFull = errors.New("checkpoint: the log is full")
	// ErrGone occurs when the whole log has vanished. A live task calls Rebegin.
	ErrGone = errors.New("checkpoint: the log has vanished")
	// ErrTooLarge occurs when an entry is larger than the log takes. The entry was not appended.
	ErrTooLarge = errors.New("checkpoint: the entry is too large")
)

// Errors of a Writer and of Open.
var (
	// ErrFenced occurs when a higher incarnation of the alias has begun: this one must stop. See FencedError.
	ErrFenced = errors.New("checkpoint: fenced by a newer incarnation")
	// ErrWentBack occurs when the log is older than the last entry that this writer knows: it has lost its newest entries,
	// or was restored from a copy. A live task calls Rebegin. See WentBackError.
	ErrWentBack = errors.New("checkpoint: the log went back")
	// ErrDamaged occurs when an entry that a restore needs cannot be read, and no other entry replaces it. See
	// DamagedError.
	ErrDamaged = errors.New("checkpoint: the log is damaged")
	// ErrNeedsFull occurs when an incremental snapshot has no predecessor: there is none yet, or the writer has begun
	// again.
	ErrNeedsFull = errors.New("checkpoint: this snapshot must be full")
	// ErrAbandoned occurs when Step is called on an upload that another one, or Rebegin, has replaced.
	ErrAbandoned = errors.New("checkpoint: the upload was abandoned")
)

// ErrStop is returned by a function given to Read, to end the reading without an error.
var ErrStop = errors.New("checkpoint: stop reading")

// A FencedError names the incarnation that fences a writer. It is an ErrFenced.
type FencedError struct {
	Alias msgid.Alias
	Mine  msgid.Incarnation
	By    msgid.Incarnation // equal to Mine if two began at once after the log went back
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("checkpoint: incarnation %d of %s is fenced: incarnation %d has begun; stop this one", e.Mine, e.Alias, e.By)
}

// Unwrap returns ErrFenced.
func (e *FencedError) Unwrap() error { return ErrFenced }

// A WentBackError names the entry that was in the log, as the writer knows, and is no longer. It is an ErrWentBack.
type WentBackError struct {
	Alias msgid.Alias
	Known Pos // the writer's last record
}

func (e *WentBackError) Error() string {
	return fmt.Sprintf("checkpoint: the log went back: it no longer holds the record of %s at %d, which it had acknowledged", e.Alias, e.Known)
}

// Unwrap returns ErrWentBack.
func (e *WentBackError) Unwrap() error { return ErrWentBack }

// A DamagedError names the unreadable entry. It is an ErrDamaged.
type DamagedError struct {
	Alias msgid.Alias
	Near  Pos    // the damage is here, or just before
	What  string // the missing part
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("checkpoint: the log of %s is damaged near position %d: %s; restore the log from a copy, or delete the topology's log and start it afresh", e.Alias, e.Near, e.What)
}

// Unwrap returns ErrDamaged.
func (e *DamagedError) Unwrap() error { return ErrDamaged }
