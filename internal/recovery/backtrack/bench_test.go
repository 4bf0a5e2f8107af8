package backtrack

import (
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// BenchmarkStep measures the machine's cost per frame: a frame received, made ready and consumed, with the ACK for each
// quarter of the window; and a frame sealed and published, with the ACK that trims.
func BenchmarkStep(b *testing.B) {
	b.Run("receive", func(b *testing.B) {
		c := ports()
		c.Inputs, c.Outputs = c.Inputs[:1], nil
		m := machine(b, c, recovery.History{Incarnation: 1})
		var do recovery.Actions
		raw := make([]byte, 16<<10)
		f := channel.Frame{Header: channel.Header{Incarnation: 1, Count: 500}, Raw: raw}
		step := func(ev recovery.Event) {
			m.Step(ev, &do)
			do.Reset()
		}
		step(recovery.Event{Kind: recovery.Started})
		b.ReportAllocs()
		for n := range b.N {
			f.First = msgid.Seq(500*n + 1)
			step(recovery.Event{Kind: recovery.FrameReceived, Frame: f})
			step(recovery.Event{Kind: recovery.Ready})
			step(recovery.Event{Kind: recovery.Consumed})
		}
		if got := m.Status().Counters.Consumed; got != 500*uint64(b.N) {
			b.Fatalf("consumed %d", got)
		}
	})
	b.Run("release", func(b *testing.B) {
		c := ports()
		c.Inputs, c.Outputs = c.Inputs[:1], c.Outputs[:1]
		m := machine(b, c, recovery.History{Incarnation: 1})
		var do recovery.Actions
		raw := make([]byte, 16<<10)
		f := channel.Frame{Header: channel.Header{Incarnation: 1, Count: 500}, Raw: raw}
		published := 0
		step := func(ev recovery.Event) {
			m.Step(ev, &do)
			for k := range do.List {
				if do.List[k].Kind == recovery.Publish {
					published++
				}
			}
			do.Reset()
		}
		ack := channel.Signal{Kind: channel.Ack, Incarnation: 1, For: 1}
		step(recovery.Event{Kind: recovery.SignalReceived, Signal: ack})
		b.ReportAllocs()
		for n := range b.N {
			f.First = msgid.Seq(500*n + 1)
			step(recovery.Event{Kind: recovery.Sealed, Frame: f})
			if n%64 == 63 {
				ack.Seq, ack.Have, ack.Consumed = f.Last(), f.Last(), f.Last()
				step(recovery.Event{Kind: recovery.SignalReceived, Signal: ack})
			}
		}
		if published != b.N {
			b.Fatalf("published %d of %d", published, b.N)
		}
	})
}

// BenchmarkReplay measures the cost of returning a recorded determinant: one of a run of 500, in a long record.
func BenchmarkReplay(b *testing.B) {
	const run = 500
	for name, inputs := range map[string]int{"one-input": 1, "two-inputs": 2} {
		b.Run(name, func(b *testing.B) {
			c := ports()
			c.Inputs = c.Inputs[:inputs]
			var entries []entry
			for n := range b.N {
				if n%run == 0 && inputs > 1 {
					entries = append(entries, entry{kind: turn, value: run})
				}
				entries = append(entries, entry{kind: kindOf(recovery.DeterminantTime), value: uint64(n)})
			}
			m := machine(b, c, recovery.History{Incarnation: 2, Determinants: [][]byte{encodeDeterminants(uint64(len(entries)), entries)}})
			var do recovery.Actions
			step := func(ev recovery.Event) {
				do.Reset()
				m.Step(ev, &do)
			}
			step(recovery.Event{Kind: recovery.Started})
			f := channel.Frame{Header: channel.Header{Incarnation: 1, Count: run}, Raw: make([]byte, 16<<10)}
			b.ReportAllocs()
			b.ResetTimer()
			for n := range b.N {
				if n%run == 0 {
					f.First = msgid.Seq(n + 1)
					step(recovery.Event{Kind: recovery.FrameReceived, Frame: f})
					step(recovery.Event{Kind: recovery.Ready})
				}
				step(recovery.Event{Kind: recovery.DeterminantRequested, Determinant: recovery.DeterminantTime})
				if k := len(do.List) - 1; do.List[k].Value != uint64(n) {
					b.Fatalf("determinant %d is %d", n, do.List[k].Value)
				}
				if n%run == run-1 {
					step(recovery.Event{Kind: recovery.Consumed})
				}
			}
		})
	}
}
