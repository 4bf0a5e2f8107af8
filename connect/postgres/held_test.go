package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

// TestHeld runs the cases of one sink that holds its rows.
func TestHeld(t *testing.T) {
	w := newWorld(t)

	t.Run("rows appear when their snapshot is committed", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "to")
		row(t, s, 2, int64(2), "be")
		snapshot(t, s)
		w.has(t, c, "")
		row(t, s, 3, int64(3), "behind the barrier")
		check(t, s.Commit())
		w.has(t, c, "1 to, 2 be")
		check(t, s.Commit())
		w.has(t, c, "1 to, 2 be")
		w.holds(t, c, 0) // and 3 is only gathered
	})

	t.Run("a rollback takes back what was not committed, whatever comes instead", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		c.Batch = 1
		one := w.held(t, c, 1)
		row(t, one, 1, int64(1), "kept")
		data := snapshot(t, one)
		row(t, one, 2, int64(2), "taken back")
		snapshot(t, one) // the checkpoint fails: this one is not restored
		row(t, one, 3, int64(3), "taken back")
		w.holds(t, c, 3)

		two := w.held(t, c, 2)
		check(t, two.Restore(data))
		w.holds(t, c, 1)
		check(t, two.Commit())
		row(t, two, 2, int64(3), "other order")
		row(t, two, 3, int64(2), "other order")
		snapshot(t, two)
		check(t, two.Commit())
		w.has(t, c, "1 kept, 2 other order, 3 other order")
		w.holds(t, c, 0)
	})

	t.Run("what an abandoned snapshot closed is kept", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "x")
		snapshot(t, s)
		row(t, s, 2, int64(2), "x")
		data := snapshot(t, s)
		w.has(t, c, "")

		s = w.held(t, c, 2)
		check(t, s.Restore(data))
		check(t, s.Commit())
		w.has(t, c, "1 x, 2 x")
	})

	t.Run("an interval without rows", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.held(t, c, 1)
		snapshot(t, s)
		check(t, s.Commit())
		row(t, s, 1, int64(1), "x")
		snapshot(t, s)
		check(t, s.Commit())
		data := snapshot(t, s)
		check(t, s.Commit())
		if want := `{"after":1,"last":1,"rows":0}`; string(data) != want {
			t.Errorf("the snapshot is %s, want %s", data, want)
		}
		w.has(t, c, "1 x")
	})

	t.Run("a key is updated, the last row stays", func(t *testing.T) {
		c := w.table(t, "n bigint, word text PRIMARY KEY")
		c.Key, c.Batch = []string{"word"}, 2
		s := w.held(t, c, 1)
		for i, word := range []string{"to", "be", "to", "to", "be"} {
			row(t, s, i+1, int64(i), word)
		}
		snapshot(t, s)
		row(t, s, 6, int64(7), "or")
		snapshot(t, s)
		check(t, s.Commit())
		row(t, s, 7, int64(9), "be")
		snapshot(t, s)
		check(t, s.Commit())
		w.has(t, c, "3 to, 7 or, 9 be")
	})

	t.Run("answers that are lost", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "once")
		check(t, s.flush(t.Context()))
		s.ids, s.values = []msgid.ID{numbered(t, 1, int64(1), "once").ID()}, []any{int64(1), int64(1), "once"} // as if the answer had not come
		snapshot(t, s)
		check(t, s.db.advance(t.Context(), batch(0), batch(1), s.move))
		check(t, s.Commit()) // the same
		row(t, s, 2, int64(2), "next")
		snapshot(t, s)
		check(t, s.Commit())
		w.has(t, c, "1 once, 2 next")
	})

	t.Run("a paused predecessor holds and moves nothing", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		c.Batch = 1
		zombie := w.held(t, c, 1)
		row(t, zombie, 1, int64(1), "kept")
		data := snapshot(t, zombie)

		heir := w.held(t, c, 2)
		check(t, heir.Restore(data))
		if err := zombie.Commit(); !errors.Is(err, ErrFenced) {
			t.Errorf("the zombie's Commit: %v, want %v", err, ErrFenced)
		}
		check(t, heir.Commit())
		row(t, heir, 2, int64(2), "mine")
		row(t, zombie, 2, int64(2), "the zombie's")
		if _, err := zombie.Snapshot(); !errors.Is(err, ErrFenced) {
			t.Errorf("the zombie's Snapshot: %v, want %v", err, ErrFenced)
		}
		snapshot(t, heir)
		check(t, heir.Commit())
		w.has(t, c, "1 kept, 2 mine")
	})

	t.Run("several tasks hold side by side", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		c.Batch = 1
		one := w.held(t, c, 1)
		ctx := contextOf(1)
		two := Bolt(holding(c))().(*heldBolt)
		check(t, two.Prepare(other{ctx}))
		defer two.Close()
		row(t, one, 1, int64(1), "x")
		row(t, two, 1, int64(2), "x")
		snapshot(t, one)
		check(t, one.Commit())
		w.has(t, c, "1 x")
		w.holds(t, c, 1)
	})

	t.Run("a check of the table is the tuple's own failure", func(t *testing.T) {
		c := w.table(t, "n bigint CHECK (n <> 2), word text NOT NULL, id bigserial PRIMARY KEY, more text NOT NULL DEFAULT 'x'")
		c.Batch = 1
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "x")
		for range 2 { // a retry
			var rejected *RejectedError
			if err := s.Execute(context.Background(), numbered(t, 2, int64(2), "x"), nil); !errors.As(err, &rejected) || rejected.ID.Seq != 2 {
				t.Errorf("error %v, want one that names tuple 2", err)
			}
		}
		row(t, s, 3, int64(3), "x")
		snapshot(t, s)
		check(t, s.Commit())
		w.has(t, c, "1 x, 3 x")
	})

	t.Run("what only the table itself can refuse waits to be put right", func(t *testing.T) {
		c := w.table(t, "n bigint UNIQUE, word text")
		w.exec(t, "INSERT INTO "+table(c.Table)+" VALUES (1, 'in the way')")
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "x")
		data := snapshot(t, s)
		err := s.Commit()
		for _, want := range []string{"task sink.0, table " + c.Table, "unique", `_held"`, "askback_task = 'sink.0' and askback_batch <= 1", "start again"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one with %s", err, want)
			}
		}
		w.exec(t, "DELETE FROM "+table(c.Table))
		s = w.held(t, c, 2)
		check(t, s.Restore(data))
		check(t, s.Commit())
		w.has(t, c, "1 x")
	})

	t.Run("a database that has gone back", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.held(t, c, 1)
		if err := s.Restore([]byte(`{"after":3,"last":4,"rows":1}`)); !errors.Is(err, ErrLost) {
			t.Errorf("error %v, want %v", err, ErrLost)
		}
		s = w.held(t, c, 2)
		check(t, s.Restore([]byte(`{"after":0,"last":1,"rows":1}`)))
		if err := s.Commit(); !errors.Is(err, ErrLost) {
			t.Errorf("the held rows are gone: error %v, want %v", err, ErrLost)
		}
	})

	t.Run("an earlier run", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "x")
		snapshot(t, s)
		check(t, s.Commit())
		if err := prepare(t, holding(c), 1); !errors.Is(err, bolt.ErrOutputExists) {
			t.Errorf("error %v, want %v", err, bolt.ErrOutputExists)
		}
		w.exec(t, "UPDATE "+table(c.Positions)+" SET refused = false")
		s = w.held(t, c, 2) // the first incarnation has died before it reached the database
		if _, err := s.Snapshot(); !errors.Is(err, bolt.ErrOutputExists) {
			t.Errorf("error %v, want %v", err, bolt.ErrOutputExists)
		}
	})

	t.Run("Hold is changed in a run", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "x")
		data, err := s.Snapshot()
		check(t, err)
		if err := prepare(t, holding(c), 2); err == nil || !strings.Contains(err.Error(), "without Config.Hold") {
			t.Errorf("error %v", err)
		}
		c = w.table(t, "n bigint, word text")
		for _, data := range []string{string(data), "", "{", `{"after":2,"last":1}`, `{"after":-1}`, `{"rows":-1}`} {
			if err := w.held(t, c, 2).Restore([]byte(data)); err == nil || !strings.Contains(err.Error(), "of no sink with Config.Hold") {
				t.Errorf("error %v", err)
			}
		}
	})

	t.Run("names are quoted", func(t *testing.T) {
		c := w.table(t, `"select" bigint, "a""b; DROP TABLE x" text`)
		c.Columns = []Column{{"select", "a"}, {`a"b; DROP TABLE x`, "b"}}
		c.Table, c.Held, c.Positions, c.Key = "public."+c.Table, `Held "by" us`, `Positions "of" mine`, nil
		s := w.held(t, c, 1)
		row(t, s, 1, int64(1), "x")
		snapshot(t, s)
		check(t, s.Commit())
		w.has(t, c, "1 x")
	})
}

