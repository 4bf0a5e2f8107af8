package jetstream_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// nowhere is an emitter that drops.
type nowhere struct{ row *tuple.Row }

func (n *nowhere) Row() *tuple.Row          { return n.row.Begin() }
func (n *nowhere) Emit(values ...any) error { return n.Row().Values(values...).Emit() }
func (n *nowhere) On(string) bolt.Emitter   { return n }
func (n *nowhere) Take(*tuple.Row) error    { return nil }

// BenchmarkRead reads a stream of messages of one line, and of many; an op is a line.
func BenchmarkRead(b *testing.B) {
	for _, c := range []struct {
		name  string
		lines int
	}{{"message", 1}, {"lines", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			nc, js := fixture(b, nil)
			data := []byte(strings.Repeat(strings.Repeat("x", 63)+"\n", c.lines))
			for i := 0; i < b.N; i += c.lines {
				if _, err := js.PublishAsync("s.a", data); err != nil {
					b.Fatal(err)
				}
			}
			<-js.PublishAsyncComplete()
			fields, err := tuple.NewFields("data")
			if err != nil {
				b.Fatal(err)
			}
			out := &nowhere{}
			out.row = tuple.NewRow(fields, out)
			s := open(b, jetstream.Spout(nc, "s", jetstream.Data).Ends().Lines(), 0, 1)
			b.ReportAllocs()
			b.ResetTimer()
			for err = nil; err != io.EOF; {
				switch err = s.Next(context.Background(), out); err {
				case nil, io.EOF:
				case spout.ErrIdle:
					time.Sleep(time.Millisecond) // as a task does
				default:
					b.Fatal(err)
				}
			}
		})
	}
}
