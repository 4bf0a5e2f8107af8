package channel_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// item returns a tuple of one short string, encoded.
func item(s string) []byte {
	b := append([]byte{0x91, 0xa0 | byte(len(s))}, s...)
	if n, kind, err := tuple.Skip(b); err != nil || n != len(b) || kind != tuple.Data {
		panic(fmt.Sprint("not an item: ", s))
	}
	return b
}

func build(t testing.TB, b *channel.Builder, items ...[]byte) channel.Frame {
	t.Helper()
	for _, it := range items {
		b.Append(it)
	}
	return b.Seal()
}

func newBuilder() *channel.Builder { return channel.NewBuilder(0xfeed, 7, 3, 1, 0, 16<<10) }

// The bytes on the wire: workers of one topology must agree on them.
func TestWire(t *testing.T) {
	b := channel.NewBuilder(0x0102030405060708, 0x11121314, 0x21222324, 0x3132333435363738, 0x41424344, 1<<10)
	b.SetBirth(0x5152535455565758)
	f := build(t, b, item("a"), tuple.AppendEnd(nil))
	payload := append(item("a"), tuple.AppendEnd(nil)...)
	want := "4146" + "01" + "00" + "14131211" + "0807060504030201" + "24232221" + "02000000" + "3837363534333231" +
		"5857565554535251" + "44434241" +
		fmt.Sprintf("%x", binary.LittleEndian.AppendUint32(nil, channel.Checksum(0x41424344, payload))) + "05000000"
	if got := fmt.Sprintf("%x", f.Raw[:52]); got != want {
		t.Errorf("header\n got %s\nwant %s", got, want)
	}
	sum := crc32.Checksum(f.Raw[:52], crc32.MakeTable(crc32.Castagnoli))
	if got := binary.LittleEndian.Uint32(f.Raw[52:]); got != sum {
		t.Errorf("header checksum %x, want %x", got, sum)
	}
	if !bytes.Equal(f.Payload(), payload) {
		t.Errorf("payload %x, want %x", f.Payload(), payload)
	}
}

func TestSealDecode(t *testing.T) {
	b := newBuilder()
	b.SetBirth(50)
	b.SetBirth(0)
	b.SetBirth(40)
	b.SetBirth(60)
	first := build(t, b, item("one"), item("two"), item("three"))
	second := build(t, b, item("four"))
	got, err := channel.Decode(first.Raw)
	if err != nil {
		t.Fatal(err)
	}
	want := channel.Header{Plan: 0xfeed, Channel: 7, Incarnation: 3, First: 1, Count: 3, Birth: 40, After: channel.Checksum(0, first.Payload())}
	if got.Header != want || first.Header != want {
		t.Errorf("decoded %+v\nsealed  %+v\nwant    %+v", got.Header, first.Header, want)
	}
	if got.Last() != 3 || got.Len() != len(first.Raw) {
		t.Errorf("last %d, length %d", got.Last(), got.Len())
	}
	if got, err := channel.Decode(second.Raw); err != nil || got.First != 4 || got.Before != first.After || got.Birth != 0 {
		t.Errorf("second frame %+v, %v: it continues the first", got.Header, err)
	}
	if &got.Raw[0] != &first.Raw[0] {
		t.Error("Decode copied")
	}
	if f := b.Seal(); f.Raw != nil || b.Next() != 5 {
		t.Errorf("sealing an empty frame gave %+v and went on to %d", f.Header, b.Next())
	}
}

