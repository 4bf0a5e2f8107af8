package backtrack

import (
	"bytes"
	"strings"
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// frames returns n frames of one tuple each on input 0.
func frames(n int) (list []channel.Frame) {
	b := channel.NewBuilder(1, 0, 1, 1, 0, 1<<10)
	for range n {
		b.Append([]byte{0x91, 0x01})
		list = append(list, b.Seal())
	}
	return list
}

// TestAheadIsBounded: a source without regard for credit fills the store of frames above a hole. The store does not grow
// beyond its bound; dropped frames are asked for once there is room, and in the end none is missing (T2).
func TestAheadIsBounded(t *testing.T) {
	c := ports()
	c.Window, c.HardBound = 100, 200
	d := drive(machine(t, c, recovery.History{Incarnation: 1}))
	all := frames(100)
	receive := func(f channel.Frame, replay bool) {
		d.step(recovery.Event{Kind: recovery.FrameReceived, Frame: f, Replay: replay})
	}
	for _, f := range all[1:] {
		receive(f, false)
	}
	in := &d.in[0]
	if bound := c.HardBound + 4*c.Window; in.queued() > bound || in.ahead.Len() == 0 {
		t.Fatalf("%d bytes in %d frames are held, want some, and at most %d", in.queued(), in.ahead.Len(), bound)
	}
	if got := d.Status().Counters; got.Overflow != uint64(99-in.ahead.Len()) || got.Asks != 1 {
		t.Errorf("%d frames of 99 are held, counted are %+v", in.ahead.Len(), got)
	}
	now := recovery.Tick(0)
	for round := 0; in.consumed < 100; round++ {
		if round == 100 {
			t.Fatalf("consumed %d of 100", in.consumed)
		}
		var wanted []channel.Frame
		answer := func(actions []recovery.Action) {
			for _, a := range actions {
				if a.Kind == recovery.Signal && a.Signal.Kind == channel.Ask {
					for _, r := range a.Signal.Ranges {
						wanted = append(wanted, all[r.First-1:min(r.Last, 100)]...)
					}
				}
			}
		}
		now += 2000
		answer(d.step(recovery.Event{Kind: recovery.Ticked, Now: now}))
		for _, f := range wanted {
			answer(d.step(recovery.Event{Kind: recovery.FrameReceived, Frame: f, Replay: true}))
		}
		for in.ready.Len() > 0 {
			d.step(recovery.Event{Kind: recovery.Ready})
			answer(d.step(recovery.Event{Kind: recovery.Consumed}))
		}
	}
	if in.ahead.Len() != 0 || in.queued() != 0 {
		t.Errorf("%d frames, %d bytes are left", in.ahead.Len(), in.queued())
	}
}

// TestDeterminantsIsBounded: however much order gathers while an append is in flight, each record stays small, and
// together they hold all of it.
func TestDeterminantsIsBounded(t *testing.T) {
	c := ports()
	d := drive(machine(t, c, recovery.History{Incarnation: 1}))
	b := channel.NewBuilder(1, 0, 1, 1, 0, 1<<20)
	const tuples = 500
	for range tuples {
		b.Append([]byte{0x91, 0x01})
	}
	d.step(recovery.Event{Kind: recovery.FrameReceived, Frame: b.Seal()})
	d.step(recovery.Event{Kind: recovery.Ready})
	for seq := range uint64(tuples) {
		d.step(recovery.Event{Kind: recovery.DeterminantRequested, Determinant: recovery.DeterminantGivenUp, Value: seq + 1, Reason: strings.Repeat("x", recovery.MaxReason)})
	}
	d.step(recovery.Event{Kind: recovery.Ticked, Now: 1})
	d.seal(0, 1)
	var records [][]byte
	for appends := d.do.List; len(appends) > 0; appends = d.step(recovery.Event{Kind: recovery.Appended}) {
		for _, a := range appends {
			if a.Kind == recovery.Append {
				records = append(records, bytes.Clone(a.Data))
			}
		}
		if len(records) > tuples {
			t.Fatal("there is no end of it")
		}
	}
	entries := 0
	for k, r := range records {
		if len(r) > maxRecord+maxEntry {
			t.Errorf("record %d has %d bytes", k, len(r))
		}
		first, list, err := decodeDeterminants(r, 2)
		if err != nil || first != uint64(entries+1) {
			t.Fatalf("record %d begins at #%d after %d entries: %v", k, first, entries, err)
		}
		entries += len(list)
	}
	if want := 1 + tuples; entries != want || d.determinants.durable != uint64(want) {
		t.Errorf("%d entries are recorded in %d records, want %d", entries, len(records), want)
	}
}

// TestAskIsBounded: more holes than one signal may name are asked for in parts.
func TestAskIsBounded(t *testing.T) {
	d := drive(machine(t, ports(), recovery.History{Incarnation: 1}))
	all := frames(4*channel.MaxRanges + 2)
	// A target that was away: every other frame is here, and only now a mark proves that the others are lost.
	for k := 1; k < len(all); k += 2 {
		f := all[k]
		d.keepAhead(&d.in[0], f)
	}
	actions := d.step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{Kind: channel.Mark, Incarnation: 1, Seq: msgid.Seq(len(all))}})
	asked := 0
	for _, a := range actions {
		if a.Kind == recovery.Signal && a.Signal.Kind == channel.Ask {
			asked = len(a.Signal.Ranges)
		}
	}
	if asked != channel.MaxRanges {
		t.Errorf("one ASK names %d ranges, want %d", asked, channel.MaxRanges)
	}
}

// TestTrim: no stable frame is retained.
func TestTrim(t *testing.T) {
	d := drive(machine(t, ports(), recovery.History{Incarnation: 1}))
	for n := range msgid.Seq(1000) {
		d.seal(0, 1)
		d.step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{
			Kind: channel.Ack, Incarnation: 1, For: 1, Seq: n, Have: n + 1, Consumed: n + 1,
			Sum: channel.Checksum(0, bytes.Repeat([]byte{0x91, 0x01}, int(n+1)))}})
	}
	out := &d.out[0]
	if d.stage == recovery.StageFailed || out.stable != 999 {
		t.Fatalf("stage %d, stable #%d", d.stage, out.stable)
	}
	if out.retained.Len() != 1 || d.retainedBytes != out.retained.At(0).Frame.Len() {
		t.Errorf("%d frames, %d bytes are retained for one tuple", out.retained.Len(), d.retainedBytes)
	}
}
