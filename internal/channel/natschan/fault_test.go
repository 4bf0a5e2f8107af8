package natschan_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
)

// A killed server is replaced by another on the same port: the transport recovers by itself. Messages sent in between
// are lost without an error, and counted where the loss is known.
func TestServerKilled(t *testing.T) {
	child, url := startChild(t, "127.0.0.1:0")
	log := &events{}
	cfg := natschan.Config{URL: url, Topology: "wc", OnEvent: log.add}
	a, b := dial(t, cfg), dial(t, cfg)
	from, to := join(t, a, split1), join(t, b, count3)
	from.send(t, channel.Data, count3, "before")
	to.wait(t, 1)
	for round := range 2 {
		lost := a.Stats().Lost
		child.kill(t)
		for end := time.Now().Add(timeout); a.Stats().Lost == lost || log.count(natschan.Disconnected) < 4*(round+1); time.Sleep(time.Millisecond) {
			from.send(t, channel.Data, count3, "lost") // returns no error: most losses are unknown
			if time.Now().After(end) {
				t.Fatalf("round %d: stats %+v, %d connections broke", round, a.Stats(), log.count(natschan.Disconnected))
			}
		}
		child, _ = startChild(t, strings.TrimPrefix(url, "nats://"))
		for _, kind := range []channel.Kind{channel.Data, channel.Control, channel.Replay} {
			text := fmt.Sprint("after ", round, kind)
			for end := time.Now().Add(timeout); !received(to, text); time.Sleep(5 * time.Millisecond) {
				from.send(t, kind, count3, text)
				if time.Now().After(end) {
					t.Fatalf("round %d: no message arrives any more on %s", round, kind)
				}
			}
		}
	}
	if n := a.Stats().Reconnects; n < 4 {
		t.Errorf("%d reconnects, want 2 connections twice", n)
	}
	before := len(to.all())
	if err := to.Leave(); err != nil {
		t.Error(err)
	}
	from.send(t, channel.Data, count3, "after leave")
	again := join(t, b, count3)
	from.send(t, channel.Data, count3, "to an endpoint that joined after the faults")
	again.wait(t, 1)
	if got := len(to.all()); got != before {
		t.Errorf("%d messages after Leave", got-before)
	}
}

// While there is no server, Send neither blocks nor buffers, and Join fails.
func TestWithoutServer(t *testing.T) {
	child, url := startChild(t, "127.0.0.1:0")
	log := &events{}
	tr := dial(t, natschan.Config{URL: url, Topology: "wc", OnEvent: log.add})
	from := join(t, tr, split1)
	child.kill(t)
	for end := time.Now().Add(timeout); log.count(natschan.Disconnected) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("both connections should have broken")
		}
	}
	lost := tr.Stats().Lost
	payload := string(make([]byte, 1<<20))
	for range 2000 { // 2 GB, if it were kept
		from.send(t, channel.Data, count3, payload)
	}
	if got := tr.Stats().Lost - lost; got != 2000 {
		t.Errorf("%d of 2000 counted as lost", got)
	}
	if _, err := tr.Join(count3, func(channel.Message) {}); err == nil {
		t.Error("joined without a server")
	}
}

// A connection that is cut off silently (no FIN, no RST) is noticed by pings, on the idle side too, and replaced once the
// way is free.
func TestBlackhole(t *testing.T) {
	s := startServer(t, embed.Options{Listen: "127.0.0.1:0"})
	p := startProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	log := &events{}
	far := dial(t, natschan.Config{URL: "nats://" + p.addr(), Topology: "wc", OnEvent: log.add})
	near := dial(t, natschan.Config{URL: s.URL(), Topology: "wc"})
	to, from := join(t, far, count3), join(t, near, split1)
	from.send(t, channel.Data, count3, "before")
	to.wait(t, 1)

	p.blackhole()
	begin := time.Now()
	for end := begin.Add(timeout); log.count(natschan.Disconnected) < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("pings did not notice")
		}
	}
	t.Logf("noticed after %v", time.Since(begin).Round(time.Millisecond))
	p.open()
	for end := time.Now().Add(timeout); !received(to, "after"); time.Sleep(5 * time.Millisecond) {
		from.send(t, channel.Data, count3, "after")
		if time.Now().After(end) {
			t.Fatal("no message arrives any more")
		}
	}
}