// A frame that is much smaller than its buffer does not hold the buffer; one that fills it is not copied.
func TestSealBuffers(t *testing.T) {
	b := newBuilder()
	full := func() channel.Frame {
		for b.Fits(10) {
			b.Append(item("12345678"))
		}
		return b.Seal()
	}
	for range 3 {
		if f := full(); f.Len() > 16<<10 || f.Len() < 16<<10-10 || cap(f.Raw) > 21<<10 {
			t.Errorf("full frame has %d of %d bytes", f.Len(), cap(f.Raw))
		}
	}
	b.Append(item("x"))
	small := b.Seal()
	if cap(small.Raw) > 128 {
		t.Errorf("a frame of %d bytes holds %d", small.Len(), cap(small.Raw))
	}
	keep := append([]byte(nil), small.Raw...)
	full()
	if !bytes.Equal(small.Raw, keep) {
		t.Error("the builder wrote to a sealed frame")
	}
	huge := append([]byte{0x91, 0xc6, 0, 1, 0, 0}, make([]byte, 1<<16)...)
	if b.Fits(len(huge)) {
		t.Error("64 KiB fit into 16 KiB")
	}
	b.Append(huge)
	if f, err := channel.Decode(b.Seal().Raw); err != nil || f.Count != 1 || f.Len() != channel.HeaderSize+len(huge) {
		t.Errorf("a tuple longer than a frame: %+v, %v", f.Header, err)
	}
	b.Append(item("x"))
	if f := b.Seal(); cap(f.Raw) > 16<<10 {
		t.Errorf("the frame after it holds %d bytes", cap(f.Raw))
	}
}

func TestRollback(t *testing.T) {
	b := newBuilder()
	b.Append(item("kept"))
	b.SetBirth(50)
	mark := b.Mark()
	b.Append(item("taken back"))
	b.SetBirth(40)
	if !b.Rollback(mark) || b.Next() != 2 || b.Len() != len(item("kept")) {
		t.Fatalf("rolled back to next %d, %d bytes", b.Next(), b.Len())
	}
	b.Append(item("instead"))
	f := b.Seal()
	if want := append(item("kept"), item("instead")...); !bytes.Equal(f.Payload(), want) || f.Count != 2 || f.Birth != 50 {
		t.Errorf("%d items %q of %d", f.Count, f.Payload(), f.Birth)
	}
	b.Append(item("next frame"))
	if b.Rollback(mark) || b.Count() != 1 {
		t.Error("rolled back into a sealed frame")
	}
	start := b.Mark()
	later := func() channel.Place { b.Append(item("x")); return b.Mark() }()
	if !b.Rollback(start) || b.Rollback(later) {
		t.Error("rolled forward")
	}
}

func TestRestamp(t *testing.T) {
	f := build(t, newBuilder(), item("a"), item("b"))
	sum := f.After
	f.Restamp(99)
	got, err := channel.Decode(f.Raw)
	if err != nil || got.Incarnation != 99 || f.Incarnation != 99 || got.After != sum {
		t.Errorf("restamped: %+v, %v", got.Header, err)
	}
}

func TestStamp(t *testing.T) {
	f := build(t, newBuilder(), item("a"))
	f.Stamp(0x81)
	got, err := channel.Decode(f.Raw)
	if err != nil || got.Flags != 0x81 || f.Flags != 0x81 || got.After != f.After {
		t.Errorf("stamped: %+v, %v", got.Header, err)
	}
}

func TestCut(t *testing.T) {
	b := newBuilder()
	build(t, b, item("before"))
	f := build(t, b, item("a"), item("bb"), tuple.AppendWatermark(nil, 9), item("dddd"), tuple.AppendEnd(nil)) // 2-6
	cut, err := f.Cut(3, 4)
	if err != nil {
		t.Fatal(err)
	}
	if want := tuple.AppendWatermark(item("bb"), 9); !bytes.Equal(cut.Payload(), want) || cut.First != 3 || cut.Count != 2 {
		t.Errorf("cut %+v %x, want 3-4 %x", cut.Header, cut.Payload(), want)
	}
	cut.Raw[channel.HeaderSize] ^= 1
	if _, err := channel.Decode(f.Raw); err != nil {
		t.Errorf("the cut shares the frame's memory: %v", err)
	}
	for _, r := range [][2]msgid.Seq{{1, 2}, {6, 7}, {4, 3}, {0, 0}, {7, 7}, {0, math.MaxUint64}, {2, math.MaxUint64}} {
		if _, err := f.Cut(r[0], r[1]); !errors.Is(err, channel.ErrOutside) {
			t.Errorf("cut %d: %v, want ErrOutside", r, err)
		}
	}
}

