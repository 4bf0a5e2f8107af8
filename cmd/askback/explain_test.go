package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/standin"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/msgid"
)

var (
	failure = &cluster.Failure{Task: msgid.Alias{Operator: "count", Index: 1}, MessageID: "split.0>count.1#7", Tuple: `word="x"`, Cause: "no\x1b\nstack"}
	lost    = []cluster.LostTuples{{Operator: "split", Dead: 2, Dropped: 1500}, {Operator: "count", Dropped: 3}}
)

func happened() []cluster.Event {
	slot := cluster.WorkerSlot{Instance: standin.Instance, Supervisor: "host-1", Number: 2}
	at := time.Date(2026, 11, 21, 23, 59, 58, 0, time.Local)
	return []cluster.Event{
		{At: at, Kind: cluster.Submitted, Instance: standin.Instance, Text: "submitted with 6 tasks"},
		{At: at.Add(time.Second), Kind: cluster.WorkerExited, Instance: standin.Instance, Slot: &slot, Text: "worker " + slot.String() + " was killed\x1b[1m"},
		{At: at.Add(3 * time.Second), Kind: cluster.TaskRecovered, Instance: standin.Instance, Slot: &slot, Task: "count.1", Recovery: &cluster.Recovery{
			Alias: msgid.Alias{Operator: "count", Index: 1}, Incarnation: 3, Cause: "killed by signal 9",
			Asked: "split.0>count.1#48211-51002 split.1>count.1#47990-50781", Missed: 5584, Replayed: 5584, Reprocessed: 120, Duplicates: 3,
			Detect: 3, Start: 150, Load: 9.26, Replay: 50.4, Took: 212.6,
		}},
		{At: at.Add(4 * time.Second), Kind: cluster.TaskFailed, Instance: standin.Instance, Slot: &slot, Task: "count.1", Text: "FAILED: no", Failure: failure},
	}
}

// Explain shows each recovery with its phases, each failure with its tuple, and the lost tuples.
func TestExplain(t *testing.T) {
	s := newStage(t)
	s.Answer("askback.api.view.explain", cluster.ExplainReply{Events: happened(), Lost: lost, Failure: failure})
	out, _, err := s.run(t.Context(), "explain", "words", "--limit", "7")
	if err != nil {
		t.Fatal(err)
	}
	if q := standin.Question[cluster.ExplainRequest](s.Cluster); q != (cluster.ExplainRequest{Name: "words", Limit: 7}) {
		t.Errorf("asked %+v", q)
	}
	at := 0
	for _, want := range []string{
		"Saturday, 21 November 2026\n", "23:59:58.000  submitted", "23:59:59.000  worker-exited", "host-1/2  was killed", "Sunday, 22 November 2026\n",
		"host-1/2  count.1, incarnation 3, in 213 ms: killed by signal 9", "asked split.0>count.1#48211-51002\n", "      split.1>count.1#47990-50781\n",
		"missed 5,584 = replayed 5,584 · reprocessed 120 · duplicates dropped 3", "detect 3.0 ms · start 150 ms · load 9.3 ms · replay 50 ms",
		"task-failed", "  count.1  FAILED", "operator  count\n", "task      count.1\n", "message   split.0>count.1#7\n", "tuple     word=\"x\"\n", "cause     no�\n", "          stack\n",
		"failed for good:\n  operator  count\n", "lost tuples: split 2 dead and 1,500 dropped, count 0 dead and 3 dropped\n",
		"recovered once, at most in 213 ms",
	} {
		n := strings.Index(out[at:], want)
		if n < 0 {
			t.Fatalf("%q is not next in\n%s", want, out[at:])
		}
		at += n
	}
	if strings.ContainsRune(out, '\x1b') {
		t.Error("an escape sequence reaches the terminal")
	}

	out, _, err = s.run(t.Context(), "explain", "words", "--json")
	var back view.Events
	want := view.OfEvents("words", &cluster.ExplainReply{Events: happened(), Lost: lost, Failure: failure})
	if err != nil || json.Unmarshal([]byte(out), &back) != nil || text(t, back) != text(t, want) {
		t.Errorf("%v\n%s\nwant\n%s", err, out, text(t, want))
	}

	// Without a name it is about the cluster; with --follow each event is printed once.
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	out, _, err = s.run(ctx, "explain", "--follow", "--json")
	if err != nil || strings.Count(out, "\n") != 4 || standin.Question[cluster.ExplainRequest](s.Cluster).Name != "" {
		t.Errorf("%v\n%s", err, out)
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
