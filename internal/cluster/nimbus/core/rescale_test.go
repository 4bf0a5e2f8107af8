package core_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// three is a pipeline of a spout, an operator that keeps nothing, and one with keyed state.
func three(split int) cluster.Spec {
	return cluster.Spec{
		Name: "words", Strategy: "backtrack", Plan: uint64(1000 + split),
		Operators: []cluster.Operator{
			{Name: "lines", Spout: true, Parallel: 1, Log: true}, {Name: "split", Parallel: split, Log: true}, {Name: "count", Parallel: 2, Log: true},
		},
		Edges: []cluster.Edge{
			{From: "lines", To: "split", Grouping: "shuffle", Targets: split},
			{From: "split", To: "count", Grouping: "group by", Targets: 2, First: uint32(split)},
		},
	}
}

// begun is a world in which that topology runs.
func begun(t *testing.T, adjust func(*cluster.Spec)) *world {
	w := newWorld(t, "a", "b")
	q := request("words", 2)
	q.Spec = three(2)
	if adjust != nil {
		adjust(&q.Spec)
	}
	s, _, _, err := w.core.Admit(q)
	if err != nil {
		t.Fatal(err)
	}
	w.accept(s, "anna")
	w.keeps["count"] = "keyed state"
	w.pass(2 * cluster.HeartbeatEvery)
	return w
}

// reshape asks for another number of tasks of split, and for a new instance.
func (w *world) rescale(split int) cluster.Instance {
	w.Helper()
	q := &cluster.RebalanceRequest{Name: "words", Parallel: map[string]int{"split": split}}
	_, parallel, r, err := w.core.CheckRescale(w.now, q)
	if err != nil || r != nil || parallel["split"] != split {
		w.Fatalf("may it be %d: %v, %v, %v", split, parallel, r, err)
	}
	as, spec := cluster.NewInstance("words"), three(split)
	x, _, err := w.core.StartRescale(w.now, q, as, &spec)
	if err != nil {
		w.Fatalf("%v", err)
	}
	w.write(x)
	w.settle()
	return as
}

// stand has all tasks stand still somewhere.
func (w *world) stand(at uint64) {
	for _, alias := range w.core.Record("words").Spec.Tasks() {
		w.stands[alias] = at
	}
}

// A topology becomes another in steps, and a change of leader in any of them does no harm.
func TestRescale(t *testing.T) {
	for _, failover := range []bool{false, true} {
		w := begun(t, nil)
		lead := func() {
			if failover {
				w.lead()
				w.pass(3 * cluster.HeartbeatEvery)
			}
		}
		first := w.core.Record("words").Instance
		as := w.rescale(4)
		lead()
		w.pass(5 * time.Second)
		r := w.core.Record("words")
		if r.Instance != first || r.Rescale == nil || r.Rescale.Instance != as || r.Rescale.QuiescePositions != nil {
			t.Fatalf("not still: %+v", r)
		}
		w.core.LogsFound(w.now, []cluster.Instance{first, as})
		w.pass(15 * time.Second)
		if over := w.core.DeletableLogs(w.now); len(over) > 0 {
			t.Errorf("logs %v are to be deleted", over)
		}
		w.stand(7)
		w.dead["b/0 "+string(first)] = true
		w.pass(cluster.HeartbeatEvery)
		if r = w.core.Record("words"); r.Rescale == nil || r.Rescale.QuiescePositions != nil {
			t.Fatal("a worker that has not reported a standstill is taken to stand still")
		}
		w.dead["b/0 "+string(first)] = false
		for range 20 {
			if r = w.core.Record("words"); r.Rescale.QuiescePositions != nil {
				break
			}
			w.pass(100 * time.Millisecond)
		}
		if r.Instance != first || r.Rescale.QuiescePositions["count.1"] != 7 {
			t.Fatalf("where all stood still is not written down: %+v", r.Rescale)
		}
		w.stands[msgid.Alias{Operator: "count"}] = 8 // it has moved: its earlier position was too old
		lead()
		for range 20 {
			if r = w.core.Record("words"); r.Instance != first || r.Rescale.QuiescePositions["count.0"] == 8 {
				break
			}
			w.pass(100 * time.Millisecond)
		}
		if r.Instance != first && !failover { // a new leader has had time for more than this step
			t.Fatal("a task has moved after it stood still, and the topology has become another")
		}
		lead()
		w.pass(2 * cluster.HeartbeatEvery)
		lead()
		r = w.core.Record("words")
		want := map[string]uint64{"lines.0": 7, "count.0": 8, "count.1": 7}
		if r.Instance != as || r.Rescale != nil || r.From == nil || r.From.Instance != first || r.From.Plan != 1002 || !maps.Equal(r.From.QuiescePositions, want) {
			t.Fatalf("it has become %+v from %+v", r, r.From)
		}
		if n := len(r.Spec.Tasks()); n != 7 || r.Parallel["split"] != 4 || w.places("words") == "" || r.Status != cluster.Active {
			t.Errorf("%d tasks in %s, %v", n, w.places("words"), r)
		}
		w.core.LogsFound(w.now, []cluster.Instance{first, as})
		w.pass(15 * time.Second)
		if over := w.core.DeletableLogs(w.now); len(over) > 0 {
			t.Errorf("logs %v are to be deleted, and tasks still need one", over)
		}
		q := &cluster.RebalanceRequest{Name: "words", Parallel: map[string]int{"split": 1}}
		if _, _, _, err := w.core.CheckRescale(w.now, q); refused(err) != cluster.CodeUnavailable {
			t.Errorf("once more, before the tasks have begun: %v", err)
		}
		w.rooted = true
		w.pass(2 * cluster.HeartbeatEvery)
		lead()
		if r = w.core.Record("words"); r.From != nil || r.Instance != as {
			t.Errorf("settled: %+v", r)
		}
		w.core.LogsFound(w.now, []cluster.Instance{first, as})
		w.pass(11 * time.Second)
		if over := w.core.DeletableLogs(w.now); !slices.Equal(over, []cluster.Instance{first}) {
			t.Errorf("logs %v are to be deleted, want that of %s", over, first)
		}
		w.rescale(1)
	}
}

