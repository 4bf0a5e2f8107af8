package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

type word struct {
	N    int64
	Word []byte
}

// TestTypedSink runs the cases of one typed sink on one server.
func TestTypedSink(t *testing.T) {
	w := newWorld(t)
	begin := func(t *testing.T, c Config, incarnation msgid.Incarnation) *directWriter[word] {
		t.Helper()
		s := Sink[word](c).New().(*directWriter[word])
		t.Cleanup(func() { _ = s.Close() })
		check(t, s.Prepare(contextOf(incarnation)))
		return s
	}
	// write writes words from a number on, which is also that of their message ids.
	write := func(t *testing.T, s *directWriter[word], from int, words ...string) {
		t.Helper()
		buf := make([]byte, 0, 100)
		for i, text := range words {
			buf = append(buf[:0], text...) // a view
			s.Identify(numbered(t, from+i, "x").ID())
			check(t, s.Write(context.Background(), word{int64(from + i), buf}))
		}
	}
	typed := func(t *testing.T, columns string) Config {
		c := w.table(t, columns)
		c.Columns = nil
		return c
	}
	has := func(t *testing.T, c Config, want string) {
		t.Helper()
		c.Columns = Columns("n", "word")
		w.has(t, c, want)
	}

	t.Run("a restored task skips what is written", func(t *testing.T) {
		c := typed(t, "n bigint, word text")
		one := begin(t, c, 1)
		write(t, one, 1, "to", "be")
		first, err := one.Snapshot()
		check(t, err)
		write(t, one, 3, "or")
		check(t, one.Tick(context.Background(), time.Time{}, nil)) // written, but no snapshot covers it
		write(t, one, 4, "not")
		check(t, one.Close())

		two := begin(t, c, 2)
		check(t, two.Restore(first))
		second, err := two.Snapshot() // behind the database
		check(t, errors.Join(err, two.Close()))
		three := begin(t, c, 3)
		check(t, three.Restore(second))
		write(t, three, 3, "or", "not")
		check(t, three.Finish(context.Background(), nil))
		has(t, c, "1 to, 2 be, 3 or, 4 not")
	})

	t.Run("without a snapshot it begins with the first value", func(t *testing.T) {
		c := typed(t, "n bigint, word text")
		one := begin(t, c, 1)
		write(t, one, 1, "to", "be")
		check(t, one.Tick(context.Background(), time.Time{}, nil))
		two := begin(t, c, 2)
		write(t, two, 1, "to", "be", "or")
		check(t, two.Finish(context.Background(), nil))
		has(t, c, "1 to, 2 be, 3 or")
	})

	t.Run("values of two inputs come again in another order", func(t *testing.T) {
		c := typed(t, "n bigint, word text")
		one := begin(t, c, 1)
		other := numbered(t, 1, "x").ID()
		other.Channel.Source.Operator = "other"
		merged := func(s *directWriter[word]) {
			s.Identify(other)
			check(t, s.Write(context.Background(), word{7, []byte("other")}))
		}
		write(t, one, 1, "to")
		merged(one)
		check(t, one.Tick(context.Background(), time.Time{}, nil)) // written, but no snapshot covers it
		two := begin(t, c, 2)
		merged(two)
		write(t, two, 1, "to", "be")
		check(t, two.Finish(context.Background(), nil))
		has(t, c, "1 to, 2 be, 7 other")
	})

	t.Run("a key is updated, twice in one batch too", func(t *testing.T) {
		c := typed(t, "n bigint, word text PRIMARY KEY")
		c.Key = []string{"word"}
		s := begin(t, c, 1)
		write(t, s, 1, "to", "be", "to")
		check(t, s.Finish(context.Background(), nil))
		has(t, c, "2 be, 3 to")
	})

	t.Run("a refused row of a batch fails the task", func(t *testing.T) {
		c := typed(t, "n bigint CHECK (n <> 2), word text")
		s := begin(t, c, 1)
		write(t, s, 1, "to", "be", "or")
		_, err := s.Snapshot()
		if !bolt.IsPermanent(err) || !strings.Contains(err.Error(), `refuses tuple fake.0>sink.0#2 with row (2, "be")`) {
			t.Errorf("error %v, want one that names the row", err)
		}
		has(t, c, "")
	})

	t.Run("a refused row that is a batch fails by itself", func(t *testing.T) {
		c := typed(t, "n bigint CHECK (n <> 2), word text")
		c.Batch = 1
		s := begin(t, c, 1)
		write(t, s, 1, "to")
		s.Identify(numbered(t, 2, "x").ID())
		var rejected *RejectedError
		if err := s.Write(context.Background(), word{2, []byte("be")}); !errors.As(err, &rejected) || bolt.IsPermanent(err) {
			t.Errorf("error %v, want the value's own", err)
		}
		write(t, s, 3, "or")
		check(t, s.Finish(context.Background(), nil))
		has(t, c, "1 to, 3 or")
	})

	t.Run("held rows appear when their snapshot is committed", func(t *testing.T) {
		c := holding(typed(t, "n bigint CHECK (n <> 1), word text"))
		c.Batch = 1
		s := Sink[word](c).New().(*heldWriter[word])
		defer s.Close()
		check(t, s.Prepare(contextOf(1)))
		check(t, s.Write(context.Background(), word{0, []byte("to")}))
		var rejected *RejectedError
		if err := s.Write(context.Background(), word{1, []byte("be")}); !errors.As(err, &rejected) || bolt.IsPermanent(err) {
			t.Errorf("error %v, want the value's own", err)
		}
		check(t, s.Write(context.Background(), word{2, []byte("or")}))
		_, err := s.Snapshot()
		check(t, err)
		has(t, c, "")
		check(t, s.Commit())
		has(t, c, "0 to, 2 or")
	})

	t.Run("each kind of field", func(t *testing.T) {
		type level string
		type base struct{ ID int32 }
		type every struct {
			base
			Level  level
			X      float32
			OK     bool
			When   time.Time
			Raw    []byte `db:"bytes"`
			Tags   []string
			Maybe  *int
			Null   sql.NullString
			Some   *string
			From   netip.Addr
			Big    *big.Int
			Hidden chan int `db:"-"`
			secret int
		}
		c := w.table(t, "id int, level text, x real, ok boolean, \"when\" timestamptz, bytes bytea, tags jsonb, maybe int, \"null\" text, \"some\" text, \"from\" inet, big numeric")
		c.Columns = nil
		s := Sink[every](c).New().(*directWriter[every])
		defer s.Close()
		check(t, s.Prepare(contextOf(1)))
		some := "it's"
		s.Identify(numbered(t, 1, "x").ID())
		check(t, s.Write(context.Background(), every{base: base{7}, Level: "warn", X: 1.5, OK: true, When: time.Unix(0, 0), Raw: []byte("b"), Tags: []string{"x"},
			Some: &some, From: netip.MustParseAddr("10.0.0.1"), Big: big.NewInt(9), secret: 1}))
		check(t, s.Finish(context.Background(), nil))
		var got string
		check(t, w.db.QueryRow(`SELECT row(id, level, x, ok, extract(epoch FROM "when")::int, convert_from(bytes, 'UTF8'), tags, maybe, "null", "some", "from", big)::text FROM `+table(c.Table)).Scan(&got))
		if want := `(7,warn,1.5,t,0,b,"[""x""]",,,it's,10.0.0.1,9)`; got != want {
			t.Errorf("the row is %s, want %s", got, want)
		}
	})
}

