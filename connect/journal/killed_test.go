package journal_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/spout"
)

// A process is the test binary in another role.
type process struct {
	*exec.Cmd
	stdin io.Closer
}

// spawn starts a process, and returns when it is ready.
func spawn(t *testing.T, role string, env ...string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "JOURNAL_TEST_ROLE="+role), env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, stdin}
	t.Cleanup(p.kill)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the %s printed %q: %v", role, line, err)
	}
	return p
}

// kill is kill -9. It may be repeated.
func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
	_ = p.stdin.Close()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// TestKilled kills the journal and the NATS server with kill -9 at random moments, while senders push numbered
// lines. Each sends a request without a key once, notes whether it was acknowledged, and goes on; or with a key,
// again and again until it is acknowledged. Every line that was acknowledged is there, once. A spout that follows
// the stream meanwhile emits what is there, in its order.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, natsAddr, addr := t.TempDir(), freeAddr(t), freeAddr(t)
	url := "nats://" + natsAddr
	startServer := func() *process { return spawn(t, "server", "JOURNAL_TEST_DIR="+dir, "JOURNAL_TEST_ADDR="+natsAddr) }
	startJournal := func() *process { return spawn(t, "journal", "JOURNAL_TEST_NATS="+url, "JOURNAL_TEST_ADDR="+addr) }
	server, journal := startServer(), startJournal()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)

	var stop atomic.Bool
	var senders sync.WaitGroup
	var once, keyed, raw sender
	once.start(&senders, &stop, "once", func(body []byte, _ string) bool { return push(addr, body, "") })
	keyed.start(&senders, &stop, "keyed", func(body []byte, key string) bool { return untilAccepted(func() bool { return push(addr, body, key) }) })
	raw.start(&senders, &stop, "raw", func(body []byte, key string) bool {
		return untilAccepted(func() bool { return request(nc, body, key) })
	})
	reader := follow(t, nc)
	for range 6 {
		time.Sleep(time.Duration(50+random.IntN(300)) * time.Millisecond)
		if random.IntN(3) == 0 {
			server.kill()
			server = startServer()
		} else {
			journal.kill()
			journal = startJournal()
		}
	}
	time.Sleep(200 * time.Millisecond)
	stop.Store(true)
	senders.Wait()

	js, err := natsjs.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	all := contents(t, js, "lines")
	reader.compare(t, seed, all)
	times := make(map[string]int)
	for _, m := range all {
		for line := range strings.SplitSeq(m.data, "\n") {
			times[line]++
		}
	}
	for _, s := range []*sender{&once, &keyed, &raw} {
		if len(s.acknowledged) == 0 {
			t.Errorf("%s: nothing was acknowledged", s.name)
		}
		for _, line := range s.acknowledged {
			if times[line] != 1 {
				t.Errorf("seed %d: %s: %s was acknowledged and is there %d times", seed, s.name, line, times[line])
			}
		}
		t.Logf("%s: %d lines sent, %d acknowledged", s.name, s.sent, len(s.acknowledged))
	}
	if keyed.sent != len(keyed.acknowledged) || raw.sent != len(raw.acknowledged) {
		t.Errorf("seed %d: some lines were never acknowledged", seed)
	}
}

// A sender pushes numbered lines, some of which are acknowledged.
type sender struct {
	name         string
	sent         int
	acknowledged []string
}

func (s *sender) start(group *sync.WaitGroup, stop *atomic.Bool, name string, push func(body []byte, key string) bool) {
	s.name = name
	group.Go(func() {
		for request := 0; !stop.Load(); request++ {
			var lines []string
			for range 1 + request%50 {
				s.sent++
				lines = append(lines, fmt.Sprintf("[%q,%d]", name, s.sent))
			}
			if push([]byte(strings.Join(lines, "\n")), strconv.Itoa(request)) {
				s.acknowledged = append(s.acknowledged, lines...)
			} else {
				time.Sleep(5 * time.Millisecond)
			}
		}
	})
}

// insist tries until it succeeds, for half a minute.
func untilAccepted(try func() bool) bool {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if try() {
			return true
		}
	}
	return false
}

var client = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// push posts a body, and reports whether it was acknowledged.
func push(addr string, body []byte, key string) bool {
	r, err := http.NewRequest(http.MethodPost, "http://"+addr, bytes.NewReader(body))
	if err != nil {
		return false
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := client.Do(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode == http.StatusOK
}

// request sends a body to the plain subject, and reports whether it was acknowledged.
func request(nc *nats.Conn, body []byte, key string) bool {
	if !nc.IsConnected() {
		return false
	}
	m, err := nc.RequestMsg(&nats.Msg{Subject: "raw", Data: body, Header: nats.Header{nats.MsgIdHdr: {key}}}, time.Second)
	return err == nil && string(m.Data) == "+OK"
}

// A follower reads the stream while it is written.
type follower struct {
	spout spout.Spout
	out   *bolttest.Emitter
	want  chan int // how many messages end it
	ended chan error
}

func follow(t *testing.T, nc *nats.Conn) *follower {
	t.Helper()
	f := &follower{
		spout: jetstream.Spout(nc, "lines", jetstream.Subject, jetstream.Data).New(),
		out:   bolttest.NewEmitter("subject", "data"), want: make(chan int, 1), ended: make(chan error, 1),
	}
	var err error
	for range 100 { // the server may be away just now
		if err = f.spout.(spout.Opener).Open(bolttest.NewContext("lines", 0, 1)); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer func() { _ = f.spout.(io.Closer).Close() }()
		want, end := -1, time.Time{}
		for {
			err := f.spout.Next(context.Background(), f.out)
			if err != nil && !errors.Is(err, spout.ErrIdle) {
				f.ended <- err
				return
			}
			if err == nil {
				continue
			}
			select {
			case want = <-f.want:
				end = time.Now().Add(20 * time.Second)
			case <-time.After(time.Millisecond):
			}
			if want >= 0 && (len(f.out.Encoded("")) >= want || time.Now().After(end)) {
				f.ended <- nil
				return
			}
		}
	}()
	return f
}

// compare waits until all has been read, and compares.
func (f *follower) compare(t *testing.T, seed uint64, want []stored) {
	t.Helper()
	f.want <- len(want)
	if err := <-f.ended; err != nil {
		t.Errorf("seed %d: the spout: %v", seed, err)
	}
	rows := f.out.Rows("")
	if len(rows) != len(want) {
		t.Errorf("seed %d: the spout read %d messages, the stream holds %d", seed, len(rows), len(want))
	}
	for i := range min(len(rows), len(want)) {
		if rows[i][0] != want[i].subject || rows[i][1] != want[i].data {
			t.Fatalf("seed %d: message %d was read as %.100q, and is %.100q", seed, i+1, rows[i], want[i])
		}
	}
}
