package natstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// variable holds the member that a process is to be, as JSON.
const variable = "ASKBACK_NATSTEST"

// Main is the server in the process that Start has begun. In the test's own process it does nothing.
func Main() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var m member
	err := json.Unmarshal([]byte(text), &m)
	var s *server.Server
	if err == nil {
		s, err = server.NewServer(m.options())
	}
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
	t      testing.TB
	member *member
	cmd    *exec.Cmd
	stdin  io.Closer
}

// Start starts a server. It ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	return startProcess(t, &member{Dir: t.TempDir(), Port: FreePort(t)})
}

// StartThree starts a cluster of three servers, which end with the test.
func StartThree(t testing.TB) (all [3]*Server) {
	t.Helper()
	for i, m := range threeMembers(t) {
		all[i] = startProcess(t, m)
	}
	return all
}

func startProcess(t testing.TB, m *member) *Server {
	t.Helper()
	s := &Server{t: t, member: m}
	s.Again()
	t.Cleanup(s.Kill)
	return s
}

// Again starts the server that was killed.
func (s *Server) Again() {
	s.t.Helper()
	text, err := json.Marshal(s.member)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), variable+"="+string(text))
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
func (s *Server) URL() string { return s.member.url() }

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
