package jetstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/spout"
)

// serve starts a server on a store and a port (0: any), and returns its end.
func serve(t testing.TB, dir string, port int) (url string, stop func()) {
	t.Helper()
	if port == 0 {
		port = server.RANDOM_PORT
	}
	s := natstest.Serve(t, &server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir})
	natstest.Ready(t, s)
	return s.ClientURL(), func() { s.Shutdown(); s.WaitForShutdown() }
}

func connect(t testing.TB, url string) (*nats.Conn, natsjs.JetStream) {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := natsjs.New(nc, natsjs.WithPublishAsyncMaxPending(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// fixture is a server, a connection and a stream "s" of all subjects below "s".
func fixture(t testing.TB, edit func(*natsjs.StreamConfig)) (*nats.Conn, natsjs.JetStream) {
	t.Helper()
	url, _ := serve(t, t.TempDir(), 0)
	nc, js := connect(t, url)
	c := natsjs.StreamConfig{Name: "s", Subjects: []string{"s.>"}}
	if edit != nil {
		edit(&c)
	}
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// publish writes the numbers from 'from' to 'to' to a subject.
func publish(t testing.TB, js natsjs.JetStream, subject string, from, to int) {
	t.Helper()
	for i := from; i <= to; i++ {
		if _, err := js.PublishAsync(subject, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-js.PublishAsyncComplete():
	case <-time.After(30 * time.Second):
		t.Fatal("publishing takes too long")
	}
}

func open(t testing.TB, s spout.Source, index, parallel int) spout.Spout {
	t.Helper()
	task := s.New()
	t.Cleanup(func() { _ = task.(io.Closer).Close() })
	if err := task.(spout.Opener).Open(bolttest.NewContext("in", index, parallel)); err != nil {
		t.Fatal(err)
	}
	return task
}

// read calls Next until there are n rows or more, or the input ends; n < 0 means until it ends.
func read(t testing.TB, s spout.Spout, out *bolttest.Emitter, n int) error {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); n < 0 || len(out.Encoded("")) < n; {
		err := s.Next(context.Background(), out)
		switch {
		case errors.Is(err, spout.ErrIdle):
			time.Sleep(time.Millisecond)
		case err != nil:
			return err
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rows within 20 s, want %d", len(out.Encoded("")), n)
		}
	}
	return nil
}

// idle calls Next until the spout's position is the stream's end.
func idle(t testing.TB, s spout.Spout, d time.Duration) {
	t.Helper()
	out := bolttest.NewEmitter("data")
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if err := s.Next(context.Background(), out); err != nil && !errors.Is(err, spout.ErrIdle) {
			t.Fatal(err)
		}
	}
}
