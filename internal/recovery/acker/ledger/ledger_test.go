package ledger_test

import (
	"context"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/ledger"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// joined returns a ledger in a plan whose task 0 is in.0 and whose task 1 is in.1, and an emitter to the spout.
func joined(t testing.TB) (*ledger.Ledger, *bolttest.Emitter) {
	b := topology.New("t")
	b.Spout("in", spout.Func(func() spout.Spout { return nil })).Parallel(2).Fields("n")
	b.Bolt("out", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("in")
	plan, err := b.BuildWith(ledger.Extension, bolt.Strategy{})
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New()
	if every := l.Join(plan, recovery.Config{MessageTimeout: 700}); every != 700 {
		t.Errorf("it wants to be ticked every %d ms, the timeout is 700", every)
	}
	return l, bolttest.NewEmitter().Stream("in", "root")
}

// report reports edges and returns how many roots were answered.
func report(t testing.TB, l *ledger.Ledger, root uint64, edges ...uint64) int {
	t.Helper()
	out := bolttest.NewEmitter().Stream("in", "root")
	for _, e := range edges {
		if err := l.Execute(context.Background(), bolttest.MustTuple("root edges", root, e), out); err != nil {
			t.Fatal(err)
		}
	}
	return len(out.Rows("in"))
}

// A root is answered when all its edges have come twice, in whatever order, and not before.
func TestComplete(t *testing.T) {
	l, out := joined(t)
	root := tracking.RootBase(1, 3) + 5
	for _, edges := range []uint64{7 ^ 9, 9, 4, 7} {
		if err := l.Execute(context.Background(), bolttest.MustTuple("root edges", root, edges), out); err != nil {
			t.Fatal(err)
		}
		if len(out.Rows("in")) > 0 {
			t.Fatal("answered too early")
		}
	}
	if err := l.Execute(context.Background(), bolttest.MustTuple("root edges", root, uint64(4)), out); err != nil {
		t.Fatal(err)
	}
	if rows := out.Rows("in"); len(rows) != 1 || rows[0][0] != int64(root) {
		t.Errorf("answers %v, want %d", rows, root)
	}
	if n := l.Len(); n != 0 {
		t.Errorf("%d roots are left", n)
	}
}

// A root without any edges, such as one on a stream without readers, is complete at once.
func TestNoEdges(t *testing.T) {
	l, _ := joined(t)
	if n := report(t, l, tracking.RootBase(0, 1), 0); n != 1 || l.Len() != 0 {
		t.Errorf("%d answers, %d left", n, l.Len())
	}
}

// An entry outlives one tick after its last report, and not two.
func TestExpiry(t *testing.T) {
	l, out := joined(t)
	root := tracking.RootBase(0, 1)
	tick := func() {
		if err := l.Tick(context.Background(), time.Time{}, out); err != nil {
			t.Fatal(err)
		}
	}
	report(t, l, root, 5)
	tick()
	report(t, l, root, 6)
	tick()
	if n := report(t, l, root, 5^6); n != 1 {
		t.Error("forgotten within a timeout")
	}
	report(t, l, root, 5)
	tick()
	tick()
	if n := report(t, l, root, 5); n != 0 || l.Len() != 1 {
		t.Error("not forgotten after two timeouts")
	}
}

// A root of no task of the plan is ignored.
func TestForeignRoot(t *testing.T) {
	l, _ := joined(t)
	if n := report(t, l, tracking.RootBase(77, 1), 0); n != 0 {
		t.Error("reported to a spout")
	}
}

func TestReportsAllocateNothing(t *testing.T) {
	l, out := joined(t)
	report(t, l, tracking.RootBase(0, 1), 1, 1)
	encoded := bolttest.MustTuple("root edges", tracking.RootBase(0, 1), uint64(3))
	if n := testing.AllocsPerRun(1000, func() {
		_ = l.Execute(context.Background(), encoded, out)
		if l.Len() == 0 {
			out.Reset()
		}
	}); n > 1 { // the emitter of the test retains the bytes
		t.Errorf("%v allocations a report", n)
	}
}
