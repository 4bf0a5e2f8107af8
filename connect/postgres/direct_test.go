package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/pgtest"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSink runs the cases of one sink on one server.
func TestSink(t *testing.T) {
	w := newWorld(t)

	t.Run("a restored task skips what is written", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		one := w.task(t, c, 1)
		row(t, one, 1, int64(1), "to")
		row(t, one, 2, int64(2), "be")
		data, err := one.Snapshot()
		check(t, err)
		row(t, one, 3, int64(3), "or")
		check(t, one.Tick(context.Background(), time.Time{}, nil)) // written, but no snapshot covers it
		row(t, one, 4, int64(4), "not")                            // gathered only
		check(t, one.Close())

		two := w.task(t, c, 2)
		check(t, two.Restore(data))
		row(t, two, 3, int64(3), "or")
		row(t, two, 4, int64(4), "not")
		check(t, two.Finish(context.Background(), nil))
		w.has(t, c, "1 to, 2 be, 3 or, 4 not")
	})

	// Hold is for this case. One was merged into the input before two, and after the rollback behind it.
	t.Run("a rollback that merges inputs in another order is not survived", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "x")
		check(t, s.Tick(context.Background(), time.Time{}, nil))
		s = w.task(t, c, 2)
		row(t, s, 1, int64(2), "x")
		row(t, s, 2, int64(1), "x")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 x, 1 x")
	})

	t.Run("each kind of value", func(t *testing.T) {
		c := w.table(t, "a bigint, b text, c double precision, d boolean, e timestamptz, f jsonb, g bytea, h text")
		c.Columns = Columns("a", "b", "c", "d", "e", "f", "g", "h")
		s := w.task(t, c, 1)
		row(t, s, 1, int64(-5), "it's", 1.5, true, time.Unix(0, 0), map[string]any{"x": []any{1, "y"}}, []byte("\x00\xff"), nil)
		err := s.Finish(context.Background(), nil)
		if err == nil || !strings.Contains(err.Error(), "fake.0>sink.0#1") {
			t.Fatalf("bytes that are no text: error %v, want one that names the tuple", err)
		}
		s = w.task(t, c, 2)
		row(t, s, 1, int64(-5), "it's", 1.5, true, time.Unix(0, 0), map[string]any{"x": []any{1, "y"}}, "bytes", nil)
		check(t, s.Finish(context.Background(), nil))
		var got string
		check(t, w.db.QueryRow("SELECT row(a, b, c, d, extract(epoch FROM e)::int, f, convert_from(g, 'UTF8'), h)::text FROM "+table(c.Table)).Scan(&got))
		if want := `(-5,it's,1.5,t,0,"{""x"": [1, ""y""]}",bytes,)`; got != want {
			t.Errorf("the row is %s, want %s", got, want)
		}
	})

	t.Run("a key is updated, twice in one batch too", func(t *testing.T) {
		c := w.table(t, "n bigint, word text PRIMARY KEY")
		c.Key = []string{"word"}
		s := w.task(t, c, 1)
		for i, word := range []string{"to", "be", "to", "to"} {
			row(t, s, i+1, int64(i), word)
		}
		check(t, s.Tick(context.Background(), time.Time{}, nil))
		row(t, s, 5, int64(9), "be")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "3 to, 9 be")
	})

	t.Run("keys that only the server takes for equal", func(t *testing.T) {
		c := w.table(t, "n double precision PRIMARY KEY, word text")
		c.Key = []string{"n"}
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "integer")
		row(t, s, 2, 1.0, "float")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 float")
	})

	t.Run("a paused predecessor writes nothing", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		zombie := w.task(t, c, 1)
		row(t, zombie, 1, int64(1), "gathered before the pause")
		heir := w.task(t, c, 2)
		row(t, heir, 1, int64(1), "mine")
		check(t, heir.Tick(context.Background(), time.Time{}, nil))
		row(t, zombie, 2, int64(2), "gathered after")
		if _, err := zombie.Snapshot(); !errors.Is(err, ErrFenced) || !strings.Contains(err.Error(), "incarnation 1 has been replaced by 2") {
			t.Errorf("the zombie gets %v, want %v", err, ErrFenced)
		}
		if err := prepare(t, c, 1); err == nil {
			t.Error("an older incarnation takes over")
		}
		row(t, heir, 2, int64(2), "mine")
		check(t, heir.Finish(context.Background(), nil))
		w.has(t, c, "1 mine, 2 mine")
	})

	t.Run("a predecessor in the middle of its transaction is waited for", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		one := w.task(t, c, 1)
		row(t, one, 1, int64(1), "old")
		claimed := make(chan *directBolt, 1)
		err := one.db.advance(t.Context(), "", one.reached(), func(tx transaction) error {
			go func() {
				s := Bolt(c)().(*directBolt)
				if err := s.Prepare(contextOf(2)); err != nil {
					t.Error(err)
				}
				claimed <- s
			}()
			time.Sleep(50 * time.Millisecond)
			return tx.exec(one.insert(1), one.values...)
		})
		check(t, err)
		two := <-claimed
		defer two.Close()
		row(t, two, 1, int64(1), "new")
		row(t, two, 2, int64(2), "new")
		check(t, two.Finish(context.Background(), nil))
		w.has(t, c, "1 old, 2 new")
	})

	t.Run("an answer to a commit that is lost", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "once")
		check(t, s.db.advance(t.Context(), "", s.reached(), func(tx transaction) error { return tx.exec(s.insert(1), s.values...) }))
		check(t, s.flush(t.Context())) // as if the answer had not come
		row(t, s, 2, int64(2), "next")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 once, 2 next")
	})

	t.Run("a refused row stops the task, and nothing is skipped", func(t *testing.T) {
		c := w.table(t, "n bigint CHECK (n <> 3), word text")
		c.Batch = 4
		s := w.task(t, c, 1)
		for i := 1; i <= 6; i++ {
			row(t, s, i, int64(i), "x")
		}
		_, err := s.Snapshot()
		var rejected *RejectedError
		if !errors.As(err, &rejected) || rejected.ID.Seq != 3 || !strings.Contains(err.Error(), c.Table+" refuses tuple fake.0>sink.0#3") {
			t.Errorf("error %v, want one that names the table and tuple 3", err)
		}
		w.has(t, c, "")
	})

	t.Run("a refused row of a batch of its own fails by itself", func(t *testing.T) {
		c := w.table(t, "n bigint CHECK (n <> 2), word text")
		c.Batch = 1
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "x")
		for range 2 { // a retry must not take it for written
			var rejected *RejectedError
			if err := s.Execute(context.Background(), numbered(t, 2, int64(2), "x"), nil); !errors.As(err, &rejected) {
				t.Errorf("error %v, want %T", err, rejected)
			}
		}
		row(t, s, 3, int64(3), "x")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 x, 3 x")
	})

	t.Run("a tuple without the field fails by itself", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		c.Columns = []Column{{"n", "a"}, {"word", "nothing"}}
		err := w.task(t, c, 1).Execute(context.Background(), numbered(t, 1, int64(1), "x"), nil)
		if err == nil || !strings.Contains(err.Error(), `column "word" takes field "nothing", and there is none in (a, b)`) {
			t.Errorf("error %v", err)
		}
	})

	// The first incarnation of another run finds the position, and all that follow must refuse it too: they would take each
	// row for written.
	t.Run("an earlier run", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "x")
		data, err := s.Snapshot()
		check(t, err)
		w.exec(t, "TRUNCATE "+table(c.Table))
		refused := func(err error) {
			t.Helper()
			if !errors.Is(err, bolt.ErrOutputExists) || !bolt.IsPermanent(err) || !strings.Contains(err.Error(), "delete the topology's positions") {
				t.Errorf("error %v, want %v for good", err, bolt.ErrOutputExists)
			}
		}
		refused(prepare(t, c, 1))
		for incarnation := msgid.Incarnation(2); incarnation < 4; incarnation++ {
			s := w.task(t, c, incarnation)
			refused(s.Execute(context.Background(), numbered(t, 1, int64(1), "x"), nil))
			refused(s.Finish(context.Background(), nil))
			_, err := s.Snapshot()
			refused(err)
			check(t, s.Close())
		}
		// A run that has a snapshot goes on: the position is its own.
		s = w.task(t, c, 4)
		check(t, s.Restore(data))
		row(t, s, 2, int64(2), "x")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "2 x")
		// And a user who has deleted the positions may begin again.
		w.exec(t, "DELETE FROM "+table(c.Positions))
		s = w.task(t, c, 5)
		row(t, s, 1, int64(1), "y")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 y, 2 x")
	})

	t.Run("a table that lacks something", func(t *testing.T) {
		good := w.table(t, "n bigint PRIMARY KEY, word text")
		for text, edit := range map[string]func(*Config){
			`"nothing" does not exist`: func(c *Config) { c.Table = "nothing" },
			`column "absent" of`:       func(c *Config) { c.Columns = []Column{{"n", "a"}, {"absent", "b"}} },
			"no unique or exclusion":   func(c *Config) { c.Key = []string{"word"} },
		} {
			c := good
			edit(&c)
			if err := prepare(t, c, 1); !bolt.IsPermanent(err) || !strings.Contains(err.Error(), text) || !strings.Contains(err.Error(), "or correct the Config") {
				t.Errorf("error %v, want one with %s", err, text)
			}
		}
		good.Key = []string{"n"}
		check(t, prepare(t, good, 1))
	})

	t.Run("a permission that is missing is an outage", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		w.exec(t, "CREATE ROLE reader LOGIN; GRANT CREATE ON SCHEMA public TO reader")
		c.Open = func() (*sql.DB, error) { return sql.Open("pgx", w.pg.DSN()+" user=reader") }
		if err := prepare(t, c, 1); !bolt.IsOutage(err) || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("error %v, want an outage", err)
		}
		w.exec(t, "GRANT INSERT, SELECT ON "+table(c.Table)+" TO reader")
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "x")
		w.exec(t, "REVOKE INSERT ON "+table(c.Table)+" FROM reader")
		if _, err := s.Snapshot(); !bolt.IsOutage(err) {
			t.Errorf("error %v, want an outage", err)
		}
		w.exec(t, "GRANT INSERT ON "+table(c.Table)+" TO reader")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 x")
	})

	t.Run("a database that has gone back", func(t *testing.T) {
		c := w.table(t, "n bigint, word text")
		if err := w.task(t, c, 2).Restore([]byte("fake.0>sink.0#1-7")); !errors.Is(err, ErrLost) {
			t.Errorf("error %v, want %v", err, ErrLost)
		}
	})

	t.Run("names are quoted", func(t *testing.T) {
		c := w.table(t, `"select" bigint, "a""b; DROP TABLE x" text`)
		c.Columns = []Column{{"select", "a"}, {`a"b; DROP TABLE x`, "b"}}
		c.Table, c.Positions = "public."+c.Table, `Positions "of" mine`
		s := w.task(t, c, 1)
		row(t, s, 1, int64(1), "x")
		check(t, s.Finish(context.Background(), nil))
		w.has(t, c, "1 x")
	})
}

