package jetstream_test

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/tuple"
)

// A sink of orders, each on the subject of its country. The caller has connected and made the stream.
func ExampleBolt() {
	var nc *nats.Conn // of nats.Connect(url, nats.MaxReconnects(-1))
	out := jetstream.Bolt(jetstream.SinkConfig{Conn: nc, Stream: "ORDERS"}, func(t tuple.Tuple) jetstream.Message {
		return jetstream.Message{Subject: "orders." + t.Field("country").String(), Data: t.Encoded()}
	})
	// b.Bolt("out", out).Shuffle("orders")

	_, ok := out().(bolt.Snapshotter)
	fmt.Println(ok)
	// Output: true
}

// The same with types. An order's number makes the message's id, so that the stream has it once whatever is replayed.
func ExampleSink() {
	type Order struct {
		Number, Country string
		Text            []byte
	}
	var nc *nats.Conn // of nats.Connect(url, nats.MaxReconnects(-1))
	var out stream.Sink[Order] = jetstream.Sink(jetstream.SinkConfig{Conn: nc, Stream: "ORDERS"}, func(o Order) jetstream.Message {
		return jetstream.Message{Subject: "orders." + o.Country, Data: o.Text, ID: o.Number}
	})
	// stream.To(orders, "out", out)

	_, ok := out.New().(bolt.Snapshotter)
	fmt.Println(ok)
	// Output: true
}
