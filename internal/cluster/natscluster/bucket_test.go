package natscluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/natstest"
)

func TestMain(m *testing.M) {
	natstest.Main()
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

const prefix = Subjects("test")

// serveOne starts a single server and sets up a cluster on it.
func serveOne(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := embed.Start(embed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	servers.Store(t.Name(), s)
	nc, err := nats.Connect("", nats.InProcessServer(s.InProcess()), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	return nc
}

// servers are the tests'.
var servers sync.Map

// inProcess connects to the test's server.
func inProcess(t *testing.T) nats.InProcessConnProvider {
	s, _ := servers.Load(t.Name())
	return s.(*embed.Server).InProcess()
}

// purge removes the messages of a subject of the bucket, without a marker.
func purge(t *testing.T, nc *nats.Conn, subject string) {
	t.Helper()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.PurgeStream("KV_"+prefix.Bucket(), &nats.StreamPurgeRequest{Subject: subject}); err != nil {
		t.Fatal(err)
	}
}

// limit returns a context for operations that must not take long.
func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func lead(t *testing.T, nc *nats.Conn, name string, ttl time.Duration) *Leadership {
	t.Helper()
	l, err := Campaign(limit(t), nc, prefix, name, ttl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func record(name string, workers int) *cluster.Record {
	return &cluster.Record{Instance: cluster.NewInstance(name), Spec: cluster.Spec{Name: name}, Workers: workers}
}

func put(t *testing.T, w cluster.Writer, r *cluster.Record) uint64 {
	t.Helper()
	revision, err := w.PutRecord(limit(t), r)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// A leader's writes are read, and its deletions too.
func TestWriteAndRead(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", 0)
	if l.Epoch() != 1 {
		t.Errorf("epoch %d, want 1", l.Epoch())
	}
	for i := range 3 {
		r := record(fmt.Sprint("t", i), i)
		put(t, l, r)
		if r.Epoch != 1 {
			t.Errorf("record's epoch %d", r.Epoch)
		}
		if err := l.PutHost(limit(t), &cluster.Host{Name: fmt.Sprint("h", i)}); err != nil {
			t.Fatal(err)
		}
	}
	last := put(t, l, record("t0", 7))
	if err := l.DeleteRecord(limit(t), "t1"); err != nil {
		t.Fatal(err)
	}
	if err := l.DeleteHost(limit(t), "h2"); err != nil {
		t.Fatal(err)
	}
	for what, r := range map[string]cluster.Reader{"leader": l, "reader": OpenReader(nc, prefix)} {
		records, err := r.Records(limit(t))
		if err != nil || len(records) != 2 || records[0].Name != "t2" || records[1].Name != "t0" || records[1].Revision != last || records[1].Record.Workers != 7 {
			t.Errorf("%s: records %+v, %v", what, records, err)
		}
		hosts, err := r.Hosts(limit(t))
		if err != nil || len(hosts) != 2 || hosts[0].Name != "h0" || hosts[1].Name != "h1" {
			t.Errorf("%s: hosts %+v, %v", what, hosts, err)
		}
	}
	if _, err := l.PutRecord(limit(t), &cluster.Record{Instance: "a.>-12345678"}); !errors.Is(err, cluster.ErrName) {
		t.Errorf("bad instance: %v", err)
	}
	for _, name := range []string{"", "a.b", ">", "*"} {
		if err := errors.Join(l.DeleteRecord(limit(t), name)); !errors.Is(err, cluster.ErrName) {
			t.Errorf("delete %q: %v", name, err)
		}
		if err := l.DeleteHost(limit(t), name); !errors.Is(err, cluster.ErrName) {
			t.Errorf("delete host %q: %v", name, err)
		}
	}
}

// rights of a user, whose password is its name.
type rights struct{ pub, sub []string }

// serveUsers starts a server with users.
func serveUsers(t *testing.T, users map[string]rights) (url string) {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	for name, r := range users {
		o.Users = append(o.Users, &server.User{Username: name, Password: name, Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: r.pub}, Subscribe: &server.SubjectPermission{Allow: r.sub},
		}})
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	return s.ClientURL()
}
