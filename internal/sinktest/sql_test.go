package sinktest_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/sqlsink"
	"github.com/askback/askback/bolt/sqlsink/pgtest"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Tasks and the database are killed while a topology runs, and at the end the table has each row once.
func TestSQL(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	chance := rand.New(rand.NewPCG(seed, 1))
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
	var executed atomic.Int64
	b := topology.New("squares")
	b.Spout("numbers", spout.Generate(numbers, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).
		Parallel(2).Fields("n")
	b.Bolt("square", bolt.Func(func(t tuple.Tuple, out bolt.Emitter) error {
		if executed.Add(1)%100 == 0 {
			time.Sleep(5 * time.Millisecond) // long enough for the database to be killed in the middle
		}
		return out.Row().Int(t.Int(0)).Int(t.Int(0) * t.Int(0)).Emit()
	})).Parallel(2).Shuffle("numbers").Fields("n", "square")
	b.Bolt("out", sqlsink.New(sqlsink.Config{
		Open:    func() (*sql.DB, error) { return sql.Open("pgx", pg.DSN()) },
		Table:   "squares",
		Columns: sqlsink.Columns("n", "square"),
		Batch:   200,
	})).Parallel(2).Shuffle("square").Tick(20 * time.Millisecond)

	ended := make(chan error, 1)
	var report *askback.Report
	go func() {
		var err error
		report, err = askback.Run(t.Context(), b, askback.WithKills(6, seed))
		ended <- err
	}()
	kills := 0
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			running = false
		case <-time.After(time.Duration(100+chance.IntN(300)) * time.Millisecond):
			if kills < 3 {
				kills++
				pg.Kill()
				pg.Again()
			}
		}
	}
	if report.Kills != 6 || kills == 0 {
		t.Errorf("seed %d: %d tasks and %d databases were killed", seed, report.Kills, kills)
	}

	var got string
	err = db.QueryRow("SELECT format('%s %s %s %s', count(*), count(DISTINCT n), sum(n), count(*) FILTER (WHERE square <> n * n)) FROM squares").Scan(&got)
	must(t, err)
	if want := fmt.Sprint(numbers, numbers, numbers*(numbers-1)/2, 0); got != want {
		t.Errorf("seed %d: count, distinct, sum, wrong: %s, want %s", seed, got, want)
	}
}
