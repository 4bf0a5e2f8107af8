package bolttest_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// Count counts words, and emits each for the first time on a stream of its own.
type Count struct{ n *state.Map[string, int64] }

func (c *Count) Prepare(ctx bolt.Context) (err error) {
	c.n, err = state.Open[string, int64](ctx, "counts")
	return err
}

func (c *Count) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	n := c.n.At(t.Bytes(0))
	if *n == 0 {
		if err := out.On("new").Emit(t.String(0)); err != nil {
			return err
		}
	}
	*n++
	return out.Row().Bytes(t.Bytes(0)).Int(*n).Emit()
}

func Example() {
	count := &Count{}
	if err := count.Prepare(bolttest.NewContext("count", 0, 1)); err != nil {
		log.Fatal(err)
	}
	out := bolttest.NewEmitter("word", "n").Stream("new", "word")
	for _, word := range []string{"to", "be", "to"} {
		if err := count.Execute(context.Background(), bolttest.MustTuple("word", word), out); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(out.Rows(""))
	fmt.Println(out.Rows("new"))
	// Output:
	// [[to 1] [be 1] [to 2]]
	// [[to] [be]]
}

func TestEmitter(t *testing.T) {
	out := bolttest.NewEmitter("a", "b").Stream("bad", "x", "x")
	for says, err := range map[string]error{
		"1 for 2 fields (a, b)":            out.Emit(1),
		`stream "other" is not declared`:   out.On("other").Emit(1),
		`stream "bad": tuple: `:            out.On("bad").Row().Int(1).Emit(),
		`stream "" is not declared`:        bolttest.NewEmitter().Emit(),
		`stream "deeper" is not declared`:  out.On("").On("deeper").Emit(),
		`stream "deepest" is not declared`: out.On("other").On("deepest").Emit(),
	} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one with %s", err, says)
		}
	}
	if out.Rows("") != nil || out.Rows("other") != nil {
		t.Error("a failed Emit was recorded")
	}

	if err := out.Emit(1, "x"); err != nil {
		t.Fatal(err)
	}
	if err := out.On("").Row().Int(2).Nil().Emit(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(out.Rows("")); got != "[[1 x] [2 <nil>]]" {
		t.Errorf("recorded %s", got)
	}
	if got := fmt.Sprintf("%x", out.Encoded("")); got != "[9201a178 9202c0]" {
		t.Errorf("recorded the bytes %s", got)
	}
	if out.Reset(); len(out.Rows("")) != 0 {
		t.Error("Reset keeps rows")
	}
}

func TestMustTuple(t *testing.T) {
	row := bolttest.MustTuple("word n", "to", 1)
	if row.Field("word").String() != "to" || row.Field("n").Int() != 1 || row.Err() != nil {
		t.Errorf("the tuple is %q, %d, %v", row.String(0), row.Int(1), row.Err())
	}
	for _, wrong := range []func(){
		func() { bolttest.MustTuple("word n", "to") },
		func() { bolttest.MustTuple("a.b", "to") },
		func() { bolttest.MustTuple("f", func() {}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a wrong tuple is made")
				}
			}()
			wrong()
		}()
	}
}

func TestContext(t *testing.T) {
	one, two := bolttest.NewContext("op", 1, 2), bolttest.NewContext("op", 1, 2)
	if task := one.Task(); task.Alias.String() != "op.1" || task.Parallel != 2 || task.Incarnation != 1 {
		t.Errorf("the task is %+v", task)
	}
	first := one.Rand()
	if first != two.Rand() || first == one.Rand() {
		t.Error("chance is not a fixed sequence")
	}
	one.Time = one.Time.Add(time.Hour)
	if one.Now().Sub(two.Now()) != time.Hour {
		t.Error("time does not stand where it was put")
	}
	if one.State() == nil || one.State() == two.State() {
		t.Error("the state is not the context's own")
	}
}