// A topology that does not come to a standstill goes on as it was, and its record holds the reason.
func TestRescaleGivenUp(t *testing.T) {
	w := begun(t, nil)
	as := w.rescale(4)
	w.stand(7)
	delete(w.stands, msgid.Alias{Operator: "count", Index: 1})
	w.pass(25 * time.Second)
	for what, ask := range map[string]func() error{
		"activate": func() error { _, _, err := w.core.Activate(w.now, "words", true); return err },
		"rebalance": func() error {
			_, _, err := w.core.Rebalance(w.now, &cluster.RebalanceRequest{Name: "words"})
			return err
		},
	} {
		if err := ask(); refused(err) != cluster.CodeUnavailable {
			t.Errorf("%s meanwhile: %v", what, err)
		}
	}
	w.pass(6 * time.Second)
	r := w.core.Record("words")
	if r.Rescale != nil || r.Instance == as || r.Status != cluster.Active || !strings.Contains(r.Reason, "task count.1") || !w.published(cluster.Refused, "count.1") {
		t.Errorf("%+v", r)
	}
	w.pass(11 * time.Second)
	if over := w.core.DeletableLogs(w.now); !slices.Equal(over, []cluster.Instance{as}) {
		t.Errorf("logs %v are to be deleted, want that of %s", over, as)
	}
	// A task that comes to its end while the others come to a standstill.
	w.rescale(4)
	w.state[msgid.Alias{Operator: "lines"}] = cluster.StateComplete
	w.pass(cluster.HeartbeatEvery)
	if r := w.core.Record("words"); r.Rescale != nil || !strings.Contains(r.Reason, "lines.0 has come to its end") {
		t.Errorf("%+v", r)
	}
}

// A topology that is killed on its way leaves no log.
func TestRescaleKilled(t *testing.T) {
	w := begun(t, nil)
	first := w.core.Record("words").Instance
	as := w.rescale(4)
	w.kill("words", 0)
	w.pass(11 * time.Second)
	over := w.core.DeletableLogs(w.now)
	if len(over) != 2 || !slices.Contains(over, first) || !slices.Contains(over, as) {
		t.Errorf("logs %v are to be deleted, want those of %s and %s", over, first, as)
	}
}

