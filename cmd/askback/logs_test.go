package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/standin"
)

// Logs come from the supervisors of all workers, or of the one that has the task.
func TestLogs(t *testing.T) {
	s := newStage(t)
	s.Answer("askback.api.view.describe", standin.Description())
	s.Output("host-1", "one", "two\x1b[2J")
	s.Output("host-2", "three")
	out, _, err := s.run(t.Context(), "logs", "words", "--tail", "7")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"host-1/0  one\n", "host-1/0  two�[2J\n", "host-2/3  three\n", "task= tail=7"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out, _, err = s.run(t.Context(), "logs", "words", "--task", "count.2")
	if err != nil || out != "three\ntask=count.2 tail=100\n" {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = s.run(t.Context(), "logs", "words", "--task", "count.2", "--json")
	if err != nil || !strings.HasPrefix(out, `{"supervisor":"host-2","slot":3,"line":"three"}`+"\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, _, err = s.run(t.Context(), "logs", "words", "--task", "count.3"); err == nil || !strings.Contains(err.Error(), "no task count.3") {
		t.Error(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	out, _, err = s.run(ctx, "logs", "words", "--follow")
	if err != nil || !strings.Contains(out, "three") || ctx.Err() == nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A supervisor that does not answer costs its own lines only.
func TestLogsOfSome(t *testing.T) {
	s := newStage(t)
	s.Answer("askback.api.view.describe", standin.Description())
	s.Output("host-1", "one")
	out, _, err := s.run(t.Context(), "logs", "words")
	if !strings.Contains(out, "one\n") || err == nil || !strings.Contains(err.Error(), "supervisor host-2 does not answer") {
		t.Errorf("%v\n%s", err, out)
	}
}

// The output of ended workers is requested from every supervisor.
func TestLogsOfThePast(t *testing.T) {
	s := newStage(t)
	d := standin.Description()
	d.Workers = nil
	s.Answer("askback.api.view.describe", d)
	s.Answer("askback.api.view.list", cluster.ListReply{Hosts: []cluster.HostSummary{
		{Host: cluster.Host{Name: "host-1", Slots: 2}}, {Host: cluster.Host{Name: "host-2", Slots: 3}},
	}})
	s.Output("host-1", "one")
	s.Output("host-2", "two")
	out, _, err := s.run(t.Context(), "logs", "words")
	if err != nil || !strings.Contains(out, "host-1/0  one\n") || !strings.Contains(out, "host-2/0  two\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
