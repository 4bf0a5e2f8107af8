package journal_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/connect/journal"
)

func wantStored(t testing.TB, js jetstream.JetStream, want ...stored) {
	t.Helper()
	if got := contents(t, js, "lines"); !slices.Equal(got, want) {
		t.Errorf("the stream holds %q, want %q", got, want)
	}
}

func TestPost(t *testing.T) {
	nc, js := fixture(t)
	j := open(t, nc, journal.Options{})
	url := serve(t, j, journal.ServerOptions{})
	for _, c := range []struct{ path, body, text string }{
		{"/", "{\"a\":1}\r\n\n  2\t\n\"x\"", `{"lines":3,"seq":1}`},
		{"/clicks", "[]\n", `{"lines":1,"seq":2}`},
	} {
		if resp, text := post(t, url+c.path, c.body); resp.StatusCode != http.StatusOK || text != c.text+"\n" {
			t.Errorf("POST %s: %s %s, want %s", c.path, resp.Status, text, c.text)
		}
	}
	// A body of unknown length.
	resp, err := http.Post(url, "", io.MultiReader(strings.NewReader("1\n2"), strings.NewReader("3\n")))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	wantStored(t, js, stored{"journal.lines.http", "{\"a\":1}\n2\n\"x\""}, stored{"journal.lines.http.clicks", "[]"}, stored{"journal.lines.http", "1\n23"})
	if s := j.Stats(); s.Written != 3 || s.Refused != 0 {
		t.Errorf("%+v", s)
	}
}

// A refused request is answered with the reason, and leaves nothing behind.
func TestPostRefuses(t *testing.T) {
	nc, js := fixture(t)
	j := open(t, nc, journal.Options{MaxBody: 100})
	url := serve(t, j, journal.ServerOptions{})
	for _, c := range []struct {
		path, body string
		headers    []string
		status     int
		text       string
	}{
		{"/", "1\n2\n{\n4\n", nil, 400, `line 3 is not one JSON value: "{"`},
		{"/", "1 2", nil, 400, "line 1"},
		{"/", "\n\n\"\xff\"", nil, 400, "line 3 is not UTF-8"},
		{"/", "", nil, 400, "no JSON line"},
		{"/", " \n\r\n", nil, 400, "no JSON line"},
		{"/", `"` + strings.Repeat("x", 99) + `"`, nil, 413, "more than 100 bytes"},
		{"/a.b", "1", nil, 404, "TOPIC"},
		{"/a/b", "1", nil, 404, "TOPIC"},
		{"/%3E", "1", nil, 404, "TOPIC"},
		{"/", "1", []string{"Content-Encoding: gzip"}, 415, "compressed"},
		{"/", "1", []string{"Idempotency-Key: " + strings.Repeat("k", 201)}, 400, "at most 200"},
		{"/", "1", []string{"Origin: http://evil.example"}, 403, "web pages"},
	} {
		resp, text := post(t, url+c.path, c.body, c.headers...)
		if resp.StatusCode != c.status || !strings.Contains(text, c.text) {
			t.Errorf("POST %s %.20q: %s %s, want %d %s", c.path, c.body, resp.Status, text, c.status, c.text)
		}
	}
	resp, err := http.Post(url, "", io.MultiReader(strings.NewReader("1\n"), strings.NewReader(strings.Repeat("2\n", 100))))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("a long body of unknown length: %s", resp.Status)
	}
	resp, err = http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 405 || resp.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %s", resp.Status)
	}
	wantStored(t, js)
	if s := j.Stats(); s.Refused != 14 || s.Written != 0 {
		t.Errorf("%+v", s)
	}
}

// A key makes a repeated request one, and never swallows another.
func TestIdempotencyKey(t *testing.T) {
	nc, js := fixture(t)
	j := open(t, nc, journal.Options{})
	url := serve(t, j, journal.ServerOptions{})
	for _, c := range []struct{ path, body, text string }{
		{"/", "1", `{"lines":1,"seq":1}`},
		{"/", "1", `{"lines":1,"seq":1,"duplicate":true}`},
		{"/", "2", `{"lines":1,"seq":2}`},
		{"/x", "1", `{"lines":1,"seq":3}`},
	} {
		if resp, text := post(t, url+c.path, c.body, "Idempotency-Key: k e y"); resp.StatusCode != 200 || text != c.text+"\n" {
			t.Errorf("POST %s %s: %s %s, want %s", c.path, c.body, resp.Status, text, c.text)
		}
	}
	if n := len(contents(t, js, "lines")); n != 3 {
		t.Errorf("%d messages, want 3", n)
	}
	if s := j.Stats(); s.Duplicates != 1 {
		t.Errorf("%+v", s)
	}
}

