package clustertest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/internal/netlab"
)

// programs builds the binaries once, and returns where they are.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "askback-programs-")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator),
		"./cmd/askback", "./cmd/nimbus", "./cmd/supervisor", "./examples/wordcount",
		"./internal/clustertest/hostile")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build: %w: %s", err, out)
	}
	return dir, os.Chmod(dir, 0o755) // workers run as another user
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, _ := programs(); dir != "" {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// unlessCI skips a test that takes minutes, unless it runs where that does not matter.
func unlessCI(t testing.TB) {
	t.Helper()
	if os.Getenv("CI") == "" || testing.Short() {
		t.Skip("it takes minutes, and root; CI=1 and no -short run it")
	}
}

// detection is what the cluster under test is configured with.
const detection = 2 * time.Second

// A fixture is a cluster of real processes.
type fixture struct {
	t        testing.TB
	lab      *netlab.Lab
	op       *netlab.Host
	programs string
	dir      string // keys, stores, results
	servers  string // URLs
	open     bool   // without credentials, on one host

	natsHosts, nimbusHosts, hosts []*netlab.Host
	nats, nimbus, supervisors     []*netlab.Process

	nimbusArgs, supervisorArgs []string // of those that are started from now on, besides the usual
}

// prepare makes what every fixture needs, and the host of the operator.
func prepare(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{t: t, lab: netlab.New(t)} // first: it may skip
	var err error
	if f.programs, err = programs(); err != nil {
		t.Fatal(err)
	}
	if f.dir, err = os.MkdirTemp("", "askback-cluster-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(f.dir) })
	_ = os.Chmod(f.dir, 0o755)
	f.op = f.lab.Host("op")
	return f
}

// develop starts a cluster on one host: NATS, nimbus and a supervisor in one process, without TLS.
func develop(t testing.TB, slots int) *fixture {
	t.Helper()
	f := prepare(t)
	f.servers, f.open = "nats://127.0.0.1:4222", true
	f.nats = []*netlab.Process{f.op.Start("dev", f.program("askback"), "dev", "--slots", strconv.Itoa(slots),
		"--dir", filepath.Join(f.dir, "dev"), "--listen", "127.0.0.1:4222")}
	f.eventually(60*time.Second, "the supervisor is up", func() bool {
		hosts := f.list().Supervisors
		return len(hosts) == 1 && hosts[0].State == "up"
	})
	return f
}

// start starts a cluster.
func start(t testing.TB) *fixture {
	t.Helper()
	f := prepare(t)
	var addresses, urls []string
	for n := range 3 {
		h := f.lab.Host(fmt.Sprintf("n%d", n+1))
		f.natsHosts = append(f.natsHosts, h)
		addresses = append(addresses, h.IP)
		urls = append(urls, "tls://"+h.IP+":4222")
	}
	f.servers = strings.Join(urls, ",")
	for n := range 2 {
		f.nimbusHosts = append(f.nimbusHosts, f.lab.Host(fmt.Sprintf("m%d", n+1)))
	}
	for n := range 3 {
		f.hosts = append(f.hosts, f.lab.Host(fmt.Sprintf("s%d", n+1)))
	}
	f.run("auth", "init", f.keys(), "--servers", strings.Join(addresses, ","), "--supervisors", "s1,s2,s3",
		"--store", filepath.Join(f.dir, "store"))
	f.nats, f.nimbus, f.supervisors = make([]*netlab.Process, 3), make([]*netlab.Process, 2), make([]*netlab.Process, 3)
	for n := range f.nats {
		f.startNATS(n)
	}
	for n := range f.nimbus {
		f.startNimbus(n)
	}
	for n := range f.supervisors {
		f.startSupervisor(n)
	}
	f.eventually(60*time.Second, "three supervisors are up", func() bool {
		up := 0
		for _, h := range f.list().Supervisors {
			if h.State == "up" {
				up++
			}
		}
		return up == 3
	})
	return f
}

// A part is a part of a test that shares its cluster with others.
type part struct {
	name string
	test func(*fixture)
}

// parts runs parts of a test, one after another, on one cluster: to start a cluster takes longer than to hurt it. A part that
// fails does not end the others. It may leave the cluster in pieces, so the next one gets a new cluster.
func parts(t *testing.T, begin func(testing.TB) *fixture, all []part) {
	var f *fixture
	for _, p := range all {
		if f == nil {
			f = begin(t)
		}
		passed := t.Run(p.name, func(t *testing.T) {
			of := *f
			of.t = t
			defer f.lab.For(t)()
			p.test(&of)
		})
		if !passed {
			f.lab.KillAll()
			f = nil
		}
	}
}

func (f *fixture) keys() string { return filepath.Join(f.dir, "keys") }

func (f *fixture) key(name string) string { return filepath.Join(f.keys(), name) }

func (f *fixture) program(name string) string { return filepath.Join(f.programs, name) }

func (f *fixture) connection(who string) []string {
	if f.open {
		return []string{"--server", f.servers}
	}
	return []string{"--server", f.servers, "--creds", f.key(who + ".creds"), "--ca", f.key("ca.pem")}
}

func (f *fixture) startNATS(n int) {
	f.nats[n] = f.natsHosts[n].Start("nats", f.program("askback"), "server", "--config", f.key(fmt.Sprintf("server-%d.conf", n+1)))
}

func (f *fixture) startNimbus(n int) {
	f.nimbus[n] = f.nimbusHosts[n].Start("nimbus", slices.Concat([]string{f.program("nimbus"), "--name", fmt.Sprintf("m%d", n+1),
		"--detection", detection.String(), "--trust", f.key("trust"), "--issuer", f.key("issuer.json")}, f.connection("nimbus"), f.nimbusArgs)...)
}

func (f *fixture) startSupervisor(n int) {
	name := fmt.Sprintf("s%d", n+1)
	f.supervisors[n] = f.hosts[n].Start("supervisor", slices.Concat([]string{f.program("supervisor"), "--name", name, "--slots", "2",
		"--dir", filepath.Join(f.dir, name), "--trust", f.key("trust")}, f.connection("supervisor-"+name), f.supervisorArgs)...)
}

// askback runs the command line on the operator's host.
func (f *fixture) askback(as string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	return f.op.Run(ctx, slices.Concat([]string{f.program("askback"), args[0]}, f.connection(as), args[1:])...)
}

// run runs the command line where no cluster is needed.
func (f *fixture) run(args ...string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if out, err := f.op.Run(ctx, append([]string{f.program("askback")}, args...)...); err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
}

// operate runs a command as an operator and decodes the JSON that it prints. It tries again while no nimbus answers.
func operate[Answer any](f *fixture, args ...string) (answer Answer) {
	f.t.Helper()
	program := slices.Index(args, "--")
	if program < 0 {
		program = len(args)
	}
	args = slices.Insert(slices.Clone(args), program, "--json", "--timeout", "30s")
	out, err := f.askback("operate", args...)
	for deadline := time.Now().Add(40 * time.Second); unanswered(err) && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond)
		out, err = f.askback("operate", args...)
	}
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		f.t.Fatalf("askback %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return answer
}

// unanswered reports whether a command has failed, by its exit status, because no nimbus answered.
func unanswered(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 5
}

func (f *fixture) list() view.List {
	f.t.Helper()
	return operate[view.List](f, "list")
}

func (f *fixture) describe(name string) view.Description {
	f.t.Helper()
	return operate[view.Description](f, "describe", name)
}

func (f *fixture) explain(name string) []view.Event {
	f.t.Helper()
	return operate[view.Events](f, "explain", name).Events
}

// eventually waits until something holds.
func (f *fixture) eventually(limit time.Duration, what string, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(limit); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// diff compares two files of counts, word by word.
func diff(got, want string) error {
	g, err := os.ReadFile(got)
	if err != nil {
		return err
	}
	w, err := os.ReadFile(want)
	if err != nil {
		return err
	}
	if bytes.Equal(g, w) {
		return nil
	}
	gl, wl := bytes.Split(g, []byte("\n")), bytes.Split(w, []byte("\n"))
	for i := range min(len(gl), len(wl)) {
		if !bytes.Equal(gl[i], wl[i]) {
			return fmt.Errorf("line %d is %q, want %q (%d and %d lines)", i+1, gl[i], wl[i], len(gl), len(wl))
		}
	}
	return errors.New("one is longer than the other")
}
