package backtrack

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

func genEntry(t *rapid.T) entry {
	e := entry{
		kind:  rapid.SampledFrom([]entryKind{turn, timer, kindOf(recovery.DeterminantTime), kindOf(recovery.DeterminantRand), givenUpKind, lastKind}).Draw(t, "kind"),
		input: recovery.Input(rapid.IntRange(0, 9).Draw(t, "input")),
		value: rapid.Uint64().Draw(t, "value"),
	}
	if e.kind == givenUpKind {
		e.reason = rapid.StringN(-1, -1, 300).Draw(t, "reason")
	}
	return e
}

func TestDeterminants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(genEntry), 1, 30).Draw(t, "entries")
		pos := rapid.Uint64Range(uint64(len(want)), 1<<40).Draw(t, "pos")
		record := encodeDeterminants(pos, want)
		first, got, err := decodeDeterminants(record, 10)
		if err != nil || first != pos-uint64(len(want))+1 || !slices.Equal(got, want) {
			t.Fatalf("read back as #%d %v, %v", first, got, err)
		}
		for n := range record {
			if _, _, err := decodeDeterminants(record[:n], 10); !errors.Is(err, errDeterminants) {
				t.Fatalf("%d of %d bytes are read: %v", n, len(record), err)
			}
		}
		if _, _, err := decodeDeterminants(append(record, 0), 10); !errors.Is(err, errDeterminants) {
			t.Fatalf("a byte too many is read: %v", err)
		}
	})
}

func FuzzDeterminants(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeDeterminants(1, []entry{{turn, 0, 3, ""}}))
	f.Add(encodeDeterminants(1<<40, []entry{{turn, 2, 1, ""}, {timer, 0, 1 << 60, ""}, {givenUpKind, 1, 7, "poison"}}))
	f.Add([]byte{determinantVersion, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, entries, err := decodeDeterminants(b, 3)
		if err != nil {
			return
		}
		if len(entries) > len(b) {
			t.Fatalf("%d entries out of %d bytes", len(entries), len(b))
		}
		if f, again, err := decodeDeterminants(encodeDeterminants(first+uint64(len(entries))-1, entries), 3); err != nil || f != first || !slices.Equal(again, entries) {
			t.Fatalf("#%d %v is read back as #%d %v, %v", first, entries, f, again, err)
		}
	})
}

// ports of the machines below: two inputs, two outputs.
func ports() recovery.Config {
	alias := func(name string) msgid.Alias { return msgid.Alias{Operator: name} }
	c := recovery.Config{Self: alias("m"), Plan: 1}
	for n, name := range []string{"a", "b"} {
		c.Inputs = append(c.Inputs, recovery.Port{Number: uint32(n), ID: msgid.Channel{Source: alias(name), Target: c.Self}})
	}
	for n, name := range []string{"x", "y"} {
		c.Outputs = append(c.Outputs, recovery.Port{Number: uint32(2 + n), ID: msgid.Channel{Source: c.Self, Target: alias(name)}})
	}
	return c
}

func machine(t interface{ Fatal(...any) }, c recovery.Config, h recovery.History) *Machine {
	m, err := New(c, h)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*Machine)
}

// A driver steps a machine and forgets the actions, but for those a test asks for.
type driver struct {
	*Machine
	do      recovery.Actions
	builder []*channel.Builder
}

func drive(m *Machine) *driver {
	d := &driver{Machine: m}
	for o, s := range m.Status().Outputs {
		d.builder = append(d.builder, channel.NewBuilder(1, m.out[o].port.Number, m.cfg.Incarnation, s.Seq+1, s.Sum, 1<<10))
	}
	d.step(recovery.Event{Kind: recovery.Started})
	return d
}

func (d *driver) step(ev recovery.Event) []recovery.Action {
	d.do.Reset()
	d.Step(ev, &d.do)
	return d.do.List
}

func (d *driver) seal(o, tuples int) {
	for range tuples {
		d.builder[o].Append([]byte{0x91, 0x01})
	}
	d.step(recovery.Event{Kind: recovery.Sealed, Output: recovery.Output(o), Frame: d.builder[o].Seal()})
}

