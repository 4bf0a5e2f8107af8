package natslog_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/checkpoint"
	"github.com/askback/askback/checkpoint/natslog"
)

// TestMain lets the test binary be a server: a process of its own can be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("NATSLOG_TEST_SERVER"); dir != "" {
		port, _ := strconv.Atoi(os.Getenv("NATSLOG_TEST_PORT"))
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		go s.Start()
		if !s.ReadyForConnections(10 * time.Second) {
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // until killed, or the test has gone
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

type process struct {
	*exec.Cmd
	stdin *os.File
}

// spawn starts a server process, and returns when it takes connections.
func spawn(t *testing.T, dir string, port int) *process {
	t.Helper()
	in, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "NATSLOG_TEST_SERVER="+dir, "NATSLOG_TEST_PORT="+strconv.Itoa(port))
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	p := &process{cmd, hold}
	t.Cleanup(p.kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the server says %q: %v", line, err)
	}
	return p
}

// kill is kill -9. It may be repeated.
func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
	_ = p.stdin.Close()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// TestServerKilled kills the server while records are appended, again and again. Nothing that was acknowledged is
// lost, and nothing is there twice.
func TestServerKilled(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	p := spawn(t, dir, port)
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l := open(t, nc, natslog.Options{Topology: "words", Timeout: 200 * time.Millisecond})
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	acked := make(chan int, 1)
	stop := make(chan struct{})
	go func() {
		n := 0
		defer func() { acked <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := w.Append(ctx, strconv.AppendInt(nil, int64(n+1), 10)); err != nil {
				t.Errorf("append %d: %v", n+1, err)
				return
			}
			n++
		}
	}()
	for range 4 {
		time.Sleep(100 * time.Millisecond)
		p.kill()
		p = spawn(t, dir, port)
	}
	time.Sleep(100 * time.Millisecond)
	close(stop)
	n := <-acked

	next, h, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil || h.Damaged != 0 {
		t.Fatalf("%+v, %v", h, err)
	}
	if len(h.Orders) != n || n == 0 {
		t.Fatalf("%d orders in the log, %d acknowledged", len(h.Orders), n)
	}
	for i, o := range h.Orders {
		if string(o) != strconv.Itoa(i+1) {
			t.Fatalf("order %d is %s", i+1, o)
		}
	}
	if err := w.Append(ctx, nil); !errors.Is(err, checkpoint.ErrFenced) {
		t.Fatalf("the old incarnation: %v, want ErrFenced", err)
	}
	if err := next.Append(ctx, nil); err != nil {
		t.Fatal(err)
	}
}

// TestServerDies: an append that is under way when the server dies does not wait for its time limit.
func TestServerDies(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	p := spawn(t, dir, port)
	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port), nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	l := open(t, nc, natslog.Options{Topology: "words", Timeout: time.Hour})
	ended := make(chan error, 1)
	if err := p.Process.Signal(syscall.SIGSTOP); err != nil { // so that it is under way
		t.Fatal(err)
	}
	go func() {
		_, err := l.Append(ctx, alias, 0, []byte("entry"))
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("a stopped server has answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	p.kill()
	select {
	case err := <-ended:
		if !errors.Is(err, checkpoint.ErrUnknown) {
			t.Errorf("%v, want ErrUnknown", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("the append still waits")
	}
}
