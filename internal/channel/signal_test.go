package channel_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

var splitCount = msgid.Channel{Source: msgid.Alias{Operator: "split", Index: 1}, Target: msgid.Alias{Operator: "count", Index: 3}}

func TestSignalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := channel.Signal{
			Kind:        channel.SignalKind(rapid.IntRange(int(channel.Hello), int(channel.Refuse)).Draw(t, "kind")),
			Flags:       channel.SignalFlags(rapid.Byte().Draw(t, "flags")),
			Plan:        rapid.Uint64().Draw(t, "plan"),
			Channel:     rapid.Uint32().Draw(t, "channel"),
			Incarnation: msgid.Incarnation(rapid.Uint32().Draw(t, "incarnation")),
			For:         msgid.Incarnation(rapid.Uint32().Draw(t, "for")),
			Seq:         msgid.Seq(rapid.Uint64().Draw(t, "seq")),
			Have:        msgid.Seq(rapid.Uint64().Draw(t, "have")),
			Consumed:    msgid.Seq(rapid.Uint64().Draw(t, "consumed")),
			Wave:        rapid.Uint64().Draw(t, "wave"),
			Sum:         rapid.Uint32().Draw(t, "sum"),
		}
		for range rapid.IntRange(0, 5).Draw(t, "ranges") {
			first := rapid.Uint64Range(1, math.MaxUint64-100).Draw(t, "first")
			s.Ranges.Add(msgid.Range{First: msgid.Seq(first), Last: msgid.Seq(first + rapid.Uint64Range(0, 100).Draw(t, "more"))})
		}
		prefix := []byte("before")
		b := s.AppendBinary(prefix)
		if !bytes.HasPrefix(b, prefix) || !channel.IsSignal(b[len(prefix):]) {
			t.Fatalf("encoded as %x", b)
		}
		got, err := channel.DecodeSignal(b[len(prefix):])
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Ranges) == 0 {
			got.Ranges = nil
		}
		if !reflect.DeepEqual(got, s) {
			t.Fatalf("got %+v, want %+v", got, s)
		}
	})
}

func TestSignalErrors(t *testing.T) {
	s := channel.Signal{Kind: channel.Ask, Seq: 5, Ranges: msgid.Ranges{{First: 6, Last: 9}}}
	good := s.AppendBinary(nil)
	with := func(change func(b []byte) []byte) []byte { // the checksum is made right again
		return mend(change(append([]byte(nil), good...)))
	}
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, channel.ErrForeign},
		{"a frame", build(t, newBuilder(), item("x")).Raw, channel.ErrForeign},
		{"short", good[:50], channel.ErrShort},
		{"cut off", good[:len(good)-1], channel.ErrDamaged},
		{"version", with(func(b []byte) []byte { b[2] = 9; return b }), channel.ErrVersion},
		{"kind 0", with(func(b []byte) []byte { b[3] = 0; return b }), channel.ErrDamaged},
		{"kind 6", with(func(b []byte) []byte { b[3] = 6; return b }), channel.ErrDamaged},
		{"more than ranges", with(func(b []byte) []byte { return append(b[:len(b)-4], 1, 2, 3, 4, 5) }), channel.ErrDamaged},
		{"half the ranges", with(func(b []byte) []byte { return b[:len(b)-1] }), channel.ErrDamaged},
	} {
		if _, err := channel.DecodeSignal(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	for i := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := channel.DecodeSignal(bad); err == nil {
			t.Errorf("bit %d of byte %d flipped unseen", i%8, i/8)
		}
	}
}

// One ASK is bounded on both sides: the sender asks for the lowest ranges first, the receiver takes no more.
func TestSignalBoundsRanges(t *testing.T) {
	many := make(msgid.Ranges, channel.MaxRanges+1000)
	for i := range many {
		seq := msgid.Seq(1 + 1000*i)
		many[i] = msgid.Range{First: seq, Last: seq}
	}
	s := channel.Signal{Kind: channel.Ask, Ranges: many}
	b := s.AppendBinary(nil)
	got, err := channel.DecodeSignal(b)
	if err != nil || !reflect.DeepEqual(got.Ranges, many[:channel.MaxRanges]) {
		t.Errorf("%d ranges, %v; want the lowest %d", len(got.Ranges), err, channel.MaxRanges)
	}
	if len(s.Ranges) != len(many) {
		t.Error("AppendBinary changed the signal")
	}
	empty := (&channel.Signal{Kind: channel.Ask}).AppendBinary(nil)
	over := mend(append(many.AppendBinary(empty[:61:61]), 0, 0, 0, 0))
	if _, err := channel.DecodeSignal(over); !errors.Is(err, channel.ErrDamaged) {
		t.Errorf("%d ranges: %v, want ErrDamaged", len(many), err)
	}
}

func TestDescribe(t *testing.T) {
	for want, s := range map[string]channel.Signal{
		"HELLO split.1>count.3 restored at #16":                {Kind: channel.Hello, Seq: 16},
		"MARK split.1>count.3#42":                              {Kind: channel.Mark, Seq: 42},
		"MARK split.1>count.3#42 for incarnation 2 (ended)":    {Kind: channel.Mark, Seq: 42, For: 2, Flags: channel.Ended},
		"ACK split.1>count.3 stable #1 have #3 consumed #2":    {Kind: channel.Ack, Seq: 1, Have: 3, Consumed: 2},
		"ASK split.1>count.3#17-42,45":                         {Kind: channel.Ask, Ranges: msgid.Ranges{{First: 17, Last: 42}, {First: 45, Last: 45}}},
		"REFUSE split.1>count.3 stable #9 restored at #4":      {Kind: channel.Refuse, Seq: 9, Have: 4},
		"SIGNAL(0) split.1>count.3 (greet,urge,starving,full)": {Flags: channel.Greet | channel.Urge | channel.Starving | channel.Full},
	} {
		if got := s.Describe(splitCount); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzDecodeSignal(f *testing.F) {
	for _, s := range []channel.Signal{{Kind: channel.Hello, Seq: 9}, {Kind: channel.Ask, Ranges: msgid.Ranges{{First: 17, Last: 42}, {First: 45, Last: 45}}}} {
		f.Add(s.AppendBinary(nil), false)
		f.Add(s.AppendBinary(nil), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, mended bool) {
		if mended { // let the fuzzer past the checksum
			b = mend(append([]byte(nil), b...))
		}
		s, err := channel.DecodeSignal(b)
		if err != nil {
			return
		}
		if again := s.AppendBinary(nil); !bytes.Equal(again, b) {
			t.Fatalf("re-encoded\n%x\nfrom\n%x", again, b)
		}
		_ = s.Describe(splitCount)
	})
}

// mend makes the checksum at the end right.
func mend(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	body := b[:len(b)-4]
	return binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
}

func TestKinds(t *testing.T) {
	if got := fmt.Sprint(channel.Data, channel.Control, channel.Replay, channel.Kind(9)); got != "data ctl replay kind(9)" {
		t.Error(got)
	}
}
