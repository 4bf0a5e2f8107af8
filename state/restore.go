package state

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// Apply restores a snapshot: first a full one, which replaces everything, then the increments that follow it, in
// order. It may be called before or after the maps are opened; what belongs to a map that is not open is kept
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
		index: newIndex(), pages: make([]*page, 1), rows: make([][]entry[K, V], 1), // numbers begin at 1
	}
}

// An insertion is the record of a new entry, found but not yet carried out.
type insertion struct {
	seq uint64
	at  int // where key and value begin, among the records
	end int
}

// load carries out the records of a section. Entries that changed while their snapshot was being encoded come
// before their turn, so new ones are put in order first. What is loaded does not count as changed.
func (m *Map[K, V]) load(s *section) error {
	if s.key != m.kind.name || s.value != m.value.name {
		return fmt.Errorf("%w: %s to %s, not %s to %s: give the map a new name, or its old type",
			ErrKind, s.key, s.value, m.kind.name, m.value.name)
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
		switch record[0] {
		case opInsert:
			seq := last + uint64(r.varint())
			if r.bad || seq >= s.nextSeq || seq < m.nextSeq {
				return corrupt(count, "bad sequence number")
			}
			last = seq + 1
			end := len(s.records) - len(rest)
			inserts = append(inserts, insertion{seq, end - len(r.data), end})
		case opUpdate, opDelete:
			if err := m.loadKnown(r.data, record[0] == opDelete); err != nil {
				return fmt.Errorf("%w: record %d: %w", ErrCorrupt, count, err)
			}
		default:
			return corrupt(count, "unknown kind")
		}
	}
	if count != s.count {
		return corrupt(count, "another number of records than promised")
	}
	slices.SortFunc(inserts, func(a, b insertion) int { return cmp.Compare(a.seq, b.seq) })
	for _, in := range inserts {
		if err := m.loadNew(in.seq, s.records[in.at:in.end]); err != nil {
			return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, in.seq, err)
		}
	}
	m.nextSeq = max(m.nextSeq, s.nextSeq)
	m.storedSeq, m.frozenSeq = m.nextSeq, m.nextSeq
	m.dirty = false
	return nil
}

func (m *Map[K, V]) loadKnown(body []byte, deleted bool) error {
	k, rest, err := readKey[K](body, &m.kind)
	if err != nil {
		return err
	}
	_, e := m.find(k, probeKey(&m.kind, &k))
	switch {
	case e == nil:
		return errors.New("no entry has its key")
	case !deleted:
		var v V
		if err := m.readValue(rest, &v); err != nil {
			return err
		}
		e.val = v
	case len(rest) > 0:
		return errValue
	default:
		m.frozenSeq = 0 // no snapshot needs a record of the deletion
		m.Delete(k)
	}
	return nil
}

func (m *Map[K, V]) loadNew(seq uint64, body []byte) error {
	k, rest, err := readKey[K](body, &m.kind)
	if err != nil {
		return err
	}
	q := probeKey(&m.kind, &k)
	if _, e := m.find(k, q); e != nil {
		return errors.New("its key is there already")
	}
	if seq < m.nextSeq {
		return errors.New("its number is taken")
	}
	_, e := m.add(k, q, seq)
	return m.readValue(rest, &e.val)
}

func (m *Map[K, V]) readValue(src []byte, v *V) (err error) {
	if m.value.foreign {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%T panicked: %v", *v, r)
			}
		}()
	}
	return m.value.read(src, unsafe.Pointer(v))
}

func corrupt(record uint64, what string) error {
	return fmt.Errorf("%w: record %d: %s", ErrCorrupt, record, what)
}
