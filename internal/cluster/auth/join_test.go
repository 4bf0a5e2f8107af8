package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Messages between workers and the others pass the accounts, both ways.
func TestAcrossAccounts(t *testing.T) {
	y := newYard(t, 1)
	across(t, y, 1)
}

func across(t *testing.T, y *yard, replicas int) {
	nimbus, host, operate := y.as(t, "nimbus"), y.as(t, "supervisor-host-1"), y.as(t, "operate")
	setup(t, nimbus, replicas)
	w := y.connect(t, y.worker(t, first, time.Hour, "split.0"))
	listen := func(c *client, subject string) *nats.Subscription {
		t.Helper()
		s, err := c.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	arrives := func(s *nats.Subscription, from *client, subject string) *nats.Msg {
		t.Helper()
		// Interest takes a moment to reach other servers, so each message is sent again and again.
		for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
			if err := from.Publish(subject, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if m, err := s.NextMsg(100 * time.Millisecond); err == nil {
				if m.Subject != subject {
					t.Errorf("%s came as %s", subject, m.Subject)
				}
				return m
			}
		}
		t.Fatalf("no message on %s", subject)
		return nil
	}
	atNimbus, atHost := listen(nimbus, p.WorkerHeartbeats("*")), listen(host, p.WorkerHeartbeats("host-1"))
	arrives(atNimbus, w, p.WorkerHeartbeat(first))
	arrives(atHost, w, p.WorkerHeartbeat(first))
	orders := listen(w, p.Worker(first, "*"))
	arrives(orders, host, p.Worker(first, cluster.VerbAssign))
	taps := listen(operate, "askback."+string(words)+".data.split.*.count.*")
	arrives(taps, w, "askback."+string(words)+".data.split.0.count.1")
	_ = orders.Unsubscribe()

	// Requests, in both directions.
	answer := func(r micro.Request) {
		if !natscluster.ValidReply(r.Reply()) {
			t.Errorf("a worker's request is to be answered at %s", r.Reply())
		}
		_ = r.RespondJSON(cluster.LoginReply{JWT: "x"})
	}
	service, err := micro.AddService(nimbus.Conn, micro.Config{Name: "nimbus", Version: "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Stop() }()
	if err := service.AddEndpoint("renew", micro.HandlerFunc(answer), micro.WithEndpointSubject("askback.api.worker.*.*.*.renew")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	if got, err := natscluster.Request[cluster.LoginReply](ctx, w.Conn, p.WorkerAPI(first, cluster.VerbRenew), cluster.LoginRequest{}); err != nil || got.JWT != "x" {
		t.Error(got, err)
	}
	if _, err := w.Subscribe(p.Worker(first, cluster.VerbCrash), func(m *nats.Msg) { _ = m.Respond([]byte(`{"jwt":"y"}`)) }); err != nil {
		t.Fatal(err)
	}
	if got, err := natscluster.Request[cluster.LoginReply](ctx, nimbus.Conn, p.Worker(first, cluster.VerbCrash), cluster.TaskRequest{}); err != nil || got.JWT != "y" {
		t.Error(got, err)
	}
	began := time.Now()
	if _, err := nimbus.Request(p.Worker(second, cluster.VerbCrash), nil, 2*time.Second); err == nil {
		t.Error("a worker that is not there answers")
	} else {
		t.Logf("a worker that is not there: %v after %v", err, time.Since(began))
	}

	// Events are kept.
	event, _ := json.Marshal(cluster.Event{Kind: cluster.WorkerFenced, Instance: words, Text: "fenced"})
	if _, err := w.Request(p.Event(string(words)), event, timeout); err != nil {
		t.Error(err)
	}
	if got, err := natscluster.ReadEvents(ctx, nimbus.Conn, p, string(words), 10); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	for _, c := range []*client{nimbus, host, operate, w} {
		for len(c.errors) > 0 {
			t.Error(<-c.errors)
		}
	}
}

// Row 31: a worker whose log is gone receives an error, and goes on when nimbus has made the log again.
func TestLogGone(t *testing.T) {
	y := newYard(t, 1)
	nimbus := y.as(t, "nimbus")
	logOf(t, nimbus, words)
	w := y.connect(t, y.worker(t, first, time.Hour, "split.0"))
	log, err := natslog.Open(t.Context(), w.Conn, natslog.Options{Topology: string(words), Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	task := aliases(t, "split.0")[0]
	if _, err := log.Append(t.Context(), task, 0, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := natslog.Delete(t.Context(), nimbus.Conn, string(p), string(words)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := log.Append(t.Context(), task, 1, []byte("2")); !errors.Is(err, checkpoint.ErrGone) {
		t.Error(err)
	}
	t.Logf("known to be gone after %v", time.Since(began))
	logOf(t, nimbus, words)
	if _, err := log.Append(t.Context(), task, 0, []byte("1")); err != nil {
		t.Error(err)
	}
}

// setup makes the streams of a cluster. A cluster of servers needs a moment until it can.
func setup(t *testing.T, nimbus *client, replicas int) {
	t.Helper()
	for deadline := time.Now().Add(3 * timeout); ; time.Sleep(100 * time.Millisecond) {
		err := natscluster.Setup(t.Context(), nimbus.Conn, p, replicas)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