func TestRescaleRefused(t *testing.T) {
	for what, c := range map[string]struct {
		adjust   func(*cluster.Spec)
		before   func(*world)
		parallel map[string]int
		workers  int
		code     cluster.ErrCode
		text     string
	}{
		"unknown operator": {parallel: map[string]int{"none": 2}, code: cluster.CodeBadRequest, text: "no operator none"},
		"no tasks":         {parallel: map[string]int{"split": 0}, code: cluster.CodeBadRequest, text: "want 1 to"},
		"a path":           {parallel: map[string]int{"../x": 1}, code: cluster.CodeBadRequest, text: "bad name"},
		"spout":            {parallel: map[string]int{"lines": 2}, code: cluster.CodeConflict, text: "only bolts"},
		"keyed state":      {parallel: map[string]int{"count": 3}, code: cluster.CodeConflict, text: "operator count keeps keyed state"},
		"with workers":     {parallel: map[string]int{"split": 3}, workers: 3, code: cluster.CodeBadRequest, text: "one after the other"},
		"another strategy": {adjust: func(s *cluster.Spec) { s.Strategy = "barrier" }, code: cluster.CodeConflict, text: "only with backtrack"},
		"direct":           {adjust: func(s *cluster.Spec) { s.Edges[0].Grouping = "direct" }, code: cluster.CodeConflict, text: "by Direct"},
		"anchored sink":    {before: func(w *world) { w.keeps["count"] = cluster.AnchoredState }, code: cluster.CodeConflict, text: "operator count"},
		"its own state":    {before: func(w *world) { w.keeps["split"] = "state of its own" }, code: cluster.CodeConflict, text: "state of its own"},
		"end of input":     {before: func(w *world) { w.state[msgid.Alias{Operator: "lines"}] = "complete" }, code: cluster.CodeConflict, text: "come to its end"},
		"killing":          {before: func(w *world) { w.kill("words", time.Minute) }, code: cluster.CodeConflict, text: "cannot change"},
		"a worker unheard": {before: func(w *world) {
			w.silent["a"] = true
			w.pass(2 * time.Second)
			w.silent["b"] = true
			w.pass(2 * time.Second)
		}, code: cluster.CodeUnavailable, text: "no heartbeat yet"},
		"as it is, no more": {parallel: map[string]int{"split": 2}},
	} {
		t.Run(what, func(t *testing.T) {
			w := begun(t, c.adjust)
			if c.before != nil {
				c.before(w)
				w.pass(cluster.HeartbeatEvery)
			}
			if c.parallel == nil {
				c.parallel = map[string]int{"split": 4}
			}
			_, _, r, err := w.core.CheckRescale(w.now, &cluster.RebalanceRequest{Name: "words", Parallel: c.parallel, Workers: c.workers})
			if c.code == "" && (err != nil || r != w.core.Record("words")) || refused(err) != c.code || c.text != "" && !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v, want %s %q", err, c.code, c.text)
			}
		})
	}
	// A worker's answer that describes another program is refused.
	w := begun(t, nil)
	spec := three(4)
	spec.Operators[2].Parallel = 3
	_, _, err := w.core.StartRescale(w.now, &cluster.RebalanceRequest{Name: "words", Parallel: map[string]int{"split": 4}}, cluster.NewInstance("words"), &spec)
	if refused(err) != cluster.CodeConflict || !strings.Contains(err.Error(), "not the same") {
		t.Errorf("%v", err)
	}
}

// The counts of lost tuples survive other numbers of tasks, whose tasks begin empty.
func TestLostTuplesOfARescale(t *testing.T) {
	w := begun(t, nil)
	split, count := msgid.Alias{Operator: "split"}, msgid.Alias{Operator: "count"}
	w.lost[split], w.lost[count] = [2]uint64{1, 20}, [2]uint64{0, 5}
	w.pass(cluster.HeartbeatEvery)
	as := w.rescale(4)
	w.stand(7)
	for range 50 {
		if w.core.Record("words").Instance == as {
			break
		}
		w.pass(100 * time.Millisecond)
	}
	w.lost[split] = [2]uint64{0, 2} // the new tasks', before their first heartbeat
	w.pass(time.Second)
	d, err := w.core.Describe(w.now, "words")
	want := []cluster.LostTuples{{Operator: "split", Dead: 1, Dropped: 22}, {Operator: "count", Dropped: 5}}
	if err != nil || !slices.Equal(d.Lost, want) {
		t.Errorf("%v, %+v, want %+v", err, d.Lost, want)
	}
}
