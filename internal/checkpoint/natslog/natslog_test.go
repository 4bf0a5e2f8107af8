package natslog_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/checkpointtest"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/msgid"
)

// serve starts a server for the test.
func serve(t testing.TB, edit ...func(*server.Options)) *server.Server {
	t.Helper()
	opt := &server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true}
	for _, e := range edit {
		e(opt)
	}
	s, err := server.NewServer(opt)
	if err != nil {
		t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not start")
	}
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	return s
}

func connect(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func open(t testing.TB, nc *nats.Conn, opt natslog.Options) *natslog.Log {
	t.Helper()
	l, err := natslog.Open(context.Background(), nc, opt)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestConformance(t *testing.T) {
	s := serve(t)
	checkpointtest.Run(t, func(t testing.TB) checkpointtest.Subject {
		nc := connect(t, s)
		// A fresh stream for each test; the topology's name is not under test.
		name := strings.NewReplacer("/", "-", " ", "_").Replace(t.Name())
		name = name[max(len(name)-msgid.MaxName, 0):]
		l := open(t, nc, natslog.Options{Topology: name})
		return checkpointtest.Subject{Log: l, Vanish: func() {
			if err := natslog.Delete(context.Background(), nc, "", name); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

// TestConformanceByLeader runs the suite where entries cannot be read directly.
func TestConformanceByLeader(t *testing.T) {
	s := serve(t)
	checkpointtest.Run(t, func(t testing.TB) checkpointtest.Subject {
		nc := connect(t, s)
		name := strings.NewReplacer("/", "-", " ", "_").Replace(t.Name())
		name = name[max(len(name)-msgid.MaxName, 0):]
		l := open(t, nc, natslog.Options{Topology: name})
		edit(t, nc, l.Stream(), func(c *jetstream.StreamConfig) { c.AllowDirect = false })
		return checkpointtest.Subject{Log: open(t, nc, natslog.Options{Topology: name})}
	})
}

// edit changes a stream behind the log's back.
func edit(t testing.TB, nc *nats.Conn, stream string, change func(*jetstream.StreamConfig)) {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	c := s.CachedInfo().Config
	change(&c)
	if _, err := js.UpdateStream(ctx, c); err != nil {
		t.Fatal(err)
	}
}

var (
	ctx   = context.Background()
	alias = msgid.Alias{Operator: "count", Index: 3}
)

func TestOptions(t *testing.T) {
	nc := connect(t, serve(t))
	for _, opt := range []natslog.Options{
		{}, {Topology: "a.b"}, {Topology: "a>"}, {Topology: strings.Repeat("x", 65)}, {Topology: "a", Prefix: "b c"},
		{Topology: "a", Durability: "sometimes"},
	} {
		if _, err := natslog.Open(ctx, nc, opt); err == nil {
			t.Errorf("%+v is accepted", opt)
		}
	}
	if _, err := natslog.Exists(ctx, nc, "", "a/b"); err == nil {
		t.Error("the name a/b is accepted")
	}
}

func TestExistsAndDelete(t *testing.T) {
	nc := connect(t, serve(t))
	for _, want := range []bool{false, true} {
		if got, err := natslog.Exists(ctx, nc, "", "words"); got != want || err != nil {
			t.Fatalf("exists = %v, %v; want %v", got, err, want)
		}
		if l := open(t, nc, natslog.Options{Topology: "words"}); l.Stream() != "askback-words" {
			t.Fatalf("stream %s", l.Stream())
		}
	}
	for range 2 {
		if err := natslog.Delete(ctx, nc, "", "words"); err != nil {
			t.Fatal(err)
		}
		if got, err := natslog.Exists(ctx, nc, "", "words"); got || err != nil {
			t.Fatalf("exists = %v, %v after Delete", got, err)
		}
	}
}

// TestConfig: a stream that would lose entries is refused, and the setting named.
func TestConfig(t *testing.T) {
	nc := connect(t, serve(t))
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]jetstream.StreamConfig{
		"subjects":             {Subjects: []string{"askback.words.other.>"}},
		"storage":              {Storage: jetstream.MemoryStorage},
		"retention":            {Retention: jetstream.InterestPolicy},
		"discard":              {MaxBytes: 1 << 20},
		"max_msgs_per_subject": {MaxMsgsPerSubject: 10},
		"max_age":              {MaxAge: time.Hour},
		"no_ack":               {NoAck: true},
		"deny_purge":           {DenyPurge: true},
		"persist_mode":         {PersistMode: jetstream.AsyncPersistMode},
	} {
		c.Name = "askback-words"
		if c.Subjects == nil {
			c.Subjects = []string{"askback.words.log.>"}
		}
		c.Name += "-" + strings.ReplaceAll(want, "_", "-")
		for i := range c.Subjects {
			c.Subjects[i] = strings.Replace(c.Subjects[i], "words", c.Name[len("askback-"):], 1)
		}
		if _, err := js.CreateStream(ctx, c); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		_, err := natslog.Open(ctx, nc, natslog.Options{Topology: c.Name[len("askback-"):]})
		var bad *natslog.ConfigError
		if !errors.As(err, &bad) || !strings.Contains(bad.What, want) || bad.Stream != c.Name {
			t.Errorf("%s: %v", want, err)
		}
	}
	// The operator's own choices are no error.
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "askback-words", Subjects: []string{"askback.words.log.>"}, Discard: jetstream.DiscardNew, MaxBytes: 1 << 20, Compression: jetstream.S2Compression}); err != nil {
		t.Fatal(err)
	}
	open(t, nc, natslog.Options{Topology: "words"})
}

func TestFull(t *testing.T) {
	nc := connect(t, serve(t))
	l := open(t, nc, natslog.Options{Topology: "words", MaxBytes: 100 << 10})
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{MaxRecord: 10 << 10})
	if err != nil {
		t.Fatal(err)
	}
	full := false
	for range 20 {
		if err := w.Append(ctx, make([]byte, 10<<10)); err != nil {
			if full = errors.Is(err, checkpoint.ErrFull) && !errors.Is(err, checkpoint.ErrUnknown); !full {
				t.Fatal(err)
			}
			break
		}
	}
	if !full {
		t.Fatal("a stream of 100 KiB took 200 KiB")
	}
	edit(t, nc, l.Stream(), func(c *jetstream.StreamConfig) { c.MaxBytes = -1 })
	if err := w.Append(ctx, make([]byte, 10<<10)); err != nil {
		t.Fatalf("append after room was made: %v", err)
	}
}

func TestTooLargeForStream(t *testing.T) {
	nc := connect(t, serve(t))
	l := open(t, nc, natslog.Options{Topology: "words"})
	edit(t, nc, l.Stream(), func(c *jetstream.StreamConfig) { c.MaxMsgSize = 1000 })
	if _, err := l.Append(ctx, alias, 0, make([]byte, 2000)); !errors.Is(err, checkpoint.ErrTooLarge) {
		t.Fatalf("%v, want ErrTooLarge", err)
	}
}

// TestSilence: without a server, outcomes are unknown; with a closed connection, they are known to be final.
func TestSilence(t *testing.T) {
	s := serve(t)
	nc := connect(t, s)
	l := open(t, nc, natslog.Options{Topology: "words", Timeout: 50 * time.Millisecond})
	pos, err := l.Append(ctx, alias, 0, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	epoch := l.Epoch()
	s.Shutdown()
	s.WaitForShutdown()
	if _, err := l.Append(ctx, alias, pos, []byte("b")); !errors.Is(err, checkpoint.ErrUnknown) {
		t.Fatalf("append without a server: %v, want ErrUnknown", err)
	}
	if err := l.Read(ctx, alias, 0, checkpoint.End, func(checkpoint.Entry) error { return nil }); !errors.Is(err, checkpoint.ErrUnknown) {
		t.Fatalf("read without a server: %v, want ErrUnknown", err)
	}
	if err := l.Purge(ctx, alias, 5); !errors.Is(err, checkpoint.ErrUnknown) {
		t.Fatalf("purge without a server: %v, want ErrUnknown", err)
	}
	if l.Epoch() == epoch {
		t.Fatal("the epoch is the same after a lost connection")
	}
	nc.Close()
	if _, err := l.Last(ctx, alias); err == nil || errors.Is(err, checkpoint.ErrUnknown) {
		t.Fatalf("last on a closed connection: %v, want an error that is not tried again", err)
	}
}

func TestNoJetStream(t *testing.T) {
	nc := connect(t, serve(t, func(o *server.Options) { o.JetStream = false }))
	if _, err := natslog.Open(ctx, nc, natslog.Options{Topology: "words"}); err == nil {
		t.Fatal("a server without JetStream is accepted")
	}
}

// TestLargeRestore: all of a state of many megabytes comes back, by whichever way it is read.
func TestLargeRestore(t *testing.T) {
	nc := connect(t, serve(t))
	l := open(t, nc, natslog.Options{Topology: "words"})
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	state := make([]byte, 40<<20)
	for i := range state {
		state[i] = byte(i * i >> 8)
	}
	for u, done := w.Begin([][]byte{state}, true), false; !done; {
		if done, err = u.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, log := range []checkpoint.Log{l, checkpointtest.Headless{Log: l}} {
		_, h, err := checkpoint.Open(ctx, log, alias, checkpoint.Options{})
		if err != nil || len(h.Chain) != 1 || string(h.Chain[0]) != string(state) {
			t.Fatalf("restored %d snapshots: %v", len(h.Chain), err)
		}
	}
}
