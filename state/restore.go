package state

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// Apply restores a snapshot: first a full one, which replaces everything, then the increments that follow it, in
// order. It may be called before or after the maps are opened; sections of maps that are not open are kept
// for Open, and written again with each full snapshot. data is not kept.
//
// The checksum finds damage before anything is changed. A snapshot that is wrong in spite of its checksum, or of
// other types than the maps, may have been applied in part: after such an error the store accepts only a full one.
func (s *Store) Apply(data []byte) error {
	if s.phase != idle && s.phase != taken {
		return fmt.Errorf("apply snapshot: %w: abort it first", ErrBusy)
	}
	h, sections, err := parse(data)
	if err != nil {
		return fmt.Errorf("apply snapshot: %w: %w", ErrCorrupt, err)
	}
	at := s.stored
	if s.phase == taken {
		at = s.taken
	}
	switch {
	case h.full && h.number > 0:
	case h.base == 0 || h.base != at.number || h.number <= h.base:
		return fmt.Errorf("apply snapshot: %w: number %d follows %d, but the store is at %d", ErrOrder, h.number, h.base, at.number)
	case s.Changed():
		return fmt.Errorf("apply snapshot: %w: the state has changed since number %d", ErrOrder, at.number)
	}
	s.phase, s.frozen = idle, nil
	if h.full {
		s.kept = nil
		for _, t := range s.tables {
			t.reset(s.epoch)
		}
	}
	s.number, s.stored = h.number, chain{}
	for i := range sections {
		if err := s.applySection(&sections[i]); err != nil {
			return fmt.Errorf("apply snapshot %d: map %q: %w", h.number, sections[i].name, err)
		}
	}
	s.stored = at.add(h, len(data))
	return nil
}

func (s *Store) applySection(sec *section) error {
	for _, t := range s.tables {
		if t.title() == sec.name {
			return t.load(sec)
		}
	}
	k := *sec
	k.raw = slices.Clone(sec.raw)
	k.records = k.raw[len(k.raw)-len(sec.records):]
	s.kept = append(s.kept, kept{k})
	return nil
}

// reset makes the map an empty one.
func (m *Map[K, V]) reset(epoch uint32) {
	*m = Map[K, V]{
		name: m.name, kind: m.kind, value: m.value, moves: m.moves + 1, epoch: epoch,
		index: newIndex(0), pages: make([]*page, 1), rows: make([][]entry[K, V], 1), // numbers begin at 1
	}
}

// An insertion is the record of a new entry, found but not yet carried out.
type insertion struct {
	seq uint64
	at  int // where key and value begin, among the records
	end int
}

// load carries out the records of a section. Entries that changed while their snapshot was being encoded come
// before their turn, so new ones are put in order first. Loaded entries do not count as changed.
func (m *Map[K, V]) load(s *section) error {
	if s.key != m.kind.name {
		return fmt.Errorf("%w: its keys are %.40q, not %s: give the map a new name, or its old type", ErrKind, s.key, m.kind.name)
	}
	value := &m.value
	if s.value != value.name {
		older, err := value.olderNamed(s.value)
		if err != nil {
			return err
		}
		value = &older
	}
	inserts := make([]insertion, 0, min(s.count, uint64(len(s.records)/4)))
	var count, last uint64
	for rest := s.records; len(rest) > 0; count++ {
		var record []byte
		var ok bool
		if record, rest, ok = readBytes(rest); !ok || len(record) == 0 {
			return corrupt(count, "bad length")
		}
		r := reader{data: record[1:]}
		seq := last + uint64(r.varint())
		last = seq + 1
		if r.bad || seq >= s.nextSeq {
			return corrupt(count, "bad sequence number")
		}
		switch record[0] {
		case opInsert:
			end := len(s.records) - len(rest)
			inserts = append(inserts, insertion{seq, end - len(r.data), end})
		case opUpdate, opDelete:
			if err := m.loadKnown(seq, r.data, record[0] == opDelete, value); err != nil {
				return wrongValue(err, "record", count)
			}
		default:
			return corrupt(count, "unknown kind")
		}
	}
	if count != s.count {
		return corrupt(count, "another number of records than promised")
	}
	if err := m.loadNew(inOrder(inserts, m.nextSeq), s.records, value); err != nil {
		return err
	}
	m.nextSeq = max(m.nextSeq, s.nextSeq)
	m.storedSeq, m.frozenSeq = m.nextSeq, m.nextSeq
	m.dirty = false
	return nil
}

