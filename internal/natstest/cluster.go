package natstest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A member is one server: of a cluster, if it has routes. It is also the JSON that a process of Start receives.
type member struct {
	Name   string
	Dir    string // of its store
	Port   int    // for clients
	Route  int    // port for the other servers; 0: the server stands alone
	Routes []int  // ports of all servers of the cluster
}

func (m *member) options() *server.Options {
	o := &server.Options{
		ServerName: m.Name, Host: "127.0.0.1", Port: m.Port, JetStream: true, StoreDir: m.Dir, NoLog: true, NoSigs: true,
	}
	if m.Route != 0 {
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: m.Route}
	}
	for _, port := range m.Routes {
		o.Routes = append(o.Routes, server.RoutesFromStr(fmt.Sprintf("nats://127.0.0.1:%d", port))...)
	}
	return o
}

// url returns where clients find the server.
func (m *member) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", m.Port) }

// threeMembers returns three servers of one cluster, named s0 to s2. All routes are known before the first starts.
func threeMembers(t testing.TB) (all [3]*member) {
	t.Helper()
	var routes []int
	for i := range all {
		all[i] = &member{Name: fmt.Sprint("s", i), Dir: t.TempDir(), Port: FreePort(t), Route: FreePort(t)}
		routes = append(routes, all[i].Route)
	}
	for _, m := range all {
		m.Routes = routes
	}
	return all
}

// A Cluster is three NATS servers with JetStream in this process, named s0 to s2, each on one port and one store for all
// its lives. StartThree makes one of processes that can be killed.
type Cluster struct {
	Servers [3]*server.Server

	t       testing.TB
	members [3]*member
}

// ServeThree starts three servers, which end with the test.
func ServeThree(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t, members: threeMembers(t)}
	for i := range c.Servers {
		c.Start(i)
	}
	t.Cleanup(func() {
		for i := range c.Servers {
			c.Stop(i)
		}
	})
	return c
}

// Start starts a server that was stopped.
func (c *Cluster) Start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.members[i].options())
	if err != nil {
		c.t.Fatal(err)
	}
	c.Servers[i] = s
	s.Start()
	Ready(c.t, s)
}

// Stop stops a server. It may be repeated.
func (c *Cluster) Stop(i int) {
	if s := c.Servers[i]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// Wipe stops a server and removes its store.
func (c *Cluster) Wipe(i int) {
	c.t.Helper()
	c.Stop(i)
	if err := os.RemoveAll(c.members[i].Dir); err != nil {
		c.t.Fatal(err)
	}
}

// URLs returns the addresses of all servers for a client, that of the first one given before the others.
func (c *Cluster) URLs(first int) string {
	var all []string
	for i := range c.members {
		all = append(all, c.members[(first+i)%len(c.members)].url())
	}
	return strings.Join(all, ",")
}

// Leader waits for a server that leads a stream, and returns its number.
func (c *Cluster) Leader(stream string) int {
	c.t.Helper()
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		for i, s := range c.Servers {
			if s.JetStreamIsStreamLeader("$G", stream) {
				return i
			}
		}
	}
	c.t.Fatalf("no server leads stream %s", stream)
	return 0
}
