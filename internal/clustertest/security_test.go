package clustertest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/cluster"
)

// TestSecurity has programs that harm, users who may not, and stores that lie. The numbers are those of the table of
// faults. All workers' permissions hold for ten seconds only.
func TestSecurity(t *testing.T) {
	unlessCI(t)
	f := start(t)
	f.nimbusArgs = []string{"--login-for", "10s"}
	for n := range f.nimbus {
		f.nimbus[n].Kill()
		f.startNimbus(n)
	}
	f.supervisorArgs = []string{"--cgroup", cgroup(t)}
	for n := range f.supervisors {
		f.supervisors[n].Kill()
		f.startSupervisor(n)
	}
	for n := range f.supervisors {
		f.up(n)
	}
	for _, attack := range []struct {
		name string
		test func(*fixture)
	}{
		{"35 worker out of memory", (*fixture).hungry},
		{"43 artefact replaced", (*fixture).replaced},
		{"44 names", (*fixture).misnamed},
		{"45 hostile worker", (*fixture).spied},
		{"45 roles", (*fixture).roles},
		{"46 credentials expire and certificates are rotated", (*fixture).renewed},
		{"47 worker ignores SIGTERM and forks", (*fixture).forked},
		{"48 program of another runtime", (*fixture).foreign},
		{"secrets stay where they are", (*fixture).canary},
	} {
		f.part(t, attack.name, attack.test)
	}
}

// cgroup makes a cgroup for workers. Hosts that are network namespaces do not see the machine's own.
func cgroup(t *testing.T) string {
	t.Helper()
	at, err := os.MkdirTemp("", "askback-cgroup-")
	if err == nil {
		err = syscall.Mount("none", at, "cgroup2", 0, "")
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(at, filepath.Base(at))
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(dir, "worker-*")) // of those who were killed with the test
		for _, worker := range left {
			_ = os.Remove(worker)
		}
		if err := errors.Join(os.Remove(dir), syscall.Unmount(at, 0), os.Remove(at)); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// hostile submits the hostile program in a mode.
func (f *fixture) hostile(name, mode string, workers int, args ...string) (out string) {
	f.t.Helper()
	out = filepath.Join(f.shared(name), name)
	operate[cluster.Record](f, slices.Concat([]string{"submit", f.program("hostile"), "--name", name, "--workers", fmt.Sprint(workers), "--",
		"-mode", mode, "-out", out}, args)...)
	return out
}

// tool runs a tool of the hostile program on the operator's host, as somebody, and returns what it prints.
func (f *fixture) tool(as string, args ...string) string {
	f.t.Helper()
	return f.tell(as, "", args...)
}

// tell is tool with something on the standard input.
func (f *fixture) tell(as, input string, args ...string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, "input")
	if err := os.WriteFile(path, []byte(input), 0o600); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := f.op.Run(ctx, slices.Concat([]string{"sh", "-c", `i=$1; shift; exec "$@" < "$i"`, "sh", path, f.program("hostile"),
		"-server", f.servers, "-creds", f.key(as + ".creds"), "-ca", f.key("ca.pem")}, args)...)
	if err != nil {
		f.t.Fatalf("%q as %s: %v", args, as, err)
	}
	return string(out)
}

// end kills a topology, and waits until it is gone.
func (f *fixture) end(name string) {
	f.t.Helper()
	operate[cluster.Record](f, "kill", name, "--wait", "0s")
	f.eventually(30*time.Second, name+" is gone", func() bool {
		return !slices.ContainsFunc(f.list().Topologies, func(s cluster.Summary) bool { return s.Name == name })
	})
}

// says waits until a process of a topology, as its supervisor shows it, has an error that holds a text.
func (f *fixture) says(name, text string) {
	f.t.Helper()
	f.eventually(40*time.Second, fmt.Sprintf("describe %s says %q", name, text), func() bool {
		for _, w := range f.describe(name).Workers {
			if w.Process != nil && strings.Contains(w.Process.Error, text) {
				return true
			}
		}
		return false
	})
}

// explains waits until there is an event of a kind whose text matches.
func (f *fixture) explains(name string, kind cluster.EventKind, pattern string) {
	f.t.Helper()
	re := regexp.MustCompile(pattern)
	f.eventually(20*time.Second, fmt.Sprintf("explain %s tells of %s, %q", name, kind, pattern), func() bool {
		return slices.ContainsFunc(f.explain(name), func(e cluster.Event) bool { return e.Kind == kind && re.MatchString(e.Text) })
	})
}

