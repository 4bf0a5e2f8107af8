package codec

import (
	"testing"
	"time"

	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/tuple"
)

// event takes 64 bytes of memory.
type event struct {
	User   int64
	Price  float64
	Amount uint32
	Flags  uint32
	When   time.Time
	Open   bool
	Kind   uint8
}

type word struct{ Text []byte }

type discard struct{ bytes int }

func (d *discard) Take(r *tuple.Row) error { d.bytes += len(r.Encoded()); return nil }

var someEvent = event{User: 123456, Price: 9.99, Amount: 3, Flags: 1 << 20, When: time.Unix(1789999999, 5), Open: true, Kind: 7}

func BenchmarkAppend(b *testing.B) {
	var sink discard
	b.Run("struct64/codec", func(b *testing.B) {
		c := must.Get(Of[event]())
		r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), &sink)
		v := someEvent
		b.ReportAllocs()
		for b.Loop() {
			c.Append(r.Begin(), &v)
			r.Emit()
		}
	})
	b.Run("struct64/hand", func(b *testing.B) {
		r := tuple.NewRow(must.Get(tuple.NewFields("User", "Price", "Amount", "Flags", "When", "Open", "Kind")), &sink)
		v := someEvent
		b.ReportAllocs()
		for b.Loop() {
			r.Begin().Int(v.User).Float(v.Price).Uint(uint64(v.Amount)).Uint(uint64(v.Flags)).Time(v.When).Bool(v.Open).Uint(uint64(v.Kind)).Emit()
		}
	})
	b.Run("word/codec", func(b *testing.B) {
		c := must.Get(Of[word]())
		r := tuple.NewRow(must.Get(tuple.NewFields(c.Fields()...)), &sink)
		v := word{[]byte("backtracking")}
		b.ReportAllocs()
		for b.Loop() {
			c.Append(r.Begin(), &v)
			r.Emit()
		}
	})
	b.Run("word/hand", func(b *testing.B) {
		r := tuple.NewRow(must.Get(tuple.NewFields("Text")), &sink)
		v := word{[]byte("backtracking")}
		b.ReportAllocs()
		for b.Loop() {
			r.Begin().Bytes(v.Text).Emit()
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	b.Run("struct64/codec", func(b *testing.B) {
		c := must.Get(Of[event]())
		t := tupleOf(b, c, &someEvent)
		r := must.Get(c.Bind(t.Fields()))
		var v event
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Decode(t, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("struct64/hand", func(b *testing.B) {
		t := tupleOf(b, must.Get(Of[event]()), &someEvent)
		var v event
		b.ReportAllocs()
		for b.Loop() {
			v = event{t.Int(0), t.Float(1), uint32(t.Uint(2)), uint32(t.Uint(3)), t.Time(4), t.Bool(5), uint8(t.Uint(6))}
			if t.Err() != nil {
				b.Fatal(t.Err())
			}
		}
		_ = v
	})
	b.Run("word/codec", func(b *testing.B) {
		c := must.Get(Of[word]())
		t := tupleOf(b, c, &word{[]byte("backtracking")})
		r := must.Get(c.Bind(t.Fields()))
		var v word
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Decode(t, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("word/hand", func(b *testing.B) {
		t := tupleOf(b, must.Get(Of[word]()), &word{[]byte("backtracking")})
		var v word
		b.ReportAllocs()
		for b.Loop() {
			v = word{t.Bytes(0)}
			if t.Err() != nil {
				b.Fatal(t.Err())
			}
		}
		_ = v
	})
}
