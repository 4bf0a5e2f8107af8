package journal_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/connect/journal"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/topology"
)

// Lines are pushed over HTTP and by a plain NATS message, and a topology reads them from the journal.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	nc, url, done := exampleServer()
	defer done()
	j, err := journal.Open(ctx, nc, journal.Options{Stream: "clicks"})
	if err != nil {
		log.Fatal(err)
	}
	server, err := journal.NewServer(j, journal.ServerOptions{Addr: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	serving, end := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- server.Serve(serving) }()
	if err := j.Listen("clicks.raw"); err != nil {
		log.Fatal(err)
	}

	resp, err := http.Post("http://"+server.Addr().String(), "application/x-ndjson", strings.NewReader("{\"user\":1}\n{\"user\":2}\n"))
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	reply, err := nc.Request("clicks.raw", []byte(`{"user":3}`), 5*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.Status, string(reply.Data))
	end() // the requests that have begun are answered, then Serve returns
	if err := <-served; err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}

	got := bolt.NewCollector()
	b := topology.New("clicks")
	b.Spout("clicks", jetstream.Spout(nc, j.Stream(), jetstream.Data).Lines().Ends()).Fields("click")
	b.Bolt("result", got.New).Global("clicks")
	if _, err := askback.Run(ctx, b, askback.WithServer(url)); err != nil {
		log.Fatal(err)
	}
	for _, row := range got.Rows() {
		fmt.Println(row[0])
	}
	// Output:
	// 200 OK +OK
	// {"user":1}
	// {"user":2}
	// {"user":3}
}

func exampleServer() (nc *nats.Conn, url string, done func()) {
	s, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		log.Fatal(err)
	}
	nc, err = nats.Connect(s.URL(), nats.MaxReconnects(-1))
	if err != nil {
		log.Fatal(err)
	}
	return nc, s.URL(), func() {
		http.DefaultClient.CloseIdleConnections()
		nc.Close()
		_ = s.Stop()
	}
}