// hungry: a worker that wants too much memory is killed, which is told with the limit; when it wants less it goes on.
func (f *fixture) hungry() {
	during := filepath.Join(f.dir, "hungry.while")
	if err := os.WriteFile(during, nil, 0o644); err != nil {
		f.t.Fatal(err)
	}
	out := f.hostile("hungry", "hungry", 1, "-while", during)
	f.says("hungry", "OOM-killed, limit 160 MiB") // 32, and 64 for each of the others, which say nothing
	f.explains("hungry", cluster.WorkerExited, `OOM-killed, limit 160 MiB`)
	if err := os.Remove(during); err != nil {
		f.t.Fatal(err)
	}
	f.numbers("hungry", out)
}

// numbers waits until a hostile topology is complete, and checks what came through.
func (f *fixture) numbers(name, out string) {
	f.t.Helper()
	f.eventually(60*time.Second, name+" is complete", func() bool { return f.describe(name).Record.Status == cluster.Completed })
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

// replaced: what is in the object store and in a host's cache is no longer what was submitted. It does not run.
func (f *fixture) replaced() {
	r := f.submitTo("replaced", 1, 20_000)
	w := r.worker()
	sha := r.look().Record.Artefact.SHA256
	cached := filepath.Join(f.dir, w.Seat.Supervisor, "artefacts", sha)
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
	f.says(r.name, "digest mismatch")
	f.explains(r.name, cluster.Refused, `digest mismatch`)
	if _, err := os.Stat(cached); !errors.Is(err, os.ErrNotExist) {
		f.t.Errorf("the program that was put into the cache is still there: %v", err)
	}
	f.end(r.name)
	// To submit it again repairs the store.
	r = f.submit("repaired")
	r.settle()
}

// misnamed: names that would be subjects or paths are refused, by the command line and by nimbus.
func (f *fixture) misnamed() {
	names := []string{"a.>", "../x", "a\nb", "*", "", strings.Repeat("x", 5<<10)}
	for _, name := range names {
		for _, args := range [][]string{
			{"submit", f.program("wordcount"), "--name", cmp.Or(name, " "), "--", "-out", f.dir, text},
			{"kill", name}, {"describe", name}, {"explain", cmp.Or(name, " ")}, {"logs", name}, {"rebalance", name}, {"restart", name, "count.0"},
			{"tap", name, "a>b"}, {"log-level", name, "debug"}, {"remove-host", name},
		} {
			_, err := f.askback("admin", args...)
			if err == nil || !strings.Contains(err.Error(), "want 1 to ") {
				f.t.Errorf("%s %.20q: %v, want the rule", args[0], name, err)
			}
			if err != nil && len(err.Error()) > 2000 {
				f.t.Errorf("%s %.20q is answered with %d bytes", args[0], name, len(err.Error()))
			}
		}
	}
	before := f.list()
	program := cluster.Artefact{SHA256: strings.Repeat("0", 64), Size: 1}
	for _, name := range names {
		spec := cluster.Spec{Name: name, Operators: []cluster.Operator{{Name: "a", Parallel: 1}}}
		evil := cluster.Spec{Name: "fine", Operators: []cluster.Operator{{Name: name, Parallel: 1}}}
		for subject, question := range map[string]any{
			"operate.submit":     cluster.SubmitRequest{Spec: spec, Artefact: program, Workers: 1},
			"operate.kill":       cluster.KillRequest{Name: name},
			"operate.activate":   cluster.NameRequest{Name: name},
			"operate.deactivate": cluster.NameRequest{Name: name},
			"operate.rebalance":  cluster.RebalanceRequest{Name: name, Workers: 1 << 40},
			"operate.restart":    map[string]any{"name": name, "task": name},
			"operate.level":      cluster.LevelRequest{Name: name, Level: name},
			"view.describe":      cluster.NameRequest{Name: name},
			"view.explain":       cluster.ExplainRequest{Name: cmp.Or(name, "."), Limit: -1},
			"admin.remove":       cluster.NameRequest{Name: name},
		} {
			f.refusedBy("askback.api."+subject, question)
		}
		f.refusedBy("askback.api.operate.submit", cluster.SubmitRequest{Spec: evil, Artefact: program, Workers: 1})
		f.refusedBy("askback.api.operate.submit", cluster.SubmitRequest{Spec: cluster.Spec{Name: "fine", Operators: []cluster.Operator{{Name: "a", Parallel: 1}}},
			Artefact: cluster.Artefact{SHA256: name, Size: 1}, Workers: 1})
	}
	for _, junk := range []string{"", "{", `{"name":` + strings.Repeat("[", 50_000), `{"name":1}`, "\x00\xff"} {
		for _, subject := range []string{"operate.submit", "operate.kill", "view.describe", "operate.restart"} {
			f.refusedBy("askback.api."+subject, json.RawMessage(junk))
		}
	}
	if after := f.list(); after.Epoch != before.Epoch || len(after.Topologies) != len(before.Topologies) {
		f.t.Errorf("nimbus did not bear it: %+v after %+v", after, before)
	}
}

// refusedBy asks nimbus something that cannot be, and checks that the answer says so.
func (f *fixture) refusedBy(subject string, question any) {
	f.t.Helper()
	text, raw := question.(json.RawMessage)
	if !raw {
		text, _ = json.Marshal(question)
	}
	answer := f.tell("admin", string(text), "ask", subject)
	code, rest, _ := strings.Cut(answer, "\n")
	if code != "400" && code != "404" {
		f.t.Errorf("%s %.80s is answered with %.300q", subject, text, answer)
	}
	if len(rest) > 2000 {
		f.t.Errorf("%s %.80s is answered with %d bytes", subject, text, len(rest))
	}
}

// spied: a worker's program does all that it can, with its own credentials, and where it runs. Another topology on the
// same hosts does not notice.
func (f *fixture) spied() {
	r := f.submitTo("victim", 3, 100_000)
	w := r.worker()
	before := r.look().Record
	out := f.hostile("spy", "spy", 3, "-victim", string(w.Seat.Instance), "-seat", fmt.Sprintf("%s.%d", w.Seat.Supervisor, w.Seat.Slot))
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
		f.t.Error("no server's log tells of what was denied")
	}
	after := r.look().Record
	if after.Status != before.Status || after.Epoch != before.Epoch {
		f.t.Errorf("the victim's record has changed: %+v", after)
	}
	for _, e := range f.explain(r.name) {
		if strings.Contains(e.Text, "forged") {
			f.t.Errorf("a forged event is told: %+v", e)
		}
	}
	f.end("spy") // its own log it may damage
	r.settle()
}

