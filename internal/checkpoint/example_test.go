package checkpoint_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/msgid"
)

func Example() {
	ctx := context.Background()
	log := memlog.New(memlog.Options{})
	count3 := msgid.Alias{Operator: "count", Index: 3}

	w, _, err := checkpoint.Open(ctx, log, count3, checkpoint.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = w.Append(ctx, []byte("split.1 x 3"))
	up := w.Begin([][]byte{[]byte("state after "), []byte("three tuples")}, true).Covers(w.Mark())
	for done := false; !done; {
		_ = w.Append(ctx, []byte("split.0 x 1")) // determinants may be appended while the snapshot is uploaded
		if done, err = up.Step(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}

	// The task is started again; the old incarnation can append no more.
	next, h, _ := checkpoint.Open(ctx, log, count3, checkpoint.Options{})
	fmt.Printf("incarnation %d: %s, then %s\n", next.Incarnation(), h.Chain, h.Determinants)
	err = w.Append(ctx, []byte("split.0 x 9"))
	fmt.Println(errors.Is(err, checkpoint.ErrFenced), err)
	// Output:
	// incarnation 2: [state after three tuples], then [split.0 x 1 split.0 x 1]
	// true append determinants of count.3: checkpoint: incarnation 1 of count.3 is fenced: incarnation 2 has begun; stop this one
}