// TestHeldServerDown: as TestServerDown, around Snapshot and Commit.
func TestHeldServerDown(t *testing.T) {
	w := newWorld(t)
	c := w.table(t, "n bigint, word text")
	s := w.held(t, c, 1)
	again := func() (back chan struct{}) {
		w.pg.Kill()
		back = make(chan struct{})
		go func() {
			defer close(back)
			time.Sleep(100 * time.Millisecond)
			w.pg.Again()
		}()
		return back
	}
	row(t, s, 1, int64(1), "x")
	back := again()
	snapshot(t, s)
	<-back
	back = again()
	check(t, s.Commit())
	<-back

	row(t, s, 2, int64(2), "x")
	data := snapshot(t, s)
	w.pg.Kill()
	s.db.timeout = 200 * time.Millisecond
	if err := s.Commit(); !bolt.IsOutage(err) || !strings.Contains(err.Error(), "given up after 200ms") {
		t.Errorf("without a server: error %v", err)
	}
	w.pg.Again()
	s = w.held(t, c, 2)
	check(t, s.Restore(data))
	check(t, s.Commit())
	w.has(t, c, "1 x, 2 x")
}

func holding(c Config) Config {
	c.Hold = true
	return c
}

// other is the second task.
type other struct{ bolt.Context }

func (o other) Task() bolt.Task {
	t := o.Context.Task()
	t.Alias.Index = 1
	return t
}

func (w *world) held(t *testing.T, c Config, incarnation msgid.Incarnation) *heldBolt {
	t.Helper()
	s := Bolt(holding(c))().(*heldBolt)
	t.Cleanup(func() { _ = s.Close() })
	check(t, s.Prepare(contextOf(incarnation)))
	return s
}

// holds expects a number of rows that are held.
func (w *world) holds(t *testing.T, c Config, want int) {
	t.Helper()
	var got int
	if check(t, w.db.QueryRow("SELECT count(*) FROM "+table(c.Table+"_held")).Scan(&got)); got != want {
		t.Errorf("%d rows are held, want %d", got, want)
	}
}

func (w *world) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := w.db.Exec(statement)
	check(t, err)
}

func snapshot(t *testing.T, s *heldBolt) []byte {
	t.Helper()
	data, err := s.Snapshot()
	check(t, err)
	if !json.Valid(data) {
		t.Fatalf("snapshot %q", data)
	}
	return data
}
