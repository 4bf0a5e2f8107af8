package ack_test

import (
	"bytes"
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/msgid"
)

// A source is a machine with one output, whose target is played by the test.
type source struct {
	t  testing.TB
	m  recovery.Machine
	do recovery.Actions
}

func newSource(t testing.TB, window int, h recovery.History) *source {
	name := msgid.Channel{Source: msgid.Alias{Operator: "a"}, Target: msgid.Alias{Operator: "b"}}
	m, err := ack.New(recovery.Config{
		Self: name.Source, Spout: true, AckWindow: window, Outputs: []recovery.Port{{Number: 7, ID: name}},
	}, h)
	if err != nil {
		t.Fatal(err)
	}
	return &source{t: t, m: m}
}

// step returns the frames that are sent in answer to an event.
func (s *source) step(ev recovery.Event) (sent []channel.Frame) {
	s.do.Reset()
	s.m.Step(ev, &s.do)
	for _, a := range s.do.List {
		if a.Kind == recovery.Publish || a.Kind == recovery.Resend {
			sent = append(sent, a.Frame)
		}
	}
	return sent
}

func (s *source) hear(consumed msgid.Seq) []channel.Frame {
	return s.step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{
		Kind: channel.Ack, Channel: 7, Incarnation: 1, For: 1, Have: consumed, Consumed: consumed,
	}})
}

// words returns a frame of n tuples.
func words(n int) channel.Frame {
	b := channel.NewBuilder(0, 7, 1, 1, 0, 1<<20)
	for k := range n {
		b.Append(append([]byte("\x92\xa4word\xcd"), byte(k>>8), byte(k)))
	}
	return b.Seal()
}

// The pieces of a frame are frames, and add up to it, whatever the window.
func TestPieces(t *testing.T) {
	for _, window := range []int{1, 2, 7, 100, 1000} {
		f := words(100)
		s := newSource(t, window, recovery.History{Incarnation: 1})
		s.step(recovery.Event{Kind: recovery.Started})
		s.step(recovery.Event{Kind: recovery.Sealed, Frame: f})
		var items []byte
		last, sum := msgid.Seq(0), uint32(0)
		for last < f.Last() {
			sent := s.hear(last)
			if len(sent) == 0 {
				t.Fatalf("window %d: no tuple is sent after #%d", window, last)
			}
			for _, piece := range sent {
				got, err := channel.Decode(piece.Raw)
				if err != nil || got.First != last+1 || got.Before != sum || int(got.Count) > window {
					t.Fatalf("window %d: after #%d comes %+v, %v", window, last, got.Header, err)
				}
				items = append(items, got.Payload()...)
				last, sum = got.Last(), got.After
			}
		}
		if !bytes.Equal(items, f.Payload()) || sum != f.After {
			t.Errorf("window %d: the pieces do not add up to the frame", window)
		}
	}
}

// Sending a tuple and taking its acknowledgement allocate nothing.
func TestPiecesAllocateNothing(t *testing.T) {
	const n = 2000
	s := newSource(t, 1, recovery.History{Incarnation: 1})
	s.step(recovery.Event{Kind: recovery.Started})
	s.step(recovery.Event{Kind: recovery.Sealed, Frame: words(n)})
	at := msgid.Seq(0)
	next := func() {
		s.do.Reset()
		s.m.Step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{
			Kind: channel.Ack, Channel: 7, Incarnation: 1, For: 1, Have: at, Consumed: at,
		}}, &s.do)
		at++
	}
	for range 10 {
		next()
	}
	if allocs := testing.AllocsPerRun(n/2, next); allocs > 0 {
		t.Errorf("%v allocations for a tuple", allocs)
	}
	if at < n/2 || s.m.Status().Outputs[0].Seq != n {
		t.Errorf("only #%d was reached", at)
	}
}

// A snapshot restores the retained frames; a damaged one is refused and not misread.
func TestSnapshot(t *testing.T) {
	s := newSource(t, 1, recovery.History{Incarnation: 1})
	s.step(recovery.Event{Kind: recovery.Started})
	s.step(recovery.Event{Kind: recovery.Sealed, Frame: words(10)})
	s.hear(0)
	s.hear(1)
	whole := s.m.Capture(nil, true)

	again := newSource(t, 1, recovery.History{Incarnation: 2, Chain: [][]byte{whole}})
	if was, is := s.m.Status(), again.m.Status(); was.Outputs[0] != is.Outputs[0] || was.Retained != is.Retained {
		t.Errorf("restored as %+v, was %+v", is, was)
	}
	name := msgid.Channel{Source: msgid.Alias{Operator: "a"}, Target: msgid.Alias{Operator: "b"}}
	cfg := recovery.Config{Self: name.Source, Spout: true, Outputs: []recovery.Port{{Number: 7, ID: name}}}
	for n := range whole {
		if _, err := ack.New(cfg, recovery.History{Incarnation: 2, Chain: [][]byte{whole[:n]}}); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a snapshot", n, len(whole))
		}
		bent := bytes.Clone(whole)
		bent[n] ^= 0x80
		_, _ = ack.New(cfg, recovery.History{Incarnation: 2, Chain: [][]byte{bent}}) // it must not panic
	}
	cfg.Outputs[0].Number = 8
	if _, err := ack.New(cfg, recovery.History{Incarnation: 2, Chain: [][]byte{whole}}); err == nil {
		t.Error("the snapshot of another task is taken for its own")
	}
}
