package tuple

import "testing"

type countSink int

func (c *countSink) Take(r *Row) error { *c += countSink(len(r.Encoded())); return nil }

func BenchmarkRow(b *testing.B) {
	word, sink := []byte("backtracking"), countSink(0)
	b.Run("bytes", func(b *testing.B) {
		r := NewRow(fields(b, "word"), &sink)
		b.ReportAllocs()
		for b.Loop() {
			r.Begin().Bytes(word).Emit()
		}
	})
	b.Run("bytes_int", func(b *testing.B) {
		r := NewRow(fields(b, "word", "n"), &sink)
		n := int64(0)
		b.ReportAllocs()
		for b.Loop() {
			r.Begin().Bytes(word).Int(n).Emit()
			n++
		}
	})
	b.Run("values", func(b *testing.B) {
		r := NewRow(fields(b, "word", "n"), &sink)
		b.ReportAllocs()
		for b.Loop() {
			r.Begin().Values("backtracking", 7).Emit()
		}
	})
}

// One operation is a frame of 1000 tuples. Reading goes through a func value, which costs a nanosecond.
func BenchmarkCursor(b *testing.B) {
	run := func(b *testing.B, f *Fields, read func(t Tuple) int, values ...any) {
		const perFrame = 1000
		var payload keeper
		row := NewRow(f, sinkFunc(func(r *Row) error { payload = append(payload, r.Encoded()...); return nil }))
		for range perFrame {
			if err := row.Begin().Values(values...).Emit(); err != nil {
				b.Fatal(err)
			}
		}
		var c Cursor
		b.ReportAllocs()
		got := 0
		for b.Loop() {
			c.Reset(payload, Origin{First: 1, Fields: f})
			for range perFrame {
				if item, err := c.Next(); item != Data || err != nil {
					b.Fatal(item, err)
				}
				if read != nil {
					got += read(c.Tuple())
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/perFrame, "ns/tuple")
		if got == 0 && read != nil {
			b.Fatal("nothing read")
		}
	}
	bytes := func(t Tuple) int { return len(t.Bytes(0)) }
	b.Run("next_1", func(b *testing.B) { run(b, fields(b, "word"), nil, "backtracking") })
	b.Run("next_2", func(b *testing.B) { run(b, fields(b, "word", "n"), nil, "backtracking", 7) })
	b.Run("next_bytes", func(b *testing.B) { run(b, fields(b, "word"), bytes, "backtracking") })
	b.Run("next_bytes_int", func(b *testing.B) {
		run(b, fields(b, "word", "n"), func(t Tuple) int { return len(t.Bytes(0)) + int(t.Int(1)) }, "backtracking", 7)
	})
	b.Run("next_by_name", func(b *testing.B) {
		run(b, fields(b, "word", "n"), func(t Tuple) int { return int(t.Field("n").Int()) }, "backtracking", 7)
	})
	b.Run("next_line", func(b *testing.B) {
		run(b, fields(b, "line"), bytes, "a line of some forty bytes, as text has them")
	})
}

type sinkFunc func(r *Row) error

func (f sinkFunc) Take(r *Row) error { return f(r) }

func fields(t testing.TB, names ...string) *Fields {
	t.Helper()
	f, err := NewFields(names...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
