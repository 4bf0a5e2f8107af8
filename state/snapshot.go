package state

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"unsafe"
)

// A phase is how far a snapshot is.
type phase uint8

const (
	idle      phase = iota
	recording       // records are being encoded
	joining         // the encoded records are being joined to one slice
	sweeping        // dead entries that no snapshot needs any more are being given back
	done            // to be taken
	taken           // taken; the next Begin means that it is stored
)

// A chain is what the stored snapshots are, taken together: a full one and the increments that follow it.
type chain struct {
	number     uint64 // of the last one; 0 means none
	full       int    // bytes
	increments int    // bytes
}

// minIncrement is what an increment counts for at least. Finding and reading it costs about as much, so that
// a small state is always stored whole and a long chain of tiny increments comes to an end.
const minIncrement = 4 << 10

func (c chain) add(h header, size int) chain {
	if h.full {
		return chain{number: h.number, full: size}
	}
	return chain{number: h.number, full: c.full, increments: c.increments + max(size, minIncrement)}
}

// Begin freezes a snapshot of the state as it is now. The map may be changed at once: an entry that is still
// to be encoded is encoded before it changes. It takes a microsecond or so for 10,000 entries.
//
// An increment (full is false) holds what has changed since the snapshot before it, which must have been stored
// by now: Begin takes it for stored unless Abort was called. The first snapshot is full even if full is false.
// Begin aborts a snapshot that is still in progress.
func (s *Store) Begin(full bool) {
	if s.phase == taken {
		s.stored = s.taken
		for _, t := range s.frozen {
			t.commit()
		}
	} else {
		s.Abort()
	}
	full = full || s.stored.number == 0
	s.number++
	s.epoch++
	s.phase = recording
	s.frozen = slices.Clone(s.tables)
	s.join = joiner{header: header{full: full, number: s.number, base: s.stored.number}}
	if full {
		s.join.base = 0
		for _, k := range s.kept {
			s.join.add(k.raw)
		}
		s.join.sections = uint64(len(s.kept))
	}
	for _, t := range s.frozen {
		t.freeze(full, s.epoch)
	}
}

// Step carries the snapshot on, by about as many entries as the budget allows (and at least one): a thousand take
// a hundred microseconds or so. It reports whether the snapshot is done and can be taken. An error means that it
// cannot be finished: Abort.
func (s *Store) Step(budget int) (bool, error) {
	budget = max(1, budget)
	switch s.phase {
	case done:
		return true, nil
	case idle, taken:
		return false, ErrNoSnapshot
	}
	if s.phase == recording {
		for _, t := range s.frozen {
			used, complete, err := t.encode(budget)
			if err != nil {
				return false, fmt.Errorf("encode map %q: %w", t.title(), err)
			}
			if budget -= used; !complete || budget <= 0 {
				return false, nil
			}
		}
		s.gather()
		s.phase = joining
	}
	if s.phase == joining {
		used, complete := s.join.step(budget)
		if !complete {
			return false, nil
		}
		s.phase = sweeping
		if budget -= used; budget <= 0 {
			return false, nil
		}
	}
	for _, t := range s.frozen {
		used, complete := t.sweep(budget)
		if budget -= used; !complete || budget <= 0 {
			return false, nil
		}
	}
	s.phase = done
	return true, nil
}

// Take returns the snapshot that Step has finished; it then belongs to the caller. It returns nil if there is
// none.
func (s *Store) Take() []byte {
	if s.phase != done {
		return nil
	}
	data := s.join.out
	s.taken = s.stored.add(s.join.header, len(data))
	s.join = joiner{}
	s.phase = taken
	return data
}

// Abort gives up the snapshot in progress, or the last one taken, which will never be stored. Its changes
// count as changed again, so that the next one holds it.
func (s *Store) Abort() {
	if s.phase == idle {
		return
	}
	for _, t := range s.frozen {
		t.abort()
	}
	s.phase, s.frozen, s.join = idle, nil, joiner{}
}

// Changed reports whether anything has changed since the last Begin that was not aborted.
func (s *Store) Changed() bool {
	return slices.ContainsFunc(s.tables, table.changed)
}

// WantFull reports whether the next snapshot had better be full: there is none yet, or the increments have
// grown beyond the size of the full one, so that a restore would read more than twice as much.
func (s *Store) WantFull() bool {
	c := s.stored
	if s.phase == taken {
		c = s.taken
	}
	return c.number == 0 || c.increments > c.full
}

// gather collects what the maps have encoded.
func (s *Store) gather() {
	for _, t := range s.frozen {
		sec, records := t.section()
		if sec.count == 0 && !s.join.full {
			continue
		}
		s.join.add(sec.appendHead(nil, records.size))
		for _, chunk := range records.full {
			s.join.add(chunk)
		}
		s.join.sections++
	}
	s.join.parts = slices.Insert(s.join.parts, 0, s.join.header.append(nil))
	s.join.size += len(s.join.parts[0])
}

