package natstest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	dirVariable  = "ASKBACK_NATSTEST_DIR"
	portVariable = "ASKBACK_NATSTEST_PORT"
)

// Main is the server in the process that Start has begun. In the test's own process it does nothing.
func Main() {
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return
	}
	port, _ := strconv.Atoi(os.Getenv(portVariable))
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test has gone
	os.Exit(0)
}

// A Server is a NATS server with JetStream in a process of its own, on one port and one store for all its lives.
type Server struct {
	t     testing.TB
	dir   string
	port  int
	cmd   *exec.Cmd
	stdin io.Closer
}

// Start starts a server. It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), port: FreePort(t)}
	s.Again()
	t.Cleanup(s.Kill)
	return s
}

// Again starts the server that was killed.
func (s *Server) Again() {
	s.t.Helper()
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), dirVariable+"="+s.dir, portVariable+"="+strconv.Itoa(s.port))
	s.cmd.Stderr = os.Stderr
	in, err := s.cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.stdin = in
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.t.Fatalf("the server printed %q: %v", line, err)
	}
}

// Kill ends the server as kill -9 does. It may be repeated.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // its only error is that it was killed
	_ = s.stdin.Close()
}

// URL returns where clients find it.
func (s *Server) URL() string { return "nats://127.0.0.1:" + strconv.Itoa(s.port) }

// Connect returns a connection that outlives the server's deaths, and ends with the test.
func (s *Server) Connect() (*nats.Conn, jetstream.JetStream) {
	s.t.Helper()
	nc, err := nats.Connect(s.URL(), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // it would print what Kill does
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	return nc, js
}