// A full stream is 507, and takes lines again when there is room, those included that it had refused.
func TestFull(t *testing.T) {
	nc, js := fixture(t)
	url := serve(t, open(t, nc, journal.Options{MaxBytes: 10_000}), journal.ServerOptions{})
	line := `"` + strings.Repeat("x", 1000) + `"`
	written := 0
	var resp *http.Response
	var text string
	for {
		resp, text = post(t, url, line, fmt.Sprint("Idempotency-Key: ", written))
		if resp.StatusCode != 200 {
			break
		}
		written++
	}
	if resp.StatusCode != 507 || !strings.Contains(text, "raise MaxBytes") || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("%s %s", resp.Status, text)
	}
	if n := len(contents(t, js, "lines")); n != written || n == 0 {
		t.Errorf("%d messages, %d were acknowledged", n, written)
	}
	open(t, nc, journal.Options{MaxBytes: 20_000}) // the remedy
	if resp, text = post(t, url, line, fmt.Sprint("Idempotency-Key: ", written)); resp.StatusCode != 200 || strings.Contains(text, "duplicate") {
		t.Errorf("after MaxBytes was raised: %s %s", resp.Status, text)
	}
}

// A slow sender's body holds room; a body that does not fit beside it is answered 429.
func TestBusy(t *testing.T) {
	nc, _ := fixture(t)
	j := open(t, nc, journal.Options{MaxBody: 100, MaxPending: 150})
	url := serve(t, j, journal.ServerOptions{})
	body, slow := io.Pipe()
	var both sync.WaitGroup
	both.Go(func() {
		resp, err := http.Post(url, "", body) // of unknown length: 100 bytes are reserved
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("the slow one: %s", resp.Status)
		}
	})
	_, _ = slow.Write([]byte("1\n"))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		resp, text := post(t, url, `"`+strings.Repeat("x", 60)+`"`)
		if resp.StatusCode == 429 && resp.Header.Get("Retry-After") != "" {
			break
		}
		if resp.StatusCode != 200 || time.Now().After(end) {
			t.Fatalf("%s %s, want 429", resp.Status, text)
		}
	}
	if resp, _ := post(t, url, "2"); resp.StatusCode != 200 {
		t.Errorf("a small one still fits: %s", resp.Status)
	}
	_ = slow.Close()
	both.Wait()
	if resp, _ := post(t, url, `"`+strings.Repeat("x", 60)+`"`); resp.StatusCode != 200 {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// Without the stream the answer is 503, and names the stream.
func TestUnreachable(t *testing.T) {
	nc, js := fixture(t)
	url := serve(t, open(t, nc, journal.Options{Timeout: 200 * time.Millisecond}), journal.ServerOptions{})
	if err := js.DeleteStream(t.Context(), "lines"); err != nil {
		t.Fatal(err)
	}
	if resp, text := post(t, url, "1"); resp.StatusCode != 503 || !strings.Contains(text, "stream lines") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%s %s", resp.Status, text)
	}
	nc.Close()
	if resp, text := post(t, url, "1"); resp.StatusCode != 503 || !strings.Contains(text, "not connected") {
		t.Errorf("%s %s", resp.Status, text)
	}
}

func TestListen(t *testing.T) {
	nc, js := fixture(t)
	j := open(t, nc, journal.Options{})
	if err := j.Listen("raw.>"); err != nil {
		t.Fatal(err)
	}
	if m, err := nc.Request("raw.a", []byte("not JSON\x00"), 5*time.Second); err != nil || string(m.Data) != "+OK" {
		t.Fatalf("%v %v", m, err)
	}
	for range 1000 {
		if err := nc.Publish("raw.b", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil { // arrived messages are written
		t.Fatal(err)
	}
	all := contents(t, js, "lines")
	if len(all) != 1001 || all[0] != (stored{"journal.lines.nats.raw.a", "not JSON\x00"}) || all[1000] != (stored{"journal.lines.nats.raw.b", "x"}) {
		t.Errorf("%d messages, the first %q", len(all), all[0])
	}
	if s := j.Stats(); s.Written != 1001 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
	if err := j.Listen("raw.c"); !errors.Is(err, journal.ErrClosed) {
		t.Error(err)
	}
}

// Messages without room in the stream are answered with the reason, or counted as lost.
func TestListenFull(t *testing.T) {
	nc, _ := fixture(t)
	j := open(t, nc, journal.Options{MaxBytes: 2000})
	if err := j.Listen("raw"); err != nil {
		t.Fatal(err)
	}
	if m, err := nc.Request("raw", make([]byte, 3000), 5*time.Second); err != nil || !strings.HasPrefix(string(m.Data), "-ERR journal: stream is full") {
		t.Errorf("%s %v", m.Data, err)
	}
	if err := nc.Publish("raw", make([]byte, 3000)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); j.Stats().Lost != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%+v", j.Stats())
		}
	}
	if m, err := nc.Request("raw", []byte("small"), 5*time.Second); err != nil || string(m.Data) != "+OK" {
		t.Errorf("%v %v", m, err)
	}
}

