package natslog_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/natstest"
)

// TestReplicas: with three replicas, entries are read from any of them, and yet nothing acknowledged is missed; the
// log outlives the server that leads it.
func TestReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	var servers []*server.Server
	var urls string
	ports := []int{natstest.FreePort(t), natstest.FreePort(t), natstest.FreePort(t)}
	for i, port := range ports {
		s := serve(t, func(o *server.Options) {
			o.ServerName = fmt.Sprint("s", i)
			o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}
			for _, p := range ports {
				o.Routes = append(o.Routes, server.RoutesFromStr(fmt.Sprintf("nats://127.0.0.1:%d", p))...)
			}
		})
		servers = append(servers, s)
		urls += s.ClientURL() + ","
	}
	nc, err := nats.Connect(urls[:len(urls)-1], nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	var l *natslog.Log
	for deadline := time.Now().Add(30 * time.Second); l == nil; {
		l, err = natslog.Open(ctx, nc, natslog.Options{Topology: "words", Replicas: 3, Timeout: 2 * time.Second})
		if err != nil {
			if l = nil; time.Now().After(deadline) {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	add := func(count int) {
		for range count {
			if err := w.Append(ctx, fmt.Append(nil, n)); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	restore := func() {
		t.Helper()
		old := w
		next, h, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
		if err != nil || len(h.Determinants) != n || h.Damaged != 0 {
			t.Fatalf("%d determinants, want %d: %v", len(h.Determinants), n, err)
		}
		if err := old.Append(ctx, nil); !errors.Is(err, checkpoint.ErrFenced) {
			t.Fatalf("the old incarnation: %v, want ErrFenced", err)
		}
		w = next
	}
	for range 20 {
		add(5)
		restore()
	}
	for _, s := range servers {
		if s.JetStreamIsStreamLeader("$G", l.Stream()) {
			s.Shutdown()
			s.WaitForShutdown()
			break
		}
	}
	add(20)
	restore()
}
