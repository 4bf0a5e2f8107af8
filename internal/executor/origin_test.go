package executor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/internal/task/migrate"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// tally counts numbers by their last digit, but for the digit 7, which it gives up, and emits the counts when its input ends.
type tally struct{ n *state.Map[int64, int64] }

func (c *tally) Prepare(ctx bolt.Context) (err error) {
	c.n, err = state.Open[int64, int64](ctx, "tally")
	return err
}

func (c *tally) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if t.Int(0) == 7 {
		return errors.New("sevens are not wanted")
	}
	*c.n.Entry(t.Int(0))++
	return nil
}

func (c *tally) Finish(_ context.Context, out bolt.Emitter) error {
	for digit, n := range c.n.All() {
		if err := out.Row().Int(digit).Int(n).Emit(); err != nil {
			return err
		}
	}
	return nil
}

// tallied is a topology with a spout that stops at a limit: numbers > digit (2 tasks, stateless) > tally (2 tasks, keyed
// state) > sink.
func tallied(n int64, limit *atomic.Int64) (*topology.Builder, *bolt.Collector) {
	sink := bolt.NewCollector()
	b := topology.New("tallied")
	b.Spout("numbers", spout.Gate(numbers(n), func(s spout.Spout, _ int) bool {
		done, _ := s.(spout.Progresser).Progress()
		return done >= limit.Load()
	})).Fields("n")
	digit := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(0) % 10).Emit()
	})
	same := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Tuple(t).Emit() })
	b.Bolt("digit", bolt.Chain("last", digit).Fields("digit").Then("same", same).New).Parallel(2).Shuffle("numbers").Fields("digit")
	b.Bolt("tally", func() bolt.Bolt { return &tally{} }).Parallel(2).Drop().GroupBy("digit", "digit").Fields("digit", "n")
	b.Bolt("sink", sink.New).Global("tally")
	return b, sink
}

// still waits until all tasks stand still, twice, with the same prints, and returns these.
func (h *house) still(quiet *atomic.Uint64) map[msgid.Alias]uint64 {
	h.t.Helper()
	for {
		round := quiet.Add(1)
		var prints [2]map[msgid.Alias]uint64
		for k := range prints {
			round = quiet.Add(1)
			prints[k] = map[msgid.Alias]uint64{}
			h.until("all stand still", func() bool {
				for _, s := range h.tasks {
					i := s.Info()
					if i.Quiesced != round {
						return false
					}
					prints[k][i.Alias] = i.QuiescePositions
				}
				return true
			})
		}
		if fmt.Sprint(prints[0]) == fmt.Sprint(prints[1]) {
			return prints[1]
		}
	}
}

// A spout that is killed while the topology comes to a standstill emits again, all the same, the tuples that its targets
// miss, and stands still after that.
func TestSpoutKilledWhileQuiet(t *testing.T) {
	var limit atomic.Int64
	limit.Store(1 << 40)
	b, _ := tallied(1<<40, &limit)
	plan, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var quiet atomic.Uint64
	h := openPlan(t, plan, memlog.Options{}, func(o *executor.Options) {
		o.Config.Quiesce = quiet.Load
		o.Config.Settings.SnapshotEvery = 500 // the first is not taken yet when the spout is killed
	})
	h.until("numbers are counted", func() bool { return h.tasks["tally.0"].Info().Counters.Consumed > 1000 })
	quiet.Add(1)
	h.tasks["numbers.0"].Kill()
	h.still(&quiet)
	if i := h.tasks["numbers.0"].Info(); i.Restarts != 1 {
		t.Errorf("%d restarts", i.Restarts)
	}
}

