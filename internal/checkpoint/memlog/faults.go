package memlog

import (
	"context"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

// Cut cuts the power: the n newest entries of all aliases together are lost, or those that were not synced if that
// is fewer. The rest is on disk. It returns how many positions were lost; they will be given again.
func (l *Log) Cut(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.floor()
	if keep := l.last - min(l.last, checkpoint.Pos(max(n, 0))); keep > end {
		end = keep
	}
	for alias, entries := range l.entries {
		kept := len(entries)
		for kept > 0 && entries[kept-1].Pos > end {
			kept--
			l.bytes -= len(entries[kept].Data)
		}
		l.entries[alias] = append([]checkpoint.Entry(nil), entries[:kept]...)
	}
	lost := int(l.last - end)
	l.epoch++
	l.last, l.synced, l.late = end, end, nil
	return lost
}

// Vanish makes the whole log disappear: every operation fails with ErrGone until Reopen, and then positions begin
// at 1 again.
func (l *Log) Vanish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = map[msgid.Alias][]checkpoint.Entry{}
	l.last, l.synced, l.bytes, l.late, l.gone = 0, 0, 0, nil, true
	l.epoch++
}

// Wipe makes the log empty: Vanish and Reopen.
func (l *Log) Wipe() {
	l.Vanish()
	_ = l.Reopen(context.Background())
}

// Corrupt flips the bits of mask in one byte of the entry at pos. It reports whether there is such a byte.
func (l *Log) Corrupt(pos checkpoint.Pos, at int, mask byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for alias, entries := range l.entries {
		for i, e := range entries {
			if e.Pos != pos || at < 0 || at >= len(e.Data) {
				continue
			}
			data := append([]byte(nil), e.Data...) // readers may hold the old one
			data[at] ^= mask
			entries = append([]checkpoint.Entry(nil), entries...)
			entries[i].Data = data
			l.entries[alias] = entries
			return true
		}
	}
	return false
}

// Lose removes the entry at pos, as a damaged block of a file store does. It reports whether there was one.
func (l *Log) Lose(pos checkpoint.Pos) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for alias, entries := range l.entries {
		for i, e := range entries {
			if e.Pos == pos {
				l.bytes -= len(e.Data)
				l.epoch++
				l.entries[alias] = append(append([]checkpoint.Entry(nil), entries[:i]...), entries[i+1:]...)
				return true
			}
		}
	}
	return false
}

// SetFault replaces Options.Fault.
func (l *Log) SetFault(fault func(Op) Fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opt.Fault = fault
}

// Entries returns the entries of alias, oldest first.
func (l *Log) Entries(alias msgid.Alias) []checkpoint.Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]checkpoint.Entry(nil), l.entries[alias]...)
}

// Bytes returns the size of all entries.
func (l *Log) Bytes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}
