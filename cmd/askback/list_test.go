package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/standin"
	"github.com/askback/askback/internal/cluster/view"
)

// List shows topologies and supervisors in columns, and as JSON.
func TestList(t *testing.T) {
	s := newStage(t)
	list := cluster.ListReply{
		Leader: "m1", Epoch: 3,
		Topologies: []cluster.Summary{{Name: "words", Instance: standin.Instance, Status: cluster.Active, Workers: 2, Tasks: 6, Healthy: 5, Shortage: "1 slot", Lost: lost, Submitted: time.Now().UTC().Round(0)}},
		Hosts:      []cluster.HostSummary{{Host: cluster.Host{Name: "host-1", Slots: 4, Tags: []string{"gpu"}}, State: "up", Used: 2}},
	}
	s.Answer("askback.api.view.list", list)
	out, _, err := s.run(t.Context(), "list")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"words", "5 of 6", "5 of 6      2     1,503    ", "lost tuples: split 2 dead and 1,500 dropped, count 0 dead and 3 dropped", "short: 1 slot", "host-1", "2 of 4", "gpu", "never", "m1 leads, epoch 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	out, _, err = s.run(t.Context(), "list", "--json")
	var back view.List
	if err != nil || json.Unmarshal([]byte(out), &back) != nil || text(t, back) != text(t, view.OfList(&list)) {
		t.Errorf("%v\n%s", err, out)
	}
}

// Describe shows each placed task, with or without a heartbeat, the failure, and the lost tuples. Texts of tasks cannot
// control the terminal.
func TestDescribe(t *testing.T) {
	s := newStage(t)
	d := standin.Description()
	d.Record.Failure, d.Lost = failure, lost
	d.Workers[0].Heartbeat.Tasks[1].Dropped = 1500
	s.Answer("askback.api.view.describe", d)
	out, _, err := s.run(t.Context(), "describe", "words")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"plan 0000000000001267", "message   split.0>count.1#7\n", "lost tuples: split 2 dead", "  0     1,500  ",
		"words-3k9x2m7q is active", "6 tasks with strategy backtrack", "host-2/3", "starting", "RLIMIT_DATA", "25 % read", "1,234,567",
		"no credit on split.0>count.0", "hopeless stack", "no heartbeat yet",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if strings.ContainsRune(out, '\x1b') {
		t.Error("an escape sequence reaches the terminal")
	}
	asJSON, _, err := s.run(t.Context(), "describe", "words", "--json")
	var back view.Description
	if err != nil || json.Unmarshal([]byte(asJSON), &back) != nil || text(t, back) != text(t, view.OfDescription(&d)) {
		t.Errorf("%v\n%s", err, asJSON)
	}
	var at []int
	for _, task := range []string{"count.0", "count.1", "count.2", "lines.0", "split.0", "split.1"} {
		at = append(at, strings.Index(out, "\n"+task+" "))
	}
	for i, n := range at {
		if n < 0 || i > 0 && n < at[i-1] {
			t.Errorf("tasks are not in order, at %v of\n%s", at, out)
			break
		}
	}
}

// Shells complete names of topologies, and then tasks, edges and levels.
func TestCompletion(t *testing.T) {
	s := newStage(t)
	s.Answer("askback.api.view.list", cluster.ListReply{
		Topologies: []cluster.Summary{{Name: "words", Status: cluster.Active}},
		Hosts:      []cluster.HostSummary{{Host: cluster.Host{Name: "host-1"}, State: "up"}},
	})
	s.Answer("askback.api.view.describe", standin.Description())
	for _, c := range []struct{ args, want string }{
		{"kill", "words\tactive"},
		{"restart words", "split.1"},
		{"tap words", "split:errors>count\tglobal"},
		{"log-level words", "debug"},
		{"remove-host", "host-1\tup"},
	} {
		out, _, err := compared(t.Context(), append(append([]string{cobra.ShellCompRequestCmd}, strings.Fields(c.args)...), "--server", s.URL(), "")...)
		if err != nil || !strings.Contains(out, c.want+"\n") {
			t.Errorf("%s: %v, %q", c.args, err, out)
		}
	}
}
