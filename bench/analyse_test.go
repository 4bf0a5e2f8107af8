package bench

import (
	"math"
	"testing"
	"time"
)

// story is a run of 10 s with two sinks that take 50 results a millisecond each, and a fault at 5 s. Rate says how
// much each takes at a moment of that, age how old a result is, in µs.
func story(rate func(sink int, t int64) float64, age func(t int64) int64) *record {
	r := &record{
		begin:  &begin{Tasks: []string{"source.0", "sink.0", "sink.1"}, Keeps: true},
		steady: &steady{Seconds: 5, Results: 500_000, Latency: Latency{Timed: 1000, P99: 2000}},
		fault:  &injected{At: 5_000_000, Victims: []string{"sink.1"}},
		end:    &end{Checked: true},
	}
	var sinks [2]float64
	for t := int64(-1_000_000); t <= 10_000_000; t += 10_000 {
		for i := range sinks {
			sinks[i] += 500 * rate(i, t)
		}
		r.samples = append(r.samples, &Sample{
			At: t, Results: int64(sinks[0] + sinks[1]), Sinks: []int64{int64(sinks[0]), int64(sinks[1])},
			Work: []uint64{uint64(t + 2_000_000), uint64(sinks[0]), uint64(sinks[1])}, Restarts: make([]int, 3),
			Timed: 20, P50: age(t) / 2, P99: age(t), Most: age(t),
		})
	}
	return r
}

var storySpec = &Spec{Strategy: "backtrack", Duration: 10 * time.Second, Fault: Fault{Kind: KillTask, At: 5 * time.Second}}

func near(got *float64, want, within float64) bool {
	return got != nil && math.Abs(*got-want) <= within
}

// One of two sinks stops for 400 ms and then catches up at three times its rate.
func TestAnalyseStop(t *testing.T) {
	r := story(func(sink int, t int64) float64 {
		switch {
		case sink == 0 || t <= 5_000_000 || t > 5_600_000:
			return 1
		case t <= 5_400_000:
			return 0
		}
		return 3
	}, func(t int64) int64 {
		if t > 5_000_000 && t <= 5_600_000 {
			return 400_000
		}
		return 1500
	})
	r.detected = []int64{4_000_000, 5_003_000}
	r.regained = []regained{{Missed: 10, Replayed: 11, Reprocessed: 12}}
	rec := r.run(storySpec).Recovery
	if !near(rec.Detected, 3, 0) || !near(rec.Resumed, 410, 11) || !near(rec.Regained, 450, 60) || !near(rec.Cleared, 600, 20) {
		t.Errorf("detected %v, resumed %v, regained %v, cleared %v", *rec.Detected, *rec.Resumed, *rec.Regained, *rec.Cleared)
	}
	if rec.Worst != 400 || rec.Missed != 10 || rec.Replayed != 11 || rec.Reprocessed != 12 || rec.Disturbed != 0 {
		t.Errorf("%+v", rec)
	}
}

// Without a fault no strategy stops or gets slower.
func TestAnalyseNothing(t *testing.T) {
	r := story(func(int, int64) float64 { return 1 }, func(int64) int64 { return 1500 })
	run := r.run(storySpec)
	rec := run.Recovery
	if rec.Detected != nil || !near(rec.Resumed, 0, 0) || !near(rec.Regained, 0, 0) || !near(rec.Cleared, 0, 0) || rec.Disturbed != 0 {
		t.Errorf("%+v", rec)
	}
	if run.Throughput != 100_000 || len(run.Series) != 220 || math.Abs(run.Series[100].Rate-100_000) > 1 {
		t.Errorf("%g results a second, %d points, %+v", run.Throughput, len(run.Series), run.Series[100])
	}
}

// All stops for good, and the tasks that were not killed are disturbed.
func TestAnalyseNever(t *testing.T) {
	r := story(func(_ int, t int64) float64 {
		if t > 5_000_000 {
			return 0
		}
		return 1
	}, func(t int64) int64 { return 1500 + max(0, t-5_000_000) })
	if rec := r.run(storySpec).Recovery; rec.Resumed != nil || rec.Regained != nil || rec.Cleared != nil || rec.Disturbed != 1 {
		t.Errorf("%+v", rec)
	}
}

