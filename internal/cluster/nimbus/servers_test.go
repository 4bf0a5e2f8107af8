package nimbus_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/natstest"
)

// Logs have three replicas where there are three servers; one of them may die.
func TestThreeServers(t *testing.T) {
	t.Parallel()
	servers := natstest.ServeThree(t)
	s := &site{T: t, urls: servers.URLs(0), dir: t.TempDir(), p: natscluster.DefaultPrefix}
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
	servers.Stop(slices.IndexFunc(servers.Servers[:], func(one *server.Server) bool { return one.Name() == name }))
	began := time.Now()
	s.submit("more")
	t.Logf("answered after %v", time.Since(began))
	s.untilHosts(2)
	d, err := s.describe("words")
	if err != nil || places(&d.Record) != places(&before) || d.Record.Instance != before.Instance {
		t.Errorf("%s, then %s, %v", places(&before), places(&d.Record), err)
	}
}
