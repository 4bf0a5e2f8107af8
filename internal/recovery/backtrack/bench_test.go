package backtrack

import (
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// BenchmarkStep measures what the machine costs per frame: a frame received, made ready and consumed, with the
// ACK for each quarter of the window; and a frame sealed and published, with the ACK that trims.
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
			step(recovery.Event{Kind: recovery.Received, Frame: f})
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
		step(recovery.Event{Kind: recovery.Heard, Signal: ack})
		b.ReportAllocs()
		for n := range b.N {
			f.First = msgid.Seq(500*n + 1)
			step(recovery.Event{Kind: recovery.Sealed, Frame: f})
			if n%64 == 63 {
				ack.Seq, ack.Have, ack.Consumed = f.Last(), f.Last(), f.Last()
				step(recovery.Event{Kind: recovery.Heard, Signal: ack})
			}
		}
		if published != b.N {
			b.Fatalf("published %d of %d", published, b.N)
		}
	})
}
