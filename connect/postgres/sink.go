package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// sink is the bolt of one task.
//
// Invariant: what is written is position, what is written or gathered is seen, and the rows between are gathered.
type sink struct {
	Config
	rows
	task bolt.Task

	db       database
	position string                      // as the database has it: the text of a msgid.Set
	seen     map[msgid.Channel]msgid.Seq // the last tuple of each input, written or gathered

	keys map[string]int // the rows gathered by their key, if there is one
	key  []byte

	// broken is why nothing can be written any more. From then on tuples are taken and forgotten: no snapshot covers
	// them, since Snapshot fails, and the restored task gets them again. An error from Execute would instead send
	// one that may be without fault to the dead letters.
	broken error
}

// Prepare opens the database and learns the position. It fences what earlier incarnations may still be about to do.
func (s *sink) Prepare(ctx bolt.Context) (err error) {
	if err := s.normalize(); err != nil {
		return err
	}
	s.task, s.rows.of = ctx.Task(), &s.Config
	s.db = database{open: s.Open, patience: s.Patience, positions: table(s.Positions), task: s.task}
	err = s.db.retry(func(ctx context.Context) (err error) {
		s.position, err = s.db.claim(ctx)
		return err
	})
	if err != nil {
		return s.in(s.task, err)
	}
	written, err := msgid.ParseSet(s.position)
	if err != nil {
		return fmt.Errorf("postgres: table %s holds no position of %v: %w", s.Positions, s.task.Alias, err)
	}
	s.seen = make(map[msgid.Channel]msgid.Seq)
	for ch, ranges := range written.All() {
		s.seen[ch] = ranges[len(ranges)-1].Last
	}
	if len(s.Key) > 0 {
		s.keys = make(map[string]int)
	}
	return nil
}

// Restore checks that the database has what the snapshot counts on.
func (s *sink) Restore(data []byte) error {
	counted, err := msgid.ParseSet(string(data))
	if err != nil {
		return fmt.Errorf("postgres: restore %v: %w", s.task.Alias, err)
	}
	written, err := msgid.ParseSet(s.position)
	if err != nil {
		return fmt.Errorf("postgres: restore %v: %w", s.task.Alias, err)
	}
	if lost := counted.Minus(written); !lost.Empty() {
		return fmt.Errorf("%w: table %s is at %q for %v and lacks %v: was it put back to an older state?",
			ErrLost, s.Positions, s.position, s.task.Alias, lost)
	}
	return nil
}

// Execute gathers a row, and writes what is gathered when it is enough. It skips what an earlier incarnation wrote.
func (s *sink) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if err := s.read(t); err != nil { // first, so that a bad tuple is one on a replay too
		return err
	}
	id := t.ID()
	before := s.seen[id.Channel]
	if s.broken != nil || id.Seq <= before {
		return nil
	}
	s.gather(t, id)
	s.seen[id.Channel] = id.Seq
	if len(s.ids) < s.Batch {
		return nil
	}
	err := s.flush()
	var rejected *RejectedError
	if s.Batch == 1 && errors.As(err, &rejected) {
		s.seen[id.Channel] = before
		s.forget()
		return err
	}
	s.broken = err
	return nil
}

// Tick writes what is gathered.
func (s *sink) Tick(context.Context, time.Time, bolt.Emitter) error { return s.flush() }

// Finish writes what is gathered.
func (s *sink) Finish(context.Context, bolt.Emitter) error { return s.flush() }

// Snapshot writes what is gathered: what a snapshot covers is not consumed again.
func (s *sink) Snapshot() ([]byte, error) {
	if err := s.flush(); err != nil {
		return nil, err
	}
	return []byte(s.position), nil
}

// Close lets go of the database. What is gathered is dropped; a restored task gets it again.
func (s *sink) Close() error { return s.db.close() }

// gather adds the row. One statement cannot update a row twice, so of two rows with the same key the later stays.
func (s *sink) gather(t tuple.Tuple, id msgid.ID) {
	if s.keys != nil {
		s.key = s.key[:0]
		for _, name := range s.Key {
			s.key = append(s.key, t.Raw(s.fields[s.column(name)])...)
		}
		if i, ok := s.keys[string(s.key)]; ok {
			s.replace(i, id)
			return
		}
		s.keys[string(s.key)] = len(s.ids)
	}
	s.add(id)
}

// forget drops what is gathered.
func (s *sink) forget() {
	s.rows.clear()
	clear(s.keys)
}

// flush writes what is gathered, in one transaction with the position after it.
func (s *sink) flush() error {
	if s.broken != nil || len(s.ids) == 0 {
		return s.broken
	}
	next := s.reached()
	if err := s.write(&s.db, s.position, next, s.insert); err != nil {
		return s.in(s.task, err)
	}
	s.position = next
	s.forget()
	return nil
}

// reached returns the position after what is gathered.
func (s *sink) reached() string {
	var set msgid.Set
	for ch, seq := range s.seen {
		set.Advance(ch, seq)
	}
	return set.String()
}
