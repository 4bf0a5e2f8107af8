package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"time"
)

// short is a measurement that takes half a second.
func short(workload, strategy string) *Spec {
	return &Spec{
		Workload: workload, Strategy: strategy, Parallel: 2, Hops: 3, Seed: 1,
		Duration: 300 * time.Millisecond, Warmup: 50 * time.Millisecond, TextLimit: 1 << 20, Small: true,
	}
}

// measured runs a measurement in this process and returns its messages.
func measured(t *testing.T, s *Spec) (told []message, last end) {
	t.Helper()
	var out bytes.Buffer
	if err := Measure(t.Context(), s, &out); err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(&out); ; {
		var m message
		err := d.Decode(&m)
		if errors.Is(err, io.EOF) {
			return told, last
		}
		if err != nil {
			t.Fatal(err)
		}
		if told = append(told, m); m.End != nil {
			last = *m.End
		}
	}
}

// Every workload, as fast as can be and at a rate, brings each result once.
func TestWorkloads(t *testing.T) {
	for _, w := range Workloads {
		for name, rate := range map[string]float64{"max": 0, "paced": 20_000} {
			t.Run(w.Name+"/"+name, func(t *testing.T) {
				s := short(w.Name, "backtrack")
				s.Rate = rate
				told, e := measured(t, s)
				if !e.Checked || e.Verdict.Lost != 0 || e.Verdict.Duplicated != 0 || e.Verdict.Expected == 0 {
					t.Errorf("%+v", e)
				}
				var st *steady
				var last *Sample
				for _, m := range told {
					if m.Steady != nil {
						st = m.Steady
					}
					if m.Sample != nil {
						last = m.Sample
					}
				}
				if st == nil || st.Results <= 0 || st.Latency.Timed == 0 || st.CPU <= 0 || st.Data.Messages == 0 || st.Log.Messages == 0 && w.Name == "relay" {
					t.Errorf("steady: %+v", st)
				}
				if last == nil || last.Results != e.Verdict.Expected && w.Name != "nexmark-q2" {
					t.Errorf("the sinks showed %+v, expected %d", last, e.Verdict.Expected)
				}
			})
		}
	}
}

// Without a fault every strategy brings each result once.
func TestContenders(t *testing.T) {
	for _, name := range Contenders() {
		t.Run(name, func(t *testing.T) {
			s := short("wordcount", name)
			s.Rate = 5000
			_, e := measured(t, s)
			if !e.Checked || e.Verdict.Lost != 0 || e.Verdict.Duplicated != 0 || e.Verdict.Expected == 0 {
				t.Errorf("%+v", e)
			}
		})
	}
}

// A run at a rate that is too high ends a while after its time, and is judged by the tuples that were emitted.
func TestRateTooHigh(t *testing.T) {
	s := short("relay", "backtrack")
	s.Rate, s.Duration = 50e6, 100*time.Millisecond
	began := time.Now()
	_, e := measured(t, s)
	if !e.Checked || e.Verdict.Lost != 0 || e.Verdict.Duplicated != 0 || e.Verdict.Expected == 0 || time.Since(began) > grace+10*time.Second {
		t.Errorf("%+v after %v", e, time.Since(began))
	}
}
