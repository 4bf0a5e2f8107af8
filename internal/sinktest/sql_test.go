package sinktest_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/connect/postgres"
	"github.com/askback/askback/internal/pgtest"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// Tasks and the database are killed while a topology runs, and at the end the table has each row once. Under barrier
// that takes a sink that holds its rows; under backtrack it may.
func TestSQL(t *testing.T) {
	for _, test := range []struct {
		strategy strategy.Strategy
		hold     bool
	}{{strategy.Backtrack, false}, {strategy.Backtrack, true}, {strategy.Barrier, true}} {
		t.Run(fmt.Sprintf("%s, hold %v", test.strategy, test.hold), func(t *testing.T) {
			pg := pgtest.Start(t)
			db, err := sql.Open("pgx", pg.DSN())
			must(t, err)
			defer db.Close()
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, err = db.Exec("CREATE TABLE squares (n bigint, square bigint)"); err == nil || time.Now().After(deadline) {
					break
				}
			}
			must(t, err)

			const numbers = 30_000
			squares(t, numbers, pg, func(b *topology.Builder) *topology.Node {
				return b.Bolt("out", postgres.Bolt(postgres.Config{
					Open:    func() (*sql.DB, error) { return sql.Open("pgx", pg.DSN()) },
					Table:   "squares",
					Columns: postgres.Columns("n", "square"),
					Batch:   200,
					Hold:    test.hold,
				})).Tick(20 * time.Millisecond)
			}, askback.WithStrategy(test.strategy), askback.WithSnapshotEvery(200*time.Millisecond))

			var got string
			err = db.QueryRow("SELECT format('%s %s %s %s', count(*), count(DISTINCT n), sum(n), count(*) FILTER (WHERE square <> n * n)) FROM squares").Scan(&got)
			must(t, err)
			if want := fmt.Sprint(numbers, numbers, numbers*(numbers-1)/2, 0); got != want {
				t.Errorf("count, distinct, sum, wrong: %s, want %s", got, want)
			}
			if !test.hold {
				return
			}
			var left int
			if must(t, db.QueryRow("SELECT count(*) FROM squares_held").Scan(&left)); left != 0 {
				t.Errorf("%d rows are still held", left)
			}
		})
	}
}
