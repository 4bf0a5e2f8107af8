package clustertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
)

// TestSecurity has programs that harm, users who lack a role, and stores with replaced content. The numbers are those
// of the table of faults. All workers' permissions hold for ten seconds only.
func TestSecurity(t *testing.T) {
	unlessCI(t)
	group := cgroup(t) // before the hosts, since it must outlive their processes
	begin := func(t testing.TB) *fixture {
		f := start(t)
		f.nimbusArgs = []string{"--login-for", "10s"}
		for n := range f.nimbus {
			f.nimbus[n].Kill()
			f.startNimbus(n)
		}
		f.supervisorArgs = []string{"--cgroup", group}
		for n := range f.supervisors {
			f.supervisors[n].Kill()
			f.startSupervisor(n)
		}
		for n := range f.supervisors {
			f.up(n)
		}
		return f
	}
	parts(t, begin, []part{
		{"35 worker out of memory", (*fixture).hungry},
		{"43 artefact replaced", (*fixture).replaced},
		{"44 names", (*fixture).misnamed},
		{"45 hostile worker", (*fixture).spied},
		{"45 roles", (*fixture).roles},
		{"46 credentials expire and certificates are rotated", (*fixture).renewed},
		{"47 worker ignores SIGTERM and forks", (*fixture).forked},
		{"48 program of another runtime", (*fixture).foreign},
		{"secrets stay where they are", (*fixture).canary},
	})
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
		for range 100 { // a killed process takes a moment to leave
			left, _ := filepath.Glob(filepath.Join(dir, "worker-*"))
			for _, worker := range left {
				_ = os.Remove(worker)
			}
			if len(left) == 0 {
				break
			}
			time.Sleep(20 * time.Millisecond)
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
	operate[view.Topology](f, slices.Concat([]string{"submit", f.program("hostile"), "--name", name, "--workers", fmt.Sprint(workers), "--",
		"-mode", mode, "-out", out}, args)...)
	return out
}

// tool runs a tool of the hostile program on the operator's host, as a user, and returns what it prints.
func (f *fixture) tool(as string, args ...string) string {
	f.t.Helper()
	return f.toolWithInput(as, "", args...)
}

// toolWithInput is tool with text on the standard input.
func (f *fixture) toolWithInput(as, input string, args ...string) string {
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
	operate[view.Topology](f, "kill", name, "--wait", "0s")
	f.eventually(30*time.Second, name+" is gone", func() bool {
		return !slices.ContainsFunc(f.list().Topologies, func(s view.Summary) bool { return s.Name == name })
	})
}

// shows waits until a process of a topology has an error, in its supervisor's description, that holds a text.
func (f *fixture) shows(name, text string) {
	f.t.Helper()
	f.eventually(40*time.Second, fmt.Sprintf("describe %s shows %q", name, text), func() bool {
		for _, w := range f.describe(name).Workers {
			if strings.Contains(w.Error, text) {
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
	f.eventually(20*time.Second, fmt.Sprintf("explain %s has %s, %q", name, kind, pattern), func() bool {
		return slices.ContainsFunc(f.explain(name), func(e view.Event) bool { return e.Kind == kind && re.MatchString(e.Text) })
	})
}

// roles: a user of role view may change nothing, and only nimbus writes records.
func (f *fixture) roles() {
	r := f.submitTo("roles", 1, 20_000)
	for _, args := range [][]string{
		{"kill", r.name}, {"deactivate", r.name}, {"rebalance", r.name}, {"restart", r.name, "count.0"}, {"log-level", r.name, "debug"},
		{"submit", f.program("wordcount"), "--name", "other", "--", "-out", r.out, text},
	} {
		if _, err := f.askback("view", args...); err == nil || !strings.Contains(err.Error(), "operate") {
			f.t.Errorf("%s by a user of role view: %v", args[0], err)
		}
	}
	if _, err := f.askback("operate", "remove-host", "s1"); err == nil || !strings.Contains(err.Error(), "admin") {
		f.t.Errorf("remove-host by an operator: %v", err)
	}
	instance := string(r.look().Topology.Instance)
	for _, who := range []string{"view", "operate", "admin"} {
		for _, subject := range []string{
			"$KV.askback-cluster.topology." + r.name, "$KV.askback-cluster.epoch", "$JS.API.STREAM.DELETE.KV_askback-cluster",
			"$JS.API.STREAM.PURGE.KV_askback-cluster", "$JS.API.STREAM.DELETE.askback-" + instance,
			"askback." + instance + ".data.lines.0.split.0", "askback." + instance + ".log.count.0", "askback.heartbeat.host.s1",
			"askback.worker." + instance + ".s1.0.assign", "askback.api.host.s1.join",
		} {
			if got := f.tool(who, "publish", subject); strings.TrimSpace(got) != "denied" {
				f.t.Errorf("%s may publish %s: %s", who, subject, got)
			}
		}
	}
	for who, subjects := range map[string][]string{
		"view":    {">", "askback.>", "askback.*.data.>", "_INBOX.>", "$KV.>"},
		"operate": {">", "askback.>", "askback.*.log.>", "_INBOX.>", "$KV.>"},
		"nimbus":  {">", "askback.*.data.>"}, "supervisor-s1": {">", "askback.*.data.>", "askback.host.s2.*", "askback.heartbeat.worker.*.s2.*"},
	} {
		for _, subject := range subjects {
			if got := f.tool(who, "listen", subject); strings.TrimSpace(got) != "denied" {
				f.t.Errorf("%s may listen to %s: %s", who, subject, got)
			}
		}
	}
	if r.look().Topology.Status != cluster.Active {
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
	until := map[string]map[time.Time]bool{}
	f.eventually(60*time.Second, "permissions are renewed five times", func() bool {
		for _, w := range r.look().Workers {
			if w.LoginExpiresAt.IsZero() {
				continue
			}
			if left := time.Until(w.LoginExpiresAt); left > 11*time.Second {
				f.t.Fatalf("permissions hold for %v", left)
			}
			if until[place(w)] == nil {
				until[place(w)] = map[time.Time]bool{}
			}
			until[place(w)][w.LoginExpiresAt] = true
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
