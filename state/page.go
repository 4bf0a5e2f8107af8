package state

import "math/bits"

// A place is where an entry lies: page number times pageSize, plus its slot in the page. Pages are numbered
// from 1, so no place is zero.
type place uint32

const (
	pageSize = 4096
	maxPages = 1<<20 - 1
)

// A page keeps the books of up to 4096 entries, which lie in a slice of their own, in order of insertion. Storage
// in pages lets a map grow without ever copying more than one page.
//
// A dead entry is needed, as the record of a deletion, as long as it is changed or frozen.
type page struct {
	live    bitmap   // holds a key and a value
	changed bitmap   // touched since the last Begin
	frozen  bitmap   // was changed at the last Begin; changed again if that snapshot is aborted
	pending bitmap   // belongs to the snapshot being encoded, and is not encoded yet
	seqs    []uint64 // the entries' numbers in the order of insertion, dead ones too: always ascending
	lives   int      // how many are live
	graves  bool     // some dead entry may have been needed when last looked at
}

func (p *page) free(i place) bool { return !p.live.has(i) && !p.changed.has(i) && !p.frozen.has(i) }

// used counts the entries that are live or needed.
func (p *page) used() (n int) {
	for i := range p.live {
		n += bits.OnesCount64(p.live[i] | p.changed[i] | p.frozen[i])
	}
	return n
}

// freeze hands the changed entries to a snapshot, and returns how many it has to encode.
func (p *page) freeze(full bool) int {
	p.frozen, p.pending = p.changed, p.changed
	if full {
		p.pending = p.live
	}
	p.changed = bitmap{}
	return p.pending.count()
}

// thaw takes back the entries that freeze handed out.
func (p *page) thaw() {
	for i := range p.changed {
		p.changed[i] |= p.frozen[i]
	}
	p.frozen, p.pending = bitmap{}, bitmap{}
}

type bitmap [pageSize / 64]uint64

func (b *bitmap) has(i place) bool { return b[i/64%(pageSize/64)]>>(i%64)&1 != 0 }
func (b *bitmap) set(i place)      { b[i/64%(pageSize/64)] |= 1 << (i % 64) }
func (b *bitmap) clear(i place)    { b[i/64%(pageSize/64)] &^= 1 << (i % 64) }

func (b *bitmap) count() (n int) {
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// next returns the first set bit at or after i, or pageSize.
func (b *bitmap) next(i place) place {
	for ; i < pageSize; i = (i/64 + 1) * 64 {
		if w := b[i/64] >> (i % 64); w != 0 {
			return i + place(bits.TrailingZeros64(w))
		}
	}
	return pageSize
}
