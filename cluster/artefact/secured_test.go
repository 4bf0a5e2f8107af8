package artefact_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/askback/askback/cluster"
	"github.com/askback/askback/cluster/artefact"
	"github.com/askback/askback/cluster/auth"
)

// In a secured cluster people of role operate upload and sign, nimbus and supervisors verify and fetch, and nobody else
// gets anything in.
func TestSecured(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	made, err := auth.Init(dir, auth.Options{Servers: []auth.Server{{Hosts: []string{"127.0.0.1"}, Port: port}}, Supervisors: []string{"host-1"}, StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(filepath.Join(dir, "server-1.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the server is not ready")
	}
	as := func(who string) (*nats.Conn, *cluster.User) {
		c := cluster.Connection{Servers: made.Servers, CA: filepath.Join(dir, "ca.pem"), Creds: filepath.Join(dir, who+".creds")}
		u, err := c.User()
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan struct{})
		nc, err := c.Connect(who, u, nats.ClosedHandler(func(*nats.Conn) { close(closed) }), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close(); <-closed })
		return nc, u
	}
	nimbus, _ := as("nimbus")
	if err := cluster.Setup(t.Context(), nimbus, p, 1); err != nil {
		t.Fatal(err)
	}

	operate, user := as("operate")
	a, err := artefact.Put(t.Context(), operate, p, program(t, 3<<20), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := artefact.Sign(user, "words", &a); err != nil {
		t.Fatal(err)
	}
	accounts, err := auth.ReadTrust(filepath.Join(dir, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	if err := artefact.Verify(a, "words", artefact.Trust{Accounts: accounts, Now: time.Now()}); err != nil {
		t.Error(err)
	}
	if err := artefact.Get(t.Context(), nimbus, p, a, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
	host, _ := as("supervisor-host-1")
	c, _ := cache(t, host)
	if _, err := c.Fetch(t.Context(), a); err != nil {
		t.Error(err)
	}

	view, looker := as("view")
	for name, nc := range map[string]*nats.Conn{"view": view, "supervisor": host} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := artefact.Put(ctx, nc, p, program(t, 1000), nil); err == nil {
			t.Errorf("%s uploads", name)
		}
		cancel()
	}
	b := a
	if err := artefact.Sign(looker, "words", &b); err != nil {
		t.Fatal(err)
	}
	if err := artefact.Verify(b, "words", artefact.Trust{Accounts: accounts}); !errors.Is(err, artefact.ErrUntrusted) {
		t.Error(err)
	}
}
