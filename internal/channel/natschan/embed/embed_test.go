package embed_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel/natschan/embed"
)

// childStore makes the test binary a process that holds the store named by it.
const childStore = "ASKBACK_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childStore); dir != "" {
		if _, err := embed.Start(embed.Options{Dir: dir}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func start(t *testing.T, opts embed.Options) *embed.Server {
	t.Helper()
	s, err := embed.Start(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func stream(t *testing.T, s *embed.Server) (nats.JetStreamContext, func()) {
	t.Helper()
	c, err := nats.Connect("", nats.InProcessServer(s.InProcess()))
	if err != nil {
		t.Fatal(err)
	}
	js, err := c.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	return js, c.Close
}

// A message that a stream acknowledged is there after Stop and Start; the lock is free in between.
func TestStoreSurvives(t *testing.T) {
	for _, always := range []bool{false, true} {
		opts := embed.Options{Dir: filepath.Join(t.TempDir(), "made", "for", "us"), SyncAlways: always}
		s := start(t, opts)
		js, done := stream(t, s)
		if _, err := js.AddStream(&nats.StreamConfig{Name: "log", Subjects: []string{"log.>"}}); err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if _, err := js.Publish("log.x", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		done()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		again := start(t, opts)
		js, done = stream(t, again)
		m, err := js.GetMsg("log", 10)
		if err != nil || string(m.Data) != "9" {
			t.Errorf("sync always %v: message 10 is %v, %v", always, m, err)
		}
		done()
	}
}

func TestTemporaryStore(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := start(t, embed.Options{})
	if s.URL() != "" {
		t.Errorf("listens on %s", s.URL())
	}
	if _, err := os.Stat(s.Dir()); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary store after Stop: %v", err)
	}
	if c, err := nats.Connect("", nats.InProcessServer(s.InProcess())); err == nil {
		c.Close()
		t.Error("connected to a stopped server")
	}
}

func TestListen(t *testing.T) {
	s := start(t, embed.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", MaxPayload: 1 << 16})
	c, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.MaxPayload() != 1<<16 {
		t.Errorf("max payload %d", c.MaxPayload())
	}
	taken := strings.TrimPrefix(s.URL(), "nats://")
	for _, listen := range []string{taken, "127.0.0.1", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:70000", "300.0.0.1:0"} {
		bad, err := embed.Start(embed.Options{Dir: t.TempDir(), Listen: listen})
		if !errors.Is(err, embed.ErrListen) {
			t.Errorf("listen on %q: %v, want ErrListen", listen, err)
		}
		if err == nil {
			bad.Stop()
		}
	}
	// The failed start has given the store back.
	dir := t.TempDir()
	if _, err := embed.Start(embed.Options{Dir: dir, Listen: taken}); err == nil {
		t.Fatal("two servers on one port")
	}
	start(t, embed.Options{Dir: dir})
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embed.Options{Dir: dir})
	if _, err := embed.Start(embed.Options{Dir: dir}); !errors.Is(err, embed.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second server in this process: %v, want ErrLocked with the directory", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childStore+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 100)
	if n, err := out.Read(said); string(said[:n]) != "ready\n" {
		t.Fatalf("other process printed %q, %v", said[:n], err)
	}
	if _, err := embed.Start(embed.Options{Dir: dir}); !errors.Is(err, embed.ErrLocked) {
		t.Errorf("store of another process: %v, want ErrLocked", err)
	}
	cmd.Process.Kill()
	in.Close()
	cmd.Wait()
	start(t, embed.Options{Dir: dir}) // the lock died with its owner
}

func TestBadOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []embed.Options{{Dir: file}, {Dir: filepath.Join(file, "below")}, {Dir: t.TempDir(), MaxPayload: -1}, {Dir: t.TempDir(), MaxPayload: 1 << 30}} {
		s, err := embed.Start(opts)
		if err == nil {
			s.Stop()
			t.Errorf("%+v started", opts)
		} else if !strings.Contains(err.Error(), "embed: ") {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}

// A store that is full refuses publishes with an error; it does not stop the server.
func TestStoreLimit(t *testing.T) {
	s := start(t, embed.Options{Dir: t.TempDir(), StoreLimit: 1 << 20})
	js, done := stream(t, s)
	defer done()
	if _, err := js.AddStream(&nats.StreamConfig{Name: "log", Subjects: []string{"log.>"}}); err != nil {
		t.Fatal(err)
	}
	var err error
	for range 64 {
		if _, err = js.Publish("log.x", make([]byte, 64<<10)); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("4 MiB fit into a store of 1 MiB")
	}
}

func TestListenerIsFreeAfterStop(t *testing.T) {
	s := start(t, embed.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	addr := strings.TrimPrefix(s.URL(), "nats://")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		c.Close()
		t.Error("someone still listens")
	}
}

func Example() {
	s, err := embed.Start(embed.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop()
	c, err := nats.Connect("", nats.InProcessServer(s.InProcess()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	fmt.Println(c.Status())
	// Output: CONNECTED
}