// inOrder returns insertions in the order of their numbers. Most are so already, and few numbers from the first to the
// last are missing, so that each can be put where it belongs.
func inOrder(list []insertion, from uint64) []insertion {
	before := func(a, b insertion) int { return cmp.Compare(a.seq, b.seq) }
	if slices.IsSortedFunc(list, before) {
		return list
	}
	out := make([]insertion, 4*len(list))
	for _, in := range list {
		if i := in.seq - from; i < uint64(len(out)) && out[i].end == 0 {
			out[i] = in
			continue
		}
		slices.SortFunc(list, before)
		return list
	}
	return slices.DeleteFunc(out, func(in insertion) bool { return in.end == 0 })
}

func (m *Map[K, V]) loadKnown(seq uint64, body []byte, deleted bool, value *valueKind) error {
	e := m.numbered(seq)
	switch {
	case e == nil:
		return errors.New("no entry has its number")
	case !deleted:
		var v V
		if err := readValue(value, body, &v); err != nil {
			return err
		}
		e.val = v
	case len(body) > 0:
		return errValue
	default:
		m.frozenSeq = 0 // no snapshot needs a record of the deletion
		m.Delete(e.key)
	}
	return nil
}

// numbered returns the entry that has a number, or nil. It is fast for numbers that are near the one before.
func (m *Map[K, V]) numbered(seq uint64) *entry[K, V] {
	has := func(k int) bool {
		if k >= len(m.order) {
			return false
		}
		seqs := m.pages[m.order[k]].seqs
		return len(seqs) > 0 && seqs[0] <= seq && seq <= seqs[len(seqs)-1]
	}
	if !has(m.near) {
		if m.near = m.ordinal(seq); !has(m.near) {
			return nil
		}
	}
	id := m.order[m.near]
	p := m.pages[id]
	i := int(seq - p.seqs[0])
	if i >= len(p.seqs) || p.seqs[i] != seq { // some have gone
		var ok bool
		if i, ok = slices.BinarySearch(p.seqs, seq); !ok {
			return nil
		}
	}
	if !p.live.has(place(i)) {
		return nil
	}
	return &m.rows[id][i]
}

// loadNew inserts new entries, in the order of their numbers. They go to the index at the end, a segment at a time:
// one by one in their own order they would wait for memory at each.
func (m *Map[K, V]) loadNew(inserts []insertion, records []byte, value *valueKind) error {
	if m.len == 0 {
		m.index = newIndex(len(inserts))
	}
	slots := make([]uint64, len(inserts))
	for i, in := range inserts {
		k, body, err := readKey[K](records[in.at:in.end], &m.kind)
		if err == nil && in.seq < m.nextSeq {
			err = errors.New("its number is taken")
		}
		if err != nil {
			return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, in.seq, err)
		}
		q := probeKey(&m.kind, &k)
		at, e := m.append(k, q, in.seq)
		if err := readValue(value, body, &e.val); err != nil {
			return wrongValue(err, "entry", in.seq)
		}
		slots[i] = slotOf(q.hash, at)
	}
	for _, slot := range m.index.grouped(slots) {
		if m.index.tagged(slot) { // seldom true of different keys
			e := m.entry(place(slot))
			if _, old := m.find(e.key, probeKey(&m.kind, &e.key)); old != nil {
				return fmt.Errorf("%w: a key is there twice", ErrCorrupt)
			}
		}
		m.index.insert(slot)
	}
	return nil
}

func readValue[V any](value *valueKind, src []byte, v *V) (err error) {
	if value.foreign {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%T panicked: %v", *v, r)
			}
		}()
	}
	return value.read(src, unsafe.Pointer(v))
}

// wrongValue returns the error of a value: the snapshot is damaged, unless its type is known to be another.
func wrongValue(err error, what string, n uint64) error {
	if errors.Is(err, ErrKind) {
		return fmt.Errorf("%s %d: %w", what, n, err)
	}
	return fmt.Errorf("%w: %s %d: %w", ErrCorrupt, what, n, err)
}

func corrupt(record uint64, what string) error {
	return fmt.Errorf("%w: record %d: %s", ErrCorrupt, record, what)
}
