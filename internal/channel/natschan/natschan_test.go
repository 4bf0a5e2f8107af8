package natschan_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/channeltest"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/msgid"
)

// TestMain is also the server that other tests kill: see startChild.
func TestMain(m *testing.M) {
	if addr := os.Getenv(childAddress); addr != "" {
		os.Exit(serve(addr))
	}
	goleak.VerifyTestMain(m)
}

var (
	split1 = msgid.Alias{Operator: "split", Index: 1}
	count3 = msgid.Alias{Operator: "count", Index: 3}
)

func TestConformance(t *testing.T) {
	for _, c := range []struct{ name, listen string }{{"InProcess", ""}, {"TCP", "127.0.0.1:0"}} {
		t.Run(c.name, func(t *testing.T) {
			channeltest.Run(t, func(t *testing.T) channeltest.Network {
				s := startServer(t, embed.Options{Listen: c.listen, MaxPayload: 1 << 19})
				return channeltest.Network{Dial: func(prefix, topology string) (channel.Transport, error) {
					cfg := natschan.Config{Prefix: prefix, Topology: topology, URL: s.URL()}
					if topology == "" { // a default must not hide a setting that the caller forgot
						cfg.Topology = ""
					}
					if c.listen == "" {
						cfg.InProcess = s.InProcess()
					}
					t, err := natschan.Dial(cfg)
					if err != nil {
						return nil, err // not a nil *Transport in an interface
					}
					return t, nil
				}}
			})
		})
	}
}

func TestStats(t *testing.T) {
	s := startServer(t, embed.Options{})
	tr := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc"})
	a, b := join(t, tr, split1), join(t, tr, count3)
	for range 10 {
		a.send(t, channel.Data, count3, "1234")
	}
	a.send(t, channel.Replay, count3, "12")
	b.wait(t, 11)
	got := tr.Stats()
	if want := (natschan.Traffic{Sent: 10, SentBytes: 40, Received: 10, ReceivedBytes: 40}); got.Kinds[channel.Data] != want {
		t.Errorf("data: %+v, want %+v", got.Kinds[channel.Data], want)
	}
	if want := (natschan.Traffic{Sent: 1, SentBytes: 2, Received: 1, ReceivedBytes: 2}); got.Kinds[channel.Replay] != want {
		t.Errorf("replay: %+v, want %+v", got.Kinds[channel.Replay], want)
	}
	if got.Lost+got.Dropped+got.Denied+got.Foreign+got.Reconnects != 0 {
		t.Errorf("a quiet network has %+v", got)
	}
	if tr.Control().Status() != nats.CONNECTED {
		t.Errorf("control connection is %v", tr.Control().Status())
	}
}

// Messages that other clients publish on the topology's subjects do not reach a task under a false name.
func TestForeign(t *testing.T) {
	s := startServer(t, embed.Options{})
	log := &events{}
	tr := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc", OnEvent: log.add})
	to := join(t, tr, count3)
	for _, from := range []string{"split.x", "split.-1", "split.01", "spl*t.1", "a:b.1", ">.1", strings.Repeat("x", 65) + ".1"} {
		if err := tr.Control().Publish("askback.wc.ctl."+from+".count.3", []byte("?")); err != nil {
			t.Logf("%s: %v", from, err) // the client refuses some itself
		}
	}
	redirected := nats.Msg{Subject: "askback.wc.ctl.split.1.count.3", Header: nats.Header{"Nats-Stream": {"theirs"}}, Data: []byte("?")}
	if err := tr.Control().PublishMsg(&redirected); err != nil {
		t.Error(err)
	}
	from := join(t, tr, split1)
	from.send(t, channel.Control, count3, "!")
	to.wait(t, 1)
	if got := to.text(); got != "!" {
		t.Errorf("received %q", got)
	}
	if n := tr.Stats().Foreign; n < 4 {
		t.Errorf("%d foreign messages counted", n)
	}
	log.wait(t, natschan.Foreign)
}

