package checkpointtest

import (
	"context"
	"fmt"
	"sync"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

// A Fate is the outcome of an append.
type Fate int

// The fates of an append.
const (
	Fine    Fate = iota
	Lost         // it is done, the answer is lost
	Dropped      // it is not done, there is no answer
	Late         // there is no answer; it is done just before the next operation
	Full         // no room
)

// Flaky is a Log with planned failures. It hides and damages entries on reading; the log beneath stays whole. It is for one
// goroutine, as a Writer is.
type Flaky struct {
	checkpoint.Log
	// Fates are taken from the front, one by each append; when they have run out all is fine.
	Fates []Fate
	// Damage flips bits of the byte at an index of the entry at a position; an index beyond the end means the
	// entry cannot be seen at all.
	Damage map[checkpoint.Pos]int
	// Deaf is how many of the next readings get no answer.
	Deaf int
	// Appends counts the appends that were asked for.
	Appends int

	mu   sync.Mutex
	late func()
}

// Append implements checkpoint.Log.
func (f *Flaky) Append(ctx context.Context, alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	f.arrive()
	f.mu.Lock()
	fate := Fine
	if len(f.Fates) > 0 {
		fate, f.Fates = f.Fates[0], f.Fates[1:]
	}
	f.Appends++
	f.mu.Unlock()
	do := func(data []byte) (checkpoint.Pos, error) { return f.Log.Append(ctx, alias, expect, data) }
	switch fate {
	case Lost:
		_, _ = do(data)
	case Dropped:
	case Late:
		kept := append([]byte(nil), data...)
		f.mu.Lock()
		f.late = func() { _, _ = do(kept) }
		f.mu.Unlock()
	case Full:
		return 0, fmt.Errorf("flaky: %w", checkpoint.ErrFull)
	default:
		return do(data)
	}
	return 0, fmt.Errorf("flaky: %w", checkpoint.ErrUnknown)
}

// Read implements checkpoint.Log.
func (f *Flaky) Read(ctx context.Context, alias msgid.Alias, from, to checkpoint.Pos, yield func(checkpoint.Entry) error) error {
	f.arrive()
	if f.Deaf > 0 {
		f.Deaf--
		return fmt.Errorf("flaky: %w", checkpoint.ErrUnknown)
	}
	return f.Log.Read(ctx, alias, from, to, func(e checkpoint.Entry) error {
		if e, ok := f.damage(e); ok {
			return yield(e)
		}
		return nil
	})
}

// Last implements checkpoint.Log, by reading all.
func (f *Flaky) Last(ctx context.Context, alias msgid.Alias) (last checkpoint.Entry, err error) {
	err = f.Read(ctx, alias, 0, checkpoint.End, func(e checkpoint.Entry) error {
		last = e
		return nil
	})
	return last, err
}

// Purge implements checkpoint.Log.
func (f *Flaky) Purge(ctx context.Context, alias msgid.Alias, below checkpoint.Pos) error {
	f.arrive()
	return f.Log.Purge(ctx, alias, below)
}

// Synced implements checkpoint.Log: purging does not wait.
func (f *Flaky) Synced() checkpoint.Pos { return checkpoint.End }

// arrive lets a late append arrive.
func (f *Flaky) arrive() {
	f.mu.Lock()
	late := f.late
	f.late = nil
	f.mu.Unlock()
	if late != nil {
		late()
	}
}

func (f *Flaky) damage(e checkpoint.Entry) (checkpoint.Entry, bool) {
	at, ok := f.Damage[e.Pos]
	if !ok {
		return e, true
	}
	if at >= len(e.Data) {
		return e, false
	}
	e.Data = append([]byte(nil), e.Data...)
	e.Data[at] ^= 0x10
	return e, true
}

// Headless is a Log whose last entry reads as damaged, so that a restore reads all of it.
type Headless struct{ checkpoint.Log }

// Last implements checkpoint.Log.
func (h Headless) Last(ctx context.Context, alias msgid.Alias) (checkpoint.Entry, error) {
	e, err := h.Log.Last(ctx, alias)
	e.Data = nil
	return e, err
}
