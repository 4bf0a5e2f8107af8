package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/internal/recovery"
)

// A program describes its topology as its arguments make it.
func TestDescribe(t *testing.T) {
	for _, args := range [][]string{nil, {"--strategy", "barrier"}} {
		out, err := as("describe", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		var spec cluster.Spec
		if err := json.Unmarshal(out, &spec); err != nil {
			t.Fatal(err)
		}
		b := squares(20_000)
		want, err := worker.Describe(b, spec.Strategy, recovery.Config{RetryEvery: 1000, RetryMax: 4000}, 0)
		if err != nil || fmt.Sprint(spec) != fmt.Sprint(*want) || (spec.Strategy == "barrier") != (args != nil) {
			t.Errorf("%v: %+v, want %+v, %v", args, spec, want, err)
		}
	}
	for _, args := range [][]string{{"--dir", "x"}, {"--kill", "3"}, {"--strategy", "hope"}, {"--nonsense"}} {
		out, err := as("describe", args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), args[len(args)-1]) && !strings.Contains(string(out), args[0]) {
			t.Errorf("%v: %s", args, out)
		}
	}
}

// A program that a supervisor has not started is no worker.
func TestNoWorker(t *testing.T) {
	for _, role := range []string{"worker", "king"} {
		out, err := as(role).CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), "squares: ") || !strings.Contains(string(out), "supervisor") {
			t.Errorf("as %s: %v: %s", role, err, out)
		}
	}
}

// A program is a worker, by the launch on its file descriptor, until SIGTERM.
func TestWorker(t *testing.T) {
	server, nc := connected(t)
	b := squares(20_000)
	spec, err := worker.Describe(b, "backtrack", recovery.Config{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	instance, subjects := cluster.NewInstance("squares"), natscluster.Subjects("askback")
	if _, err := natslog.Open(t.Context(), nc, natslog.Options{Topology: string(instance)}); err != nil {
		t.Fatal(err)
	}
	l := cluster.Launch{
		Slot: cluster.WorkerSlot{Instance: instance, Supervisor: "here"}, Prefix: string(subjects), Servers: server.URL(), Spec: *spec,
		Assignment: cluster.Assignment{Instance: instance, Revision: 7, Tasks: spec.Tasks(), Active: true},
		Runtime:    cluster.Runtime,
	}
	beats, err := nc.SubscribeSync(subjects.WorkerHeartbeat(l.Slot))
	if err != nil {
		t.Fatal(err)
	}
	c := as("worker", "--strategy", "backtrack")
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c.ExtraFiles, c.Stderr = []*os.File{ours}, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	text, _ := json.Marshal(l)
	if _, err := io.Copy(theirs, bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	for complete := 0; complete < len(spec.Tasks()); {
		m, err := beats.NextMsg(20 * time.Second)
		if err != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
			t.Fatalf("%v:\n%s", err, out.String())
		}
		var b cluster.Heartbeat
		if err := json.Unmarshal(m.Data, &b); err != nil {
			t.Fatal(err)
		}
		complete = 0
		for _, task := range b.Tasks {
			if task.State == "complete" {
				complete++
			}
		}
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	if err := c.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

// A program submits itself: it is in the object store, and nimbus is asked to run it.
func TestSubmit(t *testing.T) {
	server, nc := connected(t)
	subjects := natscluster.Subjects("askback")
	if err := natscluster.Setup(t.Context(), nc, subjects, 1); err != nil {
		t.Fatal(err)
	}
	asked := make(chan cluster.SubmitRequest, 1)
	_, err := nc.Subscribe(subjects.API(cluster.Operate, cluster.VerbSubmit), func(m *nats.Msg) {
		var r cluster.SubmitRequest
		_ = json.Unmarshal(m.Data, &r)
		answer, _ := json.Marshal(cluster.Record{Instance: "nightly-abcdefgh", Spec: r.Spec, Status: cluster.Inactive})
		_ = m.Respond(answer)
		asked <- r
	})
	if err != nil {
		t.Fatal(err)
	}
	program := func(args ...string) (string, error) {
		c := exec.Command(os.Args[0], args...)
		c.Env = append(os.Environ(), "CLI_TEST_PROGRAM=squares", "ASKBACK_SERVER="+server.URL())
		out, err := c.CombinedOutput()
		return string(out), err
	}
	out, err := program("submit", "--name", "nightly", "--workers", "3", "--inactive", "--env", "REGION=eu", "--", "--strategy", "barrier")
	if err != nil || out != "submitted nightly as nightly-abcdefgh: inactive\n" {
		t.Fatalf("%v: %s", err, out)
	}
	r := <-asked
	if r.Spec.Name != "nightly" || r.Spec.Strategy != "barrier" || r.Workers != 3 || !r.Inactive || strings.Join(r.Args, " ") != "--env=REGION=eu --strategy barrier" || r.Nonce == "" {
		t.Errorf("%+v", r)
	}
	sha, size, err := artefact.Sum(os.Args[0])
	if err != nil || r.Artefact.SHA256 != sha || r.Artefact.Size != size {
		t.Errorf("%+v, want %s: %v", r.Artefact, sha, err)
	}
	var record view.Topology
	out, err = program("submit", "--json")
	if err != nil || json.Unmarshal([]byte(out), &record) != nil || record.Name != "squares" {
		t.Errorf("%v: %s", err, out)
	}
	<-asked

	for _, c := range []struct{ args, says string }{
		{"submit --strategy barrier", "--strategy"},
		{"submit barrier", "--"},
		{"submit --workers 0", "--workers 0"},
		{"submit -- --dir x", "--dir"},
		{"submit --nonsense", "--workers"},
		{"submit --env DB_PASSWORD=x", "looks like a secret"},
		{"submit --env DB=postgres://app:pw@db/app", "looks like a secret"},
		{"submit -- --env API_TOKEN=x", "looks like a secret"},
		{"submit --name a.>", "a.>"},
		{"submit --server nats://127.0.0.1:1", "127.0.0.1:1"},
		{"submit --server nats://192.0.2.1:4222", "TLS"},
		{"submit --creds /nowhere", "/nowhere"},
		{"submit --prefix other", "nimbus"},
	} {
		out, err := program(strings.Fields(c.args)...)
		if err == nil || !strings.Contains(out, c.says) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: want an error that names %s: %v: %s", c.args, c.says, err, out)
		}
	}
}

// connected starts a server and connects to it.
func connected(t *testing.T) (*embed.Server, *nats.Conn) {
	t.Helper()
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	nc, err := nats.Connect(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return server, nc
}
