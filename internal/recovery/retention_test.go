package recovery

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

var retained = Port{Number: 7, ID: msgid.Channel{Source: msgid.Alias{Operator: "a"}, Target: msgid.Alias{Operator: "b"}}}

func builder() *channel.Builder { return channel.NewBuilder(0, retained.Number, 1, 1, 0, 1<<20) }

// seal makes the next frame, of n tuples.
func seal(b *channel.Builder, n int) channel.Frame {
	for range n {
		b.Append([]byte{0x91, 0x01})
	}
	return b.Seal()
}

// A retention agrees with a slice of frames and their offsets, and is restored from the bytes that it appends.
func TestRetention(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Retention
		var twin []Retained
		b, end, emitted, stable := builder(), uint64(0), msgid.Seq(0), msgid.Seq(0)
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "seal") {
				f := seal(b, rapid.IntRange(1, 3).Draw(t, "tuples"))
				emitted = f.Last()
				r.Push(f, end)
				twin = append(twin, Retained{f, end, end})
				end += uint64(f.Len())
			} else {
				stable = msgid.Seq(rapid.Uint64Range(uint64(stable), uint64(emitted)).Draw(t, "stable"))
				freed := 0
				n := r.Trim(stable, func(f *channel.Frame) {
					if f.First != twin[freed].Frame.First {
						t.Fatalf("#%d is freed, and not #%d", f.First, twin[freed].Frame.First)
					}
					freed++
				})
				if n != freed || n < len(twin) && twin[n].Frame.Last() <= stable {
					t.Fatalf("Trim returned %[2]d of %[1]d frames and freed %[3]d", len(twin), freed, n)
				}
				twin = twin[n:]
			}
			if r.Len() != len(twin) || r.End() != end {
				t.Fatalf("%d frames up to %d, want %d up to %d", r.Len(), r.End(), len(twin), end)
			}
			bytes := uint64(0)
			for k, want := range twin {
				bytes += uint64(want.Frame.Len())
				if got := r.At(k); got.Frame.First != want.Frame.First || got.Offset != want.Offset || got.Gate != want.Gate {
					t.Fatalf("frame %d is %+v, want %+v", k, got, want)
				}
			}
			if r.Bytes() != bytes {
				t.Fatalf("%d bytes, want %d", r.Bytes(), bytes)
			}
			s := msgid.Seq(rapid.Uint64Range(uint64(stable), uint64(emitted)).Draw(t, "s"))
			k, after := 0, end
			for k < len(twin) && twin[k].Frame.Last() < s {
				k++
			}
			if got := r.Find(s); got != k {
				t.Fatalf("frame %d holds #%d, want %d", got, s, k)
			}
			if k = r.Find(s + 1); k < len(twin) {
				after = twin[k].Offset
			}
			if got := r.After(s); got != after {
				t.Fatalf("after #%d comes %d, want %d", s, got, after)
			}
		}

		d := Decode(r.Append(nil, 0, r.Len()))
		frames, err := d.Frames()
		if err != nil || !d.Done() || len(frames) != len(twin) {
			t.Fatalf("%d frames are read, want %d: %v", len(frames), len(twin), err)
		}
		var again Retention
		if err := again.Restore(frames, retained, 2, stable, emitted); err != nil {
			t.Fatal(err)
		}
		if again.Len() != len(twin) || again.Bytes() != r.Bytes() {
			t.Fatalf("%d frames of %d bytes are restored, want %d of %d", again.Len(), again.Bytes(), len(twin), r.Bytes())
		}
		for k := range twin {
			if f := again.At(k).Frame; f.First != twin[k].Frame.First || f.Incarnation != 2 {
				t.Fatalf("frame %d is restored as %+v", k, f.Header)
			}
		}
	})
}

// Frames that do not lead from the stable position to the emitted one are refused, and so are bytes that are cut short.
func TestRetentionRefuses(t *testing.T) {
	b := builder()
	one, two, three := seal(b, 2), seal(b, 2), seal(b, 2)
	other := retained
	other.Number++
	for what, c := range map[string]struct {
		frames          []channel.Frame
		port            Port
		stable, emitted msgid.Seq
		refused         bool
	}{
		"all":                     {[]channel.Frame{one, two, three}, retained, 0, 6, false},
		"nothing":                 {nil, retained, 6, 6, false},
		"stable within the first": {[]channel.Frame{one, two}, retained, 1, 4, false},
		"stable since":            {[]channel.Frame{one, two, three}, retained, 4, 6, false},
		"a hole before":           {[]channel.Frame{two, three}, retained, 1, 6, true},
		"a hole":                  {[]channel.Frame{one, three}, retained, 0, 6, true},
		"twice the same":          {[]channel.Frame{one, two, two, three}, retained, 0, 6, true},
		"too few":                 {[]channel.Frame{one, two}, retained, 0, 6, true},
		"too many":                {[]channel.Frame{one, two, three}, retained, 0, 4, true},
		"of another channel":      {[]channel.Frame{one, two, three}, other, 0, 6, true},
	} {
		var r Retention
		if err := r.Restore(c.frames, c.port, 1, c.stable, c.emitted); (err != nil) != c.refused {
			t.Errorf("%s: %v", what, err)
		}
	}
	var r Retention
	r.Push(one, 0)
	whole := r.Append(nil, 0, 1)
	for n := range whole {
		if frames, err := Decode(whole[:n]).Frames(); err == nil && len(frames) > 0 {
			t.Errorf("%d of %d bytes are taken for a frame", n, len(whole))
		}
	}
}

// Trimmed frames are not referred to any more, and their places are used again, or a long run would keep them all.
func TestRetentionForgets(t *testing.T) {
	var r Retention
	b := builder()
	r.Push(seal(b, 1), 0)
	for range 1000 {
		f := seal(b, 1)
		r.Push(f, 0)
		r.Trim(f.First-1, func(*channel.Frame) {})
	}
	if r.Len() != 1 || cap(r.frames) > 64 {
		t.Errorf("%d frames have %d places", r.Len(), cap(r.frames))
	}
	for k, f := range r.frames[:cap(r.frames)] {
		if f.Frame.Raw != nil && k != r.head {
			t.Error("a trimmed frame is still referred to")
		}
	}
}
