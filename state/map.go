package state

import (
	"iter"
	"slices"
	"sort"
	"unsafe"
)

// A Map is one keyed part of a task's state. Its entries are kept in order of insertion. A key that is deleted
// and inserted again goes to the end.
//
// Threading: a map belongs to its store's goroutine.
type Map[K Key, V any] struct {
	kind keyKind
	index
	rows  [][]entry[K, V] // by page number
	pages []*page         // by page number, beside rows
	epoch uint32          // goes up by one at each Begin

	name    string
	value   valueKind
	order   []uint32 // page numbers in order of insertion
	unused  []uint32 // page numbers to use again
	keys    arena
	len     int
	nextSeq uint64
	moves   int // goes up when entries move
	text    int // bytes of text keys
	near    int // the place in order of the page that numbered looked at last

	// The order of insertion numbers the entries, and so determines which of them a snapshot holds.
	// Invariant: storedSeq <= frozenSeq <= nextSeq.
	storedSeq uint64 // entries below it are in the last stored snapshot
	frozenSeq uint64 // entries below it were there at the last Begin that was not aborted
	dirty     bool   // something has changed since Begin
	wasDirty  bool   // dirty at the last Begin

	snapshot progress
}

// An entry is small, for a search is as slow as the memory it touches: all that a search does not need is in the
// page's books.
type entry[K Key, V any] struct {
	key  K
	head uint64 // the first 8 bytes of a text key, or all of an integer
	mark uint32 // the epoch in which the entry was last marked changed
	val  V
}

// A probe is what a search needs to know of a key.
type probe struct{ hash, head uint64 }

// At returns the value of a text key, given as bytes, and makes an entry of the zero value if there is none. An
// entry that exists is found without allocating. The entry counts as changed. The pointer is valid until the
// next call on the map or its store.
//
// At is for maps with text keys. On any other it panics: integer keys go to Entry.
func (m *Map[K, V]) At(key []byte) *V {
	m.wantText("At", "Entry")
	return m.at(view[K](key), probeBytes(&m.kind, key))
}

// Entry is At for a typed key.
func (m *Map[K, V]) Entry(k K) *V { return m.at(k, probeKey(&m.kind, &k)) }

// Get returns the value of k, and whether there is one. It is for reading: the value must not be changed
// through pointers, slices or maps that it holds.
func (m *Map[K, V]) Get(k K) (v V, ok bool) {
	if _, e := m.find(k, probeKey(&m.kind, &k)); e != nil {
		return e.val, true
	}
	return v, false
}

// Peek is Get for a text key, given as bytes. Like At, it panics on a map with integer keys.
func (m *Map[K, V]) Peek(key []byte) (v V, ok bool) {
	m.wantText("Peek", "Get")
	if _, e := m.find(view[K](key), probeBytes(&m.kind, key)); e != nil {
		return e.val, true
	}
	return v, false
}

// Put sets the value of k.
func (m *Map[K, V]) Put(k K, v V) { *m.Entry(k) = v }

// Delete removes k, and reports whether it was there.
func (m *Map[K, V]) Delete(k K) bool {
	q := probeKey(&m.kind, &k)
	at, e := m.find(k, q)
	if e == nil {
		return false
	}
	m.touch(at, e)
	m.index.remove(q.hash, at)
	m.len--
	if m.kind.text {
		m.text -= len(text(&k))
	}
	var zero V
	e.val = zero
	p, i := m.pages[at/pageSize], at%pageSize
	p.live.clear(i)
	p.lives--
	if p.seqs[i] >= m.frozenSeq { // no snapshot holds it, so none needs a record
		p.changed.clear(i)
		m.bury(e)
	} else {
		p.graves = true
	}
	// Tidying costs some hundred nanoseconds even where there is nothing to gain, so not at every deletion.
	if p.lives%256 == 0 && m.snapshot.idle() {
		n := m.ordinal(p.seqs[i])
		m.tidy(n)
		if n > 0 {
			m.tidy(n - 1)
		}
	}
	return true
}

// Len returns the number of entries.
func (m *Map[K, V]) Len() int { return m.len }

