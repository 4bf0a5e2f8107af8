package clustertest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
)

// The figures of docs/cluster.md. Each benchmark is one experiment:
//
//	go test ./internal/clustertest -run NONE -bench . -benchtime 1x

// BenchmarkWorkerKilled kills a worker of a topology with little state twenty times, and reports how long it takes
// until the last of its tasks has caught up.
func BenchmarkWorkerKilled(b *testing.B) {
	for _, where := range fixtures {
		b.Run(where.name, func(b *testing.B) {
			f := where.start(b)
			r := f.submitArgs("killed", 2, "-rate", "20000", "-passes", "1000", filepath.Join(text, "net", "*.go"))
			var took []float64
			for n := range 20 {
				all := r.workers()
				r.kill(all[n%len(all)])
				time.Sleep(2 * time.Second)
			}
			var slowest view.Recovery
			for _, group := range recoveries(f.explain(r.name)) {
				took = append(took, 1000*group.TotalSeconds)
				if group.TotalSeconds > slowest.TotalSeconds {
					slowest = group
				}
			}
			slices.Sort(took)
			if len(took) == 0 {
				b.Fatal("no recovery is reported")
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(took[len(took)/2], "p50-ms")
			b.ReportMetric(took[len(took)-1], "max-ms")
			b.ReportMetric(float64(len(took)), "kills")
			b.Logf("the slowest: %+v", slowest)
		})
	}
}

// recoveries returns for each process that came after a killed one the task that took longest.
func recoveries(events []view.Event) (worst []view.Recovery) {
	var last time.Time
	for _, e := range events {
		if e.Recovery == nil {
			continue
		}
		if e.At.Sub(last) > time.Second {
			worst = append(worst, *e.Recovery)
		} else if w := &worst[len(worst)-1]; e.Recovery.TotalSeconds > w.TotalSeconds {
			*w = *e.Recovery
		}
		last = e.At
	}
	return worst
}

// fixtures are the clusters that are measured.
var fixtures = []struct {
	name  string
	start func(testing.TB) *fixture
}{
	{"dev", func(t testing.TB) *fixture { return develop(t, 4) }},
	{"3 NATS servers, TLS", start},
}

// submitArgs starts a word count with arguments of its own, and returns when its words are counted.
func (f *fixture) submitArgs(name string, workers int, args ...string) *run {
	f.t.Helper()
	r := f.begin(name, workers, args...)
	f.eventually(60*time.Second, "words are counted", func() bool {
		return slices.ContainsFunc(r.look().Tasks, func(t view.Task) bool { return t.Task.Operator == "count" && t.Consumed > 0 })
	})
	return r
}

// BenchmarkFailover kills the leading nimbus, and reports how long it takes until a topology can be submitted again.
func BenchmarkFailover(b *testing.B) {
	f := start(b)
	var took []float64
	for n := range 5 {
		name := fmt.Sprintf("failover-%d", n)
		r := f.newRun(name)
		leader := f.leader()
		f.nimbus[leader].Kill()
		began := time.Now()
		operate[view.Topology](f, "submit", f.program("wordcount"), "--name", name, "--", "-out", r.out, "-rate", "1000", filepath.Join(text, "net", "*.go"))
		took = append(took, time.Since(began).Seconds())
		f.startNimbus(leader)
		operate[view.Topology](f, "kill", name, "--wait", "0s")
		time.Sleep(5 * time.Second)
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took[len(took)/2], "p50-s")
	b.ReportMetric(took[len(took)-1], "max-s")
}

// BenchmarkSubmit reports how long it takes from the command until the first tuple is consumed: where the program is
// new to the supervisors, and where they have it.
func BenchmarkSubmit(b *testing.B) {
	for _, where := range fixtures {
		b.Run(where.name, func(b *testing.B) {
			f := where.start(b)
			for n, which := range []string{"new-s", "cached-s", "cached2-s"} {
				began := time.Now()
				r := f.submitArgs(fmt.Sprintf("submit-%d", n), 2, "-rate", "1000", filepath.Join(text, "net", "*.go"))
				b.ReportMetric(time.Since(began).Seconds(), which)
				operate[view.Topology](f, "kill", r.name, "--wait", "0s")
				time.Sleep(2 * time.Second)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkThroughput counts as fast as can be in one process, in one worker and in two.
func BenchmarkThroughput(b *testing.B) {
	const passes = 5
	words := total(b) * passes
	b.Run("local", func(b *testing.B) {
		f := prepare(b)
		out, err := f.op.Run(b.Context(), f.program("wordcount"), "-kill", "0", "-passes", strconv.Itoa(passes), "-no-verify", "-json", filepath.Join(text, "**", "*.go"))
		var result struct {
			Rate float64 `json:"words_per_second"`
		}
		if err == nil {
			err = json.Unmarshal(out, &result)
		}
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(result.Rate/1e6, "Mwords/s")
	})
	for _, where := range fixtures {
		for _, workers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/%d workers", where.name, workers), func(b *testing.B) {
				f := where.start(b)
				r := f.submitArgs("fast", workers, "-passes", strconv.Itoa(passes), filepath.Join(text, "**", "*.go"))
				began := r.look().Topology.SubmittedAt
				f.eventually(300*time.Second, "the count is complete", func() bool { return r.look().Topology.Status == cluster.Completed })
				took := r.look().Topology.StatusChangedAt.Sub(began).Seconds()
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(words/took/1e6, "Mwords/s")
			})
		}
	}
}

// total returns how many words there are.
func total(t testing.TB) (words float64) {
	f := prepare(t)
	data, err := os.ReadFile(expected(f))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		_, n, _ := strings.Cut(strings.TrimSpace(line), "\t")
		count, err := strconv.Atoi(n)
		if err != nil {
			t.Fatal(err)
		}
		words += float64(count)
	}
	return words
}

// BenchmarkManyTasks runs 200 tasks in ten workers, and reports the memory that all processes take together.
func BenchmarkManyTasks(b *testing.B) {
	f := develop(b, 10)
	r := f.submitArgs("many", 10, "-parallel", "99", "-rate", "100000", "-passes", "10", filepath.Join(text, "**", "*.go"))
	tasks := 0
	f.eventually(60*time.Second, "all run", func() bool {
		tasks = 0
		for _, t := range r.look().Tasks {
			if t.Incarnation > 0 {
				tasks++
			}
		}
		return tasks == 200
	})
	time.Sleep(15 * time.Second)
	var resident, most float64
	for _, pid := range f.op.PIDs() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				n, _ := strconv.ParseFloat(strings.Fields(kb)[0], 64)
				resident += n / (1 << 20)
				most = max(most, n/(1<<20))
			}
		}
	}
	workers := len(r.workers())
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(resident, "GiB")
	b.ReportMetric(most, "largest-GiB")
	b.ReportMetric(float64(workers), "workers")
	b.ReportMetric(float64(tasks), "tasks")
}
