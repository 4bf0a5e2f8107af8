package supervisor_test

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/supervisor"
)

// A supervisor joins the cluster and sends heartbeats.
func Example() {
	dir, err := os.MkdirTemp("", "supervisor-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = server.Stop() }()
	connection := natscluster.Connection{Servers: server.URL()}
	nc, err := connection.Connect("example", &natscluster.User{})
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	heartbeats, err := nc.SubscribeSync(connection.Subjects().HostHeartbeat("*"))
	if err != nil {
		panic(err)
	}

	s, err := supervisor.New(supervisor.Config{Connection: connection, Name: "host-1", Dir: dir, Slots: 2})
	if err != nil {
		panic(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Run(ctx); err != nil {
			fmt.Println(err)
		}
	})
	defer group.Wait()
	defer stop()

	heartbeat, err := heartbeats.NextMsgWithContext(ctx)
	fmt.Println(heartbeat.Subject, err)
	// Output: askback.heartbeat.host.host-1 <nil>
}
