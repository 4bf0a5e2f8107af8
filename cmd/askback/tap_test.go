package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/tuple"
)

// frame makes a frame of n tuples, the first of which has the sequence number 1.
func frame(t *testing.T, plan uint64, number uint32, n int) []byte {
	t.Helper()
	fields, err := tuple.NewFields("word", "at")
	if err != nil {
		t.Fatal(err)
	}
	b := channel.NewBuilder(plan, number, 1, 1, 0, 1<<20)
	for i := range n {
		tp, err := tuple.New(fields, fmt.Sprintf("word<%d>", i+1), i)
		if err != nil {
			t.Fatal(err)
		}
		b.Append(tp.Encoded())
	}
	f := b.Seal()
	return f.Raw
}

// listening runs a tap, and pours frames once it listens, until it ends.
func (s *stage) listening(t *testing.T, pour func(publish func(subject string, raw []byte)), args ...string) (out, said string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, said, err = s.run(ctx, append([]string{"tap", "words"}, args...)...)
	}()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ended:
			tick.Stop()
			return out, said, err
		case <-tick.C:
			pour(func(subject string, raw []byte) { _ = s.nc.Publish("askback."+string(instance)+".data."+subject, raw) })
		}
	}
}

// Tap prints the tuples of the channels that it is asked for, with the names of their fields, and each nth of them.
func TestTap(t *testing.T) {
	s := newStage(t)
	s.answer("askback.api.view.describe", described())
	all := func(publish func(string, []byte)) {
		publish("split.0.count.1", frame(t, 4711, 3, 5)) // split.0>count.1
		publish("split.1.count.0", frame(t, 4711, 9, 1)) // split.1:errors>count.0
		publish("split.1.count.2", frame(t, 4711, 7, 5)) // split.1>count.2
		publish("split.0.count.0", frame(t, 4712, 2, 1)) // of another plan
		publish("split.0.count.0", []byte("what is this"))
		publish("lines.0.split.0", frame(t, 4711, 0, 5)) // another edge
	}
	out, said, err := s.listening(t, all, "split>count", "--count", "4", "--sample", "1/2")
	want := `{"id":"split.0>count.1#2","fields":{"word":"word<2>","at":1}}
{"id":"split.0>count.1#4","fields":{"word":"word<4>","at":3}}
{"id":"split.1>count.2#2","fields":{"word":"word<2>","at":1}}
{"id":"split.1>count.2#4","fields":{"word":"word<4>","at":3}}
`
	if err != nil || out != want || !strings.Contains(said, "listening to split>count") {
		t.Errorf("%v\n%s%s", err, out, said)
	}
	out, said, err = s.listening(t, all, "split.1>count", "--count", "6")
	if err != nil || strings.Contains(out, "split.0>") || strings.Count(out, "split.1>count.2#1\"") != 2 {
		t.Errorf("%v\n%s%s", err, out, said)
	}
	// Of the errors only those tuples are printed that have that stream's fields; the others are counted.
	out, said, err = s.listening(t, all, "split:errors>count", "--for", "300ms")
	if err != nil || out != "" || !strings.Contains(said, "were no frames of this topology's plan") {
		t.Errorf("%v\n%s%s", err, out, said)
	}
	for _, c := range []struct{ route, want string }{
		{"split>lines", "no edge split>lines: there are lines>split split>count split:errors>count"},
		{"split.2>count", "no channel split.2>count"},
		{"split.0:errors>count.1", "no channel split.0:errors>count.1"},
	} {
		if _, _, err := s.run(t.Context(), "tap", "words", c.route); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.route, err, c.want)
		}
	}
}

// What comes faster than it can be printed is skipped and counted; the connection is read all the same.
func TestTapSkips(t *testing.T) {
	d := described()
	tp := &tap{route: route{from: "split", to: "count", source: -1, target: -1}, every: 1, lines: make(chan []byte, 2), plan: 4711, sources: 2, edge: &d.Record.Spec.Edges[1]}
	for range 3 {
		tp.take(natsMessage(frame(t, 4711, 3, 5)))
	}
	if len(tp.lines) != 2 || tp.skipped.Load() != 13 {
		t.Errorf("%d lines, %d skipped, want 2 and 13", len(tp.lines), tp.skipped.Load())
	}
}

// What the server has read from a stream, because somebody has asked it to answer there, is not shown: no task sent it.
func TestTapIgnoresRedirected(t *testing.T) {
	d := described()
	tp := &tap{route: route{from: "split", to: "count", source: -1, target: -1}, every: 1, lines: make(chan []byte, 8), plan: 4711, sources: 2, edge: &d.Record.Spec.Edges[1]}
	m := natsMessage(frame(t, 4711, 3, 5))
	m.Header = nats.Header{"Nats-Stream": {"P-words"}}
	tp.take(m)
	if len(tp.lines) != 0 || tp.damaged.Load() != 0 {
		t.Errorf("%d lines, %d damaged, want none", len(tp.lines), tp.damaged.Load())
	}
}

// Whatever is published on a tapped subject, tap does not fall over.
func FuzzTap(f *testing.F) {
	f.Add([]byte("AF"), uint32(3))
	d := described()
	f.Fuzz(func(t *testing.T, raw []byte, number uint32) {
		tp := &tap{route: route{from: "split", to: "count", source: -1, target: -1}, every: 1, lines: make(chan []byte, 8), plan: 4711, sources: 2, edge: &d.Record.Spec.Edges[1]}
		tp.take(natsMessage(raw))
		b := channel.NewBuilder(4711, number, 1, 1, 0, 1<<20)
		b.Append(append(raw, 0))
		sealed := b.Seal()
		tp.take(natsMessage(sealed.Raw))
	})
}

// Routes are read as they are written.
func TestRoutes(t *testing.T) {
	for _, text := range []string{"a>b", "a.0>b", "a>b.12", "a.3>b.4", "a:errors>b", "a.1:errors>b.2"} {
		r, err := parseRoute(text)
		if err != nil || r.String() != text {
			t.Errorf("%s is read as %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"a", ">", "a>", ">b", "a.>b", "a.01>b", "a.-1>b", "a.x>b", "a:>b", "a>b>c", "a:b:c>d", "*>b", "a.*>b"} {
		if r, err := parseRoute(text); err == nil {
			t.Errorf("%s is read as %v", text, r)
		}
	}
	if got := (route{"a", "errors", "b", 2, -1}).subject("p", cluster.Instance("i-12345678")); got != "p.i-12345678.data.a.2.b.*" {
		t.Error(got)
	}
}