// roles: who may look may not change, and nobody but nimbus writes records.
func (f *fixture) roles() {
	r := f.submitTo("roles", 1, 20_000)
	for _, args := range [][]string{
		{"kill", r.name}, {"deactivate", r.name}, {"rebalance", r.name}, {"restart", r.name, "count.0"}, {"log-level", r.name, "debug"},
		{"submit", f.program("wordcount"), "--name", "other", "--", "-out", r.out, text},
	} {
		if _, err := f.askback("view", args...); err == nil || !strings.Contains(err.Error(), "operate") {
			f.t.Errorf("%s by who may only look: %v", args[0], err)
		}
	}
	if _, err := f.askback("operate", "remove-host", "s1"); err == nil || !strings.Contains(err.Error(), "admin") {
		f.t.Errorf("remove-host by an operator: %v", err)
	}
	instance := string(r.look().Record.Instance)
	for _, who := range []string{"view", "operate", "admin"} {
		for _, subject := range []string{
			"$KV.askback-cluster.topology." + r.name, "$KV.askback-cluster.epoch", "$JS.API.STREAM.DELETE.KV_askback-cluster",
			"$JS.API.STREAM.PURGE.KV_askback-cluster", "$JS.API.STREAM.DELETE.askback-" + instance,
			"askback." + instance + ".data.lines.0.split.0", "askback." + instance + ".log.count.0", "askback.beat.host.s1",
			"askback.worker." + instance + ".s1.0.order", "askback.api.host.s1.join",
		} {
			if got := f.tool(who, "publish", subject); strings.TrimSpace(got) != "denied" {
				f.t.Errorf("%s may publish %s: %s", who, subject, got)
			}
		}
	}
	for who, subjects := range map[string][]string{
		"view":    {">", "askback.>", "askback.*.data.>", "_INBOX.>", "$KV.>"},
		"operate": {">", "askback.>", "askback.*.log.>", "_INBOX.>", "$KV.>"},
		"nimbus":  {">", "askback.*.data.>"}, "supervisor-s1": {">", "askback.*.data.>", "askback.host.s2.*", "askback.beat.worker.*.s2.*"},
	} {
		for _, subject := range subjects {
			if got := f.tool(who, "listen", subject); strings.TrimSpace(got) != "denied" {
				f.t.Errorf("%s may listen to %s: %s", who, subject, got)
			}
		}
	}
	if r.look().Record.Status != cluster.Active {
		f.t.Error("it is not active any more")
	}
	f.end(r.name)
}

