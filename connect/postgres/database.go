package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/retry"
)

// database is what one task does in the database besides its rows: it keeps the position.
type database struct {
	open      func() (*sql.DB, error)
	timeout   time.Duration
	positions string // quoted
	task      bolt.Task

	db   *sql.DB
	conn *sql.Conn // nil after an error

	// refused is why this incarnation must not write, although the position was read: it is of an earlier run.
	refused error

	step func(doing string) // tests stop here, where a process may be killed
}

// retry repeats f for as long as the timeout while its error may pass. It stops when ctx ends.
func (d *database) retry(ctx context.Context, f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	err := retry.Do(ctx, retry.Policy{Min: 10 * time.Millisecond, Max: time.Second, Again: again}, func() error {
		err := d.connect(ctx)
		if err == nil {
			err = f(ctx)
		}
		if err != nil {
			d.disconnect()
		}
		return err
	})
	if err != nil && again(err) {
		return fmt.Errorf("given up after %v: %w", d.timeout, err)
	}
	return err
}

func (d *database) connect(ctx context.Context) (err error) {
	if d.conn != nil {
		return nil
	}
	if d.db == nil {
		if d.db, err = d.open(); err != nil {
			return fmt.Errorf("open: %w", err)
		}
	}
	if d.conn, err = d.db.Conn(ctx); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	// A transaction of a paused process holds its position's row. Its successor must not wait for it for long.
	limit := fmt.Sprintf("SET idle_in_transaction_session_timeout = %d", max(1, d.timeout.Milliseconds()/2))
	_, err = d.conn.ExecContext(ctx, limit)
	return err
}

func (d *database) disconnect() {
	if d.conn != nil {
		_ = d.conn.Close() // it is given up because of an error already
		d.conn = nil
	}
}

func (d *database) close() error {
	d.disconnect()
	if d.db == nil {
		return nil
	}
	err := d.db.Close()
	d.db = nil
	return err
}

// claim makes this incarnation the one that may write, and returns the position. It waits for a transaction of an
// earlier one that is about to commit: both write the same row.
//
// The position of an earlier run is refused by the first incarnation of this one, which leaves a mark for all that
// follow: they could not distinguish it from their own. The mark does not count for a restored incarnation, which has a
// snapshot and so is of the run that wrote the position. It goes when the user deletes the position.
func (d *database) claim(ctx context.Context, restored bool) (position string, err error) {
	d.refused = nil
	if err := d.create(ctx, d.positions, "topology text, task text, incarnation bigint NOT NULL, position text NOT NULL, "+
		"refused boolean NOT NULL DEFAULT false, PRIMARY KEY (topology, task)"); err != nil {
		return "", err
	}
	d.doing("claim")
	var by int64
	var marked bool
	before := d.conn.QueryRowContext(ctx, "SELECT incarnation, position, refused FROM "+d.positions+" WHERE topology = $1 AND task = $2",
		d.task.Topology, d.task.Alias.String())
	switch err := before.Scan(&by, &position, &marked); {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return "", err
	case position == "" || restored || d.task.Incarnation > 1 && !marked:
	default:
		return position, d.refuse(ctx, position)
	}
	err = d.conn.QueryRowContext(ctx, "INSERT INTO "+d.positions+" AS p (topology, task, incarnation, position) VALUES ($1, $2, $3, '') "+
		"ON CONFLICT (topology, task) DO UPDATE SET incarnation = EXCLUDED.incarnation WHERE p.incarnation <= EXCLUDED.incarnation RETURNING position",
		d.task.Topology, d.task.Alias.String(), int64(d.task.Incarnation)).Scan(&position)
	if errors.Is(err, sql.ErrNoRows) {
		return "", d.fenced(by)
	}
	return position, err
}