// A sender whose connection accepts no more bytes is blocked for a bounded time, and then continues.
func TestBlockedWrite(t *testing.T) {
	s := startServer(t, embed.Options{Listen: "127.0.0.1:0"})
	p := startProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
	log := &events{}
	far := dial(t, natschan.Config{URL: "nats://" + p.addr(), Topology: "wc", OnEvent: log.add})
	near := dial(t, natschan.Config{URL: s.URL(), Topology: "wc"})
	from, to := join(t, far, split1), join(t, near, count3)
	from.send(t, channel.Data, count3, "before")
	to.wait(t, 1)

	p.stall()
	payload := string(make([]byte, 256<<10))
	begin, longest := time.Now(), time.Duration(0)
	for end := begin.Add(timeout); log.count(natschan.Disconnected) < 2; {
		one := time.Now()
		from.send(t, channel.Data, count3, payload)
		longest = max(longest, time.Since(one))
		if time.Now().After(end) {
			t.Fatal("blocked writes were not noticed")
		}
	}
	t.Logf("noticed after %v, longest send %v", time.Since(begin).Round(time.Millisecond), longest.Round(time.Millisecond))
	p.open()
	for end := time.Now().Add(timeout); !received(to, "after"); time.Sleep(5 * time.Millisecond) {
		from.send(t, channel.Data, count3, "after")
		if time.Now().After(end) {
			t.Fatal("no message arrives any more")
		}
	}
	if far.Stats().Lost == 0 {
		t.Error("no loss was counted")
	}
}

func received(in *inbox, text string) bool {
	for _, got := range in.all() {
		if got == text {
			return true
		}
	}
	return false
}

// A child is this test binary, being a server.
type child struct{ cmd *exec.Cmd }

// Variables that make the test binary a child.
const (
	childAddress = "ASKBACK_TEST_NATS"
	childStore   = "ASKBACK_TEST_STORE"
)

// startChild starts a server in a process of its own and returns its URL.
func startChild(t *testing.T, listen string) (*child, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childAddress+"="+listen, childStore+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe() // never written: it ends when this process does, and then the child does
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
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("server process printed no address: %v", err)
	}
	return &child{cmd}, strings.TrimSpace(url)
}

func (c *child) kill(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c.cmd.Wait()
}

// serve is the child's main: it serves until its parent is gone.
func serve(listen string) int {
	s, err := embed.Start(embed.Options{Listen: listen, Dir: os.Getenv(childStore)})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.URL())
	io.Copy(io.Discard, os.Stdin)
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A proxy stands between a client and the server.
type proxy struct {
	l      net.Listener
	server string
	mode   atomic.Int32
	wg     sync.WaitGroup

	mu    sync.Mutex
	wake  chan struct{} // closed when the mode changes
	conns []net.Conn
}

const (
	passing    = iota
	swallowing // reads and forwards no bytes
	stalling   // does not read
)

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l: l, server: server, wake: make(chan struct{})}
	p.wg.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *proxy) addr() string { return p.l.Addr().String() }
func (p *proxy) blackhole()   { p.set(swallowing) }
func (p *proxy) stall()       { p.set(stalling) }

// open lets new connections pass. Those that were cut off stay so: they are closed.
func (p *proxy) open() {
	p.set(passing)
	p.closeAll()
}

func (p *proxy) set(mode int32) {
	p.mode.Store(mode)
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.wake)
	p.wake = make(chan struct{})
}

func (p *proxy) stop() {
	p.l.Close()
	p.open()
	p.wg.Wait()
}

func (p *proxy) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func (p *proxy) accept() {
	for {
		client, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.wg.Go(func() { p.pipe(client, server) })
		p.wg.Go(func() { p.pipe(server, client) })
	}
}

func (p *proxy) pipe(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		p.mu.Lock()
		wake := p.wake
		p.mu.Unlock()
		if p.mode.Load() == stalling {
			<-wake
			continue
		}
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if p.mode.Load() == passing {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	}
}
