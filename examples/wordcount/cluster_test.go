package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/natstest"
)

// The program is asked what it is, and is then a worker: the counts appear in the directory that it was submitted with.
func TestInCluster(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 1<<20, 2)
	out, server := t.TempDir(), natstest.Start(t)
	t.Setenv("WORDCOUNT_TEST_PROGRAM", "1")
	command := args("-passes", 2, "-parallel", 3, "-rate", 1_000_000, "-out", out, dir)
	spec, err := client.SpecOf(t.Context(), os.Args[0], command)
	check(t, err)

	conn := natscluster.Connection{Servers: server.URL()}
	nc, err := conn.Connect("test", &natscluster.User{})
	check(t, err)
	defer nc.Close()
	instance := cluster.NewInstance("words")
	_, err = natslog.Open(t.Context(), nc, natslog.Options{Topology: string(instance)})
	check(t, err)
	slot := cluster.WorkerSlot{Instance: instance, Supervisor: "here"}
	complete := make(chan struct{}, 1)
	_, err = nc.Subscribe(conn.Subjects().WorkerHeartbeat(slot), func(m *nats.Msg) {
		var b cluster.Heartbeat
		_ = json.Unmarshal(m.Data, &b)
		if len(b.Tasks) == len(spec.Tasks()) && !slices.ContainsFunc(b.Tasks, func(t cluster.Task) bool { return t.State != "complete" }) {
			select {
			case complete <- struct{}{}:
			default:
			}
		}
	})
	check(t, err)

	launch, err := json.Marshal(cluster.Launch{
		Slot: slot, Prefix: string(conn.Subjects()), Servers: conn.Servers, Spec: *spec, Runtime: cluster.Runtime,
		Assignment: cluster.Assignment{Instance: instance, Revision: 1, Tasks: spec.Tasks(), Active: true},
	})
	check(t, err)
	ours, theirs, err := os.Pipe()
	check(t, err)
	worker := exec.Command(os.Args[0], command...)
	worker.Env = append(os.Environ(), cluster.RoleVariable+"=worker")
	worker.ExtraFiles = []*os.File{ours}
	var said strings.Builder
	worker.Stderr = &said
	check(t, worker.Start())
	defer func() { _ = worker.Process.Kill(); _ = worker.Wait() }()
	check(t, ours.Close())
	_, err = theirs.Write(launch)
	check(t, err)
	check(t, theirs.Close())
	select {
	case <-complete:
	case <-time.After(30 * time.Second):
		_ = worker.Process.Kill()
		_ = worker.Wait()
		t.Fatalf("it does not complete:\n%s", said.String())
	}
	got, err := os.ReadFile(filepath.Join(out, "counts"))
	check(t, err)
	lines := strings.SplitAfter(string(got), "\n")
	slices.Sort(lines)
	wanted := strings.SplitAfter(want, "\n")
	slices.Sort(wanted)
	if !slices.Equal(lines, wanted) {
		t.Errorf("the counts are not those of the text: %d words, want %d", len(lines), len(wanted))
	}
}
