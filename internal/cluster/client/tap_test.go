package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/standin"
)

var splitToCount = Route{from: "split", to: "count", source: -1, target: -1}

func message(data []byte) *nats.Msg { return &nats.Msg{Data: data} }

// tapped runs a tap on the stand-in, which publishes frames as soon as the tap listens.
func tapped(t *testing.T, q TapQuery, frames map[string][][]byte) (lines []string, result TapResult, err error) {
	t.Helper()
	s := standin.Start(t)
	s.Answer("askback.api.view.describe", standin.Description())
	c := dial(t, s, nil)
	q.Topology = "words"
	q.OnListening = func(i cluster.Instance) {
		for subject, all := range frames {
			for _, raw := range all {
				if err := s.Conn().Publish(fmt.Sprintf("askback.%s.data.%s", i, subject), raw); err != nil {
					t.Error(err)
				}
			}
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	result, err = c.Tap(ctx, q, func(line []byte) error {
		lines = append(lines, string(line))
		return nil
	})
	slices.Sort(lines)
	return lines, result, err
}

// Tap decodes the tuples of the channels that the route selects, with the names of their fields, and each nth of them.
func TestTap(t *testing.T) {
	frames := map[string][][]byte{
		"split.0.count.1": {standin.Frame(t, 4711, 3, 5)},                             // split.0>count.1
		"split.1.count.0": {standin.Frame(t, 4711, 9, 1)},                             // split.1:errors>count.0
		"split.1.count.2": {standin.Frame(t, 4711, 7, 5)},                             // split.1>count.2
		"split.0.count.0": {standin.Frame(t, 4712, 2, 1), []byte("this is no frame")}, // of another plan, and damaged
		"lines.0.split.0": {standin.Frame(t, 4711, 0, 5)},                             // another edge
	}
	parse := func(text string) Route {
		r, err := ParseRoute(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	lines, result, err := tapped(t, TapQuery{Route: parse("split>count"), Every: 2}, frames)
	want := `{"id":"split.0>count.1#2","fields":{"word":"word<2>","at":1}}
{"id":"split.0>count.1#4","fields":{"word":"word<4>","at":3}}
{"id":"split.1>count.2#2","fields":{"word":"word<2>","at":1}}
{"id":"split.1>count.2#4","fields":{"word":"word<4>","at":3}}
`
	if got := strings.Join(lines, ""); err != nil || got != want || result != (TapResult{Damaged: 2}) {
		t.Errorf("%v, %+v\n%s\nwant\n%s", err, result, got, want)
	}
	if lines, _, err := tapped(t, TapQuery{Route: parse("split.1>count")}, frames); err != nil || len(lines) != 5 {
		t.Errorf("%v, %q", err, lines)
	}
	if lines, _, err := tapped(t, TapQuery{Route: parse("split.0>count"), Count: 3}, frames); err != nil || len(lines) != 3 {
		t.Errorf("%v, %q", err, lines)
	}
	for route, want := range map[string]string{
		"split>lines":            "no edge split>lines: there are lines>split split>count split:errors>count",
		"split.2>count":          "no channel split.2>count",
		"split.0:errors>count.1": "no channel split.0:errors>count.1",
	} {
		if _, _, err := tapped(t, TapQuery{Route: parse(route)}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something with %q", route, err, want)
		}
	}
}

// Tuples that come faster than they are read are skipped and counted; the connection is read all the same.
func TestTapSkips(t *testing.T) {
	d := standin.Description()
	tp := &tap{route: splitToCount, every: 1, lines: make(chan []byte, 2), plan: 4711, sources: 2, edge: &d.Record.Spec.Edges[1]}
	for range 3 {
		tp.take(message(standin.Frame(t, 4711, 3, 5)))
	}
	if len(tp.lines) != 2 || tp.skipped.Load() != 13 {
		t.Errorf("%d lines, %d skipped, want 2 and 13", len(tp.lines), tp.skipped.Load())
	}
}

// A message that the server has read from a stream is not shown: no task sent it.
func TestTapIgnoresRedirected(t *testing.T) {
	d := standin.Description()
	tp := &tap{route: splitToCount, every: 1, lines: make(chan []byte, 8), plan: 4711, sources: 2, edge: &d.Record.Spec.Edges[1]}
	m := message(standin.Frame(t, 4711, 3, 5))
	m.Header = nats.Header{"Nats-Stream": {"P-words"}}
	tp.take(m)
	if len(tp.lines) != 0 || tp.damaged.Load() != 0 {
		t.Errorf("%d lines, %d damaged, want none", len(tp.lines), tp.damaged.Load())
	}
}

// No message on a tapped subject makes tap panic.
func FuzzTap(f *testing.F) {
	f.Add([]byte("AF"), uint32(3))
	d := standin.Description()
	f.Fuzz(func(t *testing.T, raw []byte, number uint32) {
		tp := &tap{route: splitToCount, every: 1, lines: make(chan []byte, 8), plan: 4711, sources: 2, edge: &d.Record.Spec.Edges[1]}
		tp.take(message(raw))
		b := channel.NewBuilder(4711, number, 1, 1, 0, 1<<20)
		b.Append(append(raw, 0))
		sealed := b.Seal()
		tp.take(message(sealed.Raw))
	})
}

// ParseRoute is the inverse of String.
func TestRoutes(t *testing.T) {
	for _, text := range []string{"a>b", "a.0>b", "a>b.12", "a.3>b.4", "a:errors>b", "a.1:errors>b.2"} {
		r, err := ParseRoute(text)
		if err != nil || r.String() != text {
			t.Errorf("%s is read as %v, %v", text, r, err)
		}
	}
	for _, text := range []string{"a", ">", "a>", ">b", "a.>b", "a.01>b", "a.-1>b", "a.x>b", "a:>b", "a>b>c", "a:b:c>d", "*>b", "a.*>b"} {
		if r, err := ParseRoute(text); err == nil {
			t.Errorf("%s is read as %v", text, r)
		}
	}
	if got := (Route{"a", "errors", "b", 2, -1}).subject("p", "i-12345678"); got != "p.i-12345678.data.a.2.b.*" {
		t.Error(got)
	}
}