// A task may join while the transport connects anew, as a worker does for new permissions: that is no closed transport.
func TestJoinWhileReconnecting(t *testing.T) {
	s := startServer(t, embed.Options{})
	tr := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc"})
	ended, again := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-again:
				return
			case <-time.After(2 * time.Millisecond):
				_ = tr.Reconnect()
			}
		}
	}()
	for n := range 50 {
		e, err := tr.Join(split1, func(channel.Message) {})
		if err != nil {
			t.Errorf("join %d: %v", n, err)
			break
		}
		if err := e.Leave(); err != nil {
			t.Error(err)
		}
	}
	close(again)
	<-ended
}

// A transport that connects anew works as before.
func TestReconnect(t *testing.T) {
	s := startServer(t, embed.Options{})
	log := &events{}
	tr := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc", OnEvent: log.add})
	from, to := join(t, tr, split1), join(t, tr, count3)
	if err := tr.Reconnect(); err != nil {
		t.Fatal(err)
	}
	log.wait(t, natschan.Reconnected)
	for began := time.Now(); to.text() == ""; time.Sleep(10 * time.Millisecond) {
		from.send(t, channel.Data, count3, "!") // messages sent while there is no connection are lost
		if time.Since(began) > 10*time.Second {
			t.Fatal("no message arrives any more")
		}
	}
}

// A task that does not take its messages loses the newest, counted, and does not stop the others.
func TestSlowConsumer(t *testing.T) {
	s := startServer(t, embed.Options{})
	log := &events{}
	slow := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc", OnEvent: log.add})
	fast := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc"})
	release, received := make(chan struct{}), make(chan struct{}, 1<<20)
	e, err := slow.Join(count3, func(channel.Message) { <-release; received <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	other, from := join(t, slow, msgid.Alias{Operator: "count", Index: 4}), join(t, fast, split1)
	const n = 80 // MiB; a subscription holds 64
	for range n {
		from.send(t, channel.Data, count3, string(make([]byte, 1<<20)))
	}
	from.send(t, channel.Data, other.self, "through")
	other.wait(t, 1)
	log.wait(t, natschan.SlowConsumer)
	dropped := slow.Stats().Dropped
	if dropped == 0 || dropped >= n {
		t.Errorf("dropped %d of %d", dropped, n)
	}
	close(release)
	for range n - dropped {
		<-received
	}
	if err := e.Leave(); err != nil {
		t.Error(err)
	}
	if now := slow.Stats().Dropped; now != dropped {
		t.Errorf("dropped %d, and %d after Leave", dropped, now)
	}
}

// A join that the server forbids fails; a publish that it forbids is reported and counted.
func TestPermissions(t *testing.T) {
	url := startGuarded(t)
	log := &events{}
	tr := dial(t, natschan.Config{URL: url, Topology: "wc", OnEvent: log.add, Options: []nats.Option{nats.UserInfo("count", "pw")}})
	allowed := join(t, tr, count3)
	for range 2 {
		if _, err := tr.Join(split1, func(channel.Message) {}); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Fatalf("join as split.1: %v, want a permission error", err)
		}
	}
	allowed.send(t, channel.Control, split1, "ask")
	if err := allowed.Send(channel.Data, msgid.Alias{Operator: "secret", Index: 0}, nil); err != nil {
		t.Errorf("a denied publish is only known later: %v", err)
	}
	for end := time.Now().Add(timeout); tr.Stats().Denied < 7; time.Sleep(time.Millisecond) { // 2 joins of 3 kinds, 1 publish
		if time.Now().After(end) {
			t.Fatalf("denied %d, want 7", tr.Stats().Denied)
		}
	}
	log.wait(t, natschan.Denied)
	// The alias that was denied is no reason to refuse another.
	join(t, tr, count3)
}

func TestDialErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().String()
	l.Close()
	for _, c := range []struct {
		name string
		cfg  natschan.Config
		want error
	}{
		{"nobody there", natschan.Config{URL: "nats://" + free, Topology: "wc"}, natschan.ErrConnect},
		{"bad URL", natschan.Config{URL: "nats://%zz", Topology: "wc"}, natschan.ErrConnect},
		{"refused", natschan.Config{URL: startGuarded(t), Topology: "wc"}, nats.ErrAuthorization},
		{"no topology", natschan.Config{URL: "nats://" + free}, channel.ErrAddress},
		{"long prefix", natschan.Config{URL: "nats://" + free, Topology: "wc", Prefix: strings.Repeat("abc.", 100) + "d"}, channel.ErrAddress},
	} {
		tr, err := natschan.Dial(c.cfg)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if err == nil {
			tr.Close()
		}
	}
}

