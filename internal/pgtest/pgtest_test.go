package pgtest_test

import (
	"database/sql"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/askback/askback/internal/pgtest"
)

// Committed rows are there after kill -9.
func TestKill(t *testing.T) {
	pg := pgtest.Start(t)
	db, err := sql.Open("pgx", pg.DSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	do := func(statement string) error {
		_, err := db.Exec(statement)
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); db.Ping() != nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	if err := do("CREATE TABLE words AS SELECT 'to' AS word"); err != nil {
		t.Fatal(err)
	}
	pg.Kill()
	if do("SELECT 1") == nil {
		t.Error("a killed server answers")
	}
	pg.Again()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var word string
		err := db.QueryRow("SELECT word FROM words").Scan(&word)
		if err == nil && word == "to" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after the restart: %q, %v", word, err)
		}
	}
}
