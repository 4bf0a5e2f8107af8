package nimbus_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
)

func Example() {
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = server.Stop() }()
	connection := natscluster.Connection{Servers: server.URL()}

	n, err := nimbus.New(nimbus.Config{Connection: connection, Name: "nimbus-1"})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := n.Run(ctx); err != nil {
			fmt.Println(err)
		}
	})
	defer group.Wait()
	defer stop()

	nc, err := connection.Connect("user", &natscluster.User{})
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	list := connection.Subjects().API(cluster.View, cluster.VerbList)
	reply, err := natscluster.Request[cluster.ListReply](ctx, nc, list, nil)
	fmt.Println(reply.Leader, reply.Epoch, len(reply.Topologies), err)
	// Output: nimbus-1 1 0 <nil>
}
