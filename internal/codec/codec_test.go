package codec

import (
	"testing"

	"github.com/askback/askback/tuple"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A keeper keeps the bytes of the last row.
type keeper struct{ b []byte }

func (k *keeper) Take(r *tuple.Row) error { k.b = append(k.b[:0], r.Encoded()...); return nil }

// encode returns the bytes of the tuple that carries v.
func encode[T any](t testing.TB, c *Codec[T], v *T) []byte {
	t.Helper()
	var k keeper
	r := tuple.NewRow(must(tuple.NewFields(c.Fields()...)), &k)
	c.Append(r.Begin(), v)
	if err := r.Emit(); err != nil {
		t.Fatalf("%+v: %v", *v, err)
	}
	return k.b
}

// at returns the first tuple of a payload.
func at(t testing.TB, payload []byte, fields ...string) tuple.Tuple {
	t.Helper()
	c := new(tuple.Cursor)
	c.Reset(payload, tuple.Origin{First: 1, Fields: must(tuple.NewFields(fields...))})
	if item, err := c.Next(); item != tuple.Data {
		t.Fatalf("%x begins with %v, %v", payload, item, err)
	}
	return c.Tuple()
}

func tupleOf[T any](t testing.TB, c *Codec[T], v *T) tuple.Tuple {
	t.Helper()
	return at(t, encode(t, c, v), c.Fields()...)
}

func TestNothingIsAllocated(t *testing.T) {
	type flat struct {
		event
		Text  []byte
		Sum   [20]byte
		Place struct{ X, Y float32 }
		Path  [3]struct{ N int }
	}
	c := must(Of[flat]())
	v := flat{event: someEvent, Text: []byte("a text that is longer than a short string is"), Path: [3]struct{ N int }{{1}, {-2}, {300}}}
	r := tuple.NewRow(must(tuple.NewFields(c.Fields()...)), new(discard))
	if n := testing.AllocsPerRun(100, func() { c.Append(r.Begin(), &v); r.Emit() }); n != 0 {
		t.Errorf("Append allocates %v times", n)
	}
	in := tupleOf(t, c, &v)
	reader := must(c.Bind(in.Fields()))
	if n := testing.AllocsPerRun(100, func() {
		if err := reader.Decode(in, &v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Decode allocates %v times", n)
	}
}
