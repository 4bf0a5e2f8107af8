package recoverytest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/askback/askback/internal/recovery"
)

// Features are a strategy's guarantees for the tuples that count in a task's state, when tasks are restarted and messages
// are lost. Set one of the first three.
type Features struct {
	ExactlyOnce bool // each is consumed once, in the order in which its source emitted it
	AtLeastOnce bool // each is consumed, perhaps again
	AtMostOnce  bool // none is consumed twice, some may be lost; spouts continue at their positions

	Base *recovery.Base // of a strategy that rolls back all tasks together
}

// Run runs the suite.
func Run(t *testing.T, factory recovery.Factory, features Features) {
	s := suite{factory, features}
	for _, c := range []struct {
		name string
		test func(suite, *testing.T)
	}{
		{"Chain", suite.chain},
		{"Join", suite.join},
		{"Fork", suite.fork},
		{"TwoStreams", suite.twoStreams},
		{"NoInput", suite.noInput},
		{"Duplicates", suite.duplicates},
		{"Loss", suite.loss},
		{"Credit", suite.credit},
		{"LateStart", suite.lateStart},
		{"StaleSource", suite.staleSource},
		{"SignalsLost", suite.signalsLost},
		{"Restart", suite.restart},
		{"RestartBetweenWrites", suite.restartBetweenWrites},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(s, t) })
	}
}

type suite struct {
	factory recovery.Factory
	Features
}

// world makes a world with settings for short tests: snapshots every tenth of a second.
func (s suite) world(t *testing.T, channels ...string) *World {
	return s.worldOf(t, recovery.Config{}, channels...)
}

func (s suite) worldOf(t *testing.T, settings recovery.Config, channels ...string) *World {
	settings.SnapshotEvery = 100
	w := NewOn(t, s.factory, s.Base, settings, channels...)
	w.SpoutsGoOn = s.AtMostOnce
	if testing.Verbose() {
		w.Trace = func(line string) { t.Log(line) }
	}
	return w
}

// start starts every task that is down, and waits until they know each other.
func (s suite) start(w *World) {
	w.Start()
	w.Deliver()
	if s.Base != nil {
		w.Settle()
	}
}

// names returns a1 … an.
func names(spout string, n int) (list []string) {
	for k := range n {
		list = append(list, fmt.Sprintf("%s%d", spout, k+1))
	}
	return list
}

// from returns the tuples of a spout that a task consumed, without the parts that the tasks between have added.
func from(w *World, task, spout string) (list []string) {
	for _, text := range w.Consumed(task) {
		n := len(spout)
		for n < len(text) && '0' <= text[n] && text[n] <= '9' {
			n++
		}
		if n > len(spout) && text[:len(spout)] == spout {
			list = append(list, text[:n])
		}
	}
	return list
}

// whole demands that a task consumed all n tuples of a spout, once and in order.
func whole(t *testing.T, w *World, task, spout string, n int) {
	t.Helper()
	if got := from(w, task, spout); !slices.Equal(got, names(spout, n)) {
		t.Errorf("%s consumed %v of %s, want all %d in order", task, got, spout, n)
	}
}

// promised demands the guarantees of the features after faults.
func (s suite) promised(t *testing.T, w *World, task, spout string, n int) {
	t.Helper()
	got := from(w, task, spout)
	switch all := names(spout, n); {
	case s.ExactlyOnce:
		whole(t, w, task, spout, n)
	case s.AtLeastOnce:
		for _, name := range all {
			if !slices.Contains(got, name) {
				t.Errorf("%s never consumed %s, only %v", task, name, got)
			}
		}
	case s.AtMostOnce:
		for k, name := range got {
			if slices.Index(got, name) != k || k > 0 && slices.Index(all, name) < slices.Index(all, got[k-1]) {
				t.Errorf("%s consumed %v: %s again, or out of order", task, got, name)
				return
			}
		}
	}
}

// ended demands that every task has reported Done, and that the two ends of each channel agree.
func (s suite) ended(t *testing.T, w *World) {
	t.Helper()
	for _, x := range w.tasks {
		if name := x.alias.Operator; !w.Done(name) {
			t.Errorf("%s is not done", name)
		} else if r := w.Status(name).Retained; r != 0 {
			t.Errorf("%s is done and retains %d bytes", name, r)
		}
	}
	for _, l := range w.links {
		sent, got := w.Status(l.source.alias.Operator).Outputs[l.out], w.Status(l.target.alias.Operator).Inputs[l.in]
		if sent.Seq != got.Seq || s.ExactlyOnce && sent.Sum != got.Sum {
			t.Errorf("%s: emitted %v, consumed %v", l.data.name, sent, got)
		}
	}
}

// emit lets every spout emit n tuples in frames of one to three, and end.
func emit(w *World, n int, spouts ...string) {
	for _, spout := range spouts {
		for left, size := n, 1; left > 0; size = size%3 + 1 {
			w.Emit(spout, min(size, left))
			left -= size
		}
	}
}