// A joiner makes one slice of many, a part at a time.
type joiner struct {
	header
	parts [][]byte
	size  int
	out   []byte
	sum   uint32
}

func (j *joiner) add(part []byte) {
	j.parts = append(j.parts, part)
	j.size += len(part)
}

// bytesPerEntry is how many bytes are copied in about the time that it takes to encode an entry.
const bytesPerEntry = 128

func (j *joiner) step(budget int) (used int, complete bool) {
	if j.out == nil {
		j.out = make([]byte, 0, j.size+crc32.Size)
	}
	for i, part := range j.parts {
		if used >= budget {
			j.parts = j.parts[i:]
			return used, false
		}
		j.out = append(j.out, part...)
		j.sum = crc32.Update(j.sum, castagnoli, part)
		j.parts[i] = nil
		used += 1 + len(part)/bytesPerEntry
	}
	j.parts = nil
	j.out = binary.LittleEndian.AppendUint32(j.out, j.sum)
	return used, true
}

// A progress is a map's part of the snapshot in progress.
type progress struct {
	spool
	active  bool
	full    bool
	left    int    // entries still to encode
	page    int    // the page that encode is at, by its place in the order
	slot    place  // the slot that encode is at
	swept   int    // the page that sweep is at
	lastSeq uint64 // the number after that of the last entry encoded
	err     error
}

// idle reports whether entries may be moved: no snapshot points at their places.
func (s *progress) idle() bool { return !s.active }

func (m *Map[K, V]) title() string { return m.name }
func (m *Map[K, V]) changed() bool { return m.dirty }

// freeze looks at every page, but at no entry.
func (m *Map[K, V]) freeze(full bool, epoch uint32) {
	m.epoch = epoch
	m.snapshot = progress{active: true, full: full}
	m.dirty, m.wasDirty = false, m.dirty
	m.frozenSeq = m.nextSeq
	for _, id := range m.order {
		m.snapshot.left += m.pages[id].freeze(full)
	}
}

// encode encodes pending entries in their order, as many as the budget allows.
func (m *Map[K, V]) encode(budget int) (used int, complete bool, err error) {
	s := &m.snapshot
	for s.left > 0 && s.err == nil && used < budget {
		used++
		id := m.order[s.page]
		p := m.pages[id]
		i := p.pending.next(s.slot)
		if i == pageSize {
			s.page, s.slot = s.page+1, 0
			continue
		}
		p.pending.clear(i)
		s.slot = i + 1
		s.left--
		m.encodeEntry(&m.rows[id][i], p.seqs[i], p.live.has(i))
	}
	return used, s.left == 0, s.err
}

func (m *Map[K, V]) encodeEntry(e *entry[K, V], seq uint64, live bool) {
	s := &m.snapshot
	known := !s.full && seq < m.storedSeq
	if s.err != nil || !live && !known {
		return
	}
	b := s.begin()
	switch {
	case !live:
		b = append(b, opDelete)
	case known:
		b = append(b, opUpdate)
	default:
		b = append(b, opInsert)
	}
	b = binary.AppendVarint(b, int64(seq-s.lastSeq))
	s.lastSeq = seq + 1
	if !known {
		b = appendKey(b, &m.kind, &e.key)
	}
	if live {
		b, s.err = m.writeValue(b, &e.val)
		if s.err != nil {
			return
		}
	}
	s.end(b)
}

func (m *Map[K, V]) writeValue(dst []byte, v *V) (out []byte, err error) {
	if m.value.foreign {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("%w: %T panicked: %v", ErrEncode, *v, r)
			}
		}()
	}
	if out, err = m.value.write(dst, unsafe.Pointer(v)); err != nil {
		return nil, fmt.Errorf("%w: %T: %w", ErrEncode, *v, err)
	}
	return out, nil
}

// section hands over what was encoded.
func (m *Map[K, V]) section() (*section, *spool) {
	s := &m.snapshot
	s.active = false
	s.flush()
	records := s.spool
	s.spool = spool{}
	return &section{
		name: m.name, key: m.kind.name, value: m.value.name, count: records.count, nextSeq: m.frozenSeq,
	}, &records
}

// sweep tidies the pages one after another. Dead entries that a snapshot needed until now go here.
func (m *Map[K, V]) sweep(budget int) (used int, complete bool) {
	for s := &m.snapshot; s.swept < len(m.order); {
		if used >= budget {
			return used, false
		}
		moved, again := m.tidy(s.swept)
		used += 4 + moved
		if !again {
			s.swept++
		}
	}
	return used, true
}

func (m *Map[K, V]) commit() { m.storedSeq = m.frozenSeq }

func (m *Map[K, V]) abort() {
	m.snapshot = progress{}
	m.frozenSeq = m.storedSeq
	m.dirty = m.dirty || m.wasDirty
	for _, id := range m.order {
		m.pages[id].thaw()
	}
}
