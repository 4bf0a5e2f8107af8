package nimbus_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/natstest"
)

// servers starts a NATS cluster of three in this process.
func servers(t *testing.T) (all []*server.Server, urls string) {
	t.Helper()
	var ports [3]int
	var routes []*url.URL
	for i := range ports { // all routes must be known before the first server starts
		ports[i] = natstest.FreePort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", ports[i])})
	}
	for i, port := range ports {
		all = append(all, natstest.Serve(t, &server.Options{
			ServerName: fmt.Sprintf("s-%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: filepath.Join(t.TempDir(), "store"),
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: port}, Routes: routes,
		}))
	}
	natstest.Ready(t, all...)
	var addresses []string
	for _, s := range all {
		addresses = append(addresses, s.ClientURL())
	}
	return all, strings.Join(addresses, ",")
}

// Logs have three replicas where there are three servers; one of them may die.
func TestThreeServers(t *testing.T) {
	t.Parallel()
	all, urls := servers(t)
	s := &site{T: t, urls: urls, dir: t.TempDir(), p: natscluster.DefaultPrefix}
	s.nimbus("n-1", nil)
	connection := s.connection()
	var err error
	if s.nc, err = connection.Connect("test", &natscluster.User{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	s.untilLeads("n-1")
	path := filepath.Join(s.dir, "program")
	if err := os.WriteFile(path, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if s.program, err = artefact.Put(t.Context(), s.nc, s.p, path, nil); err != nil {
		t.Fatal(err)
	}
	s.host("a")
	s.host("b")
	s.untilHosts(2)
	before := s.submit("words")
	stream, err := s.jetStream().Stream(t.Context(), "askback-"+string(before.Instance))
	if err != nil || stream.CachedInfo().Config.Replicas != 3 || stream.CachedInfo().Config.Metadata["askback.cluster"] != "askback" {
		t.Fatalf("%+v, %v", stream, err)
	}
	name := s.nc.ConnectedServerName()
	dies := all[slices.IndexFunc(all, func(one *server.Server) bool { return one.Name() == name })]
	dies.Shutdown()
	dies.WaitForShutdown()
	began := time.Now()
	s.submit("more")
	t.Logf("answered after %v", time.Since(began))
	s.untilHosts(2)
	d, err := s.describe("words")
	if err != nil || places(&d.Record) != places(&before) || d.Record.Instance != before.Instance {
		t.Errorf("%s, then %s, %v", places(&before), places(&d.Record), err)
	}
}
