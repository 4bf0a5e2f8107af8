package codec

import (
	"bytes"
	"math/big"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/tuple"
)

// allocated returns how many bytes do allocates, and perhaps what others do at the time.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// perByte bounds what one byte of a tuple of everything makes a reader allocate: an empty map for an item, an entry of
// a map with places and items, and what Go's maps take besides.
const perByte = 2000

var someEverything = everything{
	I8: -5, U64: 1 << 63, F32: 1.5, S: "text", Raw: []byte("raw"), When: time.Unix(1<<35, 1), Took: time.Hour,
	Ptr: &item{Name: "n", Tags: []string{"a", "b"}, Next: &place{1, -2000}}, Count: new(int), Items: []item{{Data: []byte("d")}, {}},
	Lists: [][]string{{"x"}, nil, {}}, Totals: map[string]int64{"b": 1, "a": 1 << 40}, ByPlace: map[place]item{{1, 2}: {}},
	ByTime: map[int64][]byte{-1: nil}, Addr: netip.MustParseAddr("::1%eth0"), Addrs: map[netip.Addr]*shade{{}: {1, 2, 3}},
	Big: big.NewInt(-12345678901234), base: base{ID: 7},
}

// Reading any bytes fails or gives a value that comes back as itself; it does not panic, and does not
// allocate without bound.
func FuzzDecode(f *testing.F) {
	c := must.Get(Of[everything]())
	list := must.Get(Of[map[string][]*item]())
	f.Add(encode(f, c, &everything{}))
	f.Add(encode(f, c, &someEverything))
	f.Add(encode(f, list, &map[string][]*item{"a": {{Name: "x", Next: &place{}}, nil}, "b": nil}))
	f.Add([]byte("\x91\x81\xa1a\x93\x80\x80\x80"))
	f.Add([]byte("\x91\x81\xa1a\x91\x83\xa4Name\xa1x\xa4Name\xa1y\xa5Other\x91\xc0"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		fuzzAs(t, c, payload, everything{})
		fuzzAs(t, c, payload, someEverything)
		fuzzAs(t, list, payload, nil)
	})
}

func fuzzAs[T any](t *testing.T, c *Codec[T], payload []byte, v T) {
	fields := must.Get(tuple.NewFields(c.Fields()...))
	var cursor tuple.Cursor
	cursor.Reset(payload, tuple.Origin{First: 1, Fields: fields})
	if item, err := cursor.Next(); err != nil || item != tuple.Data {
		return
	}
	r := must.Get(c.Bind(fields))
	var err error
	if n := allocated(func() { err = r.Decode(cursor.Tuple(), &v) }); n > uint64(perByte*len(payload)+1<<20) {
		t.Fatalf("%d bytes make it allocate %d", len(payload), n)
	}
	if err != nil {
		return
	}
	first := encode(t, c, &v)
	var again T
	if err := r.Decode(at(t, first, c.Fields()...), &again); err != nil {
		t.Fatalf("%+v does not come back: %v", v, err)
	}
	if !bytes.Equal(first, encode(t, c, &again)) {
		t.Fatalf("%+v comes back as %+v", v, again)
	}
}

// Any bytes are a key or an error, and a key comes back as itself.
func FuzzKeyDecode(f *testing.F) {
	k := must.Get(KeyOf[pathKey]())
	f.Add(k.Append(nil, &pathKey{}))
	f.Add(k.Append(nil, &pathKey{Path: []byte("/a"), Ratio: 1.5, Count: 1 << 63, Minute: time.Unix(1<<35, 1), Corner: [2]place{{-1, 1 << 20}, {}}}))
	text, number, sum := must.Get(KeyOf[string]()), must.Get(KeyOf[int16]()), must.Get(KeyOf[[4]byte]())
	f.Add([]byte("\xd1\xff\x00"))
	f.Add([]byte("abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fuzzKey(t, k, b)
		fuzzKey(t, text, b)
		fuzzKey(t, number, b)
		fuzzKey(t, sum, b)
	})
}

func fuzzKey[K any](t *testing.T, k *Key[K], b []byte) {
	var v, again K
	if k.Decode(b, &v) != nil {
		return
	}
	first := k.Append(nil, &v)
	if err := k.Decode(first, &again); err != nil || !bytes.Equal(k.Append(nil, &again), first) {
		t.Fatalf("%+v comes back as %+v, %v", v, again, err)
	}
}

// The worst that hostile bytes can do: empty maps, each of which stands for a struct.
func TestAllocationIsBounded(t *testing.T) {
	type big struct{ A [4096]int64 }
	const n = 1000
	payload := append([]byte{0x91, 0xdc, n >> 8, n & 0xff}, bytes.Repeat([]byte{0x80}, n)...)
	c := must.Get(Of[[]big]())
	in := at(t, payload, ValueField)
	r := must.Get(c.Bind(in.Fields()))
	var v []big
	var err error
	if got := allocated(func() { err = r.Decode(in, &v) }); err != nil || len(v) != n || got > maxElement*uint64(len(payload)) {
		t.Errorf("%d elements, %d bytes allocated for %d, %v", len(v), got, len(payload), err)
	}
	// A length that promises more than there is, is refused before anything is made.
	var cursor tuple.Cursor
	cursor.Reset([]byte("\x91\xdd\xff\xff\xff\xff\x80"), tuple.Origin{First: 1})
	if _, err := cursor.Next(); err == nil {
		t.Error("the cursor lets a length pass that is not there")
	}
}