// A frame with correct checksums and damaged items.
func TestCutMalformed(t *testing.T) {
	for name, payload := range map[string][]byte{
		"fewer items": item("a"), "more items": bytes.Repeat(item("a"), 3), "not items": {0xc1, 0xff}, "half an item": {0x91, 0xa5, 'x'},
	} {
		b := newBuilder()
		b.Append(payload)
		b.Append(nil)
		f := b.Seal()
		if _, err := f.Cut(1, 2); !errors.Is(err, channel.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	good := build(t, newBuilder(), item("one"), item("two")).Raw
	with := func(change func(b []byte)) []byte { // the header checksum is made right again
		b := append([]byte(nil), good...)
		change(b)
		seal(b)
		return b
	}
	signal := (&channel.Signal{Kind: channel.Mark}).AppendBinary(nil)
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, channel.ErrForeign},
		{"text", []byte("hello, is this the right subject?"), channel.ErrForeign},
		{"a signal", signal, channel.ErrForeign},
		{"half a header", good[:30], channel.ErrShort},
		{"header only", good[:channel.HeaderSize], channel.ErrShort},
		{"cut off", good[:len(good)-1], channel.ErrShort},
		{"too long", append(good[:len(good):len(good)], 0), channel.ErrDamaged},
		{"version", with(func(b []byte) { b[2] = 9 }), channel.ErrVersion},
		{"no items", with(func(b []byte) { b[20] = 0 }), channel.ErrDamaged},
		{"more items than bytes", with(func(b []byte) { b[20] = 200 }), channel.ErrDamaged},
		{"sequence number 0", with(func(b []byte) { b[24] = 0 }), channel.ErrDamaged},
		{"overflow", with(func(b []byte) { binary.LittleEndian.PutUint64(b[24:], math.MaxUint64-1) }), channel.ErrDamaged},
		{"other history", with(func(b []byte) { b[40]++ }), channel.ErrDamaged},
	} {
		if _, err := channel.Decode(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	// Every single flipped bit is found.
	for i := range len(good) * 8 {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		if _, err := channel.Decode(bad); err == nil {
			t.Errorf("bit %d of byte %d flipped unseen", i%8, i/8)
		}
	}
}

// However a stream is cut into frames, and the frames into others, the checksum is that of the stream.
func TestRunningChecksum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringN(0, 20, 20), 1, 60).Draw(t, "words")
		var stream []byte
		var ends []int // of each item in stream
		b := channel.NewBuilder(1, 2, 3, 1, 0, 600)
		var frames []channel.Frame
		for _, w := range words {
			it := item(w)
			if !b.Empty() && (!b.Fits(len(it)) || rapid.IntRange(0, 9).Draw(t, "seal") == 0) {
				frames = append(frames, b.Seal())
			}
			b.Append(it)
			stream = append(stream, it...)
			ends = append(ends, len(stream))
			if b.Sum() != channel.Checksum(0, stream) || int(b.Next()) != len(ends)+1 {
				t.Fatalf("after %d items: next %d, sum %x", len(ends), b.Next(), b.Sum())
			}
		}
		frames = append(frames, b.Seal())
		at := func(n msgid.Seq) int { // the offset in stream after item n
			if n == 0 {
				return 0
			}
			return ends[n-1]
		}
		for _, f := range frames {
			first := f.First + msgid.Seq(rapid.IntRange(0, int(f.Count)-1).Draw(t, "first"))
			last := first + msgid.Seq(rapid.IntRange(0, int(f.Last()-first)).Draw(t, "last"))
			cut, err := f.Cut(first, last)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range []channel.Frame{f, cut} {
				from, to := at(f.First-1), at(f.Last())
				if !bytes.Equal(f.Payload(), stream[from:to]) || f.Before != channel.Checksum(0, stream[:from]) || f.After != channel.Checksum(0, stream[:to]) {
					t.Fatalf("frame %+v is not bytes %d-%d of the stream", f.Header, from, to)
				}
				if got, err := channel.Decode(f.Raw); err != nil || got.Header != f.Header {
					t.Fatalf("decoded %+v, %v, want %+v", got.Header, err, f.Header)
				}
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	b := newBuilder()
	f.Add(build(f, b, item("one"), item("two")).Raw, true)
	f.Add(build(f, b, tuple.AppendEnd(nil)).Raw, false)
	f.Add([]byte("AF"), false)
	f.Add(make([]byte, 100), true)
	f.Fuzz(func(t *testing.T, raw []byte, mend bool) {
		if mend && len(raw) >= channel.HeaderSize { // let the fuzzer past the checksums
			raw = append([]byte(nil), raw...)
			before := binary.LittleEndian.Uint32(raw[40:])
			binary.LittleEndian.PutUint32(raw[44:], channel.Checksum(before, raw[channel.HeaderSize:]))
			binary.LittleEndian.PutUint32(raw[48:], uint32(len(raw)-channel.HeaderSize))
			seal(raw)
		}
		fr, err := channel.Decode(raw)
		if err != nil {
			return
		}
		again := append([]byte(nil), raw...)
		clear(again[:channel.HeaderSize])
		re := channel.Frame{Header: fr.Header, Raw: again}
		re.Restamp(fr.Incarnation) // writes the whole header
		if !bytes.Equal(again, raw) {
			t.Fatalf("re-encoded\n%x\nfrom\n%x", again, raw)
		}
		if cut, err := fr.Cut(fr.First, fr.Last()); err == nil && !bytes.Equal(cut.Raw, raw) {
			t.Fatalf("cut whole\n%x\nfrom\n%x", cut.Raw, raw)
		}
		if cut, err := fr.Cut(fr.Last(), fr.Last()); err == nil {
			if _, err := channel.Decode(cut.Raw); err != nil {
				t.Fatalf("cut does not decode: %v", err)
			}
		}
	})
}

// seal makes the header checksum right.
func seal(raw []byte) {
	binary.LittleEndian.PutUint32(raw[52:], crc32.Checksum(raw[:52], crc32.MakeTable(crc32.Castagnoli)))
}

func BenchmarkAppend(b *testing.B) {
	builder, it := newBuilder(), item("a word")
	for b.Loop() {
		if !builder.Fits(len(it)) {
			builder.Seal()
		}
		builder.Append(it)
	}
}

func BenchmarkFrameSeal(b *testing.B) {
	builder, it := newBuilder(), item("a word")
	b.SetBytes(16 << 10)
	b.ReportAllocs()
	for b.Loop() {
		for builder.Fits(len(it)) {
			builder.Append(it)
		}
		builder.Seal()
	}
}

// BenchmarkSealOnly is Seal without Append.
func BenchmarkSealOnly(b *testing.B) {
	builder, it := newBuilder(), append([]byte{0x91, 0xc5, 0x3f, 0x00}, make([]byte, 0x3f00)...)
	b.SetBytes(16 << 10)
	for b.Loop() {
		builder.Append(it)
		builder.Seal()
	}
}

func BenchmarkFrameDecode(b *testing.B) {
	builder, it := newBuilder(), item("a word")
	for builder.Fits(len(it)) {
		builder.Append(it)
	}
	f := builder.Seal()
	b.SetBytes(int64(f.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := channel.Decode(f.Raw); err != nil {
			b.Fatal(err)
		}
	}
}
