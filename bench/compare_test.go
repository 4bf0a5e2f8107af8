package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/askback/askback/internal/report"
)

// TestMain lets the test binary be the processes that a comparison starts.
func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv("BENCH_TEST_PROCESS") == "":
		goleak.VerifyTestMain(m)
		return
	case len(os.Args) == 3:
		err = ServeNATS(os.Args[1], os.Args[2], os.Stdin, os.Stdout)
	default:
		err = Measured(os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// compared makes a comparison with processes of this test binary.
func compared(t *testing.T, ctx context.Context, s *Spec, strategies ...string) *report.Report {
	t.Helper()
	t.Setenv("BENCH_TEST_PROCESS", "1")
	t.Setenv("TMPDIR", t.TempDir())
	self := []string{os.Args[0]}
	c := &Comparison{
		Spec: *s, Strategies: strategies, Repeat: 1, Measurer: self, Server: self,
		OnStart: func(string, int) {}, OnSample: func(time.Duration, float64) {}, OnRun: func(*report.Run) {},
	}
	r, err := c.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return r
}

// Each fault is done, and backtrack loses and duplicates nothing.
func TestFaults(t *testing.T) {
	for _, fault := range []string{"task@400ms", "tasks@400ms", "worker@400ms", "nats@400ms", "freeze-sink@400ms:400ms"} {
		t.Run(fault, func(t *testing.T) {
			s := short("relay", "backtrack")
			s.Duration, s.Rate = 1200*time.Millisecond, 50_000
			if fault == "nats@400ms" { // clients take a while to come back
				s.Duration *= 2
			}
			var err error
			if s.Fault, err = ParseFault(fault); err != nil {
				t.Fatal(err)
			}
			run := compared(t, t.Context(), s, "backtrack").Runs[0]
			rec, out := run.Recovery, run.Outcome
			if run.Error != "" || rec == nil || out == nil {
				t.Fatalf("%+v", run)
			}
			if !out.Checked || out.Lost != 0 || out.Duplicated != 0 || out.Expected < 60_000 {
				t.Errorf("outcome %+v", out)
			}
			if s.Fault.Kind == FreezeSink && rec.Resent != 0 {
				t.Errorf("%d tuples were sent again, though nothing was lost", rec.Resent)
			}
			if s.Fault.Kind != FreezeSink && rec.Detected == nil {
				t.Error("the runtime did not notice")
			}
			if slices.Contains([]string{KillWorker, KillNATS, FreezeSink}, s.Fault.Kind) && (rec.Resumed == nil || *rec.Resumed == 0 && s.Fault.Kind != FreezeSink) {
				t.Error("results did not stop and come again")
			}
			if wantVictims := map[string]int{KillTasks: 2}[s.Fault.Kind]; len(rec.Victims) < max(1, wantVictims) {
				t.Errorf("victims: %v", rec.Victims)
			}
			t.Logf("%+v %v %v %v %v", rec, deref(rec.Detected), deref(rec.Resumed), deref(rec.Regained), deref(rec.Cleared))
		})
	}
}

// A strategy that keeps nothing begins anew when its process is killed, and leaves nothing behind.
func TestWorkerKilledWithoutLog(t *testing.T) {
	s := short("relay", "none")
	s.Duration, s.Rate, s.Fault = 800*time.Millisecond, 20_000, Fault{Kind: KillWorker, At: 400 * time.Millisecond}
	run := compared(t, t.Context(), s, "none").Runs[0]
	if out := run.Outcome; run.Error != "" || out == nil || !out.Checked || out.Expected < 16_000 {
		t.Errorf("%+v %+v", run, out)
	}
}

func deref(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}
