package jetstream_test

import (
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/tuple"
)

// A sink of orders, each on the subject of its country. The caller has connected and made the stream.
func ExampleBolt() {
	var nc *nats.Conn // of nats.Connect(url, nats.MaxReconnects(-1))
	out := jetstream.Bolt(jetstream.SinkConfig{
		Conn:   nc,
		Stream: "ORDERS",
		Message: func(t tuple.Tuple) (subject string, payload []byte) {
			return "orders." + t.Field("country").String(), t.Encoded()
		},
	})
	// b.Bolt("out", out).Shuffle("orders")

	_, ok := out().(bolt.Snapshotter)
	fmt.Println(ok)
	// Output: true
}
