package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A stage is a NATS server on which tests play nimbus and supervisors.
type stage struct {
	t    *testing.T
	url  string
	nc   *nats.Conn
	mu   sync.Mutex
	last []byte // question that was answered
}

func newStage(t *testing.T) *stage {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	s, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, ignore)
	})
	return &stage{t: t, url: s.URL(), nc: nc}
}

// answer answers requests on a subject; an error is answered as one.
func (s *stage) answer(subject string, with any) {
	s.t.Helper()
	s.handle(subject, func(m *nats.Msg) {
		s.mu.Lock()
		s.last = m.Data
		s.mu.Unlock()
		reply := nats.NewMsg(m.Reply)
		if refused, ok := with.(*cluster.RequestError); ok {
			reply.Header.Set(micro.ErrorHeader, refused.Text)
			reply.Header.Set(micro.ErrorCodeHeader, string(refused.Code))
		} else {
			reply.Data, _ = json.Marshal(with)
		}
		_ = m.RespondMsg(reply)
	})
}

func (s *stage) handle(subject string, f func(m *nats.Msg)) {
	s.t.Helper()
	if _, err := s.nc.Subscribe(subject, f); err != nil {
		s.t.Fatal(err)
	}
	if err := s.nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

// question decodes what was asked last.
func question[Q any](s *stage) (q Q) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := json.Unmarshal(s.last, &q); err != nil {
		s.t.Fatalf("%s: %v", s.last, err)
	}
	return q
}

// run runs a command line against the stage.
func (s *stage) run(ctx context.Context, args ...string) (out, progress string, err error) {
	return compared(ctx, append(args, "--server", s.url)...)
}

const instance = cluster.Instance("words-3k9x2m7q")

// described is a topology of three operators in two workers.
func described() cluster.Description {
	var d cluster.Description
	d.Record = cluster.Record{
		Instance: instance, Status: cluster.Active, Workers: 2, Since: time.Now(), Durability: "process",
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
	one, two := cluster.WorkerSlot{Instance: instance, Supervisor: "host-1"}, cluster.WorkerSlot{Instance: instance, Supervisor: "host-2", Number: 3}
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

// compactJSON leaves out what stands between the parts of a JSON text.
func compactJSON(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}

func natsMessage(data []byte) *nats.Msg { return &nats.Msg{Data: data} }
