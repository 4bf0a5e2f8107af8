package askback_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// The report counts the tuples whose loss was declared, by operator and each once, although tasks are killed; and
// OnLost receives each of them, readable.
func TestLostAreCounted(t *testing.T) {
	const n = 20_000
	odd := errors.New("odd")
	check := func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0)%10 == 3 {
			return odd
		}
		return out.Row().Int(t.Int(0)).Emit()
	}
	b, dead := topology.New("lossy"), bolt.NewCollector()
	b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("drop", bolt.Func(check)).Drop().Shuffle("numbers").Fields("n")
	b.Bolt("bury", bolt.Func(check)).DeadLetter().Parallel(2).Shuffle("numbers").Fields("n")
	b.Bolt("graves", dead.New).Global("bury:" + topology.DeadStream)
	b.Bolt("sink", bolt.NewCollector().New).Global("drop").Global("bury")
	var mu sync.Mutex
	lost := map[topology.ErrorPolicy]map[int64]bool{topology.Drop: {}, topology.DeadLetter: {}}
	r, err := askback.Run(t.Context(), b, faults.Kill(5, 1), askback.OnLost(func(g askback.GivenUp) {
		mu.Lock()
		defer mu.Unlock()
		if g.Err == nil || g.Task.Operator == "" || g.ID.Channel.Target != g.Task || g.Tuple.Len() != 1 {
			t.Errorf("%+v", g)
			return
		}
		lost[g.Policy][g.Tuple.Int(0)] = true
	}))
	if err != nil {
		t.Fatal(err)
	}
	total := r.Totals()
	if total.Dropped != n/10 || total.Dead != n/10 || dead.Len() != n/10 || len(lost[topology.Drop]) != n/10 || len(lost[topology.DeadLetter]) != n/10 {
		t.Errorf("%d dropped, %d dead, %d buried, %d and %d reported, want %d", total.Dropped, total.Dead, dead.Len(), len(lost[topology.Drop]), len(lost[topology.DeadLetter]), n/10)
	}
	for _, o := range r.Operators() {
		if want := map[string]uint64{"drop": n / 10}[o.Operator]; o.Dropped != want {
			t.Errorf("%s dropped %d, want %d", o.Operator, o.Dropped, want)
		}
		if want := map[string]uint64{"bury": n / 10}[o.Operator]; o.Dead != want {
			t.Errorf("%s buried %d, want %d", o.Operator, o.Dead, want)
		}
	}
}
