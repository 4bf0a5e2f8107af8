package clustertest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/msgid"
)

// A run is a word count on the cluster.
type run struct {
	f    *fixture
	name string
	out  string // where it writes the counts

	seen map[msgid.Alias]msgid.Incarnation // the highest of each task
	hurt map[msgid.Alias]bool              // tasks whose incarnation may change
}

// text is what is counted: Go's own source, which is there wherever tests run.
var text = func() string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		panic(err) // it is go that runs tests
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src")
}()

// newRun makes the place for what a word count writes.
func (f *fixture) newRun(name string) *run {
	f.t.Helper()
	return &run{f: f, name: name, out: f.shared(name), seen: map[msgid.Alias]msgid.Incarnation{}, hurt: map[msgid.Alias]bool{}}
}

// shared makes a directory that workers, which run as another user, may write to.
func (f *fixture) shared(name string) string {
	f.t.Helper()
	dir := filepath.Join(f.dir, name)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)); err != nil {
		f.t.Fatal(err)
	}
	return dir
}

// begin submits a word count with arguments of its own.
func (f *fixture) begin(name string, workers int, args ...string) *run {
	f.t.Helper()
	r := f.newRun(name)
	operate[view.Topology](f, slices.Concat([]string{"submit", f.program("wordcount"), "--name", name, "--workers",
		strconv.Itoa(workers), "--", "-out", r.out}, args)...)
	return r
}

// submit starts a word count of some seconds in three workers, and returns when its words flow.
func (f *fixture) submit(name string) *run {
	f.t.Helper()
	return f.submitTo(name, 3, 150_000)
}

// submitTo starts a word count in that many workers, of so many lines a second, and returns when its words flow.
func (f *fixture) submitTo(name string, workers, rate int) *run {
	f.t.Helper()
	r := f.begin(name, workers, "-rate", strconv.Itoa(rate), filepath.Join(text, "**", "*.go"))
	f.eventually(60*time.Second, "lines are read", func() bool { return r.progress() > 0 })
	return r
}

// look notes the incarnations of all tasks.
func (r *run) look() view.Description {
	r.f.t.Helper()
	d := r.f.describe(r.name)
	for _, task := range d.Tasks {
		r.seen[task.Task] = max(r.seen[task.Task], task.Incarnation)
	}
	return d
}

// progress returns how much of the input is read, in percent.
func (r *run) progress() (percent int64) {
	r.f.t.Helper()
	var done, total int64
	for _, task := range r.look().Tasks {
		done, total = done+task.Done, total+task.Total
	}
	if total == 0 {
		return 0
	}
	return 100 * done / total
}

// worker returns a worker of the run that has tasks, with its process id. It prefers one without the spout.
func (r *run) worker() (w view.Worker) {
	r.f.t.Helper()
	r.f.eventually(30*time.Second, "its workers send heartbeats", func() bool {
		all := r.workers()
		if len(all) == 0 {
			return false
		}
		w = all[len(all)-1]
		for _, other := range all {
			if !slices.Contains(other.Tasks, msgid.Alias{Operator: "lines"}) {
				w = other
			}
		}
		return true
	})
	return w
}

// workers returns those that heartbeat.
func (r *run) workers() (all []view.Worker) {
	for _, w := range r.look().Workers {
		if !w.LastHeartbeatAt.IsZero() && w.PID > 0 && len(w.Tasks) > 0 {
			all = append(all, w)
		}
	}
	return all
}

// harm notes that a worker's tasks are about to die.
func (r *run) harm(w view.Worker) {
	for _, a := range w.Tasks {
		r.hurt[a] = true
	}
}

// harmAll notes that any task may die.
func (r *run) harmAll() {
	for _, w := range r.look().Workers {
		r.harm(w)
	}
}

// kill is kill -9 of a worker.
func (r *run) kill(w view.Worker) {
	r.f.t.Helper()
	r.harm(w)
	if err := syscall.Kill(w.PID, syscall.SIGKILL); err != nil {
		r.f.t.Fatalf("kill worker %s, process %d: %v", place(w), w.PID, err)
	}
}

// host returns the number of a worker's supervisor.
func (f *fixture) host(w view.Worker) int { return int(w.Supervisor[1] - '1') }

// place returns the slot of a worker, such as s1/0.
func place(w view.Worker) string { return fmt.Sprintf("%s/%d", w.Supervisor, w.Slot) }

// settle waits until the run has come to its end, and checks its counts and the recoveries that it reports.
func (r *run) settle() {
	f := r.f
	f.t.Helper()
	f.eventually(150*time.Second, "the count is complete", func() bool {
		d := r.look()
		if d.Topology.Status == cluster.Failed {
			f.t.Fatalf("%s FAILED: %s", r.name, d.Topology.Reason)
		}
		return d.Topology.Status == cluster.Completed
	})
	if err := diff(r.result(), expected(f)); err != nil {
		f.t.Errorf("%s counts wrongly: %v", r.name, err)
	}
	recoveries := 0
	for _, e := range f.explain(r.name) {
		if e.Recovery == nil {
			continue
		}
		recoveries++
		if rec := e.Recovery; rec.Missed != rec.Replayed {
			f.t.Errorf("%v (incarnation %d): missed %d, replayed %d", rec.Task, rec.Incarnation, rec.Missed, rec.Replayed)
		}
		r.seen[e.Recovery.Task] = max(r.seen[e.Recovery.Task], e.Recovery.Incarnation)
	}
	f.t.Logf("%s: %d recoveries; incarnations %v", r.name, recoveries, r.seen)
	for _, alias := range slices.SortedFunc(maps.Keys(r.seen), msgid.Alias.Compare) {
		if inc := r.seen[alias]; inc > 1 && !r.hurt[alias] {
			f.t.Errorf("%v was not killed, and is at incarnation %d", alias, inc)
		}
	}
	if len(r.hurt) > 0 && recoveries == 0 {
		f.t.Error("tasks were killed, and no recovery is reported")
	}
	operate[view.Topology](f, "kill", r.name, "--wait", "0s")
	f.eventually(20*time.Second, "it is gone", func() bool {
		return !slices.ContainsFunc(f.list().Topologies, func(s view.Summary) bool { return s.Name == r.name })
	})
}

// result returns the file of all counts, sorted by words.
func (r *run) result() string {
	r.f.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.out, "*"))
	if err != nil {
		r.f.t.Fatal(err)
	}
	var lines []string
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			r.f.t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
	}
	slices.Sort(lines)
	all := filepath.Join(r.f.dir, r.name+".sorted")
	if err := os.WriteFile(all, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		r.f.t.Fatal(err)
	}
	return all
}

// expected returns the file of the counts of a plain loop.
func expected(f *fixture) string {
	f.t.Helper()
	path := filepath.Join(f.dir, "expected")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	counts := map[string]int64{}
	err := filepath.WalkDir(text, func(p string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || filepath.Ext(p) != ".go" {
			return err
		}
		data, err := os.ReadFile(p)
		for word := range words.Of(data) {
			counts[string(word)]++
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	var lines []string
	for word, n := range counts {
		lines = append(lines, fmt.Sprintf("%s\t%d", word, n))
	}
	slices.Sort(lines)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}
