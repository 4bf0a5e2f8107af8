package natstest

import (
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout is how long a server may take to be ready.
const startTimeout = 20 * time.Second

// Serve starts a server in this process, which ends with the test. One of several that need each other is not Ready before
// they are.
func Serve(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Configured starts a server with its configuration file; see Serve.
func Configured(t testing.TB, file string) *server.Server {
	t.Helper()
	o, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return Serve(t, o)
}

// Ready waits until clients can connect.
func Ready(t testing.TB, servers ...*server.Server) {
	t.Helper()
	for _, s := range servers {
		if !s.ReadyForConnections(startTimeout) {
			t.Fatal("the server is not ready")
		}
	}
}

// FreePort returns a port of 127.0.0.1 that was free a moment ago.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
