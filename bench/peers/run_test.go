package peers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Lines that the program prints become samples and a result; figures that it does not print stay nil.
func TestRun(t *testing.T) {
	dir := fake(t, Storm, `
echo '{"t":0.000,"tuples":0,"reprocessed":0,"cpu_ms":0}'
echo '{"t":1.002,"tuples":4174626,"reprocessed":7,"cpu_ms":1970}'
echo '{"system":"storm","version":"2.8.3","workload":"relay","mode":"acked","guarantee":"at least once","tuples":18651067,"seconds":5.001,"tuples_per_second":3729415.480,"cpu_ns_per_tuple":521.150,"rss_bytes":985534464,"latency_p99_us":12.5,"recovery":{"resume_ms":502.540,"replayed":1703}}'
`)
	var samples []Sample
	got, err := Run(t.Context(), Spec{System: Storm, Dir: dir, Workload: "relay"}, func(s Sample) { samples = append(samples, s) })
	if err != nil {
		t.Fatal(err)
	}
	if want := []Sample{{}, {T: 1.002, Tuples: 4174626, Reprocessed: 7, CPUMillis: 1970}}; !slices.Equal(samples, want) {
		t.Errorf("samples %+v, want %+v", samples, want)
	}
	if got.System != Storm || got.Version != "2.8.3" || got.Guarantee != "at least once" || got.Tuples != 18651067 || got.RSSBytes != 985534464 {
		t.Errorf("result %+v", got)
	}
	if got.P50 != nil || got.P99 == nil || *got.P99 != 12.5 {
		t.Errorf("latency %v and %v, want none and 12.5", got.P50, got.P99)
	}
	if r := got.Recovery; r == nil || r.Detect != nil || *r.Resume != 502.54 || *r.Replayed != 1703 || r.Dropped != nil {
		t.Errorf("recovery %+v", got.Recovery)
	}
}

// The program receives all of the Spec, and no setting of the other system.
func TestRunArguments(t *testing.T) {
	spec := Spec{System: Flink, Dir: "/d", Workload: "wordcount", Input: "/text", Parallel: 3, Rate: 5e6,
		KillAt: 2500 * time.Millisecond, Detect: 500 * time.Millisecond, BufferTimeout: -1, NoCheckpoints: true, JVM: []string{"-XX:+UseParallelGC"}}
	got := strings.Join(spec.command("/tmp/x"), " ")
	for _, want := range []string{
		"-Djava.io.tmpdir=/tmp/x", "--add-opens java.base/java.lang=ALL-UNNAMED", "-XX:+UseParallelGC -cp /d/flink/target/classes:",
		" askback.peers.flink.Main --workload wordcount --input /text --parallel 3 --duration 10 --warmup 10 --sample-ms 1000 --rate 5000000",
		"--kill-at 2.5 --detect 500", "--guarantee none", "--buffer-ms 0",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks %s", got, want)
		}
	}
	if strings.Contains(got, "--ackers") {
		t.Errorf("%s\nhas an option of Storm", got)
	}
}

// An error names the missing part or the last output of the program, and so the remedy.
func TestRunErrors(t *testing.T) {
	for _, test := range []struct{ name, script, want string }{
		{"no number", `echo 'Picked up options'`, `it printed "Picked up options"`},
		{"fails", `echo 'no option --x' >&2; exit 1`, "exit status 1\nno option --x"},
		{"ends early", `echo '{"t":0}'`, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := fake(t, Flink, test.script)
			_, err := Run(t.Context(), Spec{System: Flink, Dir: dir}, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
	t.Run("no system", func(t *testing.T) {
		if _, err := Run(t.Context(), Spec{System: "spark"}, nil); err == nil || !strings.Contains(err.Error(), `"spark"; choose of ["storm" "flink"]`) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("not built", func(t *testing.T) {
		if _, err := Run(t.Context(), Spec{System: Storm, Dir: t.TempDir()}, nil); err == nil || !strings.Contains(err.Error(), "call Build first") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no java", func(t *testing.T) {
		dir := fake(t, Storm, "")
		t.Setenv("PATH", t.TempDir())
		if _, err := Run(t.Context(), Spec{System: Storm, Dir: dir}, nil); !errors.Is(err, ErrNoJava) {
			t.Errorf("error %v, want %v", err, ErrNoJava)
		}
	})
}

// A run that is cancelled ends its program and leaves no file.
func TestRunCancelled(t *testing.T) {
	dir := fake(t, Storm, `echo '{"t":0}'; exec sleep 100`)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := Run(ctx, Spec{System: Storm, Dir: dir}, func(Sample) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
}

// fake makes a folder in which a system seems built, and a java that is a script.
func fake(t *testing.T, system, script string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.MkdirAll(filepath.Dir(built(system, dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(built(system, dir), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "java"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return dir
}