// All returns the entries that are there when the iteration begins, in order of insertion: the same order in a
// replay and after a restore. The map may be changed during the iteration: an entry that is deleted before it is
// reached is left out, one that is inserted is not reached, and one that is changed has its new value.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		end, moves, seq := m.nextSeq, m.moves, uint64(0)
		k, i := 0, place(0)
		for k < len(m.order) {
			id := m.order[k]
			if i = m.pages[id].live.next(i); i == pageSize {
				k, i = k+1, 0
				continue
			}
			e := &m.rows[id][i]
			if seq = m.pages[id].seqs[i]; seq >= end {
				return
			}
			i++
			if !yield(e.key, e.val) {
				return
			}
			if moves != m.moves {
				moves = m.moves
				k, i = m.after(seq)
			}
		}
	}
}

func (m *Map[K, V]) wantText(method, instead string) {
	if !m.kind.text {
		panic("state: map " + m.name + " has integer keys: use " + instead + ", not " + method)
	}
}

func (m *Map[K, V]) find(k K, q probe) (place, *entry[K, V]) {
	s, tag := m.dir[q.hash>>(m.shift&63)], tagOf(q.hash)
	for i := tag; ; i++ {
		slot := s.slots[i%segmentSlots]
		if slot == 0 {
			return 0, nil
		}
		if uint32(slot>>32) != tag {
			continue
		}
		at := place(slot)
		if e := &m.rows[at/pageSize][at%pageSize]; e.head == q.head && sameTail(&m.kind, &e.key, &k) {
			return at, e
		}
	}
}

// at is find, and what At does with what is found: a call less where it counts.
func (m *Map[K, V]) at(k K, q probe) *V {
	s, tag := m.dir[q.hash>>(m.shift&63)], tagOf(q.hash)
	for i := tag; ; i++ {
		slot := s.slots[i%segmentSlots]
		if slot == 0 {
			return m.insert(k, q)
		}
		if uint32(slot>>32) != tag {
			continue
		}
		at := place(slot)
		if e := &m.rows[at/pageSize][at%pageSize]; e.head == q.head && sameTail(&m.kind, &e.key, &k) {
			if e.mark != m.epoch {
				m.touch(at, e)
			}
			return &e.val
		}
	}
}

func (m *Map[K, V]) insert(k K, q probe) *V {
	at, e := m.add(k, q, m.nextSeq)
	m.pages[at/pageSize].changed.set(at % pageSize)
	e.mark = m.epoch
	m.dirty = true
	return &e.val
}

// touch marks an entry changed. If a frozen snapshot has still to encode it, it is encoded now, as it was.
func (m *Map[K, V]) touch(at place, e *entry[K, V]) {
	p, i := m.pages[at/pageSize], at%pageSize
	if p.pending.has(i) {
		p.pending.clear(i)
		m.snapshot.left--
		m.encodeEntry(e, p.seqs[i], true)
	}
	p.changed.set(i)
	e.mark = m.epoch
	m.dirty = true
}

// add puts a new entry at the end.
func (m *Map[K, V]) add(k K, q probe, seq uint64) (place, *entry[K, V]) {
	at, e := m.append(k, q, seq)
	m.index.insert(slotOf(q.hash, at))
	return at, e
}

// append is add without the index.
func (m *Map[K, V]) append(k K, q probe, seq uint64) (place, *entry[K, V]) {
	k = m.own(k)
	id := m.lastPage()
	row := append(m.rows[id], entry[K, V]{key: k, head: q.head})
	i := place(len(row) - 1)
	p := m.pages[id]
	m.rows[id] = row
	p.seqs = append(p.seqs, seq)
	p.live.set(i)
	p.lives++
	m.nextSeq = seq + 1
	m.len++
	if m.kind.text {
		m.text += len(text(&k))
	}
	return place(id)*pageSize + i, &row[i]
}

func (m *Map[K, V]) entry(at place) *entry[K, V] { return &m.rows[at/pageSize][at%pageSize] }

// own copies the bytes of a text key to the arena.
func (m *Map[K, V]) own(k K) K {
	if m.kind.text {
		s := m.keys.own(text(&k))
		return *(*K)(unsafe.Pointer(&s))
	}
	return k
}

// lastPage returns the number of a page that has room for one more entry.
func (m *Map[K, V]) lastPage() uint32 {
	n := len(m.order)
	if n == 0 || len(m.rows[m.order[n-1]]) == pageSize {
		m.order = append(m.order, m.newPage())
		n++
	}
	id := m.order[n-1]
	if row := m.rows[id]; len(row) == cap(row) {
		size := pageSize
		if n == 1 { // a small map stays small
			size = min(pageSize, max(8, 2*cap(row)))
		}
		m.rows[id] = append(make([]entry[K, V], 0, size), row...)
		m.pages[id].seqs = append(make([]uint64, 0, size), m.pages[id].seqs...)
	}
	return id
}

