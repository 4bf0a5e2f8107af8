package checkpoint

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/askback/askback/msgid"
)

// History is the part of the log that a new incarnation restores.
type History struct {
	// Incarnation is the new incarnation's number.
	Incarnation msgid.Incarnation
	// Chain is the newest full snapshot that can be used and the increments on it, in order. It is empty if
	// there is none: the task starts from its beginning.
	Chain [][]byte
	// Determinants are the bodies of the determinant records, in order, without a hole. They begin at the moment that the
	// chain's last snapshot Covers, or at the commit before it, so the first ones may be part of it: a snapshot is captured
	// some time before its commit, and only the reader can decide, by the numbers in them.
	Determinants [][]byte
	// Damaged counts the passed-over ones: entries that cannot be read, snapshots that do not verify, and records of a
	// fenced incarnation.
	Damaged int
	// Restarted reports that the alias has been started before.
	Restarted bool
}

// A scan makes a history of an alias's entries, given oldest first. It checks all of them.
type scan struct {
	alias   msgid.Alias
	seed    uint32
	accept  func(snapshot []byte) bool // nil: all
	partial bool                       // the entries do not begin with the oldest: increments may build on entries that were not read

	last    base // the last entry
	line    line
	damaged int

	started      bool     // a record was accepted
	broken       bool     // the past is lost: only a full snapshot can replace it
	count        uint64   // how many determinant records were appended before the next record
	first        uint64   // the number of determinants[0]; the first of all is 1
	determinants [][]byte // Invariant: without a hole, and first+len(determinants) == count+1
	unsure       Pos      // an entry that cannot be read and may be a determinant record; 0: later entries decided

	upload upload // the snapshot whose commit may follow
	snaps  []snap // usable ones from the newest full one on, oldest first
	fulls  []full // full ones that can be used, oldest first
}

// A base is the entry on which the next one is appended.
type base struct {
	pos Pos
	id  recordID // zero if it cannot be read
}

// A snap is a snapshot that can be used.
type snap struct {
	link
	commit
	count uint64 // how many determinant records came before its commit
	keep  Pos
	data  []byte
}

// A full is a full snapshot; once it is safe, all entries before keep may be purged.
type full struct{ commit, keep Pos }

type upload struct {
	id    recordID // number: of the upload
	first Pos
	data  [][]byte
}

// A line is the succession of incarnations: it accepts a record unless a higher incarnation has begun before it. A record
// that it does not accept was appended by a paused writer to a log that had gone back to the very position it remembered;
// all readers must agree that it does not count.
type line struct {
	incarnation msgid.Incarnation
	id          recordID
}

func (l *line) accept(r record) bool {
	switch {
	case r.incarnation < l.incarnation:
		return false
	case r.incarnation > l.incarnation:
	case r.id.writer != l.id.writer && r.kind != kindBegin && r.kind != kindRebegin:
		return false
	case r.id.writer == l.id.writer && r.id.number <= l.id.number:
		return false // it was lost, its writer began again without it, and then it came late
	}
	l.incarnation, l.id = r.incarnation, r.id
	return true
}

func newScan(alias msgid.Alias, accept func(snapshot []byte) bool, partial bool) *scan {
	return &scan{alias: alias, seed: seedOf(alias), accept: accept, partial: partial, first: 1}
}

// add adds the next entry.
func (s *scan) add(e Entry) {
	r, err := parseRecord(s.seed, e.Data)
	s.last = base{e.Pos, r.id}
	if err == errHead {
		s.damaged++
		s.unsure = e.Pos
		return
	}
	before := s.line
	if !s.line.accept(r) {
		s.damaged++
		return
	}
	s.follow(r, before)
	if err == errBody {
		s.damaged++
		if r.kind == kindDeterminants { // no later record may be used as if it were there
			s.count++
			s.lose(s.count)
		}
		return
	}
	switch r.kind {
	case kindDeterminants:
		s.count++
		s.determinants = append(s.determinants, r.body)
	case kindChunk:
		s.onChunk(e.Pos, r)
	case kindCommit:
		s.onCommit(e.Pos, r)
	}
}

// follow checks that r continues the records before it.
func (s *scan) follow(r record, before line) {
	// A higher incarnation without its begin record may not have built on these entries: if its past was lost, this record
	// came late. Another writer of the same incarnation may have begun before. And a record that follows only unreadable
	// entries may be of any writer.
	higher, other := r.incarnation > before.incarnation, r.id.writer != before.id.writer
	stranger := s.started && !higher && other || (s.started || s.unsure != 0) && higher && r.kind != kindBegin
	if higher || other {
		s.upload = upload{}
	}
	switch {
	case r.kind == kindRebegin, stranger, s.started && r.count < s.count:
		s.snaps, s.fulls, s.upload, s.broken = nil, nil, upload{}, true
		s.lose(r.count)
	case r.count != s.count:
		s.lose(r.count)
	}
	s.started, s.unsure = true, 0
}

