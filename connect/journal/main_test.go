package journal_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/askback/askback/connect/journal"
	"github.com/askback/askback/internal/channel/natschan/embed"
)

// TestMain lets the test binary be a NATS server or a journal: a process of its own can be killed.
func TestMain(m *testing.M) {
	switch os.Getenv("JOURNAL_TEST_ROLE") {
	case "server":
		_, err := embed.Start(embed.Options{Dir: os.Getenv("JOURNAL_TEST_DIR"), Listen: os.Getenv("JOURNAL_TEST_ADDR")})
		beReady(err)
	case "journal":
		beReady(serveJournal(os.Getenv("JOURNAL_TEST_NATS"), os.Getenv("JOURNAL_TEST_ADDR")))
	default:
		goleak.VerifyTestMain(m)
	}
}

// beReady reports readiness, and waits to be killed, or until the test has gone.
func beReady(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// serveJournal takes lines over HTTP and on the subject raw.
func serveJournal(url, addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.RetryOnFailedConnect(true))
	if err != nil {
		return err
	}
	for !nc.IsConnected() {
		time.Sleep(time.Millisecond)
	}
	j, err := journal.Open(ctx, nc, journal.Options{Stream: "lines", Timeout: 500 * time.Millisecond})
	for end := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(end); { // the server may be killed just now
		j, err = journal.Open(context.Background(), nc, journal.Options{Stream: "lines", Timeout: 500 * time.Millisecond})
	}
	if err != nil {
		return err
	}
	s, err := journal.NewServer(j, journal.ServerOptions{Addr: addr})
	if err != nil {
		return err
	}
	for err = j.Listen("raw"); err != nil; err = j.Listen("raw") {
		time.Sleep(10 * time.Millisecond)
	}
	go func() { _ = s.Serve(context.Background()) }()
	return nil
}

// fixture is a NATS server in this process and a connection to it.
func fixture(t testing.TB) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	s, err := embed.Start(embed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	nc, err := nats.Connect("", nats.InProcessServer(s.InProcess()), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func open(t testing.TB, nc *nats.Conn, opt journal.Options) *journal.Journal {
	t.Helper()
	if opt.Stream == "" {
		opt.Stream = "lines"
	}
	j, err := journal.Open(t.Context(), nc, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// serve runs a server for j and returns its URL.
func serve(t testing.TB, j *journal.Journal, opt journal.ServerOptions) string {
	t.Helper()
	if opt.Addr == "" {
		opt.Addr = "127.0.0.1:0"
	}
	s, err := journal.NewServer(j, opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + s.Addr().String()
}

// post sends a body with headers ("Name: value") and returns the answer.
func post(t testing.TB, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// stored returns the messages of a stream.
type stored struct{ subject, data string }

func contents(t testing.TB, js jetstream.JetStream, stream string) (all []stored) {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, stored{m.Subject, string(m.Data)})
	}
	return all
}
