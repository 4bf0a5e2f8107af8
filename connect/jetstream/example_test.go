package jetstream_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/spout"
)

// The European orders that a stream holds by now. A topology opens and calls the spouts; here the example does.
func Example() {
	nc, js, stop := exampleServer()
	defer stop()
	ctx := context.Background()
	if _, err := js.CreateStream(ctx, natsjs.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}); err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"eu tea", "us coffee", "eu bread"} {
		if _, err := js.Publish(ctx, "orders."+order[:2], []byte(order[3:])); err != nil {
			log.Fatal(err)
		}
	}

	source := jetstream.Spout(nc, "ORDERS", jetstream.Seq, jetstream.Data).Subjects("orders.eu").Ends()
	// b.Spout("orders", source).Fields("seq", "order")

	s := source.New()
	if err := s.(spout.Opener).Open(bolttest.NewContext("orders", 0, 1)); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = s.(io.Closer).Close() }()
	out := bolttest.NewEmitter("seq", "order")
	for {
		if err := s.Next(context.Background(), out); err == io.EOF {
			break
		} else if err != nil && err != spout.ErrIdle {
			log.Fatal(err)
		}
	}
	fmt.Println(out.Rows(""))
	// Output: [[1 tea] [3 bread]]
}

func exampleServer() (*nats.Conn, natsjs.JetStream, func()) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	s, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true})
	if err != nil {
		log.Fatal(err)
	}
	s.Start()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		log.Fatal(err)
	}
	js, err := natsjs.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	return nc, js, func() {
		nc.Close()
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}
}