// Columns follow from the type, or are chosen from it.
func TestDerive(t *testing.T) {
	type order struct {
		UserID   int
		HTTPCode int
		Item     string `db:"item_name"`
		Skip     func() `db:"-"`
	}
	names := func(columns []Column) (list []string) {
		for _, c := range columns {
			list = append(list, c.Name+"="+c.Field)
		}
		return list
	}
	for _, test := range []struct {
		given []Column
		want  []string
	}{
		{nil, []string{"user_id=UserID", "http_code=HTTPCode", "item_name=Item"}},
		{[]Column{{Name: "item_name"}, {Name: "buyer", Field: "UserID"}}, []string{"item_name=Item", "buyer=UserID"}},
	} {
		c := Config{Table: "t", Columns: test.given}
		if check(t, new(values[order]).derive(&c)); !slices.Equal(names(c.Columns), test.want) {
			t.Errorf("the columns are %v, want %v", names(c.Columns), test.want)
		}
	}

	open := func() (*sql.DB, error) { return nil, errors.New("none") }
	refused := func(err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want one with %s", err, text)
		}
	}
	backtrack := bolt.Strategy{Name: "backtrack", ExactlyOnce: true, Snapshots: true}
	for _, hold := range []bool{false, true} {
		c := Config{Open: open, Table: "t", Hold: hold}
		refused(Sink[int](c).New().(bolt.Verifier).Verify(backtrack), "values of type int cannot be rows: it is no struct")
		refused(Sink[struct{ n int }](c).New().(bolt.Preparer).Prepare(contextOf(1)), "it has no exported field")
		refused(Sink[struct{ C chan int }](c).New().(bolt.Preparer).Prepare(contextOf(1)), "field C of type chan int has neither a form of SQL nor of JSON")
		c.Columns = Columns("price")
		refused(Sink[order](c).New().(bolt.Verifier).Verify(backtrack), fmt.Sprintf("column %q is that of no exported field", "price"))
		c.Columns = []Column{{"price", "Price"}}
		refused(Sink[order](c).New().(bolt.Verifier).Verify(backtrack), `takes field "Price", and there is no such exported field`)
		c.Columns = Columns("user_id")
		check(t, Sink[order](c).New().(bolt.Verifier).Verify(backtrack))
	}
}
