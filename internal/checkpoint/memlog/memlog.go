package memlog

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

// Options of a Log. With the zero value no acknowledged entry is lost.
type Options struct {
	// SyncLag is how many of the newest entries a power cut may take; see Cut.
	SyncLag int
	// MaxEntry is the largest entry in bytes; default 1 MiB.
	MaxEntry int
	// MaxBytes is the room for all entries together; default: no limit. An entry without room is ErrFull.
	MaxBytes int
	// Fault decides the fault of each operation; default: none. It is called with the log locked, and must not use it.
	Fault func(Op) Fault
}

// An Op is an operation that may have a fault.
type Op struct {
	Kind  Kind
	Alias msgid.Alias
	Pos   checkpoint.Pos // Append: expect, Read: from, Purge: below
	Size  int            // Append: bytes
}

// A Kind is a kind of operation.
type Kind int

// The kinds of operations.
const (
	Append Kind = iota
	Read
	Last
	Purge
)

// A Fault is a way in which an operation fails.
type Fault int

// The faults. All but None and Full end in ErrUnknown.
const (
	None    Fault = iota
	Lost          // it is done, its answer is lost
	Dropped       // it is not done, and there is no answer
	Late          // an Append is done just before the next operation, if its alias's last entry still is as expected
	Full          // an Append finds no room
)

// A Log is a task log in memory. It is deterministic: its results follow from the calls, in their order.
type Log struct {
	mu      sync.Mutex
	opt     Options
	entries map[msgid.Alias][]checkpoint.Entry
	last    checkpoint.Pos // of the newest entry of any alias
	synced  checkpoint.Pos // the entries that survived a power cut
	bytes   int
	late    []late
	gone    bool
	epoch   uint64
}

// late is an append on its way.
type late struct {
	alias  msgid.Alias
	expect checkpoint.Pos
	data   []byte
}

var _ checkpoint.Log = (*Log)(nil)

// New makes an empty log.
func New(opt Options) *Log {
	if opt.MaxEntry <= 0 {
		opt.MaxEntry = 1 << 20
	}
	return &Log{opt: opt, entries: map[msgid.Alias][]checkpoint.Entry{}}
}

// Append implements checkpoint.Log.
func (l *Log) Append(ctx context.Context, alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if len(data) > l.opt.MaxEntry {
		return 0, fmt.Errorf("memlog: append: %w: %d bytes, at most %d", checkpoint.ErrTooLarge, len(data), l.opt.MaxEntry)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fault, err := l.enter(Op{Append, alias, expect, len(data)})
	data = append([]byte(nil), data...)
	switch {
	case fault == Late:
		l.late = append(l.late, late{alias, expect, data})
		return 0, unknown("append")
	case err != nil:
		return 0, err
	case fault == Full || l.opt.MaxBytes > 0 && l.bytes+len(data) > l.opt.MaxBytes:
		return 0, fmt.Errorf("memlog: append: %w", checkpoint.ErrFull)
	}
	pos, err := l.append(alias, expect, data)
	if fault == Lost {
		return 0, unknown("append")
	}
	return pos, err
}

func (l *Log) append(alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	if last := l.lastOf(alias).Pos; last != expect {
		return 0, fmt.Errorf("memlog: append: %w: %d, not %d", checkpoint.ErrConflict, last, expect)
	}
	l.last++
	l.entries[alias] = append(l.entries[alias], checkpoint.Entry{Pos: l.last, Data: data})
	l.bytes += len(data)
	return l.last, nil
}

// Read implements checkpoint.Log.
func (l *Log) Read(ctx context.Context, alias msgid.Alias, from, to checkpoint.Pos, yield func(checkpoint.Entry) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	_, err := l.enter(Op{Read, alias, from, 0})
	entries := l.entries[alias] // its elements never change: Purge and Corrupt make new ones
	l.mu.Unlock()
	if err != nil {
		return err
	}
	start := sort.Search(len(entries), func(i int) bool { return entries[i].Pos >= from })
	for _, e := range entries[start:] {
		if e.Pos > to {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(e); err == checkpoint.ErrStop {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Last implements checkpoint.Log.
func (l *Log) Last(ctx context.Context, alias msgid.Alias) (checkpoint.Entry, error) {
	if err := ctx.Err(); err != nil {
		return checkpoint.Entry{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.enter(Op{Last, alias, 0, 0}); err != nil {
		return checkpoint.Entry{}, err
	}
	return l.lastOf(alias), nil
}

// Purge implements checkpoint.Log.
func (l *Log) Purge(ctx context.Context, alias msgid.Alias, below checkpoint.Pos) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fault, err := l.enter(Op{Purge, alias, below, 0})
	if err != nil && fault != Lost {
		return err
	}
	kept := l.entries[alias]
	for len(kept) > 0 && kept[0].Pos < below {
		l.bytes -= len(kept[0].Data)
		kept = kept[1:]
	}
	l.entries[alias] = append([]checkpoint.Entry(nil), kept...)
	return err
}

// Synced implements checkpoint.Log.
func (l *Log) Synced() checkpoint.Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.floor()
}

func (l *Log) floor() checkpoint.Pos {
	if lag := checkpoint.Pos(l.opt.SyncLag); l.last > lag {
		return max(l.synced, l.last-lag)
	}
	return l.synced
}

// MaxEntry implements checkpoint.Log.
func (l *Log) MaxEntry() int { return l.opt.MaxEntry }

// Epoch implements checkpoint.Log: it counts the calls of Cut, Vanish and Lose that removed entries.
func (l *Log) Epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch
}

// Reopen implements checkpoint.Log.
func (l *Log) Reopen(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = false
	return ctx.Err()
}

// enter lets late appends arrive, and decides the fault of op. The caller of op gets its error.
func (l *Log) enter(op Op) (Fault, error) {
	if l.gone {
		l.late = nil
		return None, fmt.Errorf("memlog: %w", checkpoint.ErrGone)
	}
	for _, a := range l.late {
		_, _ = l.append(a.alias, a.expect, a.data)
	}
	l.late = nil
	if l.opt.Fault == nil {
		return None, nil
	}
	fault := l.opt.Fault(op)
	switch {
	case fault == Dropped, op.Kind != Append && (fault == Lost || fault == Late):
		return fault, unknown("operation")
	}
	return fault, nil
}

func unknown(what string) error { return fmt.Errorf("memlog: %s: %w", what, checkpoint.ErrUnknown) }

func (l *Log) lastOf(alias msgid.Alias) checkpoint.Entry {
	if e := l.entries[alias]; len(e) > 0 {
		return e[len(e)-1]
	}
	return checkpoint.Entry{}
}
