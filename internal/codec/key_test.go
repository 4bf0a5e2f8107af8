package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/tuple"
)

// A pathKey has all that a key may consist of.
type pathKey struct {
	Path   []byte
	Name   name
	Status int16
	Count  uint64
	Ratio  float64
	Small  float32
	Open   bool
	Minute time.Time
	Took   time.Duration
	Sum    [4]byte
	Corner [2]place
	None   [0]string
	base
	left int `askback:"-"`
}

func drawKey(t *rapid.T) pathKey {
	text := func(label string) []byte {
		return rapid.SliceOfN(rapid.SampledFrom([]byte("a\x00\xa1\xff")), 0, 3).Draw(t, label)
	}
	float := rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, math.NaN(), -math.NaN(), math.Inf(1)})
	few := rapid.Int32Range(-1, 1)
	return pathKey{
		Path: view(text("path")), Name: name(text("name")), Status: int16(few.Draw(t, "status")), Count: rapid.SampledFrom([]uint64{0, 200, math.MaxUint64}).Draw(t, "count"),
		Ratio: float.Draw(t, "ratio"), Small: float32(float.Draw(t, "small")), Open: rapid.Bool().Draw(t, "open"),
		Minute: time.Unix(int64(few.Draw(t, "minute")), 0).In(time.FixedZone("zone", int(few.Draw(t, "zone")))), Took: time.Duration(few.Draw(t, "took")),
		Sum: [4]byte{byte(few.Draw(t, "sum"))}, Corner: [2]place{{few.Draw(t, "x"), 1}, {2, 3}}, base: base{ID: 1}, left: int(few.Draw(t, "left")),
	}
}

// twin renders a key as equal text for equal keys: each field as fmt prints it, quoted.
func twin(k pathKey) string {
	number := func(x float64) string {
		if x == 0 {
			x = 0
		}
		return fmt.Sprint(x)
	}
	return fmt.Sprintf("%q %q %d %d %s %s %t %d %d %x %v %v", k.Path, k.Name, k.Status, k.Count, number(k.Ratio), number(float64(k.Small)), k.Open,
		k.Minute.UnixNano(), k.Took, k.Sum, k.Corner, k.base)
}

// Keys have the same bytes if and only if they are equal, whatever was drawn; and come back.
func TestKeysAreInjective(t *testing.T) {
	key := must.Get(KeyOf[pathKey]())
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawKey(t), drawKey(t)
		if rapid.Bool().Draw(t, "alike") { // in all but a field
			path, name, ratio := b.Path, b.Name, b.Ratio
			b = a
			switch rapid.IntRange(0, 3).Draw(t, "field") {
			case 0:
				b.Path = path
			case 1:
				b.Path, b.Name = path, name
			case 2:
				b.Ratio, b.Minute = ratio, a.Minute.UTC()
			}
		}
		x, y := key.Append([]byte("before"), &a), key.Append([]byte("before"), &b)
		if bytes.Equal(x, y) != (twin(a) == twin(b)) {
			t.Fatalf("%s is %x, %s is %x", twin(a), x, twin(b), y)
		}
		got := drawKey(t)
		if err := key.Decode(x[len("before"):], &got); err != nil || twin(got) != twin(a) || got.left != 0 {
			t.Fatalf("%s came back as %s, %v", twin(a), twin(got), err)
		}
		if got.Path != nil && len(got.Path) == 0 {
			t.Fatal("an empty path is not nil")
		}
	})
}

// A key of one value is what a grouping by a field hashes.
func TestKeysOfOneValue(t *testing.T) {
	oneValue(t, "text", "\x00", "")
	oneValue(t, []byte("bytes"), nil)
	oneValue(t, blob("bytes"))
	oneValue(t, name("name"))
	oneValue(t, 1, -1, 1<<40, math.MinInt64)
	oneValue(t, uint8(200))
	oneValue(t, level(-5))
	oneValue(t, uint64(math.MaxUint64))
	oneValue(t, 1.5, math.Inf(-1), 0)
	oneValue(t, float32(1.5))
	oneValue(t, true, false)
	oneValue(t, time.Hour)
	oneValue(t, time.Unix(5, 7).UTC())
	oneValue(t, [16]byte{1, 2}, [16]byte{})
}

