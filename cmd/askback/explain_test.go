package main

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

func happened() []cluster.Event {
	slot := cluster.WorkerSlot{Instance: instance, Supervisor: "host-1", Number: 2}
	at := time.Date(2026, 11, 21, 23, 59, 58, 0, time.Local)
	return []cluster.Event{
		{At: at, Kind: cluster.Submitted, Instance: instance, Text: "submitted with 6 tasks"},
		{At: at.Add(time.Second), Kind: cluster.WorkerExited, Instance: instance, Slot: &slot, Text: "worker " + slot.String() + " was killed\x1b[1m"},
		{At: at.Add(3 * time.Second), Kind: cluster.TaskRecovered, Instance: instance, Slot: &slot, Task: "count.1", Recovery: &cluster.Recovery{
			Alias: msgid.Alias{Operator: "count", Index: 1}, Incarnation: 3, Cause: "killed by signal 9",
			Asked: "split.0>count.1#48211-51002 split.1>count.1#47990-50781", Missed: 5584, Replayed: 5584, Reprocessed: 120, Duplicates: 3,
			Detect: 3, Start: 150, Load: 9.26, Replay: 50.4, Took: 212.6,
		}},
	}
}

// Explain tells of each recovery what was asked for, replayed and processed again, and where the time went.
func TestExplain(t *testing.T) {
	s := newStage(t)
	s.answer("askback.api.view.explain", cluster.ExplainReply{Events: happened()})
	out, _, err := s.run(t.Context(), "explain", "words", "--limit", "7")
	if err != nil {
		t.Fatal(err)
	}
	if q := question[cluster.ExplainRequest](s); q != (cluster.ExplainRequest{Name: "words", Limit: 7}) {
		t.Errorf("asked %+v", q)
	}
	at := 0
	for _, want := range []string{
		"Saturday, 21 November 2026\n", "23:59:58.000  submitted", "23:59:59.000  worker-exited", "host-1/2  was killed", "Sunday, 22 November 2026\n",
		"host-1/2  count.1, incarnation 3, in 213 ms: killed by signal 9", "asked split.0>count.1#48211-51002\n", "      split.1>count.1#47990-50781\n",
		"missed 5,584 = replayed 5,584 · reprocessed 120 · duplicates dropped 3", "detect 3.0 ms · start 150 ms · load 9.3 ms · replay 50 ms",
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
	var back cluster.ExplainReply
	if err != nil || json.Unmarshal([]byte(out), &back) != nil || len(back.Events) != 3 || !reflect.DeepEqual(back.Events[2].Recovery, happened()[2].Recovery) {
		t.Errorf("%v\n%s", err, out)
	}
	for _, field := range []string{`"detect_ms": 3`, `"kind": "recovered"`, `"reprocessed": 120`} {
		if !strings.Contains(out, field) {
			t.Errorf("%s is not in\n%s", field, out)
		}
	}

	// Without a name it is about the cluster, with --follow each event is told once.
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	defer stop()
	out, _, err = s.run(ctx, "explain", "--follow", "--json")
	if err != nil || strings.Count(out, "\n") != 3 || question[cluster.ExplainRequest](s).Name != "" {
		t.Errorf("%v\n%s", err, out)
	}
}
