package recovery_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

func TestInputsEnded(t *testing.T) {
	ended := func(b *bool) bool { return *b }
	for _, c := range []struct {
		inputs []bool
		want   bool
	}{{nil, false}, {[]bool{true}, true}, {[]bool{false}, false}, {[]bool{true, false}, false}, {[]bool{true, true}, true}} {
		if got := recovery.InputsEnded(c.inputs, ended); got != c.want {
			t.Errorf("inputs that have ended %v: %v, want %v", c.inputs, got, c.want)
		}
	}
}

// An input that stays ready gets its turn before any other gets its second one.
func TestTurnsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type input struct {
			ready  bool
			passed []int // how many turns each other input has had since this one waits
		}
		n := rapid.IntRange(1, 5).Draw(t, "inputs")
		inputs := make([]input, n)
		for i := range inputs {
			inputs[i].passed = make([]int, n)
		}
		var turns recovery.Turns
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			some := false
			for i := range inputs {
				if !inputs[i].ready && rapid.Bool().Draw(t, "ready") {
					inputs[i].ready = true
					clear(inputs[i].passed)
				}
				some = some || inputs[i].ready
			}
			got := recovery.Next(&turns, inputs, func(in *input) bool { return in.ready })
			if (got != nil) != some || got != nil && !got.ready {
				t.Fatalf("the turn is that of %+v", got)
			}
			if got == nil {
				continue
			}
			for i := range inputs {
				for j := range inputs {
					if &inputs[j] != got || &inputs[i] == got || !inputs[i].ready {
						continue
					}
					if inputs[i].passed[j]++; inputs[i].passed[j] > 1 {
						t.Fatalf("input %d waits, and input %d had %d turns", i, j, inputs[i].passed[j])
					}
				}
			}
			got.ready = rapid.Bool().Draw(t, "still ready")
			clear(got.passed)
		}
	})
}

// An output blocks when it is a window ahead, or when all retain too much, and then it is the fullest one.
func TestBlocked(t *testing.T) {
	type output struct{ ahead, retained uint64 }
	rapid.Check(t, func(t *rapid.T) {
		outputs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) output {
			return output{rapid.Uint64Range(0, 12).Draw(t, "ahead"), rapid.Uint64Range(0, 12).Draw(t, "retained")}
		}), 0, 4).Draw(t, "outputs")
		const window, bound = 10, 20
		got := recovery.Blocked(outputs, window, bound, func(o *output) (uint64, uint64) { return o.ahead, o.retained })
		total, most := uint64(0), uint64(0)
		for k, o := range outputs {
			if o.ahead >= window {
				if got != recovery.Output(k) {
					t.Fatalf("blocked by %d, want %d", got, k)
				}
				return
			}
			total, most = total+o.retained, max(most, o.retained)
		}
		switch {
		case total < bound && got != recovery.NoOutput:
			t.Fatalf("blocked by %d though %d bytes are retained", got, total)
		case total >= bound && (got == recovery.NoOutput || outputs[got].retained != most):
			t.Fatalf("blocked by %d, the fullest retains %d", got, most)
		}
	})
}

// Signals carry their plan, channel and incarnation; only marks are in order with the data.
func TestSignalsAreStamped(t *testing.T) {
	c := recovery.Config{
		Plan: 3, Incarnation: 5, Inputs: []recovery.Port{{Number: 7}, {Number: 8}}, Outputs: []recovery.Port{{Number: 9}},
	}
	a := c.ToSource(1, channel.Signal{Kind: channel.Ack, Seq: 11})
	if s := a.Signal; a.Kind != recovery.Signal || a.Input != 1 || a.InBand || s.Plan != 3 || s.Channel != 8 || s.Incarnation != 5 || s.Seq != 11 {
		t.Errorf("to the source: %+v", a)
	}
	for kind, inBand := range map[channel.SignalKind]bool{channel.Mark: true, channel.Refuse: false} {
		a := c.ToTarget(0, channel.Signal{Kind: kind})
		if s := a.Signal; a.Kind != recovery.Signal || a.Output != 0 || a.InBand != inBand || s.Plan != 3 || s.Channel != 9 || s.Incarnation != 5 {
			t.Errorf("to the target: %+v", a)
		}
	}
}

// Frames ahead are a set of tuples: with whatever overlap and in whatever order they come, holes are the rest, and taking
// as positions rise gives each frame once, when the hole before it is filled.
func TestAhead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a recovery.Ahead
		var have msgid.Ranges
		bytes, kept := 0, 0
		for range rapid.IntRange(0, 12).Draw(t, "frames") {
			first := msgid.Seq(rapid.Uint64Range(2, 40).Draw(t, "first"))
			f := channel.Frame{
				Header: channel.Header{First: first, Count: uint32(rapid.IntRange(1, 6).Draw(t, "count"))},
				Raw:    make([]byte, rapid.IntRange(1, 9).Draw(t, "size")),
			}
			had := a.Has(&f)
			if got := (msgid.Ranges{{First: f.First, Last: f.Last()}}).Minus(have); had && !got.Empty() {
				t.Fatalf("#%d-%d is there, without %v", f.First, f.Last(), got)
			}
			if had {
				continue
			}
			a.Add(f)
			have.Add(msgid.Range{First: f.First, Last: f.Last()})
			bytes, kept = bytes+f.Len(), kept+1
			if !a.Has(&f) || a.Bytes() != bytes || a.Len() != kept {
				t.Fatalf("after #%d-%d: %d frames of %d bytes, want %d of %d", f.First, f.Last(), a.Len(), a.Bytes(), kept, bytes)
			}
		}
		accepted := msgid.Seq(0)
		for accepted < 50 {
			proven := msgid.Seq(rapid.Uint64Range(0, 60).Draw(t, "proven"))
			var want msgid.Ranges
			if proven > accepted {
				want = msgid.Ranges{{First: accepted + 1, Last: proven}}.Minus(have)
			}
			if got := a.Holes(accepted, proven); !got.Minus(want).Empty() || !want.Minus(got).Empty() {
				t.Fatalf("holes between #%d and #%d: %v, want %v", accepted, proven, got, want)
			}
			f, ok := a.Take(accepted)
			if !ok {
				accepted += msgid.Seq(rapid.Uint64Range(1, 5).Draw(t, "accepted"))
				continue
			}
			if f.First > accepted+1 {
				t.Fatalf("#%d is taken though it is above a hole at #%d", f.First, accepted+1)
			}
			bytes, kept = bytes-f.Len(), kept-1
			accepted = max(accepted, f.Last())
		}
		if a.Len() != 0 || a.Bytes() != 0 || kept != 0 || bytes != 0 {
			t.Fatalf("%d frames of %d bytes are left", a.Len(), a.Bytes())
		}
	})
}

func TestSooner(t *testing.T) {
	for _, c := range [][3]recovery.Tick{{0, 0, 0}, {3, 0, 3}, {0, 3, 3}, {3, 4, 3}, {4, 3, 3}} {
		if got := recovery.Sooner(c[0], c[1]); got != c[2] {
			t.Errorf("the sooner of %d and %d is %d", c[0], c[1], got)
		}
	}
}
