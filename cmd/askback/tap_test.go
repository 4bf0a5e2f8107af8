package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster/standin"
)

// listening runs a tap, and pours frames once it listens, until it ends.
func (s *stage) listening(t *testing.T, pour func(publish func(subject string, raw []byte)), args ...string) (out, notes string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		out, notes, err = s.run(ctx, append([]string{"tap", "words"}, args...)...)
	}()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-ended:
			tick.Stop()
			return out, notes, err
		case <-tick.C:
			pour(func(subject string, raw []byte) {
				_ = s.Conn().Publish("askback."+string(standin.Instance)+".data."+subject, raw)
			})
		}
	}
}

// Tap prints the tuples of the channels that it is asked for, and a sample of them; its end counts those not printed.
func TestTap(t *testing.T) {
	s := newStage(t)
	s.Answer("askback.api.view.describe", standin.Description())
	all := func(publish func(string, []byte)) {
		publish("split.0.count.1", standin.Frame(t, 4711, 3, 5))
		publish("split.0.count.0", []byte("what is this"))
	}
	out, notes, err := s.listening(t, all, "split>count", "--count", "2", "--sample", "1/2")
	want := `{"id":"split.0>count.1#2","fields":{"word":"word<2>","at":1}}
{"id":"split.0>count.1#4","fields":{"word":"word<4>","at":3}}
`
	if err != nil || out != want || !strings.Contains(notes, "listening to split>count of "+string(standin.Instance)) {
		t.Errorf("%v\n%s%s", err, out, notes)
	}
	out, notes, err = s.listening(t, all, "split.1>count", "--for", "300ms")
	if err != nil || out != "" || strings.Contains(notes, "no frames") {
		t.Errorf("of another task: %v\n%s%s", err, out, notes)
	}
	out, notes, err = s.listening(t, all, "split.0>count.0", "--for", "300ms")
	if err != nil || out != "" || !strings.Contains(notes, "were no frames of this topology's plan") {
		t.Errorf("%v\n%s%s", err, out, notes)
	}
	if _, _, err := s.run(t.Context(), "tap", "words", "split>lines"); err == nil || !strings.Contains(err.Error(), "no edge split>lines") {
		t.Error(err)
	}
}