func (m *Map[K, V]) newPage() uint32 {
	if n := len(m.unused); n > 0 {
		id := m.unused[n-1]
		m.unused = m.unused[:n-1]
		m.pages[id] = new(page)
		return id
	}
	if len(m.pages) > maxPages {
		panic("state: map " + m.name + " cannot hold more entries")
	}
	m.pages = append(m.pages, new(page))
	m.rows = append(m.rows, nil)
	return uint32(len(m.pages) - 1)
}

// bury forgets the key of a dead entry that is not needed.
func (m *Map[K, V]) bury(e *entry[K, V]) {
	var zero K
	e.key = zero
}

// ordinal returns the place in m.order of the page that holds an entry's number, or would.
func (m *Map[K, V]) ordinal(seq uint64) int {
	n := sort.Search(len(m.order), func(k int) bool {
		seqs := m.pages[m.order[k]].seqs
		return len(seqs) == 0 || seqs[0] > seq
	})
	return max(0, n-1)
}

// after returns the page's ordinal and the slot where the entries that follow a number begin.
func (m *Map[K, V]) after(seq uint64) (int, place) {
	k := m.ordinal(seq)
	if k == len(m.order) {
		return k, 0
	}
	seqs := m.pages[m.order[k]].seqs
	return k, place(sort.Search(len(seqs), func(i int) bool { return seqs[i] > seq }))
}

// tidy gives back the room of dead entries on the k-th page: it drops the page, or joins it with the next, when
// little of them is left. It returns how many entries it moved, and whether the k-th page is now another.
func (m *Map[K, V]) tidy(k int) (moved int, again bool) {
	if k >= len(m.order) {
		return 0, false
	}
	id := m.order[k]
	p := m.pages[id]
	if p.graves {
		m.sweepGraves(id)
	}
	used, last := p.used(), k == len(m.order)-1
	switch {
	case used == 0 && last:
		m.rows[id] = m.rows[id][:0]
		*p = page{seqs: p.seqs[:0]}
		m.moves++
		return 0, false
	case used == 0:
		m.drop(k)
		return 0, true
	case last:
		return 0, false
	}
	if used+m.pages[m.order[k+1]].used() > pageSize*3/4 {
		return 0, false
	}
	return m.join(k), true
}

func (m *Map[K, V]) sweepGraves(id uint32) {
	p, row := m.pages[id], m.rows[id]
	p.graves = false
	for i := range row {
		switch at := place(i); {
		case p.live.has(at):
		case p.free(at):
			m.bury(&row[i])
		default:
			p.graves = true
		}
	}
}

func (m *Map[K, V]) drop(k int) {
	id := m.order[k]
	m.order = slices.Delete(m.order, k, k+1)
	m.rows[id], m.pages[id] = nil, nil
	m.unused = append(m.unused, id)
	m.moves++
}

// join moves what is live or needed on two neighbouring pages to a new one. Their keys go to a new part of the
// arena, so that the old parts can be collected. No snapshot is being encoded.
func (m *Map[K, V]) join(k int) (moved int) {
	id := m.newPage()
	size := m.pages[m.order[k]].used() + m.pages[m.order[k+1]].used()
	p, row := m.pages[id], make([]entry[K, V], 0, size)
	p.seqs = make([]uint64, 0, size)
	for _, from := range m.order[k : k+2] {
		old := m.pages[from]
		for i, e := range m.rows[from] {
			at, to := place(i), place(len(row))
			if old.free(at) {
				continue
			}
			e.key = m.own(e.key)
			if old.live.has(at) {
				m.index.move(probeKey(&m.kind, &e.key).hash, place(from)*pageSize+at, place(id)*pageSize+to)
				p.live.set(to)
				p.lives++
			} else {
				p.graves = true
			}
			if old.changed.has(at) {
				p.changed.set(to)
			}
			if old.frozen.has(at) {
				p.frozen.set(to)
			}
			row, p.seqs = append(row, e), append(p.seqs, old.seqs[i])
		}
	}
	m.rows[id] = row
	m.drop(k)
	m.drop(k)
	m.order = slices.Insert(m.order, k, id)
	return len(row)
}

func (m *Map[K, V]) size() int {
	n := m.index.size() + len(m.order)*int(unsafe.Sizeof(page{})) + m.text
	for _, row := range m.rows {
		n += cap(row) * (int(unsafe.Sizeof(entry[K, V]{})) + 8)
	}
	return n
}