// refuse refuses the position of an earlier run: at once in the first incarnation, and with the first row in one that may
// yet be restored.
func (d *database) refuse(ctx context.Context, position string) error {
	d.refused = bolt.Permanent(fmt.Errorf("postgres: task %v: %w: %s has rows of an earlier run of %s at %q: delete the topology's positions, and its rows, or choose another name",
		d.task.Alias, bolt.ErrOutputExists, d.positions, d.task.Topology, position))
	if d.task.Incarnation > 1 {
		return nil
	}
	d.doing("refuse")
	_, err := d.conn.ExecContext(ctx, "UPDATE "+d.positions+" SET refused = true WHERE topology = $1 AND task = $2 AND position = $3",
		d.task.Topology, d.task.Alias.String(), position)
	if err != nil {
		return err // tried again, so that no later incarnation finds the position without the mark
	}
	return d.refused
}

// create creates a table unless it is there. Its name is quoted.
func (d *database) create(ctx context.Context, name, columns string) error {
	var there bool
	if err := d.conn.QueryRowContext(ctx, "SELECT to_regclass($1) IS NOT NULL", name).Scan(&there); err != nil || there {
		return err
	}
	d.doing("create " + name)
	_, err := d.conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+name+" ("+columns+")")
	switch sqlState(err) {
	case "23505", "42P07", "42710":
		return errAgain{err} // two tasks created it at the same time; PostgreSQL reports that to one of them, in one of three ways
	}
	return err
}

// A transaction executes statements.
type transaction struct {
	ctx  context.Context
	tx   *sql.Tx
	step func(doing string)
}

func (t transaction) exec(statement string, values ...any) error {
	_, err := t.count(statement, values...)
	return err
}

// count executes a statement and returns how many rows it concerned.
func (t transaction) count(statement string, values ...any) (int64, error) {
	t.step(statement)
	res, err := t.tx.ExecContext(t.ctx, statement, values...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// advance moves the position, together with what also does. When the position is where it should go, an earlier try
// was committed although its answer was lost, and there is nothing to do. From a position to itself it makes sure
// that this incarnation is the newest one until the transaction ends.
func (d *database) advance(ctx context.Context, from, to string, also func(transaction) error) error {
	d.doing("begin")
	sqltx, err := d.conn.BeginTx(ctx, nil)
	if err != nil {
		return errAgain{err}
	}
	defer func() { _ = sqltx.Rollback() }() // after a commit there is nothing to roll back
	tx := transaction{ctx, sqltx, d.doing}
	// The row is locked from here on, so a later incarnation waits, and reads the position that is true then.
	n, err := tx.count("UPDATE "+d.positions+" SET position = $4 WHERE topology = $1 AND task = $2 AND incarnation = $3 AND position = $5",
		d.task.Topology, d.task.Alias.String(), int64(d.task.Incarnation), to, from)
	switch {
	case err != nil:
		return err
	case n == 0:
		return d.look(ctx, sqltx, from, to)
	}
	if err := also(tx); err != nil {
		return err
	}
	d.doing("commit")
	if err := sqltx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	d.doing("committed")
	return nil
}

// look finds out why the position was not where it was expected.
func (d *database) look(ctx context.Context, tx *sql.Tx, from, to string) error {
	var by int64
	var position string
	err := tx.QueryRowContext(ctx, "SELECT incarnation, position FROM "+d.positions+" WHERE topology = $1 AND task = $2",
		d.task.Topology, d.task.Alias.String()).Scan(&by, &position)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w: %s has no position of it any more", ErrLost, d.positions)
	case err != nil:
		return err
	case by != int64(d.task.Incarnation):
		return d.fenced(by)
	case position != to:
		return fmt.Errorf("%w: %s is at %q, want %q: does another run of %s write to it?", ErrFenced, d.positions, position, from, d.task.Topology)
	}
	return nil
}

func (d *database) fenced(by int64) error {
	return fmt.Errorf("%w: incarnation %d has been replaced by %d; if no such task runs, %s is from another run of %s",
		ErrFenced, d.task.Incarnation, by, d.positions, d.task.Topology)
}

func (d *database) doing(what string) {
	if d.step != nil {
		d.step(what)
	}
}
