package clustertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
)

// hungry: a worker that takes too much memory is killed, and the event names the limit; when it takes less it goes on.
func (f *fixture) hungry() {
	during := filepath.Join(f.dir, "hungry.while")
	if err := os.WriteFile(during, nil, 0o644); err != nil {
		f.t.Fatal(err)
	}
	out := f.hostile("hungry", "hungry", 1, "-while", during)
	f.shows("hungry", "OOM-killed, limit 160 MiB") // 32, and 64 for each of the others, which have no demand
	f.explains("hungry", cluster.WorkerExited, `OOM-killed, limit 160 MiB`)
	if err := os.Remove(during); err != nil {
		f.t.Fatal(err)
	}
	f.numbers("hungry", out)
}

// numbers waits until a hostile topology is complete, and checks what came through.
func (f *fixture) numbers(name, out string) {
	f.t.Helper()
	f.eventually(60*time.Second, name+" is complete", func() bool { return f.describe(name).Topology.Status == cluster.Completed })
	text, err := os.ReadFile(out + ".result")
	if err != nil {
		f.t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(text)) {
		seen[line]++
	}
	if n := strings.Count(string(text), "\n"); n != 20_000 || len(seen) != n {
		f.t.Errorf("%d numbers came through, %d of them different; want 20000", n, len(seen))
	}
	f.end(name)
}

// spied: a worker's program does all that it can, with its own credentials, and where it runs. Another topology on the
// same hosts does not notice.
func (f *fixture) spied() {
	r := f.submitTo("victim", 3, 100_000)
	w := r.worker()
	before := r.look().Topology
	out := f.hostile("spy", "spy", 3, "-victim", string(before.Instance), "-target", fmt.Sprintf("%s.%d", w.Supervisor, w.Slot))
	var reports []string
	f.eventually(60*time.Second, "three spies have reported", func() bool {
		reports, _ = filepath.Glob(out + ".*.report")
		return len(reports) >= 3
	})
	denied := 0
	for _, path := range reports {
		text, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		var all []struct{ What, Result string }
		if err := json.Unmarshal(text, &all); err != nil {
			f.t.Fatal(err)
		}
		for _, a := range all {
			if a.Result != "denied" {
				f.t.Errorf("%s: %s", a.What, a.Result)
			} else {
				denied++
			}
		}
	}
	f.t.Logf("%d attempts were denied", denied)
	seen := 0
	for _, s := range f.nats {
		seen += strings.Count(s.Tail(1<<20), "Violation")
	}
	if seen == 0 {
		f.t.Error("no server's log has the denials")
	}
	after := r.look().Topology
	if after.Status != before.Status || after.Instance != before.Instance || !reflect.DeepEqual(after.Placement, before.Placement) {
		f.t.Errorf("the victim's record has changed: %+v", after)
	}
	for _, e := range f.explain(r.name) {
		if strings.Contains(e.Text, "forged") {
			f.t.Errorf("a forged event is reported: %+v", e)
		}
	}
	f.end("spy") // its own log it may damage
	r.settle()
}

// forked: when a topology is killed, no process that a worker has forked is left.
func (f *fixture) forked() {
	const mark = "86399"
	f.hostile("forks", "forks", 1, "-mark", mark)
	children := func() (all []int) {
		for _, h := range f.hosts {
			for _, pid := range pidsOf(h, mark) {
				if arguments(pid)[0] == "sleep" {
					all = append(all, pid)
				}
			}
		}
		return all
	}
	f.eventually(40*time.Second, "it has children", func() bool { return len(children()) == 4 })
	w := f.describe("forks").Workers[0]
	f.end("forks")
	f.eventually(20*time.Second, "they are gone", func() bool { return len(children()) == 0 })
	f.eventually(20*time.Second, "it is gone", func() bool { return arguments(w.PID) == nil })
}

// foreign: a program that was built with another library version is refused, and both versions are shown.
func (f *fixture) foreign() {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		f.t.Fatal(err)
	}
	wire := filepath.Join(root, "internal", "cluster", "assignment.go")
	source, err := os.ReadFile(wire)
	if err != nil {
		f.t.Fatal(err)
	}
	changed := bytes.Replace(source, []byte(`const Runtime = "1"`), []byte(`const Runtime = "77"`), 1)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{wire: filepath.Join(f.dir, "wire.go")}})
	if err != nil || bytes.Equal(source, changed) {
		f.t.Fatalf("the version is not where it was: %v", err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(f.dir, "wire.go"), changed, 0o600), os.WriteFile(filepath.Join(f.dir, "overlay"), overlay, 0o600)); err != nil {
		f.t.Fatal(err)
	}
	program := filepath.Join(f.dir, "foreign")
	build := exec.Command("go", "build", "-overlay", filepath.Join(f.dir, "overlay"), "-o", program, "./examples/wordcount")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	operate[view.Topology](f, "submit", program, "--name", "foreign", "--", "-out", f.shared("foreign-out"), text)
	f.shows("foreign", `version "1" of the cluster's language, this program "77"`)
	f.explains("foreign", cluster.WorkerExited, `this program "77"`)
	f.end("foreign")
}

// replaced: the bytes in the object store and in a host's cache are no longer those submitted. They do not run.
func (f *fixture) replaced() {
	r := f.submitTo("replaced", 1, 20_000)
	w := r.worker()
	sha := r.look().Topology.Program.SHA256
	cached := filepath.Join(f.dir, w.Supervisor, "artefacts", sha)
	if _, err := os.Stat(cached); err != nil {
		f.t.Fatal(err)
	}
	f.tool("operate", "replace", sha, f.program("hostile"))
	other, err := os.ReadFile(f.program("hostile"))
	if err == nil {
		err = errors.Join(os.Remove(cached), os.WriteFile(cached, other, 0o555))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	r.kill(w)
	f.shows(r.name, "digest mismatch")
	f.explains(r.name, cluster.Refused, `digest mismatch`)
	if _, err := os.Stat(cached); !errors.Is(err, os.ErrNotExist) {
		f.t.Errorf("the program that was put into the cache is still there: %v", err)
	}
	f.end(r.name)
	// To submit it again repairs the store.
	r = f.submit("repaired")
	r.settle()
}
