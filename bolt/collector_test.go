package bolt_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

func TestCollector(t *testing.T) {
	c := bolt.NewCollector()
	start := func(index int, incarnation msgid.Incarnation) collecting {
		b := c.New().(collecting)
		check(t, b.Prepare(contextOf(index, 2, incarnation)))
		return b
	}
	rows := func() string { return fmt.Sprint(c.Rows()) }

	one, zero := start(1, 1), start(0, 1)
	check(t, one.Execute(context.Background(), rowOf(1), nil))
	check(t, zero.Execute(context.Background(), rowOf(0, "x"), nil))
	check(t, zero.Execute(context.Background(), rowOf(-7, []byte{0xff}), nil))
	if got, want := rows(), "[[row 0 x] [row -7 \xff] [row 1]]"; got != want || c.Len() != 3 {
		t.Fatalf("%d rows %s, want %s", c.Len(), got, want)
	}

	// A snapshot does not change as more is collected, and a restored task has just its content.
	data, err := zero.Snapshot()
	check(t, err)
	was := string(data)
	check(t, zero.Execute(context.Background(), rowOf(8), nil))
	if string(data) != was {
		t.Error("the snapshot changed afterwards")
	}
	again := start(0, 2)
	check(t, again.Restore(data))
	clear(data)                                                 // the caller's bytes are not kept
	check(t, zero.Execute(context.Background(), rowOf(9), nil)) // the paused predecessor does not count any more
	check(t, again.Execute(context.Background(), rowOf(10), nil))
	if got, want := rows(), "[[row 0 x] [row -7 \xff] [row 10] [row 1]]"; got != want || c.Len() != 4 {
		t.Fatalf("%d rows %s, want %s", c.Len(), got, want)
	}
	check(t, start(0, 3).Restore(nil))
	if got := rows(); got != "[[row 1]]" {
		t.Errorf("after restoring an empty snapshot: %s", got)
	}
	for _, bad := range [][]byte{{0xc1, 1}, {0x91}, {0x05}, {0x91, 0xdd, 0xff, 0xff, 0xff, 0xff}} {
		if err := start(0, 4).Restore(bad); err == nil {
			t.Errorf("Restore(%x) succeeds", bad)
		}
	}
}

func TestCollectorIsRead(t *testing.T) {
	c := bolt.NewCollector()
	b := c.New().(collecting)
	check(t, b.Prepare(contextOf(0, 1, 1)))
	row := rowOf(1)
	var running sync.WaitGroup
	running.Go(func() {
		for range 1000 {
			if err := b.Execute(context.Background(), row, nil); err != nil {
				t.Error(err)
			}
		}
	})
	for n := 0; n < 1000; {
		now := c.Len()
		if now < n || len(c.Rows()) < now {
			t.Fatal("rows have gone")
		}
		n = now
	}
	running.Wait()
}

func TestFunc(t *testing.T) {
	calls := 0
	factory := bolt.Func(func(_ context.Context, row tuple.Tuple, _ bolt.Emitter) error {
		calls++
		return fmt.Errorf("got %s", row.String(0))
	})
	for range 2 {
		if err := factory().Execute(context.Background(), rowOf(1), nil); err == nil || err.Error() != "got row" {
			t.Errorf("error %v", err)
		}
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

// A collecting bolt is one of a Collector's.
type collecting interface {
	bolt.Bolt
	bolt.Preparer
	bolt.Snapshotter
}

func contextOf(index, parallel int, incarnation msgid.Incarnation) bolt.Context {
	ctx := bolttest.NewContext("sink", index, parallel)
	ctx.Who.Incarnation = incarnation
	return ctx
}

// rowOf returns a tuple of "row" and some values.
func rowOf(values ...any) tuple.Tuple {
	names := []string{"word", "word n", "word n a"}[len(values)]
	return bolttest.MustTuple(names, append([]any{"row"}, values...)...)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
