package standin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// Instance is that of Description.
const Instance = cluster.Instance("words-3k9x2m7q")

// Description returns a topology "words" of three operators in two workers, one of which has sent no heartbeat.
func Description() cluster.Description {
	var d cluster.Description
	d.Record = cluster.Record{
		Instance: Instance, Status: cluster.Active, Workers: 2, Since: time.Now(), Durability: "process",
		Artefact: cluster.Artefact{SHA256: strings.Repeat("ab", 32), Size: 9 << 20},
		Spec: cluster.Spec{
			Name: "words", Plan: 4711, Strategy: "backtrack",
			Operators: []cluster.Operator{
				{Name: "lines", Spout: true, Parallel: 1, Streams: []cluster.Stream{{Fields: []string{"line"}}}},
				{Name: "split", Parallel: 2, Streams: []cluster.Stream{{Fields: []string{"word", "at"}}, {Name: "errors", Fields: []string{"why"}}}},
				{Name: "count", Parallel: 3},
			},
			Edges: []cluster.Edge{
				{From: "lines", To: "split", Grouping: "shuffle", Targets: 2, First: 0},
				{From: "split", To: "count", Grouping: "fields", Targets: 3, First: 2},
				{From: "split", Stream: "errors", To: "count", Grouping: "global", Targets: 1, First: 8},
			},
		},
	}
	alias := func(op string, i int) msgid.Alias { return msgid.Alias{Operator: op, Index: i} }
	one, two := cluster.WorkerSlot{Instance: Instance, Supervisor: "host-1"}, cluster.WorkerSlot{Instance: Instance, Supervisor: "host-2", Number: 3}
	d.Workers = []cluster.WorkerStatus{
		{Slot: one, State: "running", LastHeartbeat: time.Now(), Tasks: []msgid.Alias{alias("lines", 0), alias("split", 0), alias("count", 0)},
			Process: &cluster.Process{Slot: one, PID: 17, Restarts: 4, Limits: "memory 64 MiB by RLIMIT_DATA"},
			Heartbeat: &cluster.Heartbeat{Slot: one, PID: 17, Memory: 30 << 20, Tasks: []cluster.Task{
				{Alias: alias("lines", 0), State: "RUNNING", Incarnation: 1, Done: 30, Total: 120},
				{Alias: alias("split", 0), State: "RUNNING", Incarnation: 2, Counters: recovery.Counters{Consumed: 1234567, Missed: 5584, Replayed: 5584}},
				{Alias: alias("count", 0), State: "RUNNING", Incarnation: 1, Blocked: "split.0>count.0", Error: "panic: \x1b[2Jhopeless\nstack"},
			}}},
		{Slot: two, State: "starting", Tasks: []msgid.Alias{alias("split", 1), alias("count", 1), alias("count", 2)}},
	}
	return d
}

// Frame returns a frame of n tuples with the fields word and at, the first of which has the sequence number 1.
func Frame(t testing.TB, plan uint64, number uint32, n int) []byte {
	t.Helper()
	fields, err := tuple.NewFields("word", "at")
	if err != nil {
		t.Fatal(err)
	}
	b := channel.NewBuilder(plan, number, 1, 1, 0, 1<<20)
	for i := range n {
		tp, err := tuple.New(fields, fmt.Sprintf("word<%d>", i+1), i)
		if err != nil {
			t.Fatal(err)
		}
		b.Append(tp.Encoded())
	}
	f := b.Seal()
	return f.Raw
}
