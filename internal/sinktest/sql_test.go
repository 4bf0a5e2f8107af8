package sinktest_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/postgres"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/internal/pgtest"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// Tasks and the database are killed while a topology runs, and at the end the table has each row once. Under barrier
// that takes a sink that holds its rows; under backtrack it may.
func TestSQL(t *testing.T) {
	of := map[string]func(numbers int64, c postgres.Config) topology.Topology{
		"rows": func(numbers int64, c postgres.Config) topology.Topology {
			c.Columns = postgres.Columns("n", "square")
			return rows(numbers, func(b *topology.Builder) *topology.Node {
				return b.Bolt("out", postgres.Bolt(c)).Tick(20 * time.Millisecond)
			})
		},
		"typed": func(numbers int64, c postgres.Config) topology.Topology {
			return typed(numbers, postgres.Sink[Square](c))
		},
	}
	for _, test := range []struct {
		strategy strategy.Strategy
		hold     bool
		form     string
	}{
		{strategy.Backtrack, false, "rows"}, {strategy.Backtrack, true, "rows"}, {strategy.Barrier, true, "rows"},
		{strategy.Backtrack, false, "typed"}, {strategy.Backtrack, true, "typed"}, {strategy.Barrier, true, "typed"},
	} {
		t.Run(fmt.Sprintf("%s, hold %v, %s", test.strategy, test.hold, test.form), func(t *testing.T) {
			pg := pgtest.Start(t)
			db, err := sql.Open("pgx", pg.DSN())
			must.Do(t, err)
			defer db.Close()
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, err = db.Exec("CREATE TABLE squares (n bigint, square bigint)"); err == nil || time.Now().After(deadline) {
					break
				}
			}
			must.Do(t, err)

			const numbers = 30_000
			kill(t, of[test.form](numbers, postgres.Config{
				Open:  func() (*sql.DB, error) { return sql.Open("pgx", pg.DSN()) },
				Table: "squares",
				Batch: 200,
				Hold:  test.hold,
			}), pg, askback.WithStrategy(test.strategy), askback.WithSnapshotEvery(200*time.Millisecond))

			var got string
			err = db.QueryRow("SELECT format('%s %s %s %s', count(*), count(DISTINCT n), sum(n), count(*) FILTER (WHERE square <> n * n)) FROM squares").Scan(&got)
			must.Do(t, err)
			if want := fmt.Sprint(numbers, numbers, numbers*(numbers-1)/2, 0); got != want {
				t.Errorf("count, distinct, sum, wrong: %s, want %s", got, want)
			}
			if !test.hold {
				return
			}
			var left int
			if must.Do(t, db.QueryRow("SELECT count(*) FROM squares_held").Scan(&left)); left != 0 {
				t.Errorf("%d rows are still held", left)
			}
		})
	}
}

// A table is emptied, and the positions of the run that filled it are kept: another run would take each row for written. It
// is refused, and so is each that goes on from its log, until the positions are deleted.
func TestSQLAfresh(t *testing.T) {
	pg := pgtest.Start(t)
	db, err := sql.Open("pgx", pg.DSN())
	must.Do(t, err)
	defer db.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err = db.Exec("CREATE TABLE squares (n bigint)"); err == nil || time.Now().After(deadline) {
			break
		}
	}
	must.Do(t, err)
	run := func(dir string) error {
		b := topology.New("squares")
		b.Spout("numbers", spout.Slice(1, 2, 3)).Fields("n")
		b.Bolt("out", postgres.Bolt(postgres.Config{
			Open:    func() (*sql.DB, error) { return sql.Open("pgx", pg.DSN()) },
			Table:   "squares",
			Columns: postgres.Columns("n"),
		})).Shuffle("numbers")
		_, err := askback.Run(t.Context(), b, askback.WithDir(dir))
		return err
	}
	rows := func() (n int) {
		must.Do(t, db.QueryRow("SELECT count(*) FROM squares").Scan(&n))
		return n
	}

	must.Do(t, run(t.TempDir()))
	_, err = db.Exec("TRUNCATE squares")
	must.Do(t, err)
	dir := t.TempDir()
	for try := range 3 {
		if err := run(dir); !errors.Is(err, bolt.ErrOutputExists) {
			t.Errorf("run %d: error %v and %d rows, want %v", try+1, err, rows(), bolt.ErrOutputExists)
		}
	}
	_, err = db.Exec("DELETE FROM askback_positions")
	must.Do(t, err)
	must.Do(t, run(dir))
	if n := rows(); n != 3 {
		t.Errorf("the repaired run has written %d rows", n)
	}
}
