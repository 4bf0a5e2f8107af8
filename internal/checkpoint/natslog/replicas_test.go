package natslog_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/natstest"
)

// TestReplicas: with three replicas, entries are read from any of them, and yet no acknowledged entry is missed; the log
// outlives the server that leads it.
func TestReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	servers := natstest.ServeThree(t)
	nc, err := nats.Connect(servers.URLs(0), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
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
	servers.Stop(servers.Leader(l.Stream()))
	add(20)
	restore()
}
