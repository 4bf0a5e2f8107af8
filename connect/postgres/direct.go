package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

// direct writes the rows of one task as they come. It is the core of both forms of the sink without Config.Hold.
//
// Invariant: rows up to position are written, rows up to seen are written or gathered, and the rows between are gathered.
type direct struct {
	Config
	rows
	task bolt.Task

	db       database
	position string                      // as the database has it: the text of a msgid.Set
	seen     map[msgid.Channel]msgid.Seq // the last row of each input, written or gathered

	keys map[string]int // the rows gathered by their key, if there is one
	key  []byte

	// broken is why nothing can be written any more, through no fault of the row at hand. From then on rows are taken and
	// forgotten: no snapshot covers them, since Snapshot fails, and the restored task gets them again.
	broken error
}

// prepare opens the database and reads the position. It fences earlier incarnations that may still be about to write.
func (s *direct) prepare(ctx bolt.Context) error {
	if err := s.normalize(); err != nil {
		return bolt.Permanent(err)
	}
	s.task, s.of = ctx.Task(), &s.Config
	s.db = database{open: s.Open, timeout: s.Timeout, positions: table(s.Positions), task: s.task}
	return s.claim(false)
}

// claim makes this incarnation the one that writes; see database.claim.
func (s *direct) claim(restored bool) error {
	err := s.db.retry(context.Background(), func(ctx context.Context) (err error) {
		if s.position, err = s.db.claim(ctx, restored); err != nil {
			return err
		}
		_, err = s.db.conn.ExecContext(ctx, s.probe())
		return err
	})
	if err != nil {
		return s.in(s.task, err)
	}
	written, err := msgid.ParseSet(s.position)
	if err != nil {
		return bolt.Permanent(fmt.Errorf("postgres: table %s holds no position of %v: %w", s.Positions, s.task.Alias, err))
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

// Verify refuses settings that cannot work, and a strategy under which rows would be lost or doubled.
func (s *direct) Verify(of bolt.Strategy) error { return s.Config.verify(of) }

// Restore checks that the database has the rows that the snapshot counts on.
func (s *direct) Restore(data []byte) error {
	counted, err := msgid.ParseSet(string(data))
	if err != nil {
		return bolt.Permanent(fmt.Errorf("postgres: restore %v: %w", s.task.Alias, err))
	}
	if s.db.refused != nil { // the positions are this run's all the same: it has a snapshot
		if err := s.claim(true); err != nil {
			return err
		}
	}
	written, err := msgid.ParseSet(s.position)
	if err != nil {
		return bolt.Permanent(fmt.Errorf("postgres: restore %v: %w", s.task.Alias, err))
	}
	if lost := counted.Minus(written); !lost.Empty() {
		return bolt.Permanent(fmt.Errorf("%w: table %s is at %q for %v and lacks %v: was it put back to an older state?",
			ErrLost, s.Positions, s.position, s.task.Alias, lost))
	}
	return nil
}

// take gathers the row that was read, and writes what is gathered when it is enough. It skips a row that an earlier
// incarnation wrote.
func (s *direct) take(ctx context.Context, id msgid.ID) error {
	if s.db.refused != nil {
		return s.db.refused
	}
	before := s.seen[id.Channel]
	if s.broken != nil || id.Seq <= before {
		return nil
	}
	s.gather(id)
	s.seen[id.Channel] = id.Seq
	if len(s.ids) < s.Batch {
		return nil
	}
	err := s.flush(ctx)
	var rejected *RejectedError
	switch {
	case err == nil || bolt.IsOutage(err) || ctx.Err() != nil:
		return err
	case errors.As(err, &rejected) && s.Batch == 1:
		s.seen[id.Channel] = before
		s.forget()
		return err
	}
	s.broken = s.whole(err)
	return nil
}

// Tick writes what is gathered.
func (s *direct) Tick(ctx context.Context, _ time.Time, _ bolt.Emitter) error {
	return s.whole(s.flush(ctx))
}

// Finish writes what is gathered.
func (s *direct) Finish(ctx context.Context, _ bolt.Emitter) error { return s.whole(s.flush(ctx)) }

// Snapshot writes what is gathered: rows that a snapshot covers do not come again.
func (s *direct) Snapshot() ([]byte, error) {
	if err := s.whole(s.flush(context.Background())); err != nil {
		return nil, err
	}
	return []byte(s.position), nil
}

// Close lets go of the database. Rows that are gathered are dropped; a restored task gets them again.
func (s *direct) Close() error { return s.db.close() }

// gather adds the row. One statement cannot update a row twice, so of two rows with the same key the later stays.
func (s *direct) gather(id msgid.ID) {
	if s.keys != nil {
		s.key = s.key[:0]
		for _, name := range s.Key {
			s.key = appendKey(s.key, s.row[s.column(name)])
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
func (s *direct) forget() {
	s.rows.clear()
	clear(s.keys)
}

// flush writes what is gathered, in one transaction with the position after it.
func (s *direct) flush(ctx context.Context) error {
	switch {
	case s.db.refused != nil:
		return s.db.refused
	case s.broken != nil || len(s.ids) == 0:
		return s.broken
	}
	next := s.reached()
	if err := s.write(ctx, &s.db, s.position, next, s.insert); err != nil {
		return s.in(s.task, err)
	}
	s.position = next
	s.forget()
	return nil
}

// reached returns the position after what is gathered.
func (s *direct) reached() string {
	var set msgid.Set
	for ch, seq := range s.seen {
		set.Advance(ch, seq)
	}
	return set.String()
}
