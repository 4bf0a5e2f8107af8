package nimbus_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
	"github.com/askback/askback/internal/natstest"
)

// secured starts a server as "askback auth init" configures it, with a nimbus and a supervisor host-1.
func secured(t *testing.T) *site {
	t.Parallel()
	s := &site{T: t, dir: t.TempDir(), p: natscluster.DefaultPrefix}
	keys := filepath.Join(s.dir, "keys")
	made, err := auth.Init(keys, auth.Options{
		Servers: []auth.Server{{Hosts: []string{"127.0.0.1"}, Port: natstest.FreePort(t), RoutePort: natstest.FreePort(t)}}, Supervisors: []string{"host-1"}, StoreDir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.urls, s.keys = made.Servers, keys
	for _, f := range made.Files {
		if strings.HasSuffix(f.Path, ".conf") {
			natstest.Ready(t, natstest.Configured(t, filepath.Join(keys, f.Path)))
		}
	}
	issuer, err := auth.ReadIssuer(filepath.Join(keys, "issuer.json"), s.p)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := auth.ReadTrust(filepath.Join(keys, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	s.nimbus("n-1", func(c *nimbus.Config) {
		c.Connection = s.as("nimbus")
		c.Issuer, c.Trust = issuer, artefact.Trust{Accounts: accounts}
	})
	return s
}

// as returns how a user connects.
func (s *site) as(who string) natscluster.Connection {
	return natscluster.Connection{Servers: s.urls, CA: filepath.Join(s.keys, "ca.pem"), Creds: filepath.Join(s.keys, who+".creds")}
}

// client connects as a user.
func (s *site) client(c natscluster.Connection) (*nats.Conn, *natscluster.User) {
	s.Helper()
	u, err := c.User()
	if err != nil {
		s.Fatal(err)
	}
	nc, err := c.Connect("test", u, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(nc.Close)
	return nc, u
}

// With permissions: a user of role operate submits, the signed program runs, and a worker gets the rights that its
// tasks need.
func TestSecured(t *testing.T) {
	s := secured(t)
	var operator *natscluster.User
	s.nc, operator = s.client(s.as("operate"))
	s.untilLeads("n-1")
	path := filepath.Join(s.dir, "program")
	if err := os.WriteFile(path, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.program, err = artefact.Put(t.Context(), s.nc, s.p, path, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("words", "n")); code(err) != cluster.CodeBadRequest || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("unsigned: %v", err)
	}
	if err := artefact.Sign(operator, "words", &s.program); err != nil {
		t.Fatal(err)
	}
	if _, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("other", "n")); code(err) != cluster.CodeBadRequest {
		t.Errorf("signed as another: %v", err)
	}
	s.hostAs("host-1", s.as("supervisor-host-1"))
	s.untilHosts(1)
	r := s.submit("words")
	if r.By != "operate" || places(&r) != "host-1/0 host-1/1" {
		t.Errorf("by %q in %q", r.By, places(&r))
	}

	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	slot := r.WorkerSlot(&r.Placement[0])
	supervisor, _ := s.client(s.as("supervisor-host-1"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	login, err := natscluster.Request[cluster.LoginReply](ctx, supervisor, s.p.HostAPI("host-1", cluster.VerbLogin), cluster.LoginRequest{Slot: slot, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	worker, _ := s.client(natscluster.Connection{Servers: s.urls, CA: filepath.Join(s.keys, "ca.pem"), Login: cluster.Login{JWT: login.JWT, Seed: string(seed)}})
	if again, err := natscluster.Request[cluster.LoginReply](ctx, worker, s.p.WorkerAPI(slot, cluster.VerbRenew), cluster.LoginRequest{Slot: slot, Key: key}); err != nil || again.JWT == "" {
		t.Errorf("renew: %v", err)
	}
	say(worker, s.p.WorkerHeartbeat(slot), cluster.Heartbeat{Slot: slot, PID: 4711})
	s.until("its heartbeat arrives", func() bool {
		d, err := s.describe("words")
		return err == nil && d.Workers[0].Heartbeat != nil && d.Workers[0].Heartbeat.PID == 4711
	})
}

// Nimbus may write the bucket, and users of role view may not: not by naming the bucket as reply subject, either.
func TestAnswersOnlyInboxes(t *testing.T) {
	s := secured(t)
	s.nc, _ = s.client(s.as("view"))
	s.untilLeads("n-1")
	for _, to := range []string{"$KV.askback-cluster.topology.words", "$KV.askback-cluster.epoch", "askback.event.cluster"} {
		question, _ := json.Marshal(struct{}{})
		if err := s.nc.PublishRequest(s.p.API(cluster.View, cluster.VerbList), to, question); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 { // all have sent one before this one
		s.untilLeads("n-1")
	}
	if l := s.untilLeads("n-1"); len(l.Topologies) != 0 || l.Epoch != 1 {
		t.Errorf("%+v", l)
	}
	nc, _ := s.client(s.as("nimbus"))
	records, err := natscluster.OpenReader(nc, s.p).Records(t.Context())
	if err != nil || len(records) != 0 {
		t.Errorf("%+v, %v", records, err)
	}
}
