package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

// held holds the rows of one task back. It writes them to a table beside the target as they come; Snapshot ends a batch, and
// Commit moves it. It is the core of both forms of the sink with Config.Hold.
//
//	target               held                            gathered
//	… batches 1 to 6     batch 7, closed by a snapshot   batch 8, its end
//	                     batch 8, its beginning
//
// The position of the task is the number of the last batch in the target, and moves in the same transaction.
type held struct {
	Config
	rows
	task bolt.Task

	db     database
	table  string // of the rows that are held, quoted
	moved  int64  // the last batch in the target
	closed batches
	n      int64 // how many rows the open batch has, held or gathered; it is the one after closed
	ready  bool  // rows that no snapshot covers are removed

	broken error // as in direct
}

// batches is what a snapshot holds, as JSON: those that it closed and that were not in the target yet. As a rule it is
// one batch, or none if nothing came. It is more if an earlier snapshot was abandoned.
type batches struct {
	After int64 `json:"after"` // the last one that was in the target
	Last  int64 `json:"last"`
	Rows  int64 `json:"rows"` // how many they have together
}

// heldBy are the columns of a held row that name its owner. A column for its number in the batch follows.
var heldBy = []string{"askback_topology", "askback_task", "askback_batch"}

const heldNumber = "askback_row"

// prepare opens the database and reads which batch was the last. It fences earlier incarnations that may still be about to
// write.
func (s *held) prepare(ctx bolt.Context) error {
	if err := s.normalize(); err != nil {
		return bolt.Permanent(err)
	}
	s.task, s.of, s.table = ctx.Task(), &s.Config, table(s.Held)
	s.db.open, s.db.timeout, s.db.positions, s.db.task = s.Open, s.Timeout, table(s.Positions), s.task
	return s.claim(false)
}

// claim makes this incarnation the one that writes; see database.claim.
func (s *held) claim(restored bool) error {
	var position string
	err := s.db.retry(context.Background(), func(ctx context.Context) (err error) {
		if position, err = s.db.claim(ctx, restored); err != nil {
			return err
		}
		if _, err = s.db.conn.ExecContext(ctx, s.probe()); err != nil {
			return err
		}
		return s.db.create(ctx, s.table, s.definition())
	})
	if err != nil {
		return s.in(s.task, err)
	}
	if s.moved, err = parseBatch(position); err != nil {
		return bolt.Permanent(fmt.Errorf("postgres: table %s is at %q for %v: it was written without Config.Hold, which must not change in a run",
			s.Positions, position, s.task.Alias))
	}
	return nil
}

// Verify refuses settings that cannot work, and a strategy under which no row would ever reach the table.
func (s *held) Verify(of bolt.Strategy) error { return s.Config.verify(of) }

// definition returns the columns of the table of rows that are held. It has the target's checks, so that a row is refused
// when its tuple is known, and not only by Commit.
func (s *held) definition() string {
	var b strings.Builder
	fmt.Fprintf(&b, "LIKE %s INCLUDING CONSTRAINTS INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY, ", table(s.Table))
	fmt.Fprintf(&b, "%s text, %s text, %s bigint, %s bigint, ", heldBy[0], heldBy[1], heldBy[2], heldNumber)
	fmt.Fprintf(&b, "PRIMARY KEY (%s, %s)", strings.Join(heldBy, ", "), heldNumber)
	return b.String()
}

// Restore goes on after a snapshot. Commit follows.
func (s *held) Restore(data []byte) error {
	var b batches
	if err := json.Unmarshal(data, &b); err != nil || b.After < 0 || b.Last < b.After || b.Rows < 0 {
		return bolt.Permanent(fmt.Errorf("postgres: restore %v: the snapshot %.100q is of no sink with Config.Hold: it must not change in a run", s.task.Alias, data))
	}
	if s.db.refused != nil { // the position is this run's all the same: it has a snapshot
		if err := s.claim(true); err != nil {
			return err
		}
	}
	s.closed, s.ready = b, false
	return s.begin(context.Background())
}

// begin makes sure, once, that the database is where the snapshot left it, or the Commit after it, and removes the rows
// that no snapshot covers. It comes after Restore, or before the first tuple if there is nothing to restore.
func (s *held) begin(ctx context.Context) error {
	switch {
	case s.db.refused != nil:
		return s.db.refused
	case s.ready || s.broken != nil:
		return s.broken
	}
	switch s.moved {
	case s.closed.After:
	case s.closed.Last: // the Commit after the snapshot was made already
		s.closed = batches{After: s.moved, Last: s.moved}
	default:
		return s.elsewhere()
	}
	err := s.db.retry(ctx, func(ctx context.Context) error {
		return s.db.advance(ctx, batch(s.moved), batch(s.moved), func(tx transaction) error {
			return tx.exec("DELETE FROM "+s.table+s.mine(">"), s.task.Topology, s.task.Alias.String(), s.closed.Last)
		})
	})
	if err != nil {
		return s.in(s.task, err)
	}
	s.ready = true
	return nil
}