// TestSnapshotRoundTrip walks a machine at random, and demands that a machine restored from its captures, full and
// incremental, has the same positions and retains the same frames.
func TestSnapshotRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drive(machine(t, ports(), recovery.History{Incarnation: 1}))
		source := []*channel.Builder{channel.NewBuilder(1, 0, 1, 1, 0, 1<<10), channel.NewBuilder(1, 1, 1, 1, 0, 1<<10)}
		var chain [][]byte
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			port := rapid.IntRange(0, 1).Draw(t, "port")
			n := rapid.IntRange(1, 3).Draw(t, "tuples")
			switch rapid.SampledFrom([]string{"consume", "seal", "ack", "snapshot"}).Draw(t, "step") {
			case "consume":
				for range n {
					source[port].Append([]byte{0x91, 0x02})
				}
				d.step(recovery.Event{Kind: recovery.FrameReceived, Input: recovery.Input(port), Frame: source[port].Seal()})
				d.step(recovery.Event{Kind: recovery.Ready})
				d.step(recovery.Event{Kind: recovery.Consumed})
			case "seal":
				d.seal(port, n)
			case "ack":
				stable := msgid.Seq(rapid.Uint64Range(0, uint64(d.out[port].emitted)).Draw(t, "stable"))
				d.step(recovery.Event{Kind: recovery.SignalReceived, Output: recovery.Output(port), Signal: channel.Signal{
					Kind: channel.Ack, Incarnation: 1, For: 1, Seq: stable, Have: stable, Consumed: stable,
					Sum: channel.Checksum(0, bytes.Repeat([]byte{0x91, 0x01}, int(stable)))}})
			case "snapshot":
				full := len(chain) == 0 || rapid.Bool().Draw(t, "full")
				if full {
					chain = nil
				}
				chain = append(chain, d.Capture(nil, full))
				d.step(recovery.Event{Kind: recovery.Uploaded})
			}
		}
		chain = append(chain, d.Capture(nil, len(chain) == 0))

		r := machine(t, ports(), recovery.History{Incarnation: 2, Chain: chain})
		was, is := d.Status(), r.Status()
		if !slices.Equal(was.Inputs, is.Inputs) || !slices.Equal(was.Outputs, is.Outputs) {
			t.Fatalf("was %+v\nis restored as %+v", was, is)
		}
		for o := range r.out {
			old, out := &d.out[o], &r.out[o]
			if out.stable != old.stable || out.stableInc != old.stableInc {
				t.Fatalf("stable %d of %d, was %d of %d", out.stable, out.stableInc, old.stable, old.stableInc)
			}
			if out.retained.Len() != old.retained.Len() {
				t.Fatalf("output %d retains %d frames, did %d", o, out.retained.Len(), old.retained.Len())
			}
			for k := range out.retained.Len() {
				was, is := &old.retained.At(k).Frame, &out.retained.At(k).Frame
				if is.First != was.First || !bytes.Equal(is.Payload(), was.Payload()) || is.Incarnation != 2 {
					t.Fatalf("frame %d is restored as %+v", k, is.Header)
				}
			}
		}
		last := chain[len(chain)-1]
		for _, n := range []int{0, 1, len(last) / 2, len(last) - 1} {
			chain[len(chain)-1] = last[:n]
			if _, err := New(ports(), recovery.History{Incarnation: 2, Chain: chain}); !errors.Is(err, errSnapshot) {
				t.Fatalf("%d of %d bytes are restored: %v", n, len(last), err)
			}
		}
	})
}

// TestIncrementAloneIsRefused: an increment without its predecessor lacks frames.
func TestIncrementAloneIsRefused(t *testing.T) {
	d := drive(machine(t, ports(), recovery.History{Incarnation: 1}))
	d.seal(0, 2)
	full := d.Capture(nil, true)
	d.step(recovery.Event{Kind: recovery.Uploaded})
	d.seal(0, 2)
	increment := d.Capture(nil, false)
	if _, err := New(ports(), recovery.History{Incarnation: 2, Chain: [][]byte{full, increment}}); err != nil {
		t.Fatal(err)
	}
	for _, chain := range [][][]byte{{increment}, {full, increment, increment}} {
		if _, err := New(ports(), recovery.History{Incarnation: 2, Chain: chain}); !errors.Is(err, errSnapshot) {
			t.Errorf("%d parts: %v", len(chain), err)
		}
	}
	other := ports()
	other.Outputs[0].Number = 9
	if _, err := New(other, recovery.History{Incarnation: 2, Chain: [][]byte{full}}); !errors.Is(err, errSnapshot) {
		t.Errorf("another plan's snapshot: %v", err)
	}
}

// TestDeterminantsWithHoleIsRefused: the missing entries are nowhere else.
func TestDeterminantsWithHoleIsRefused(t *testing.T) {
	one, two, four := encodeDeterminants(1, []entry{{turn, 0, 1, ""}}), encodeDeterminants(2, []entry{{turn, 1, 1, ""}}), encodeDeterminants(4, []entry{{turn, 0, 1, ""}})
	if _, err := New(ports(), recovery.History{Incarnation: 2, Determinants: [][]byte{one, two}}); err != nil {
		t.Error(err)
	}
	if _, err := New(ports(), recovery.History{Incarnation: 2, Determinants: [][]byte{one, two, four}}); !errors.Is(err, errDeterminants) {
		t.Errorf("order #3 is missing: %v", err)
	}
}

func FuzzSnapshot(f *testing.F) {
	d := drive(machine(f, ports(), recovery.History{Incarnation: 1}))
	f.Add(d.Capture(nil, true), []byte{})
	d.seal(0, 2)
	d.seal(1, 1)
	f.Add(d.Capture(nil, true), encodeDeterminants(1, []entry{{turn, 1, 2, ""}}))
	f.Add([]byte{snapshotVersion, 0, 0, 0, 2}, []byte{determinantVersion, 1, 1})
	f.Fuzz(func(t *testing.T, snapshot, order []byte) {
		h := recovery.History{Incarnation: 2, Chain: [][]byte{snapshot}, Determinants: [][]byte{order}}
		m, err := New(ports(), h)
		if err != nil {
			return
		}
		if m.Status().Retained > len(snapshot) {
			t.Fatalf("%d bytes retained out of %d", m.Status().Retained, len(snapshot))
		}
		d := drive(m.(*Machine)) // the restored machine runs
		for _, ev := range []recovery.Event{
			{Kind: recovery.Ticked, Now: 1},
			{Kind: recovery.SignalReceived, Signal: channel.Signal{Kind: channel.Hello, Incarnation: 1 << 31}},
			{Kind: recovery.SignalReceived, Signal: channel.Signal{Kind: channel.Ack, Incarnation: 1 << 31, For: 2, Have: 3, Consumed: 2}},
			{Kind: recovery.SignalReceived, Signal: channel.Signal{Kind: channel.Ask, Incarnation: 1 << 31, Ranges: msgid.Ranges{{First: 1, Last: 1 << 60}}}},
			{Kind: recovery.Ready},
			{Kind: recovery.Consumed},
			{Kind: recovery.Idle},
		} {
			d.step(ev)
		}
		d.Capture(nil, true)
	})
}