// TestServerDown: a server that is away for a moment is waited for, one that stays away makes the task fail, and its
// successor goes on. Committed rows are not written again.
func TestServerDown(t *testing.T) {
	w := newWorld(t)
	c := w.table(t, "n bigint, word text")
	one := w.task(t, c, 1)
	row(t, one, 1, int64(1), "x")
	check(t, one.Tick(context.Background(), time.Time{}, nil))

	row(t, one, 2, int64(2), "x")
	w.pg.Kill()
	back := make(chan struct{})
	go func() {
		defer close(back)
		time.Sleep(100 * time.Millisecond)
		w.pg.Again()
	}()
	check(t, one.Tick(context.Background(), time.Time{}, nil))
	<-back

	row(t, one, 3, int64(3), "x")
	w.pg.Kill()
	one.db.timeout = 200 * time.Millisecond
	if _, err := one.Snapshot(); !bolt.IsOutage(err) || !strings.Contains(err.Error(), "given up after 200ms") {
		t.Errorf("without a server: error %v, want an outage", err)
	}
	one.Batch = 1
	if err := one.Execute(context.Background(), numbered(t, 4, int64(4), "x"), nil); !bolt.IsOutage(err) {
		t.Errorf("a tuple while there is no server: error %v, want an outage", err)
	}
	w.pg.Again()
	two := w.task(t, c, 2)
	for i := 1; i <= 4; i++ {
		row(t, two, i, int64(i), "x")
	}
	check(t, two.Finish(context.Background(), nil))
	w.has(t, c, "1 x, 2 x, 3 x, 4 x")
}

