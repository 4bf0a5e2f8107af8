package natslog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/checkpoint"
	"github.com/askback/askback/checkpoint/checkpointtest"
	"github.com/askback/askback/checkpoint/natslog"
	"github.com/askback/askback/msgid"
)

// serve starts a server for the test.
func serve(t testing.TB, edit ...func(*server.Options)) *server.Server {
	t.Helper()
	opt := &server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	for _, e := range edit {
		e(opt)
	}
	s, err := server.NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func connect(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, nc *nats.Conn, opt natslog.Options) *natslog.Log {
	t.Helper()
	l, err := natslog.Open(context.Background(), nc, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConformance(t *testing.T) {
	s := serve(t)
	checkpointtest.Run(t, func(t testing.TB) checkpointtest.Subject {
		nc := connect(t, s)
		// A fresh stream for each test; the topology's name is not what is tested.
		name := strings.NewReplacer("/", "-", " ", "_").Replace(t.Name())
		name = name[max(len(name)-msgid.MaxName, 0):]
		l := open(t, nc, natslog.Options{Topology: name})
		return checkpointtest.Subject{Log: l, Vanish: func() {
			if err := natslog.Delete(context.Background(), nc, "", name); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

var _ = errors.Is
var _ = jetstream.FileStorage
var _ checkpoint.Log