// With any options of the user, Dial fails at once and Close ends.
func TestOptions(t *testing.T) {
	s := startServer(t, embed.Options{})
	log := &events{}
	opts := []nats.Option{nats.RetryOnFailedConnect(true), nats.NoCallbacksAfterClientClose(), nats.ClosedHandler(func(*nats.Conn) { t.Error("the user's handler was called") })}
	tr := dial(t, natschan.Config{InProcess: s.InProcess(), Topology: "wc", Options: opts, OnEvent: log.add})
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	if n := log.count(natschan.Closed); n != 2 {
		t.Errorf("%d connections closed, want 2", n)
	}
	if tr, err := natschan.Dial(natschan.Config{URL: "nats://127.0.0.1:1", Topology: "wc", Options: opts[:1]}); !errors.Is(err, natschan.ErrConnect) {
		t.Errorf("no server there: %v, want ErrConnect", err)
		if err == nil {
			tr.Close()
		}
	}
}

func TestEventString(t *testing.T) {
	for want, e := range map[string]natschan.Event{
		"data: reconnected":                         {Kind: natschan.Reconnected, Conn: "data"},
		"control: slow consumer: nats: no messages": {Kind: natschan.SlowConsumer, Conn: "control", Err: errors.New("nats: no messages")},
		"data: event(0)":                            {Conn: "data"},
	} {
		if got := e.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func Example() {
	s, err := embed.Start(embed.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Stop()
	t, err := natschan.Dial(natschan.Config{InProcess: s.InProcess(), Topology: "wordcount"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer t.Close()
	count := msgid.Alias{Operator: "count", Index: 3}
	arrived := make(chan channel.Message)
	_, _ = t.Join(count, func(m channel.Message) { arrived <- m })
	split, _ := t.Join(msgid.Alias{Operator: "split", Index: 1}, func(channel.Message) {})
	_ = split.Send(channel.Data, count, []byte("a frame"))
	m := <-arrived
	fmt.Printf("%s from %s: %s\n", m.Kind, m.From, m.Payload)
	// Output: data from split.1: a frame
}

// timeout is the longest wait of a test before it fails.
const timeout = 30 * time.Second

func startServer(t testing.TB, opts embed.Options) *embed.Server {
	t.Helper()
	opts.Dir = t.TempDir()
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

// startGuarded starts a server whose user "count" may only be count.3 of topology wc.
func startGuarded(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true,
		Users: []*server.User{{Username: "count", Password: "pw", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"askback.wc.*.count.3.split.*"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"askback.wc.*.*.*.count.3"}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(timeout) {
		t.Fatal("server is not ready")
	}
	return s.ClientURL()
}

func dial(t testing.TB, cfg natschan.Config) *natschan.Transport {
	t.Helper()
	tr, err := natschan.Dial(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// An inbox is an endpoint that keeps the messages it receives.
type inbox struct {
	channel.Endpoint
	self     msgid.Alias
	mu       sync.Mutex
	received []string
}

func join(t testing.TB, tr channel.Transport, self msgid.Alias) *inbox {
	t.Helper()
	in := &inbox{self: self}
	e, err := tr.Join(self, func(m channel.Message) {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.received = append(in.received, string(m.Payload))
	})
	if err != nil {
		t.Fatal(err)
	}
	in.Endpoint = e
	return in
}

func (in *inbox) send(t testing.TB, kind channel.Kind, to msgid.Alias, text string) {
	t.Helper()
	if err := in.Send(kind, to, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func (in *inbox) text() string { return strings.Join(in.all(), "") }

func (in *inbox) all() []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.received[:len(in.received):len(in.received)]
}

// wait waits until n messages have been received.
func (in *inbox) wait(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(timeout); len(in.all()) < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s received %d messages, want %d", in.self, len(in.all()), n)
		}
	}
}

// events keeps the events that a transport reports.
type events struct {
	mu     sync.Mutex
	events []natschan.Event
}

func (l *events) add(e natschan.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *events) count(kind natschan.EventKind) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func (l *events) wait(t *testing.T, kind natschan.EventKind) {
	t.Helper()
	for end := time.Now().Add(timeout); l.count(kind) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no event %q", kind)
		}
	}
}