func end(w *World, spouts ...string) {
	for _, spout := range spouts {
		w.End(spout)
	}
}

func (s suite) chain(t *testing.T) {
	w := s.world(t, "a>b", "b>c", "c>d")
	w.Start()
	emit(w, 20, "a")
	end(w, "a")
	w.Settle()
	for _, task := range []string{"b", "c", "d"} {
		whole(t, w, task, "a", 20)
	}
	s.ended(t, w)
}

func (s suite) join(t *testing.T) {
	w := s.world(t, "a>c", "b>c", "c>d")
	w.Start()
	emit(w, 10, "a")
	w.Deliver("a>c")
	emit(w, 10, "b")
	end(w, "b")
	w.Settle()
	if w.Status("c").Finished {
		t.Error("c has finished though one of its inputs has not ended")
	}
	end(w, "a")
	w.Settle()
	whole(t, w, "d", "a", 10)
	whole(t, w, "d", "b", 10)
	s.ended(t, w)
}

func (s suite) fork(t *testing.T) {
	w := s.world(t, "a>b", "a>c", "b>d", "c>d")
	w.Start()
	emit(w, 10, "a")
	w.Deliver("a>c")
	end(w, "a")
	w.Settle()
	whole(t, w, "b", "a", 10)
	whole(t, w, "c", "a", 10)
	if n := len(w.Consumed("d")); n != 20 {
		t.Errorf("d consumed %d tuples, want each of 10 on two ways", n)
	}
	s.ended(t, w)
}

func (s suite) twoStreams(t *testing.T) {
	w := s.world(t, "a>b", "a:x>b")
	w.Start()
	emit(w, 10, "a")
	w.Deliver("a:x>b")
	end(w, "a")
	w.Settle()
	if n := len(w.Consumed("b")); n != 20 {
		t.Errorf("b consumed %d tuples, want each of 10 on two streams", n)
	}
	s.ended(t, w)
}

func (s suite) noInput(t *testing.T) {
	w := s.world(t, "a>b", "b>c")
	w.Start()
	end(w, "a")
	w.Settle()
	s.ended(t, w)
}

// duplicates: whatever comes twice is consumed once.
func (s suite) duplicates(t *testing.T) {
	w := s.world(t, "a>b", "b>c")
	s.start(w)
	twice := uint64(0)
	for range 5 {
		w.Emit("a", 2)
		twice += w.tuples("a>b")
		w.Duplicate("a>b", "")
		w.Deliver("a>b")
		w.Duplicate("b>c", "")
		w.Deliver()
	}
	end(w, "a")
	w.Settle()
	whole(t, w, "b", "a", 10)
	whole(t, w, "c", "a", 10)
	if got := w.Status("b").Counters.Duplicates; twice == 0 || got < twice {
		t.Errorf("b counts %d duplicates, of %d tuples that came twice", got, twice)
	}
	s.ended(t, w)
}

// loss: each frame in its turn is lost, and the last one too.
func (s suite) loss(t *testing.T) {
	for k := 1; k <= 7; k++ {
		w := s.world(t, "a>b", "b>c")
		s.start(w)
		for range 7 {
			w.Emit("a", 1)
		}
		for step := 1; step < k && !w.flies("a>b", k); step++ { // its source waits for those before it
			w.Deliver("a>b")
			w.Deliver("b>a")
		}
		if k == 7 {
			end(w, "a")
			w.write() // or the end mark may have to wait
			if w.flies("a>b", 8) {
				w.Drop("a>b", "8")
			}
		}
		w.Drop("a>b", fmt.Sprint(k))
		end(w, "a")
		w.Settle()
		s.promised(t, w, "c", "a", 7)
		if got := w.Status("b").Counters; s.AtMostOnce && got.Lost == 0 {
			t.Errorf("#%d was lost, and the counters show no loss: %+v", k, got)
		}
		s.ended(t, w)
	}
}

// credit: while the target does not consume, the source has no more than its window in flight, and a frame; and
// it is not itself flooded, for it stops consuming.
func (s suite) credit(t *testing.T) {
	const window = 500
	w := s.worldOf(t, recovery.Config{Window: window}, "a>b", "b>c")
	s.start(w)
	w.Stick("c")
	for range 100 {
		w.Emit("a", 1)
	}
	w.Deliver("a>b")
	if n := w.InFlight("b>c"); n == 0 || n > window+100 {
		t.Errorf("%d bytes are in flight with a window of %d and frames of some 60", n, window)
	}
	w.Deliver()
	if st := w.Status("b"); st.Blocked != 0 {
		t.Errorf("b does not report that output 0 is blocked: %d", st.Blocked)
	}
	if st := w.Status("a"); st.Blocked != 0 || st.Outputs[0].Seq > 80 {
		t.Errorf("a should be blocked long before it has emitted all of 100 tuples: %+v", st)
	}
	if got := w.Consumed("c"); len(got) > 0 {
		t.Fatalf("c consumed %v", got)
	}
	w.Unstick("c")
	end(w, "a")
	w.Settle()
	whole(t, w, "c", "a", 100)
	s.ended(t, w)
}