func TestConfig(t *testing.T) {
	open := func() (*sql.DB, error) { return nil, errors.New("no such database") }
	for text, c := range map[string]Config{
		"Config.Open is missing":                  {Table: "t"},
		"Config.Table is missing":                 {Open: open},
		"Config.Columns is missing":               {Open: open, Table: "t"},
		"Config.Held is the same table":           {Open: open, Table: "t", Held: "t", Columns: Columns("a")},
		"neither may be negative":                 {Open: open, Table: "t", Columns: Columns("a"), Batch: -1},
		`key "b" is none of the columns`:          {Open: open, Table: "t", Columns: Columns("a"), Key: []string{"b"}},
		"task sink.0, table t: open: no such dat": {Open: open, Table: "t", Columns: Columns("a")},
	} {
		if err := Bolt(c)().(*directBolt).Prepare(contextOf(1)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %s", err, text)
		}
	}
	for text, c := range map[string]Config{
		"Config.Open is missing":                {Table: "t"},
		`takes none of bolts`:                   {Open: open, Table: "t", Columns: Columns("a"), Hold: true},
		`strategy "none" a message id may mean`: {Open: open, Table: "t", Columns: Columns("a")},
	} {
		if err := Bolt(c)().(bolt.Verifier).Verify(bolt.Strategy{Name: "none"}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %s", err, text)
		}
	}
	barrier := bolt.Strategy{Name: "barrier", ExactlyOnce: true, Snapshots: true, RollsBack: true}
	c := Config{Open: open, Table: "t", Columns: Columns("a", "b")}
	if err := Bolt(c)().(bolt.Verifier).Verify(barrier); err == nil || !strings.Contains(err.Error(), "set Config.Hold") {
		t.Errorf("without Hold under barrier: error %v", err)
	}
	check(t, Bolt(holding(c))().(bolt.Verifier).Verify(barrier))
	c = Config{Open: open, Table: "t", Columns: Columns("a", "b"), Batch: 1 << 20}
	if check(t, c.normalize()); c.Batch != 32767 {
		t.Errorf("a batch has %d rows of two values, and one statement takes 32767", c.Batch)
	}
	c = Config{Open: open, Table: "t", Columns: Columns("a", "b"), Batch: 1 << 20, Hold: true}
	if check(t, c.normalize()); c.Batch != 21844 {
		t.Errorf("a batch has %d rows of two values and a number, and one statement takes 21844 and whose they are", c.Batch)
	}
}

