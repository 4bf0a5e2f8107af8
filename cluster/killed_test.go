package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/channel/natschan/embed"
)

// Variables that make the test binary another process: a NATS server, or a nimbus that leads.
const (
	childServer = "ASKBACK_TEST_SERVER" // its store and address
	childLeader = "ASKBACK_TEST_LEADER" // the server's URL
)

// child is what the test binary does as another process.
func child() bool {
	var err error
	switch server, leader := os.Getenv(childServer), os.Getenv(childLeader); {
	case server != "":
		dir, listen, _ := strings.Cut(server, " ")
		_, err = embed.Start(embed.Options{Dir: dir, Listen: listen})
	case leader != "":
		err = leadAndWrite(leader)
	default:
		return false
	}
	if err != nil {
		fmt.Println(err)
		return true
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	return true
}

// leadAndWrite leads and writes without a pause, and says how it ended.
func leadAndWrite(url string) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	l, err := Campaign(context.Background(), nc, prefix, "paused", shortTTL)
	if err != nil {
		return err
	}
	fmt.Println("leads")
	go func() {
		for i := 1; ; i++ {
			if _, err := l.PutRecord(context.Background(), record("x", i)); err != nil {
				fmt.Println("deposed:", errors.Is(err, ErrDeposed), err)
				return
			}
		}
	}()
	return nil
}

// A process is a child of the test.
type process struct {
	*exec.Cmd
	said *bufio.Scanner
}

// run starts a child and waits until it has said something.
func run(t *testing.T, variable, value, want string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+value)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // the child ends when the test does, however it does
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
	p := &process{cmd, bufio.NewScanner(out)}
	t.Cleanup(func() { _ = in.Close(); p.kill() })
	p.says(t, want)
	return p
}

// says waits for a line that begins so.
func (p *process) says(t *testing.T, want string) string {
	t.Helper()
	for p.said.Scan() {
		if strings.HasPrefix(p.said.Text(), want) {
			return p.said.Text()
		}
	}
	t.Fatalf("the child ended without saying %q", want)
	return ""
}

func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
}

// dial connects to a server that may be gone for a while.
func dial(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// The server is killed again and again while a leader writes and another process's watch follows. What was written is
// there; the watch converges; the leader leads on if it can renew its lease in time.
func TestServerKilled(t *testing.T) {
	at := fmt.Sprintf("%s 127.0.0.1:%d", t.TempDir(), freePort(t))
	url := "nats://" + strings.Fields(at)[1]
	server := run(t, childServer, at, "ready")
	nc, other := dial(t, url), dial(t, url)
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	l := lead(t, nc, "a", 10*time.Second)
	w := watching(t, OpenReader(other, prefix))
	last := 0
	for range 5 {
		stop := make(chan struct{})
		done := make(chan error, 1)
		go func() {
			for {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if _, err := l.PutRecord(limit(t), record("x", last+1)); err != nil {
					done <- err
					return
				}
				last++
			}
		}()
		time.Sleep(100 * time.Millisecond)
		server.kill()
		server = run(t, childServer, at, "ready")
		time.Sleep(200 * time.Millisecond)
		close(stop)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		w.sees(t, map[string]int{"x": last})
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
	t.Logf("%d writes", last)
}
