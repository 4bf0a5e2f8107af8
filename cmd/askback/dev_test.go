package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/internal/daemon"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// numbers is the topology that the test binary is. With the argument bad, operator even fails at number 2000.
func numbers(bad bool) *topology.Builder {
	b := topology.New("numbers")
	b.Spout("all", spout.Generate(0, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() }).Rate(2000)).Fields("n")
	b.Bolt("even", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0)%2 != 0 {
			return nil
		}
		if bad && t.Int(0) == 2000 {
			return errors.New("two thousand")
		}
		return out.Row().Int(t.Int(0)).Emit()
	})).Parallel(2).Shuffle("all").Fields("even")
	b.Bolt("last", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("even")
	return b
}

// openDir is a directory that workers of another user pass through.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "askback-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A user types commands.
type user struct {
	t    *testing.T
	args []string // of every command
}

func (u user) try(args ...string) (string, error) {
	out, progress, err := compared(u.t.Context(), append(args, u.args...)...)
	return out + progress, err
}

func (u user) do(args ...string) string {
	u.t.Helper()
	out, err := u.try(args...)
	if err != nil {
		u.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// described waits until all tasks of the topology have processed tuples, and returns them and the processes.
func (u user) described(tasks int) (d view.Description) {
	u.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, _, err := compared(u.t.Context(), append([]string{"describe", "numbers", "--json"}, u.args...)...)
		running := 0
		if err == nil {
			d = view.Description{}
			if err := json.Unmarshal([]byte(out), &d); err != nil {
				u.t.Fatal(err)
			}
			for _, task := range d.Tasks {
				if task.Consumed+task.Emitted > 0 {
					running++
				}
			}
		}
		if running >= tasks {
			return d
		}
		if time.Now().After(deadline) {
			u.t.Fatalf("%d of %d tasks run: %v\n%s", running, tasks, err, out)
		}
	}
}

// One command runs a whole cluster: programs are submitted, watched, restarted and explained, and Ctrl-C ends it all. On
// the same directory they go on.
func TestDev(t *testing.T) {
	ignore, dir := goleak.IgnoreCurrent(), openDir(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, stop := begin(t, "Ctrl-C ends", "dev", "--listen", "127.0.0.1:0", "--dir", dir)
	u := user{t, []string{"--server", address(t, out)}}
	if got := u.do("submit", program, "--workers", "2"); !strings.Contains(got, "4 tasks in 2 workers") {
		t.Error(got)
	}
	if _, err := u.try("submit", program); exitStatus(err) != exitConflict || !strings.Contains(err.Error(), "numbers") {
		t.Errorf("submitted twice: status %d, %v", exitStatus(err), err)
	}
	before := u.described(4)
	if got := u.do("tap", "numbers", "even>last", "--count", "2"); strings.Count(got, `"fields":{"even":`) != 2 {
		t.Error(got)
	}
	u.do("restart", "numbers", "even.1")
	var recovery *view.Recovery
	for deadline := time.Now().Add(20 * time.Second); recovery == nil && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var reply view.Events
		if err := json.Unmarshal([]byte(u.do("explain", "numbers", "--json")), &reply); err != nil {
			t.Fatal(err)
		}
		for _, e := range reply.Events {
			recovery = e.Recovery
		}
	}
	if recovery == nil || recovery.Incarnation != 2 || recovery.Missed != recovery.Replayed {
		t.Errorf("explained as %+v", recovery)
	}
	if got := u.do("logs", "numbers", "--task", "even.1"); !strings.Contains(got, `"task":"even.1"`) {
		t.Errorf("logs are\n%s", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	gone(t, &before)

	out, stop = begin(t, "of the last run", "dev", "--listen", "127.0.0.1:0", "--dir", dir)
	u = user{t, []string{"--server", address(t, out)}}
	after := u.described(4)
	u.do("kill", "numbers", "--wait", "0s")
	if _, err := u.try("describe", "numbers"); exitStatus(err) != exitNotFound {
		t.Errorf("after kill: status %d, %v", exitStatus(err), err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	gone(t, &after)
	goleak.VerifyNone(t, ignore)
}

// A program that fails is repaired, and the topology goes on from its log at the tuple that failed, in the same slots.
func TestResume(t *testing.T) {
	ignore, dir := goleak.IgnoreCurrent(), openDir(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, stop := begin(t, "Ctrl-C ends", "dev", "--listen", "127.0.0.1:0", "--dir", dir)
	u := user{t, []string{"--server", address(t, out)}}
	user{t, []string{"--", "bad"}}.do(append([]string{"submit", program, "--workers", "2"}, u.args...)...)
	described := func() (d view.Description) {
		if err := json.Unmarshal([]byte(u.do("describe", "numbers", "--json")), &d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	until := func(what string, is func(d view.Description) bool) view.Description {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if d := described(); is(d) {
				return d
			} else if time.Now().After(deadline) {
				t.Fatalf("in vain waited until %s: %+v", what, d)
			}
		}
	}
	failed := until("it has failed", func(d view.Description) bool { return d.Topology.Status == "failed" })
	if f := failed.Topology.Failure; f == nil || f.Cause != "two thousand" || !strings.Contains(f.Tuple, "2000") {
		t.Errorf("failed with %+v", f)
	}
	if _, err := u.try("submit", program); exitStatus(err) != exitConflict || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("submitted afresh: status %d, %v", exitStatus(err), err)
	}
	u.do("submit", program, "--resume")
	emitted := func(d view.Description, operator string) (n uint64) {
		for _, task := range d.Tasks {
			if task.Task.Operator == operator {
				n += task.Emitted
			}
		}
		return n
	}
	repaired := until("it goes on", func(d view.Description) bool { return d.Topology.Status == "active" && emitted(d, "even") > 2000 })
	for _, w := range repaired.Workers {
		for _, old := range failed.Workers {
			if w.PID == old.PID {
				t.Errorf("worker %s/%d still runs the old program", w.Supervisor, w.Slot)
			}
		}
	}
	if got := u.do("explain", "numbers"); !strings.Contains(got, "goes on with program") || !strings.Contains(got, "the program was replaced") {
		t.Error(got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	gone(t, &repaired)
	goleak.VerifyNone(t, ignore)
}

// gone checks that the workers' processes are no more.
func gone(t *testing.T, d *view.Description) {
	t.Helper()
	for _, w := range d.Workers {
		if !errors.Is(syscall.Kill(w.PID, 0), syscall.ESRCH) {
			t.Errorf("process %d of worker %s/%d lives", w.PID, w.Supervisor, w.Slot)
		}
	}
}

// freePort returns a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// running runs a daemon until the returned function is called.
func running(t *testing.T, c *cobra.Command, args ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	output, ended := &screen{}, make(chan error, 1)
	c.SetArgs(args)
	c.SetErr(output)
	go func() { ended <- c.ExecuteContext(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", c.Name(), err)
		}
		if t.Failed() {
			t.Logf("%s printed\n%s", c.Name(), output)
		}
	})
	t.Cleanup(stop)
	return stop
}

// With auth init's files, the same programs make a cluster in which each may do what its credentials allow.
func TestSecured(t *testing.T) {
	ignore, dir := goleak.IgnoreCurrent(), openDir(t)
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	keys := filepath.Join(dir, "keys")
	port := freePort(t)
	made, _, err := compared(t.Context(), "auth", "init", keys, "--servers", fmt.Sprintf("127.0.0.1:%d", port), "--supervisors", "s1")
	if err != nil || !strings.Contains(made, "supervisor-s1.creds") {
		t.Fatal(made, err)
	}
	if _, _, err := compared(t.Context(), "auth", "init", keys); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("keys are made again: %v", err)
	}
	conf, err := os.ReadFile(filepath.Join(keys, "server-1.conf"))
	if err == nil {
		err = os.WriteFile(filepath.Join(keys, "server-1.conf"), append(conf, "\nlog_file: \""+dir+"/nats.log\"\n"...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	_, stopServer := begin(t, "NATS server server-1", "server", "--config", filepath.Join(keys, "server-1.conf"))
	with := func(creds string) []string {
		return []string{"--server", fmt.Sprintf("tls://127.0.0.1:%d", port), "--ca", filepath.Join(keys, "ca.pem"), "--creds", filepath.Join(keys, creds)}
	}
	trust := []string{"--trust", filepath.Join(keys, "trust")}
	stopNimbus := running(t, daemon.NimbusCommand(), append(append(with("nimbus.creds"), trust...), "--issuer", filepath.Join(keys, "issuer.json"))...)
	stopSupervisor := running(t, daemon.SupervisorCommand(), append(append(with("supervisor-s1.creds"), trust...),
		"--name", "s1", "--dir", filepath.Join(dir, "s1"), "--slots", "2", "--stop-workers")...)

	view, operate, admin := user{t, with("view.creds")}, user{t, with("operate.creds")}, user{t, with("admin.creds")}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(view.do("list"), "s1 "); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the supervisor does not join")
		}
	}
	operate.do("submit", program, "--workers", "2")
	running := view.described(4)
	if got := operate.do("tap", "numbers", "even>last", "--count", "2"); strings.Count(got, `"fields":{"even":`) != 2 {
		t.Error(got)
	}
	view.do("logs", "numbers", "--tail", "3")
	operate.do("restart", "numbers", "even.0")
	view.do("explain", "numbers")
	for _, c := range []struct {
		who  user
		args string
	}{
		{view, "kill numbers"}, {view, "restart numbers even.0"}, {view, "submit " + program + " --name other"}, {view, "tap numbers even>last --for 2s"},
		{operate, "remove-host s1"}, {user{t, with("nimbus.creds")[:4]}, "list"},
	} {
		if out, err := c.who.try(strings.Fields(c.args)...); exitStatus(err) != exitDenied {
			t.Errorf("%s with %s: status %d, %v\n%s", c.args, c.who.args, exitStatus(err), err, out)
		}
	}
	if _, err := admin.try("remove-host", "s1"); exitStatus(err) != exitConflict {
		t.Errorf("removing a supervisor that lives: status %d, %v", exitStatus(err), err)
	}
	operate.do("kill", "numbers", "--wait", "0s")
	stopSupervisor()
	stopNimbus()
	if err := stopServer(); err != nil {
		t.Error(err)
	}
	gone(t, &running)
	goleak.VerifyNone(t, ignore)
	seeds(t, filepath.Join(dir, "nats.log"))
}

// seeds checks that a log holds no seed of a key.
func seeds(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || bytes.Contains(text, []byte("SUA")) || bytes.Contains(text, []byte("SAA")) {
		t.Errorf("the server's log: %v", err)
	}
}
