package askback_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A summing bolt adds up numbers in a map of the given name, and fails at the number bad.
type summing struct {
	name string
	bad  int64
	sums *state.Map[string, int64]
	last func(int64)
}

func (s *summing) Prepare(ctx bolt.Context) (err error) {
	s.sums, err = state.Open[string, int64](ctx, s.name)
	return err
}

func (s *summing) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if t.Int(0) == s.bad {
		return errors.New("bad number")
	}
	*s.sums.At([]byte("all")) += t.Int(0)
	return nil
}

func (s *summing) Finish(context.Context, bolt.Emitter) error {
	s.last(*s.sums.At([]byte("all")))
	return nil
}

// A program with another plan, and one whose operator does not open the state that it has kept, are refused, and leave the
// log as it is: the right program goes on from there.
func TestOtherPlan(t *testing.T) {
	dir, sum := t.TempDir(), int64(0)
	const n = 20_000
	build := func(name string, bad int64, parallel int) *topology.Builder {
		b := topology.New("sums")
		b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Emit(i) }).Rate(50_000)).Fields("n")
		b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Tuple(t).Emit() })).
			Parallel(parallel).Shuffle("numbers").Fields("n")
		b.Bolt("sum", func() bolt.Bolt { return &summing{name: name, bad: bad, last: func(v int64) { sum = v }} }).Global("pass")
		return b
	}
	run := func(b *topology.Builder) error {
		_, err := askback.Run(t.Context(), b, askback.WithDir(dir), askback.WithSnapshotEvery(5*time.Millisecond))
		return err
	}
	var failed *bolt.TupleError
	if err := run(build("sums", n/2, 1)); !errors.As(err, &failed) {
		t.Fatal(err)
	}
	for range 2 {
		if err := run(build("sums", -1, 2)); !errors.Is(err, askback.ErrOtherPlan) || !strings.Contains(err.Error(), "plan") {
			t.Errorf("another plan: %v", err)
		}
		if err := run(build("totals", -1, 1)); err == nil || !strings.Contains(err.Error(), `["sums"]`) {
			t.Errorf("a state of another name: %v", err)
		}
	}
	if err := run(build("sums", -1, 1)); err != nil || sum != n*(n-1)/2 {
		t.Errorf("repaired: %v, %d", err, sum)
	}
}