// world is a server, with a table for each story.
type world struct {
	pg *pgtest.Server
	db *sql.DB
	n  int
}

func newWorld(t *testing.T) *world {
	pg := pgtest.Start(t)
	db, err := sql.Open("pgx", pg.DSN())
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return &world{pg: pg, db: db}
}

// table makes a table for columns a, b … of the tuples.
func (w *world) table(t *testing.T, columns string) Config {
	t.Helper()
	w.n++
	c := Config{
		Open:      func() (*sql.DB, error) { return sql.Open("pgx", w.pg.DSN()) },
		Table:     fmt.Sprintf("Story %d", w.n),
		Columns:   []Column{{"n", "a"}, {"word", "b"}},
		Positions: fmt.Sprintf("positions_%d", w.n),
	}
	var err error
	for range 100 { // the server may still be starting
		if _, err = w.db.Exec("CREATE TABLE " + quote(c.Table) + " (" + columns + ")"); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	check(t, err)
	return c
}

// has expects the rows of a table, in the order of their first column.
func (w *world) has(t *testing.T, c Config, want string) {
	t.Helper()
	rows, err := w.db.Query(fmt.Sprintf("SELECT %s FROM %s ORDER BY 1", strings.Join(c.names(), ", "), table(c.Table)))
	check(t, err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var n, word string
		check(t, rows.Scan(&n, &word))
		got = append(got, n+" "+word)
	}
	if check(t, rows.Err()); strings.Join(got, ", ") != want {
		t.Errorf("the rows are %q, want %q", got, want)
	}
}

func (w *world) task(t *testing.T, c Config, incarnation msgid.Incarnation) *directBolt {
	t.Helper()
	s := Bolt(c)().(*directBolt)
	t.Cleanup(func() { _ = s.Close() })
	check(t, s.Prepare(contextOf(incarnation)))
	return s
}

func prepare(t *testing.T, c Config, incarnation msgid.Incarnation) error {
	s := Bolt(c)().(interface {
		bolt.Preparer
		io.Closer
	})
	return errors.Join(s.Prepare(contextOf(incarnation)), s.Close())
}

func contextOf(incarnation msgid.Incarnation) bolt.Context {
	ctx := bolttest.NewContext("sink", 0, 1)
	ctx.Who.Incarnation = incarnation
	return ctx
}

func row(t *testing.T, s bolt.Bolt, seq int, values ...any) {
	t.Helper()
	check(t, s.Execute(context.Background(), numbered(t, seq, values...), nil))
}

// numbered returns a tuple with fields a, b … that came as number seq of a channel.
func numbered(t *testing.T, seq int, values ...any) tuple.Tuple {
	t.Helper()
	fields, err := tuple.NewFields([]string{"a", "b", "c", "d", "e", "f", "g", "h"}[:len(values)]...)
	check(t, err)
	plain, err := tuple.New(fields, values...)
	check(t, err)
	ch := msgid.Channel{Source: msgid.Alias{Operator: "fake"}, Target: msgid.Alias{Operator: "sink"}}
	var cursor tuple.Cursor
	cursor.Reset(plain.Encoded(), tuple.Origin{Channel: &ch, First: msgid.Seq(seq), Fields: fields})
	_, err = cursor.Next()
	check(t, err)
	return cursor.Tuple()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
