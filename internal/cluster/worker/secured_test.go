package worker_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/internal/natstest"
)

// In a secured cluster workers do with the permissions that follow from their tasks, and an order that brings a task
// brings the JWT for it.
func TestSecured(t *testing.T) {
	port := natstest.FreePort(t)
	keys := filepath.Join(t.TempDir(), "keys")
	summary, err := auth.Init(keys, auth.Options{
		Supervisors: []string{"here"}, StoreDir: t.TempDir(),
		Servers: []auth.Server{{Hosts: []string{"127.0.0.1"}, Port: port, RoutePort: natstest.FreePort(t)}},
	})
	check(t, err)
	natstest.Ready(t, natstest.Configured(t, filepath.Join(keys, "server-1.conf")))

	conn := natscluster.Connection{Servers: summary.Servers, CA: filepath.Join(keys, "ca.pem"), Creds: filepath.Join(keys, "nimbus.creds")}
	user, err := conn.User()
	check(t, err)
	nc, err := conn.Connect("nimbus", user)
	check(t, err)
	t.Cleanup(nc.Close)
	s := &site{t: t, nc: nc, subjects: conn.Subjects(), instance: cluster.NewInstance("words"), dir: t.TempDir(), n: 6000,
		heartbeats: map[cluster.WorkerSlot]cluster.Heartbeat{}, servers: summary.Servers}
	s.spec, err = worker.Describe(counting(s.dir, s.n), "backtrack", settings, 0)
	check(t, err)
	s.until("JetStream is ready", func() bool {
		_, err := natslog.Open(context.Background(), nc, natslog.Options{Topology: string(s.instance)})
		return err == nil
	})
	check(t, natscluster.Setup(t.Context(), nc, s.subjects, 1))
	s.listen()

	issuer, err := auth.ReadIssuer(filepath.Join(keys, "issuer.json"), s.subjects)
	check(t, err)
	authority, err := os.ReadFile(conn.CA)
	check(t, err)
	launch := func(slot int, tasks ...string) (*cluster.Launch, func(o *cluster.Assignment)) {
		l := s.launch(slot, tasks...)
		pair, err := nkeys.CreateUser()
		check(t, err)
		key, err := pair.PublicKey()
		check(t, err)
		seed, err := pair.Seed()
		check(t, err)
		issue := func(o *cluster.Assignment) {
			o.JWT, err = issuer.IssueWorker(key, l.Slot, o.Tasks, "", time.Hour)
			check(t, err)
		}
		issue(&l.Assignment)
		l.CA, l.Login = authority, cluster.Login{JWT: l.Assignment.JWT, Seed: string(seed)}
		return l, issue
	}
	a, _ := launch(0, "lines", "split.0", "count.1")
	b, issueB := launch(1, "split.1", "out")
	s.start(a)
	s.start(b)
	s.until("both run", func() bool { return len(s.heartbeat(0).Tasks) == 3 && len(s.heartbeat(1).Tasks) == 2 })
	more := s.order(2, "split.1", "out", "count.0")
	issueB(&more)
	s.send(1, more)
	s.under(1, "count.0")
	if _, err := natscluster.Request[struct{}](t.Context(), nc, s.subjects.Worker(b.Slot, cluster.VerbCrash), cluster.TaskRequest{Task: alias("count", 0)}); err != nil {
		t.Error(err)
	}
	s.done(0, 1)
	s.until("the recovery is published", func() bool { return len(s.happened(cluster.TaskRecovered)) == 1 })
	for _, kind := range []cluster.EventKind{cluster.Denied, cluster.TaskFailed, cluster.Refused} {
		if e := s.happened(kind); len(e) > 0 {
			t.Errorf("%+v", e)
		}
	}
}