// A topology is brought to a standstill in the middle, and goes on with other numbers of stateless tasks: each number
// counts once, or is dropped and counted once, whether or not tasks are killed before they have snapshots of their own.
func TestOrigin(t *testing.T) {
	const n = 60_000
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%v", kill), func(t *testing.T) {
			var log *memlog.Log
			var plan *topology.Plan
			var prints map[msgid.Alias]uint64
			incarnations := map[string]msgid.Incarnation{}
			for phase, parallel := range []int{2, 4, 1} {
				var limit atomic.Int64
				b, sink := tallied(n, &limit)
				next, err := b.Override(map[string]int{"digit": parallel}).Build()
				if err != nil {
					t.Fatal(err)
				}
				var quiet atomic.Uint64
				limit.Store(n * int64(phase+2) / 3)
				var own *memlog.Log
				h := openPlan(t, next, memlog.Options{}, func(o *executor.Options) {
					o.Config.Quiesce = quiet.Load
					own = o.Log.(*memlog.Log)
					if log != nil {
						o.From = &migrate.Origin{Log: log, Plan: plan}
						if o.Config.Task.Alias.Operator != "digit" {
							o.From.QuiescePositions = prints[o.Config.Task.Alias]
						}
					}
				})
				if kill && phase > 0 {
					for range 3 {
						for _, s := range h.tasks {
							s.Kill()
						}
						h.until("they are back", func() bool {
							for _, s := range h.tasks {
								if st := s.Info().State; st == executor.Starting || st == executor.Restarting {
									return false
								}
							}
							return true
						})
					}
				}
				if phase == 2 {
					h.complete()
					var got []string
					for _, r := range sink.Rows() {
						got = append(got, fmt.Sprint(r...))
					}
					slices.Sort(got)
					var want []string
					for d := range int64(10) {
						if d != 7 {
							want = append(want, fmt.Sprint(d, int64(n/10)))
						}
					}
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("counted %v, want %v", got, want)
					}
					dropped := uint64(0) // in all phases together
					for _, s := range h.tasks {
						dropped += s.Info().Lost.Dropped
					}
					if dropped != n/10 {
						t.Errorf("%d tuples dropped, want %d", dropped, n/10)
					}
				} else {
					at := int64(n * (phase + 1) / 3)
					h.until("a part is read", func() bool { return h.tasks["numbers.0"].Info().Done >= at })
					prints = h.still(&quiet)
					if done := h.tasks["numbers.0"].Info().Done; done >= n {
						t.Logf("all was read before the standstill")
					}
				}
				for a, s := range h.tasks {
					i := s.Info()
					if !i.HasSnapshot && phase > 0 && phase < 2 {
						t.Errorf("%s stands still without a snapshot of its own", a)
					}
					if strings.HasPrefix(a, "digit") && i.KeepsState != task.Nothing {
						t.Errorf("%s keeps %q, though its chain is of bolts without state", a, i.KeepsState)
					}
					if strings.HasPrefix(a, "tally") && (i.KeepsState != task.KeyState || i.Incarnation <= incarnations[a]) {
						t.Errorf("%s keeps %q; incarnation %d after %d", a, i.KeepsState, i.Incarnation, incarnations[a])
					}
					incarnations[a] = i.Incarnation
				}
				h.stop()
				log, plan = own, next
			}
		})
	}
}

// Migration is refused if the old log moved since the standstill.
func TestOriginElse(t *testing.T) {
	var limit atomic.Int64
	limit.Store(50)
	b, _ := tallied(100, &limit)
	plan, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var quiet atomic.Uint64
	h := openPlan(t, plan, memlog.Options{}, func(o *executor.Options) { o.Config.Quiesce = quiet.Load })
	h.until("half is read", func() bool { return h.tasks["numbers.0"].Info().Done >= 50 })
	prints := h.still(&quiet)
	h.stop()
	for says, log := range map[string]*memlog.Log{"it has no snapshot": memlog.New(memlog.Options{}), "it has moved since the standstill": h.log} {
		h := openPlan(t, plan, memlog.Options{}, func(o *executor.Options) {
			o.From = &migrate.Origin{Log: log, Plan: plan, QuiescePositions: prints[o.Config.Task.Alias] + 1}
			o.Failures = 1
		})
		if err := h.fails(); !errors.Is(err, checkpoint.ErrDamaged) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		h.stop()
	}
}