// renewed: permissions expire many times, and all servers get other certificates, while words are counted.
func (f *fixture) renewed() {
	serials := func() (all []string) {
		for _, h := range f.natsHosts {
			all = append(all, f.tool("view", "certificate", h.IP+":4222"))
		}
		return all
	}
	before := serials()
	r := f.submitTo("renewed", 3, 50_000)
	f.run("auth", "renew", f.keys())
	for _, s := range f.nats {
		s.Signal(syscall.SIGHUP)
	}
	f.eventually(20*time.Second, "all servers show other certificates", func() bool {
		for n, serial := range serials() {
			if serial == before[n] {
				return false
			}
		}
		return true
	})
	until := map[cluster.Seat]map[time.Time]bool{}
	f.eventually(60*time.Second, "permissions are renewed five times", func() bool {
		for _, w := range r.look().Workers {
			if w.Beat == nil {
				continue
			}
			if left := time.Until(w.Beat.JWT); left > 11*time.Second {
				f.t.Fatalf("permissions hold for %v", left)
			}
			if until[w.Seat] == nil {
				until[w.Seat] = map[time.Time]bool{}
			}
			until[w.Seat][w.Beat.JWT] = true
		}
		times := 5
		for _, u := range until {
			times = min(times, len(u)-1)
		}
		return len(until) == 3 && times == 5
	})
	for _, e := range f.explain(r.name) {
		if e.Kind == cluster.Denied {
			f.t.Errorf("denied: %s", e.Text)
		}
	}
	r.settle() // no task may have been restarted
}

// forked: whatever a worker has forked, nothing of it is left when its topology is killed.
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
	f.eventually(20*time.Second, "it is gone", func() bool { return arguments(w.Beat.PID) == nil })
}

// foreign: a program that was built with another library version is refused, and both versions are shown.
func (f *fixture) foreign() {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		f.t.Fatal(err)
	}
	wire := filepath.Join(root, "cluster", "wire.go")
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
	operate[cluster.Record](f, "submit", program, "--name", "foreign", "--", "-out", f.shared("foreign-out"), text)
	f.says("foreign", `version "1" of the cluster's language, this program "77"`)
	f.explains("foreign", cluster.WorkerExited, `this program "77"`)
	f.end("foreign")
}

// canary: no seed of any key is where it does not belong: after all that has happened, nobody has written one down, and
// the workers' user can read none.
func (f *fixture) canary() {
	seed := regexp.MustCompile(`\bS[UAOX][A-Z2-7]{56}\b`)
	var secrets []string
	err := filepath.WalkDir(f.keys(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, s := range seed.FindAll(text, -1) {
			secrets = append(secrets, string(s))
		}
		if strings.HasSuffix(path, ".key") { // a line of the middle
			secrets = append(secrets, strings.Split(string(text), "\n")[1])
		}
		return err
	})
	if err != nil || len(secrets) < 10 {
		f.t.Fatalf("%d secrets: %v", len(secrets), err)
	}
	r := f.submitTo("canary", 3, 20_000) // some processes to look at
	logins, _ := filepath.Glob(filepath.Join(f.dir, "s?", "seats", "*", "*", "login"))
	if len(logins) == 0 {
		f.t.Error("no login of a worker is found, so nothing is known of those")
	}
	for _, path := range logins {
		text, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, s := range seed.FindAll(text, -1) {
			secrets = append(secrets, string(s))
		}
	}
	f.t.Logf("%d secrets", len(secrets))
	roots := []string{f.dir, filepath.Dir(f.nats[0].Log)}
	for _, path := range f.search(nil, secrets, roots) {
		if !strings.HasPrefix(path, f.keys()+"/") && !slices.Contains(logins, path) {
			f.t.Errorf("a secret is in %s", path)
		}
	}
	if len(f.search(nil, secrets, []string{f.keys()})) == 0 {
		f.t.Error("the search finds nothing even where the keys are")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, path := range f.search(nobody, secrets, append(roots, os.TempDir())) {
		f.t.Errorf("workers can read the secret in %s", path)
	}
	f.end(r.name)
}

// search looks for secrets as somebody.
func (f *fixture) search(as *syscall.Credential, secrets, roots []string) (paths []string) {
	f.t.Helper()
	var errs bytes.Buffer
	c := exec.Command(f.program("hostile"), append([]string{"search"}, roots...)...)
	c.Stdin, c.Stderr = strings.NewReader(strings.Join(secrets, "\n")), &errs
	c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	out, err := c.Output()
	if err != nil {
		f.t.Fatalf("search: %v: %s", err, &errs)
	}
	return strings.Fields(string(out))
}
