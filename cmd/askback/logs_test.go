package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/askback/askback/internal/cluster"
)

// worker manager plays a supervisor that keeps output.
func (s *stage) keeper(name string, lines ...string) {
	s.handle("askback.host."+name+".logs", func(m *nats.Msg) {
		var q cluster.LogsRequest
		_ = json.Unmarshal(m.Data, &q)
		if q.Slot != 0 && q.Slot != 3 {
			reply := nats.NewMsg(m.Reply)
			reply.Header.Set(micro.ErrorHeader, "nothing was written")
			reply.Header.Set(micro.ErrorCodeHeader, string(cluster.CodeNotFound))
			_ = m.RespondMsg(reply)
			return
		}
		alive := nats.NewMsg(m.Reply)
		alive.Header.Set(cluster.LogsAlive, "1")
		_ = m.RespondMsg(alive)
		_ = m.Respond([]byte(strings.Join(lines, "\n") + "\n"))
		_ = m.Respond(fmt.Appendf(nil, "task=%s tail=%d\n", q.Task, q.Tail))
		if !q.Follow {
			_ = m.Respond(nil)
		}
	})
}

// Logs come from the supervisors of all workers, or of the one that has the task.
func TestLogs(t *testing.T) {
	s := newStage(t)
	s.answer("askback.api.view.describe", described())
	s.keeper("host-1", "one", "two\x1b[2J")
	s.keeper("host-2", "three")
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
	s.answer("askback.api.view.describe", described())
	s.keeper("host-1", "one")
	out, _, err := s.run(t.Context(), "logs", "words")
	if !strings.Contains(out, "one\n") || err == nil || !strings.Contains(err.Error(), "supervisor host-2 does not answer") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What workers have written that are no more is looked for at all supervisors.
func TestLogsOfThePast(t *testing.T) {
	s := newStage(t)
	d := described()
	d.Workers = nil
	s.answer("askback.api.view.describe", d)
	s.answer("askback.api.view.list", cluster.ListReply{Hosts: []cluster.HostSummary{
		{Host: cluster.Host{Name: "host-1", Slots: 2}}, {Host: cluster.Host{Name: "host-2", Slots: 3}},
	}})
	s.keeper("host-1", "one")
	s.keeper("host-2", "two")
	out, _, err := s.run(t.Context(), "logs", "words")
	if err != nil || !strings.Contains(out, "host-1/0  one\n") || !strings.Contains(out, "host-2/0  two\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
