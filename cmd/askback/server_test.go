package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/cluster/natscluster"
)

// A screen holds the output so far of a command that still runs.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// begin runs a command that goes on until stop, which returns its error. It is begun when it has printed ready.
func begin(t *testing.T, ready string, args ...string) (out *screen, stop func() error) {
	t.Helper()
	out, wrong := &screen{}, &screen{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	c := root()
	c.SetArgs(args)
	c.SetOut(out)
	c.SetErr(wrong)
	go func() { ended <- c.ExecuteContext(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(out.String(), ready); time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%v ended: %v\n%s%s", args, err, out, wrong)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v does not print %q:\n%s%s", args, ready, out, wrong)
		}
	}
	return out, stop
}

// address returns the URL that a command has printed.
func address(t *testing.T, out *screen) string {
	t.Helper()
	for word := range strings.FieldsSeq(out.String()) {
		if strings.HasPrefix(word, "nats://") {
			return strings.TrimRight(word, ",")
		}
	}
	t.Fatalf("no address is in %s", out)
	return ""
}

// The development server has JetStream, keeps its store in the given directory, and ends cleanly.
func TestServer(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	dir := t.TempDir()
	out, stop := begin(t, "NATS with JetStream", "server", "--listen", "127.0.0.1:0", "--dir", dir)
	nc, err := nats.Connect(address(t, out))
	if err != nil {
		t.Fatal(err)
	}
	if err := natscluster.Setup(t.Context(), nc, natscluster.DefaultPrefix, 1); err != nil {
		t.Error(err)
	}
	nc.Close()
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "jetstream")); err != nil {
		t.Error("the store is not kept:", err)
	}
	goleak.VerifyNone(t, ignore)
}

// With a configuration file it is the server of that file, and not open to strangers.
func TestServerConfigured(t *testing.T) {
	dir := t.TempDir()
	file := func(text string) string {
		name := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	out, stop := begin(t, "NATS server here", "server", "--config", file("server_name: here\nlisten: \"127.0.0.1:-1\"\njetstream { store_dir: \""+dir+"\" }\nlog_file: \""+dir+"/log\""))
	if err := stop(); err != nil || !strings.Contains(out.String(), "127.0.0.1:") {
		t.Error(err, out)
	}
	for _, c := range []struct{ text, want string }{
		{"listen: \"127.0.0.1:-1\"", "JetStream is off"},
		{"jetstream {}\nlisten: \"0.0.0.0:-1\"", "TLS and authorization"},
		{"jetstream {}\nlisten: \"0.0.0.0:-1\"\nauthorization { user: me, password: secret }", "TLS and authorization"},
		{"jetstream {}\nlisten: \"127.0.0.1:-1\"\ncluster { name: c, listen: \"0.0.0.0:-1\" }", "without TLS"},
		{"jetstream {", "configuration"},
	} {
		_, _, err := compared(t.Context(), "server", "--config", file(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.text, err, c.want)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"--listen 0.0.0.0:4222", "askback auth init"},
		{"--listen example.org:4222", "askback auth init"},
		{"--listen nowhere", "host:port"},
		{"--config x --listen 127.0.0.1:0", "--config"},
	} {
		if _, _, err := compared(t.Context(), append([]string{"server"}, strings.Fields(c.args)...)...); exitStatus(err) != exitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.args, err, c.want)
		}
	}
}
