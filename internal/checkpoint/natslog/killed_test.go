package natslog_test

import (
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/natstest"
)

// TestMain lets the test binary be a server: a process of its own can be killed.
func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}

// TestServerKilled kills the server while records are appended, again and again. No acknowledged record is lost, and none
// is there twice.
func TestServerKilled(t *testing.T) {
	server := natstest.Start(t)
	nc, err := nats.Connect(server.URL(), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l := open(t, nc, natslog.Options{Topology: "words", Timeout: 200 * time.Millisecond})
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	acked := make(chan int, 1)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { acked <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := w.Append(ctx, strconv.AppendInt(nil, int64(n+1), 10)); err != nil {
				t.Errorf("append %d: %v", n+1, err)
				return
			}
			n++
		}
	}()
	for range 4 {
		time.Sleep(100 * time.Millisecond)
		server.Kill()
		server.Again()
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	n := <-acked

	next, h, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil || h.Damaged != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	if len(h.Determinants) != n || n == 0 {
		t.Fatalf("%d determinants in the log, %d acknowledged", len(h.Determinants), n)
	}
	for i, o := range h.Determinants {
		if string(o) != strconv.Itoa(i+1) {
			t.Fatalf("determinants %d are %s", i+1, o)
		}
	}
	if err := w.Append(ctx, nil); !errors.Is(err, checkpoint.ErrFenced) {
		t.Fatalf("the old incarnation: %v, want ErrFenced", err)
	}
	if err := next.Append(ctx, nil); err != nil {
		t.Fatal(err)
	}
}

// TestServerDies: an append that is under way when the server dies does not wait for its time limit.
func TestServerDies(t *testing.T) {
	server := natstest.Start(t)
	nc, err := nats.Connect(server.URL(), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l := open(t, nc, natslog.Options{Topology: "words", Timeout: time.Hour})
	ended := make(chan error, 1)
	server.Pause() // so that it is under way
	go func() {
		_, err := l.Append(ctx, alias, 0, []byte("entry"))
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("a stopped server has answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	server.Kill()
	select {
	case err := <-ended:
		if !errors.Is(err, checkpoint.ErrUnknown) {
			t.Errorf("%v, want ErrUnknown", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the append still waits")
	}
}