// elsewhere is the error of a database and a snapshot that do not fit.
func (s *held) elsewhere() error {
	if s.moved < s.closed.After {
		return bolt.Permanent(fmt.Errorf("%w: table %s has %d batches of %v, and the snapshot counts on %d: was it put back to an older state?",
			ErrLost, s.Positions, s.moved, s.task.Alias, s.closed.After))
	}
	return bolt.Permanent(fmt.Errorf("%w: table %s has %d batches of %v, and its log only %d: delete the topology's positions, and its rows, or choose another name",
		bolt.ErrOutputExists, s.Positions, s.moved, s.task.Alias, s.closed.Last))
}

// take gathers the row that was read, and holds what is gathered when it is enough.
func (s *held) take(ctx context.Context, id msgid.ID) error {
	if s.broken != nil {
		return nil
	}
	if err := s.begin(ctx); bolt.IsOutage(err) || bolt.IsPermanent(err) || ctx.Err() != nil {
		return err
	} else if err != nil {
		s.broken = err
		return nil
	}
	s.add(id)
	s.n++
	if len(s.ids) < s.Batch {
		return nil
	}
	err := s.flush(ctx)
	var rejected *RejectedError
	switch {
	case err == nil || bolt.IsOutage(err) || ctx.Err() != nil:
		return err
	case errors.As(err, &rejected) && s.Batch == 1:
		s.n--
		s.rows.clear()
		return err
	}
	s.broken = s.whole(err)
	return nil
}

// Tick has nothing to do. It is there so that Config.Hold is all that changes in a topology.
func (s *held) Tick(context.Context, time.Time, bolt.Emitter) error { return nil }

// flush writes what is gathered to the table of rows that are held. Repeated after its answer was lost, it finds them
// there.
func (s *held) flush(ctx context.Context) error {
	if s.broken != nil || len(s.ids) == 0 {
		return s.broken
	}
	each := append([]string{heldNumber}, s.names()...)
	into := func(n int) string { return insert(s.table, heldBy, each, n) + " ON CONFLICT DO NOTHING" }
	err := s.write(ctx, &s.db, batch(s.moved), batch(s.moved), into, s.task.Topology, s.task.Alias.String(), s.closed.Last+1)
	if err != nil {
		return s.in(s.task, err)
	}
	s.rows.clear()
	return nil
}

// Snapshot closes the open batch, if there is anything in it.
func (s *held) Snapshot() ([]byte, error) {
	if err := s.begin(context.Background()); err != nil {
		return nil, err
	}
	if err := s.whole(s.flush(context.Background())); err != nil {
		return nil, err
	}
	if s.n > 0 {
		s.closed.Last++
		s.closed.Rows += s.n
		s.n = 0
	}
	return json.Marshal(s.closed)
}

// Commit moves what the last snapshot closed to the target. Once that has happened it does nothing.
func (s *held) Commit() error {
	if s.moved == s.closed.Last {
		return nil
	}
	err := s.db.retry(context.Background(), func(ctx context.Context) error {
		return s.db.advance(ctx, batch(s.moved), batch(s.closed.Last), s.move)
	})
	if err != nil {
		return s.in(s.task, err)
	}
	s.moved = s.closed.Last
	s.closed = batches{After: s.moved, Last: s.moved}
	return nil
}

// move moves the batches that are closed. It keeps the last of several rows with the same key: one statement cannot
// update a row twice.
func (s *held) move(tx transaction) error {
	columns := strings.Join(s.names(), ", ")
	distinct, order := "", fmt.Sprintf("%s, %s", heldBy[2], heldNumber)
	if len(s.Key) > 0 {
		key := strings.Join(s.key(), ", ")
		distinct, order = "DISTINCT ON ("+key+") ", fmt.Sprintf("%s, %s DESC, %s DESC", key, heldBy[2], heldNumber)
	}
	mine := s.mine("<=")
	who := []any{s.task.Topology, s.task.Alias.String(), s.closed.Last}
	err := tx.exec("INSERT INTO "+table(s.Table)+" ("+columns+") SELECT "+distinct+columns+" FROM "+s.table+mine+" ORDER BY "+order+s.update(), who...)
	if err != nil {
		if notTheRow(err) {
			return err
		}
		return bolt.Permanent(fmt.Errorf("it refuses rows that the checkpoint has: %w: they stand in %s, with %s = '%v' and %s <= %d: put right what is in their way, and start again",
			err, s.table, heldBy[1], s.task.Alias, heldBy[2], s.closed.Last))
	}
	n, err := tx.count("DELETE FROM "+s.table+mine, who...)
	if err == nil && n != s.closed.Rows {
		err = fmt.Errorf("%w: table %s has %d rows of batches %d to %d, and the snapshot counts on %d",
			ErrLost, s.table, n, s.closed.After+1, s.closed.Last, s.closed.Rows)
	}
	return err
}

// mine returns the condition for this task's rows ($1, $2) in the batches that compare so with $3.
func (s *held) mine(compare string) string {
	return fmt.Sprintf(" WHERE %s = $1 AND %s = $2 AND %s %s $3", heldBy[0], heldBy[1], heldBy[2], compare)
}

// Close lets go of the database. Rows that are held stay for the next incarnation to judge.
func (s *held) Close() error { return s.db.close() }

// batch returns the position of a task whose last batch in the target is n. At the beginning it is "", as for any sink.
func batch(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// parseBatch reads such a position.
func parseBatch(position string) (int64, error) {
	if position == "" {
		return 0, nil
	}
	return strconv.ParseInt(position, 10, 64)
}