// More than MaxPending is taken from a subject, a part at a time.
func TestListenWaits(t *testing.T) {
	nc, js := fixture(t)
	j := open(t, nc, journal.Options{MaxBody: 1000, MaxPending: 1000})
	if err := j.Listen("raw"); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		if err := nc.Publish("raw", make([]byte, 300)); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := nc.Request("raw", []byte("last"), 10*time.Second); err != nil || string(m.Data) != "+OK" {
		t.Fatalf("%v %v", m, err)
	}
	if n := len(contents(t, js, "lines")); n != 501 {
		t.Errorf("%d messages, want 501", n)
	}
}

func TestListenRefuses(t *testing.T) {
	nc, _ := fixture(t)
	j := open(t, nc, journal.Options{})
	for _, subject := range []string{"", "a..b", "a.>.b", "a b", ">", "*.a", "journal.lines.http", "$JS.API.>", "_INBOX.>", "a\r\nb"} {
		if err := j.Listen(subject); err == nil {
			t.Errorf("listens to %q", subject)
		}
	}
}

// Beyond the loopback interface a server needs a token and TLS; where there is a token, it is asked for.
func TestServer(t *testing.T) {
	nc, _ := fixture(t)
	j := open(t, nc, journal.Options{})
	const token = "correct horse battery staple"
	pair := httptest.NewUnstartedServer(nil) // it has a certificate
	pair.StartTLS()
	defer pair.Close()
	config := &tls.Config{Certificates: pair.TLS.Certificates}
	for _, opt := range []journal.ServerOptions{{Addr: ":0"}, {Addr: ":0", Token: token}, {Addr: "0.0.0.0:0", TLS: config}, {Addr: "[::]:0", Token: token}} {
		if _, err := journal.NewServer(j, opt); !errors.Is(err, journal.ErrExposed) {
			t.Errorf("%+v: %v", opt.Addr, err)
		}
	}
	if _, err := journal.NewServer(j, journal.ServerOptions{Addr: "127.0.0.1:0", Token: "short"}); err == nil || strings.Contains(err.Error(), "short") {
		t.Error(err)
	}

	s, err := journal.NewServer(j, journal.ServerOptions{Addr: "0.0.0.0:0", Token: token, TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	roots := x509.NewCertPool()
	roots.AddCert(pair.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "example.com"}}}
	_, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for shown, status := range map[string]int{
		"": 401, "Bearer": 401, "Bearer " + token[1:]: 401, "Basic " + token: 401, "Bearer " + token: 200, "bearer " + token: 200,
	} {
		r, err := http.NewRequest(http.MethodPost, "https://127.0.0.1:"+port, strings.NewReader("1"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", shown)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("authorization %q: %s, want %d", shown, resp.Status, status)
		}
	}
	client.CloseIdleConnections()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Requests that have begun when the server is ordered to end are answered.
func TestServeDrains(t *testing.T) {
	nc, js := fixture(t)
	j := open(t, nc, journal.Options{})
	s, err := journal.NewServer(j, journal.ServerOptions{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	acknowledged := make(chan int, 8)
	for range cap(acknowledged) {
		go func() {
			n := 0
			defer func() { acknowledged <- n }()
			for {
				resp, err := http.Post("http://"+s.Addr().String(), "", strings.NewReader("1"))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Error(resp.Status)
				}
				n++
			}
		}()
	}
	time.Sleep(100 * time.Millisecond)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	sum := 0
	for range cap(acknowledged) {
		sum += <-acknowledged
	}
	http.DefaultClient.CloseIdleConnections()
	if n := len(contents(t, js, "lines")); n != sum || n == 0 {
		t.Errorf("%d requests in the stream, %d acknowledged", n, sum)
	}
}

// The handler may be served by others; after Close it refuses.
func TestHandlerAfterClose(t *testing.T) {
	nc, _ := fixture(t)
	j := open(t, nc, journal.Options{})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	j.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/", strings.NewReader("1")))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "closed") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestOpenRefuses(t *testing.T) {
	nc, js := fixture(t)
	for name, c := range map[string]jetstream.StreamConfig{
		"old": {Subjects: []string{"journal.old.>"}},
		"mem": {Subjects: []string{"journal.mem.>"}, Discard: jetstream.DiscardNew, Storage: jetstream.MemoryStorage},
		"sub": {Subjects: []string{"other.>"}, Discard: jetstream.DiscardNew},
	} {
		c.Name = name
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for text, opt := range map[string]journal.Options{
		"want 1 to 64":     {Stream: "a.b"},
		"discard new":      {Stream: "old"},
		"storage":          {Stream: "mem"},
		"subjects":         {Stream: "sub"},
		"max_payload":      {Stream: "s", MaxBody: 2 << 20},
		"less than MaxBod": {Stream: "s", MaxPending: 10},
		"less than Window": {Stream: "s", MaxAge: time.Second},
		"MaxBytes -1":      {Stream: "s", MaxBytes: -1},
	} {
		if _, err := journal.Open(t.Context(), nc, opt); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("want an error with %q: %v", text, err)
		}
	}
}
