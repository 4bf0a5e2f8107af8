package natscluster

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
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/internal/retry"
)

// childLeader makes the test binary a nimbus that leads. Its value is the server's URL.
const childLeader = "ASKBACK_TEST_LEADER"

// child runs the nimbus of the test binary as another process.
func child() bool {
	url := os.Getenv(childLeader)
	if url == "" {
		return false
	}
	if err := leadAndWrite(url); err != nil {
		fmt.Println(err)
		return true
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	return true
}

// leadAndWrite leads and writes without a pause, and prints how it ended.
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
				fmt.Println("deposed:", errors.Is(err, cluster.ErrDeposed), err)
				return
			}
		}
	}()
	return nil
}

// A process is a child of the test.
type process struct {
	*exec.Cmd
	output *bufio.Scanner
}

// run starts a child and waits for its first line.
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
	p.expect(t, want)
	return p
}

// expect waits for a line that begins so.
func (p *process) expect(t *testing.T, want string) string {
	t.Helper()
	for p.output.Scan() {
		if strings.HasPrefix(p.output.Text(), want) {
			return p.output.Text()
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
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // servers are killed
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// The server is killed again and again while a leader writes and another process's watch follows. No acknowledged write is
// lost; the watch converges; the leader goes on if it can renew its lease in time.
func TestServerKilled(t *testing.T) {
	server := natstest.Start(t)
	nc, other := dial(t, server.URL()), dial(t, server.URL())
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
		server.Kill()
		server.Again()
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

// In a cluster of three, the server that leads the bucket is killed, again and again. Nimbus leads again as soon as NATS has
// elected another; no acknowledged write is lost; a watch sees them all, also through the server that was killed.
func TestMemberKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers, and waits for elections")
	}
	servers := natstest.StartThree(t)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL())
	}
	nc := dial(t, strings.Join(urls, ","))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for ctx := limit(t); Setup(ctx, nc, prefix, 3) != nil; {
		if retry.Sleep(ctx, 50*time.Millisecond) != nil {
			t.Fatal("the cluster does not start")
		}
	}
	var watchers [3]*watcher
	for i := range watchers {
		watchers[i] = watching(t, OpenReader(dial(t, urls[i]+","+urls[(i+1)%3]), prefix))
	}
	l := lead(t, nc, "a", 0)
	for round := range 2 {
		want := round + 1
		put(t, l, record("x", -want))
		victim := 0
		for ctx := limit(t); ; {
			s, err := js.Stream(ctx, "KV_"+prefix.Bucket())
			if err == nil && s.CachedInfo().Cluster.Leader != "" {
				victim = int(s.CachedInfo().Cluster.Leader[1] - '0')
				break
			}
			if retry.Sleep(ctx, 50*time.Millisecond) != nil {
				t.Fatal(err)
			}
		}
		servers[victim].Kill()
		began := time.Now()
		for ctx := limit(t); ; { // as a nimbus does
			if l.Err() != nil {
				if l, err = Campaign(ctx, nc, prefix, "a", 0); err != nil {
					t.Fatal(err)
				}
				defer func() { _ = l.Close() }()
				records, err := l.Records(ctx)
				if err != nil || len(records) != 1 || records[0].Record.Workers != -want {
					t.Fatalf("a write is lost: %+v, %v", records, err)
				}
			}
			if _, err := l.PutRecord(ctx, record("x", want)); err == nil {
				break
			} else if !errors.Is(err, cluster.ErrDeposed) {
				t.Fatal(err)
			}
		}
		wrote := time.Since(began)
		for _, w := range watchers {
			w.sees(t, map[string]int{"x": want})
		}
		t.Logf("server %d: epoch %d wrote after %v, seen after %v", victim, l.Epoch(), wrote.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		servers[victim].Again()
		settled(t, js)
	}
}
