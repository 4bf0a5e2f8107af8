package natscluster_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// A nimbus leads, and writes its decisions; a supervisor receives them. Then another takes over: the first can write
// nothing more.
func ExampleCampaign() {
	server, err := embed.Start(embed.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	nc, err := nats.Connect("", nats.InProcessServer(server.InProcess()))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()

	ctx := context.Background()
	if err := natscluster.Setup(ctx, nc, natscluster.DefaultPrefix, 0); err != nil {
		log.Fatal(err)
	}
	first, err := natscluster.Campaign(ctx, nc, natscluster.DefaultPrefix, "nimbus-1", 0)
	if err != nil {
		log.Fatal(err)
	}
	record := &cluster.Record{Instance: cluster.NewInstance("wordcount"), Status: cluster.Active}
	if _, err := first.PutRecord(ctx, record); err != nil {
		log.Fatal(err)
	}

	seen, stop := context.WithCancel(ctx)
	err = natscluster.OpenReader(nc, natscluster.DefaultPrefix).Watch(seen, func(c cluster.Change) {
		fmt.Println(c.Name, "is", c.Record.Status, "since epoch", c.Record.Epoch)
	}, stop)
	if err != nil {
		log.Fatal(err)
	}

	_ = first.Close()
	second, err := natscluster.Campaign(ctx, nc, natscluster.DefaultPrefix, "nimbus-2", 0)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	_, err = first.PutRecord(ctx, record)
	fmt.Println("epoch", second.Epoch(), err != nil, errors.Is(first.Err(), natscluster.ErrClosed))
	// Output:
	// wordcount is active since epoch 1
	// epoch 2 true true
}
