package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/cli"
	"github.com/askback/askback/internal/report"
	"github.com/askback/askback/topology"
)

// TestMain lets the test binary be the processes that bench starts, and a topology program.
func TestMain(m *testing.M) {
	if askback.InCluster() {
		program := cli.Program{Name: "numbers", Args: "[bad]", Build: func(args []string) (topology.Topology, error) {
			return numbers(slices.Contains(args, "bad")), nil
		}}
		program.Main()
		return
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "bench-") {
		main()
		return
	}
	os.Exit(m.Run())
}

// compared runs a command line.
func compared(ctx context.Context, args ...string) (out, progress string, err error) {
	var o, e bytes.Buffer
	c := root()
	c.SetArgs(args)
	c.SetOut(&o)
	c.SetErr(&e)
	err = c.ExecuteContext(ctx)
	return o.String(), e.String(), err
}

// A comparison prints a table, and writes the report as JSON and as a page.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	json, html := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.html")
	out, progress, err := compared(t.Context(), "bench", "--workload", "relay", "--strategies", "none,backtrack", "--rate", "20000",
		"--warmup", "100ms", "--duration", "600ms", "--fault", "task@300ms", "--repeat", "2", "--json-file", json, "--html", html)
	if err != nil {
		t.Fatal(err, progress)
	}
	for _, want := range []string{"tuples/s", "none", "backtrack", "detected", "relay · 20.0 k tuples/s for 0.6 s"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.Count(progress, "tuples/s") != 4 {
		t.Errorf("progress:\n%s", progress)
	}
	file, err := os.Open(json)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := report.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, run := range r.Runs {
		order = append(order, run.Name)
		if len(run.Series) < 10 || run.Outcome == nil || run.Recovery == nil {
			t.Errorf("%+v", run)
		}
	}
	if strings.Join(order, " ") != "none backtrack none backtrack" {
		t.Errorf("runs were made in the order %v", order)
	}
	if a, b := r.Runs[0].Recovery.Victims, r.Runs[1].Recovery.Victims; a[0] != b[0] {
		t.Errorf("%v was killed of one and %v of the other", a, b)
	}
	if page, err := os.ReadFile(html); err != nil || !bytes.Contains(page, []byte("<svg")) && !bytes.Contains(page, []byte("const data")) {
		t.Errorf("page: %v", err)
	}
}

// Ctrl-C ends a comparison, and prints the measurements so far.
func TestBenchInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	began := time.Now()
	out, _, err := compared(ctx, "bench", "--workload", "relay", "--strategies", "backtrack,none", "--rate", "20000", "--warmup", "100ms", "--duration", "60s")
	if !errors.Is(err, errIncomplete) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if !strings.Contains(out, "backtrack") || !strings.Contains(out, "20.") || !strings.Contains(out, "interrupted") {
		t.Errorf("the measurement is not in\n%s", out)
	}
}

// A comparison that is impossible fails at once, and its error names the choices.
func TestBenchErrors(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--workload word", "wordcount"},
		{"--strategies none,backtracks", "backtrack-pessimistic"},
		{"--rate fast", `"max"`},
		{"--rate -3", `"max"`},
		{"--duration 1ms", "100ms or more"},
		{"--fault task", "task@5s"},
		{"--fault quake@5s", "worker@5s"},
		{"--fault task@9900ms", "raise --duration"},
		{"--fault freeze-sink@5s", "freeze-sink@5s:60s"},
		{"--parallel 0", "1 to 64"},
		{"--workload hops --hops 17", "1 to 16"},
		{"--repeat 0", "1 or more"},
		{"--peers spark", "storm and flink"},
		{"--workload fanout --peers storm", "relay, wordcount and keyed"},
		{"--fault nats@5s --peers storm", "task@5s"},
		{"--html /nowhere/report.html", "/nowhere/report.html"},
	} {
		_, _, err := compared(t.Context(), append([]string{"bench"}, strings.Fields(c.args)...)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.args, err, c.want)
		}
	}
}

// With --json the figures are printed in place of the table.
func TestBenchJSON(t *testing.T) {
	out, progress, err := compared(t.Context(), "bench", "--workload", "relay", "--strategies", "none", "--rate", "20000",
		"--warmup", "100ms", "--duration", "300ms", "--json")
	if err != nil {
		t.Fatal(err, progress)
	}
	if r, err := report.Decode(strings.NewReader(out)); err != nil || len(r.Runs) != 1 || r.Runs[0].Throughput == 0 {
		t.Errorf("%v: %s", err, out)
	}
}