// lose gives up the determinant records up to number count: they, or some of them, are missing.
func (s *scan) lose(count uint64) {
	s.count, s.first, s.determinants = count, count+1, nil
}

func (s *scan) onChunk(pos Pos, r record) {
	c, ok := parseChunk(r.body)
	if !ok {
		s.damaged++
		return
	}
	id := recordID{r.id.writer, c.upload}
	if s.upload.id != id {
		s.upload = upload{id: id, first: pos}
	}
	// A lower index was repeated, because the answer to its append was lost; after a missing one, the commit record's
	// count will not agree.
	if c.index == uint32(len(s.upload.data)) {
		s.upload.data = append(s.upload.data, c.data)
	}
}

func (s *scan) onCommit(pos Pos, r record) {
	c, ok := parseCommit(r.body)
	if !ok {
		s.damaged++
		return
	}
	u := s.upload
	if id := (recordID{r.id.writer, c.upload}); u.id != id {
		u = upload{id: id, first: pos}
	}
	s.upload = upload{}
	data, ok := u.join(c)
	if !ok {
		s.damaged++
		return
	}
	if s.accept != nil && !s.accept(data) {
		return
	}
	if !c.full && !s.partial && s.find(c.prev.id, len(s.snaps)) < 0 {
		return // it builds on one that was passed over
	}
	// Snapshots are captured one after another, so this one covers all that the one before does, although its writer may
	// not have known that the one before is in the log.
	if n := s.newest(); n != nil {
		c.after = max(c.after, n.after)
	}
	if c.full {
		s.snaps = nil
		s.fulls = append(s.fulls, full{commit: pos, keep: r.keep})
		s.broken = false
	}
	s.snaps = append(s.snaps, snap{link{r.id, pos, u.first}, c, r.count, r.keep, data})
	// Determinants that only older snapshots need can go: damage that makes this one useless was before it.
	for len(s.determinants) > 0 && s.first <= c.after {
		s.determinants, s.first = s.determinants[1:], s.first+1
	}
}

// join returns the snapshot that c commits.
func (u upload) join(c commit) (data []byte, ok bool) {
	if uint64(c.chunks) != uint64(len(u.data)) {
		return nil, false
	}
	var size, sum = uint64(0), uint32(0)
	for _, d := range u.data {
		size += uint64(len(d))
		sum = crc32.Update(sum, castagnoli, d)
	}
	if size != c.size || sum != c.sum {
		return nil, false
	}
	if len(u.data) == 1 {
		return u.data[0], true
	}
	data = make([]byte, 0, size)
	for _, d := range u.data {
		data = append(data, d...)
	}
	return data, true
}

// find returns the index of a usable snapshot before another one, or -1.
func (s *scan) find(id recordID, before int) int {
	for i := before - 1; i >= 0; i-- {
		if s.snaps[i].id == id {
			return i
		}
	}
	return -1
}

// missing returns the records that the newest snapshot builds on and that are not there.
func (s *scan) missing() (prev link, missing bool) {
	for i := len(s.snaps) - 1; !s.snaps[i].full; {
		prev = s.snaps[i].prev
		if i = s.find(prev.id, i); i < 0 {
			return prev, true
		}
	}
	return link{}, false
}

// newest returns the newest usable snapshot, or nil.
func (s *scan) newest() *snap {
	if len(s.snaps) == 0 {
		return nil
	}
	return &s.snaps[len(s.snaps)-1]
}

// history returns the history of the entries. It fails with a DamagedError.
func (s *scan) history() (*History, error) {
	after, near := uint64(0), Pos(0)
	h := &History{Damaged: s.damaged, Restarted: s.last.pos != 0}
	if n := s.newest(); n != nil {
		after, near = n.after, n.pos
		for i := len(s.snaps) - 1; i >= 0; i = s.find(s.snaps[i].prev.id, i) {
			h.Chain = append(h.Chain, s.snaps[i].data)
			if s.snaps[i].full {
				break
			}
		}
		slices.Reverse(h.Chain)
	}
	bad := func(near Pos, what string, args ...any) (*History, error) {
		return nil, &DamagedError{Alias: s.alias, Near: near, What: fmt.Sprintf(what, args...)}
	}
	switch {
	case s.unsure != 0:
		return bad(s.unsure, "the last entry cannot be read, and may be a determinant record")
	case s.broken:
		return bad(s.last.pos, "the task had gone on after a loss of the log, and ended before its next full snapshot")
	case after+1 < s.first:
		return bad(near, "determinant records between %d and %d are missing, and no later snapshot covers them", after+1, s.first-1)
	}
	h.Determinants = s.determinants
	if skip := after + 1 - s.first; skip < uint64(len(h.Determinants)) {
		h.Determinants = h.Determinants[skip:]
	} else {
		h.Determinants = nil
	}
	return h, nil
}

// errMore occurs when the newest part of a log does not suffice.
var errMore = errors.New("checkpoint: more must be read")
