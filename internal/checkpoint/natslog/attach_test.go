package natslog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
)

// A process that only attaches to a log never makes its stream, but waits until another process has made it.
func TestAttach(t *testing.T) {
	nc := connect(t, serve(t))
	attach := natslog.Options{Topology: "attach", Attach: true}
	if _, err := natslog.Open(ctx, nc, attach); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("there is no stream, and still: %v", err)
	}
	if there, err := natslog.Exists(ctx, nc, "", "attach"); there || err != nil {
		t.Fatalf("the stream was made: %v", err)
	}

	open(t, nc, natslog.Options{Topology: "attach"})
	log, err := natslog.Open(ctx, nc, attach)
	if err != nil {
		t.Fatal(err)
	}
	w, _, err := checkpoint.Open(ctx, log, alias, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := natslog.Delete(ctx, nc, "", "attach"); err != nil {
		t.Fatal(err)
	}
	if err := w.Append(ctx, []byte("determinants")); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("the stream is gone, and still: %v", err)
	}
	begun := make(chan error)
	go func() { begun <- w.Rebegin(ctx) }()
	select {
	case err := <-begun:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	open(t, nc, natslog.Options{Topology: "attach"})
	if err := <-begun; err != nil {
		t.Fatal(err)
	}
}
