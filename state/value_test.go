package state

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/askback/askback/internal/must"
)

type inner struct {
	A int8
	B [3]uint16
}

type plain struct {
	I    int
	I16  int16
	I32  int32
	I64  int64
	U    uint
	U8   uint8
	U16  uint16
	U32  uint32
	U64  uint64
	F    float64
	f    float32 // stored too
	OK   bool
	S    string
	B, N []byte
	In   inner
}

type tagged struct {
	Kept   int
	Forgot int `msgpack:"-"`
}

type deep struct {
	List []string
	Set  map[string]bool
	Ptr  *float64
	Nil  *int
	When time.Time
	Host netip.Addr
}

func TestValuesComeBack(t *testing.T) {
	roundTrip(t, "", "text", "\x00")
	roundTrip(t, int64(math.MinInt64), -1, 0, math.MaxInt64)
	roundTrip(t, int8(math.MinInt8), math.MaxInt8)
	roundTrip(t, uint64(0), math.MaxUint64)
	roundTrip(t, uint8(0), 200, 255)
	roundTrip(t, uint16(math.MaxUint16))
	roundTrip(t, 0.5, math.Inf(-1), math.SmallestNonzeroFloat64)
	roundTrip(t, true, false)
	roundTrip(t, []byte(nil), []byte{}, []byte("bytes"))
	roundTrip(t, struct{}{})
	roundTrip(t, plain{}, plain{
		math.MinInt, math.MinInt16, math.MinInt32, math.MinInt64, math.MaxUint, 255, math.MaxUint16, math.MaxUint32,
		math.MaxUint64, math.Pi, 1.5, true, "s", []byte("b"), nil, inner{-128, [3]uint16{1, 2, 3}},
	})
	roundTrip(t, [1000]int{999: 7})
	roundTrip(t, []int{1, 2, 3}, nil)
	roundTrip(t, map[string][]int{"a": {1}, "b": nil})
	roundTrip(t, tagged{Kept: 1})
	pi := math.Pi
	roundTrip(t, deep{}, deep{[]string{"a"}, map[string]bool{"x": true}, &pi, nil, time.Unix(5, 6), netip.MustParseAddr("::1")})
	roundTrip(t, time.Unix(1, 2).UTC())
	roundTrip(t, clock{3, 4})
	roundTrip(t, make([]byte, 3*spoolChunk), []byte("short"), make([]byte, 130))
}

func roundTrip[V any](t *testing.T, values ...V) {
	t.Helper()
	s := NewStore()
	m := must.Get(Open[int, V](s, "m"))
	for i, v := range values {
		m.Put(i, v)
	}
	back := must.Get(Open[int, V](restore(t, snap(t, s, true)), "m"))
	for i, v := range values {
		got, _ := back.Get(i)
		if w, ok := any(v).(deep); ok { // times are equal without being the same
			g := any(got).(deep)
			if !g.When.Equal(w.When) {
				t.Errorf("time came back as %v, want %v", g.When, w.When)
			}
			g.When = w.When
			got = any(g).(V)
		}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("%T came back as %.100v, want %.100v", v, got, v)
		}
	}
}

func TestNarrowerType(t *testing.T) {
	s := NewStore()
	must.Get(Open[int, int64](s, "m")).Put(1, 300)
	data := snap(t, s, true)
	if m := must.Get(Open[int, int16](restore(t, data), "m")); *m.Entry(1) != 300 {
		t.Error("300 does not come back as an int16")
	}
	if _, err := Open[int, int8](restore(t, data), "m"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("300 as an int8: %v", err)
	}
}

type moody struct{ fails, panics bool }

func (m moody) MarshalBinary() ([]byte, error) {
	if m.panics {
		panic("mood")
	}
	if m.fails {
		return nil, errors.New("mood")
	}
	return nil, nil
}
func (m *moody) UnmarshalBinary([]byte) error { return nil }

func TestValueThatCannotBeEncoded(t *testing.T) {
	s := NewStore()
	m := must.Get(Open[int, moody](s, "moods"))
	for _, bad := range []moody{{fails: true}, {panics: true}} {
		m.Put(1, bad)
		s.Begin(true)
		m.Put(1, moody{}) // encodes the old value, and cannot report its error
		if _, err := s.Step(10); !errors.Is(err, ErrEncode) {
			t.Errorf("Step: %v, want ErrEncode", err)
		}
		if s.Take() != nil {
			t.Error("Take returns a snapshot that cannot be finished")
		}
		s.Abort()
		snap(t, s, false)
	}
}