// A second process goes on from the first: its own results are added, or, restored, are the first's again.
func TestAnalyseTwoProcesses(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		r := &record{begin: &begin{Keeps: keeps}}
		add := func(at, results int64) {
			r.add(&message{Sample: &Sample{At: at, Results: results, Sinks: []int64{results}, Sources: []int64{results}, Restarts: []int{0}}})
		}
		add(0, 100)
		add(10_000, 200)
		next := r.resume(&Spec{Strategy: "none"})
		if next.From[0] != 200 || !keeps && next.Distinct != 200 {
			t.Errorf("%+v", next)
		}
		add(300_000, 0)
		add(310_000, 150)
		add(320_000, 250)
		var got []int64
		for _, s := range r.samples {
			got = append(got, s.Results)
		}
		want := [][]int64{{100, 200, 200, 200, 350, 450}, {100, 200, 200, 200, 200, 250}}[map[bool]int{true: 1}[keeps]]
		for i := range want {
			if len(got) != len(want) || got[i] != want[i] {
				t.Fatalf("keeps %v: %v, want %v", keeps, got, want)
			}
		}
		if rate := r.rate(20_000, 250_000); rate != 0 {
			t.Errorf("%g results a second while there was no process", rate)
		}
	}
}

// The verdict counts lost and doubled tuples, whether the strategy restores its sinks or not.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name             string
		restores         bool
		arrive           func(a *arrivals)
		lost, duplicated int64
	}{
		{"all", true, func(*arrivals) {}, 0, 0},
		{"one never came", true, func(a *arrivals) { a.count--; a.print -= mix(7); a.seen.blocks[0][0] &^= 1 << 7 }, 1, 0},
		{"one came and was forgotten", true, func(a *arrivals) { a.count--; a.print -= mix(7) }, 1, 0},
		{"one counted twice", true, func(a *arrivals) { a.arrive(7) }, 0, 1},
		{"restored, and all again", true, func(a *arrivals) {
			snapshot := a.snapshot()
			a.arrive(1)
			a.begin()
			if err := a.restore(snapshot); err != nil {
				t.Error(err)
			}
		}, 0, 0},
		{"restored without a snapshot", true, func(a *arrivals) { a.begin() }, 1000, 0},
		{"a new task that is not restored", false, func(a *arrivals) { a.begin() }, 0, 0},
		{"three of them twice", false, func(a *arrivals) { a.arrive(7); a.arrive(7); a.arrive(8) }, 0, 3},
		{"two never came", false, func(a *arrivals) { a.seen.blocks[0][0] &^= 3; a.count -= 2 }, 2, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMeter(&Spec{Rate: 1}, 2, 1, c.restores)
			m.start(time.Now(), time.Now())
			m.sources[0].n.Store(500)
			m.sources[1].n.Store(500)
			a := m.sinks[0]
			for n := range int64(1000) {
				a.arrive(n)
			}
			c.arrive(a)
			a.finish()
			v, err := m.checkNumbers(nil, every)
			if err != nil || v.Expected != 1000 || v.Lost != c.lost || v.Duplicated != c.duplicated {
				t.Errorf("%+v, %v", v, err)
			}
			if a.shown.Load() != 1000 {
				t.Errorf("%d results shown: what arrives again is not new", a.shown.Load())
			}
		})
	}
}

func TestParseFault(t *testing.T) {
	for _, text := range []string{"none", "task@5s", "tasks@1.5s", "worker@100ms", "nats@1m0s", "freeze-sink@5s:1m0s"} {
		if f, err := ParseFault(text); err != nil || f.String() != text {
			t.Errorf("%s: %v, %v", text, f, err)
		}
	}
	for _, text := range []string{"task", "task@", "task@x", "task@-1s", "task@1s:1s", "freeze-sink@1s", "freeze-sink@1s:0s", "quake@1s", "@1s"} {
		if f, err := ParseFault(text); err == nil {
			t.Errorf("%s is %v", text, f)
		}
	}
}