// lateStart: a target that starts later than its source misses no tuple.
func (s suite) lateStart(t *testing.T) {
	w := s.world(t, "a>b", "b>c")
	emit(w, 10, "a")
	end(w, "a")
	w.task("a").start()
	w.Deliver()
	w.Tick(50)
	w.task("c").start()
	w.Deliver()
	w.Tick(500)
	w.Start()
	w.Settle()
	whole(t, w, "c", "a", 10)
	s.ended(t, w)
}

// staleSource: a message of a source's lost incarnation that comes after one of the new is not consumed.
func (s suite) staleSource(t *testing.T) {
	w := s.world(t, "a>b", "b>c")
	s.start(w)
	w.Emit("a", 2)
	late := w.tuples("a>b")
	w.Delay("a>b", "")
	w.Crash("a")
	s.start(w)
	rejected := w.Status("b").Counters.Rejected
	w.Arrive("a>b")
	w.Deliver("a>b")
	if got := w.Status("b").Counters.Rejected; late == 0 || got != rejected+late {
		t.Errorf("b counts %d rejected tuples, want %d", got-rejected, late)
	}
	w.Emit("a", 2)
	end(w, "a")
	w.Settle()
	s.promised(t, w, "c", "a", 4)
	s.ended(t, w)
}

// signalsLost: the first few signals each way are lost, at the start and at the end.
func (s suite) signalsLost(t *testing.T) {
	w := s.world(t, "a>b", "b>c")
	w.Start()
	for range 3 {
		for _, l := range w.links {
			l.data.flight, l.signals.flight = nil, nil
		}
		w.Tick(300)
	}
	emit(w, 5, "a")
	w.Deliver("b>a", "a>b")
	w.link("a>b").signals.flight = nil
	w.Deliver("c>b", "b>c")
	w.link("b>c").signals.flight = nil
	w.Tick(100)
	end(w, "a")
	w.Deliver("a>b", "b>c")
	w.link("a>b").signals.flight, w.link("b>c").signals.flight = nil, nil
	w.Settle()
	whole(t, w, "c", "a", 5)
	s.ended(t, w)
}

// restart restarts each task, and each pair, at each step of a run, and demands the guarantees.
func (s suite) restart(t *testing.T) {
	for _, crashed := range [][]string{{"a"}, {"c"}, {"d"}, {"a", "c"}, {"c", "d"}, {"a", "b", "c", "d"}} {
		for at := range 6 {
			t.Run(fmt.Sprint(crashed, at), func(t *testing.T) {
				w := s.world(t, "a>c", "b>c", "c>d")
				s.start(w)
				for step := range 6 {
					w.Emit("a", 2)
					w.Emit("b", 1)
					w.Deliver("b>c")
					if step%2 == 0 {
						w.Deliver()
					}
					if step == at {
						for _, task := range crashed {
							w.Crash(task)
						}
						w.Tick(30)
						for _, task := range crashed {
							w.Restart(task)
						}
					}
					if step == 3 {
						w.Settle() // the later steps begin from snapshots
					}
				}
				end(w, "a", "b")
				w.Settle()
				for _, spout := range []string{"a", "b"} {
					s.promised(t, w, "c", spout, map[string]int{"a": 12, "b": 6}[spout])
					s.promised(t, w, "d", spout, map[string]int{"a": 12, "b": 6}[spout])
				}
				if s.ExactlyOnce {
					sameOrder(t, w)
				}
				s.ended(t, w)
			})
		}
	}
}

// sameOrder demands that d consumed the tuples that follow from the order of c's input, though c may have been restored.
func sameOrder(t *testing.T, w *World) {
	t.Helper()
	var want []string
	for k, text := range w.Consumed("c") {
		want = append(want, fmt.Sprintf("%s:%d", text, k+1))
	}
	if got := w.Consumed("d"); !slices.Equal(got, want) {
		t.Errorf("d consumed %v\nbut the input of c leads to %v", got, want)
	}
}

// restartBetweenWrites crashes a task when some of its pending writes are durable and some are not.
func (s suite) restartBetweenWrites(t *testing.T) {
	for writes := range 6 {
		t.Run(fmt.Sprint(writes), func(t *testing.T) {
			w := s.world(t, "a>c", "b>c", "c>d")
			s.start(w)
			for step := range 6 {
				w.Emit("a", 1)
				w.Emit("b", 1)
				w.Deliver("a>c")
				w.Tick(60)
				w.Deliver()
				if step < writes {
					w.write()
				}
			}
			w.Crash("c")
			w.Restart("c")
			w.Settle()
			end(w, "a", "b")
			w.Settle()
			s.promised(t, w, "d", "a", 6)
			s.promised(t, w, "d", "b", 6)
			if s.ExactlyOnce {
				sameOrder(t, w)
			}
			s.ended(t, w)
		})
	}
}