func oneValue[K any](t *testing.T, keys ...K) {
	t.Helper()
	k := must.Get(KeyOf[K]())
	c := must.Get(Of[K]())
	r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), new(discard))
	for _, v := range keys {
		c.Append(r.Begin(), &v)
		b := k.Append(nil, &v)
		if !bytes.Equal(b, r.Content(0)) || tuple.Hash(b) != r.Hash(0) {
			t.Errorf("%T %v is %x, and a row has %x", v, v, b, r.Content(0))
		}
		var got K
		if err := k.Decode(b, &got); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%T %v came back as %v, %v", v, v, got, err)
		}
	}
}

func TestKeysOfEqualNumbers(t *testing.T) {
	type numbers struct {
		A float64
		B float32
	}
	k := must.Get(KeyOf[numbers]())
	minus := math.Copysign(0, -1)
	if !bytes.Equal(k.Append(nil, &numbers{minus, float32(minus)}), k.Append(nil, &numbers{})) {
		t.Error("-0 and 0 are different keys")
	}
	odd := math.Float64frombits(0xfff8000000000123)
	if !bytes.Equal(k.Append(nil, &numbers{odd, float32(odd)}), k.Append(nil, &numbers{math.NaN(), float32(math.NaN())})) {
		t.Error("two NaNs are different keys")
	}
	single := must.Get(KeyOf[float64]())
	if zero := 0.0; !bytes.Equal(single.Append(nil, &minus), single.Append(nil, &zero)) {
		t.Error("-0 and 0 are different keys")
	}
}

func TestKeyOfRefuses(t *testing.T) {
	type part struct {
		List []int
		M    map[string]int
		P    *int
		Any  any
		Addr netip.Addr
		r    io.Reader
		Fine string
	}
	_ = part{}.r // it is there to be refused
	_, err := KeyOf[part]()
	want := `codec: codec.part cannot be a key:
	part.List is of type []int: use an array, a string or []byte
	part.M is of type map[string]int: use an array or a struct
	part.P is of pointer type *int: use int
	part.Any is of interface type interface {}, and its reader could not know the type of the value: use a concrete type
	part.Addr is of type netip.Addr, which has a form of its own: use the text or bytes of the value
	part.r is not exported and would be lost: export it, leave the field out with the tag ` + "`askback:\"-\"`" + `, or give the type MarshalBinary and UnmarshalBinary`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	if k, err := KeyOf[*int](); err == nil || k != nil {
		t.Errorf("a pointer: %v", err)
	}
}

func TestKeyDecodeRefuses(t *testing.T) {
	type pair struct {
		A int8
		B [2]string
	}
	k := must.Get(KeyOf[pair]())
	for b, want := range map[string]string{
		"":                   "codec.pair.A: want integer, got the end of the bytes",
		"\x01\xa1x":          "codec.pair.B[1]: want string, got the end of the bytes",
		"\x01\xa1x\xa1y\xc0": "codec.pair ends 1 bytes before they do",
		"\x01\xa1x\x05":      "codec.pair.B[1]: want string, got an integer",
		"\xcc\xff\xa0\xa0":   "codec.pair.A: want integer of 8 bits with sign, got 255",
		"\x01\xa1x\xa5y":     "truncated",
		"\xc1":               "malformed",
	} {
		v := pair{7, [2]string{"old", "old"}}
		if err := k.Decode([]byte(b), &v); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v, want %s", b, err, want)
		}
	}
	sum := must.Get(KeyOf[[4]byte]())
	for _, b := range []string{"", "abc", "abcde"} {
		if err := sum.Decode([]byte(b), new([4]byte)); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "want 4 bytes, got") {
			t.Errorf("%q: %v", b, err)
		}
	}
}

func TestKeysAllocateNothing(t *testing.T) {
	k := must.Get(KeyOf[pathKey]())
	v := pathKey{Path: []byte("/index.html"), Name: "", Minute: time.Unix(60, 0)}
	var buf []byte
	buf = k.Append(buf, &v)
	if n := testing.AllocsPerRun(100, func() { buf = k.Append(buf[:0], &v) }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
	var got pathKey
	if n := testing.AllocsPerRun(100, func() {
		if err := k.Decode(buf, &got); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Decode allocates %v times", n)
	}
}
