package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
)

var (
	words  = cluster.Instance("words-abcdefgh")
	other  = cluster.Instance("other-abcdefgh")
	first  = cluster.WorkerSlot{Instance: words, Supervisor: "host-1", Number: 0}
	second = cluster.WorkerSlot{Instance: words, Supervisor: "host-2", Number: 3}
)

// logOf makes the log of an instance, as nimbus does.
func logOf(t *testing.T, nimbus *client, i cluster.Instance) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err = natslog.Open(t.Context(), nimbus.Conn, natslog.Options{Topology: string(i)}); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// Two workers exchange tuples and signals and keep their logs, with nothing more than they are permitted.
func TestWorkersWork(t *testing.T) {
	y := newYard(t, 1)
	logOf(t, y.as(t, "nimbus"), words)
	split, count := y.worker(t, first, time.Hour, "split.0"), y.worker(t, second, time.Hour, "count.0", "count.1")
	connection := y.connection()
	dial := func(u *natscluster.User) *natschan.Transport {
		options, err := connection.Options(u)
		if err != nil {
			t.Fatal(err)
		}
		tr, err := natschan.Dial(natschan.Config{URL: y.summary.Servers, Topology: string(words), Options: options, OnEvent: func(e natschan.Event) {
			if e.Kind == natschan.Denied || e.Kind == natschan.Failed {
				t.Errorf("%v: %v", e.Kind, e.Err)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tr.Close() })
		return tr
	}
	a, b := dial(split), dial(count)
	received := make(chan channel.Message, 100)
	at := func(tr *natschan.Transport, name string) channel.Endpoint {
		e, err := tr.Join(aliases(t, name)[0], func(m channel.Message) { received <- m })
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	source, target := at(a, "split.0"), at(b, "count.1")
	for kind := range channel.Kind(channel.Kinds) {
		for _, way := range []struct {
			from channel.Endpoint
			name string
			to   string
		}{{source, "split.0", "count.1"}, {target, "count.1", "split.0"}} {
			if err := way.from.Send(kind, aliases(t, way.to)[0], []byte(way.name)); err != nil {
				t.Fatal(err)
			}
			select {
			case m := <-received:
				if m.Kind != kind || m.From.String() != way.name {
					t.Errorf("%s from %s, sent %s from %s", m.Kind, m.From, kind, way.name)
				}
			case <-time.After(timeout):
				t.Fatalf("%s from %s did not come", kind, way.name)
			}
		}
	}

	log, err := natslog.Open(t.Context(), b.Control(), natslog.Options{Topology: string(words)})
	if err != nil {
		t.Fatal(err)
	}
	w, _, err := checkpoint.Open(t.Context(), log, aliases(t, "count.1")[0], checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := w.Append(t.Context(), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	w2, history, err := checkpoint.Open(t.Context(), log, aliases(t, "count.1")[0], checkpoint.Options{})
	if err != nil || len(history.Determinants) != 10 {
		t.Fatalf("%d of 10 records read: %v", len(history.Determinants), err)
	}
	if err := w.Append(t.Context(), nil); !errors.Is(err, checkpoint.ErrFenced) {
		t.Errorf("the earlier incarnation: %v", err)
	}
	if err := w2.Append(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if e, err := log.Last(t.Context(), aliases(t, "count.1")[0]); err != nil || e.Pos == 0 {
		t.Error(e, err)
	}
	if err := log.Purge(t.Context(), aliases(t, "count.1")[0], 5); err != nil {
		t.Error(err)
	}
	// An append for another task of the topology is denied, which shows as no answer.
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	theirs, err := natslog.Open(t.Context(), y.connect(t, count).Conn, natslog.Options{Topology: string(words)})
	if err != nil {
		t.Fatal(err)
	}
	if pos, err := theirs.Append(short, aliases(t, "split.0")[0], 0, nil); !errors.Is(err, checkpoint.ErrUnknown) {
		t.Error(pos, err)
	}
}

// A worker whose topology was another instance may read that one's log, and do nothing else to it.
func TestWorkerReadsOrigin(t *testing.T) {
	y := newYard(t, 1)
	before := cluster.Instance("words-ijklmnop")
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	token, err := y.issuer(t).IssueWorker(key, first, aliases(t, "count.1"), before, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	u, err := natscluster.NewUser(cluster.Login{JWT: token, Seed: string(seed)})
	if err != nil {
		t.Fatal(err)
	}
	const i = "askback.words-ijklmnop."
	table(t, y.connect(t, u), []may{
		{publish, "$JS.API.STREAM.INFO.askback-words-ijklmnop", true},
		{publish, "$JS.API.DIRECT.GET.askback-words-ijklmnop." + i + "log.count.1", true},
		{publish, "$JS.API.STREAM.PURGE.askback-words-ijklmnop", false},
		{publish, "$JS.API.STREAM.DELETE.askback-words-ijklmnop", false},
		{publish, i + "log.count.1", false},
		{publish, i + "data.count.1.top.0", false},
		{listen, i + "data.*.*.count.1", false},
	})
	for _, bad := range []cluster.Instance{other, "words", "*", "words-abcd.>xx"} {
		if _, err := y.issuer(t).IssueWorker(key, first, nil, bad, time.Hour); !errors.Is(err, auth.ErrIssue) {
			t.Errorf("from %q: %v", bad, err)
		}
	}
}

// Row 45: a worker may publish and subscribe to its own subjects, and to no others. Each denial is reported.
func TestWorkerMay(t *testing.T) {
	y := newYard(t, 1)
	nimbus := y.as(t, "nimbus")
	w := y.connect(t, y.worker(t, first, time.Hour, "count.1"))
	inbox := func(c *client) string { return natscluster.InboxPrefix(c.user.Key()) + ".abc" }
	const i, o = "askback.words-abcdefgh.", "askback.other-abcdefgh."
	table(t, w, []may{
		{publish, i + "data.count.1.top.0", true},
		{publish, i + "ctl.count.1.split.0", true},
		{publish, i + "replay.count.1.top.0", true},
		{publish, i + "log.count.1", true},
		{publish, p.WorkerHeartbeat(first), true},
		{publish, p.WorkerAPI(first, cluster.VerbRenew), true},
		{publish, p.Event(string(words)), true},
		{listen, i + "data.*.*.count.1", true},
		{listen, i + "ctl.split.0.count.1", true},
		{listen, p.Worker(first, cluster.VerbAssign), true},
		{listen, inbox(w), true},

		// as another task
		{publish, i + "data.count.2.top.0", false},
		{publish, i + "ctl.top.0.count.1", false},
		{publish, i + "replay.split.0.count.1", false},
		{publish, i + "log.count.2", false},
		{publish, i + "log.count.12", false},
		// as another worker, supervisor or nimbus
		{publish, p.WorkerHeartbeat(second), false},
		{publish, p.WorkerHeartbeat(cluster.WorkerSlot{Instance: words, Supervisor: "host-1", Number: 1}), false},
		{publish, p.WorkerAPI(second, cluster.VerbRenew), false},
		{publish, p.WorkerAPI(first, "other"), false},
		{publish, p.HostHeartbeat("host-1"), false},
		{publish, p.HostAPI("host-1", cluster.VerbLogin), false},
		{publish, p.Worker(first, cluster.VerbAssign), false},
		{publish, p.Worker(second, cluster.VerbAssign), false},
		{publish, p.Changed("topology.words"), false},
		// another instance's
		{publish, o + "data.count.1.top.0", false},
		{publish, o + "log.count.1", false},
		{publish, p.Event(string(other)), false},
		{publish, p.Event("cluster"), false},
		// requests of people
		{publish, p.API(cluster.View, cluster.VerbList), false},
		{publish, p.API(cluster.Operate, cluster.VerbKill), false},
		{publish, p.Host("host-1", cluster.VerbLogs), false},
		{publish, "$SRV.PING", false},
		// JetStream: its own log may be inspected and purged, nothing else
		{publish, "$JS.API.STREAM.INFO.askback-words-abcdefgh", true},
		{publish, "$JS.API.STREAM.PURGE.askback-words-abcdefgh", true},
		{publish, "$JS.API.DIRECT.GET.askback-words-abcdefgh.askback.words-abcdefgh.log.count.1", true},
		{publish, "$JS.API.STREAM.DELETE.askback-words-abcdefgh", false},
		{publish, "$JS.API.STREAM.UPDATE.askback-words-abcdefgh", false},
		{publish, "$JS.API.STREAM.CREATE.askback-words-abcdefgh", false},
		{publish, "$JS.API.STREAM.MSG.DELETE.askback-words-abcdefgh", false},
		{publish, "$JS.API.STREAM.SNAPSHOT.askback-words-abcdefgh", false},
		{publish, "$JS.API.CONSUMER.CREATE.askback-words-abcdefgh", false},
		{publish, "$JS.API.STREAM.INFO.askback-other-abcdefgh", false},
		{publish, "$JS.API.STREAM.PURGE.askback-other-abcdefgh", false},
		{publish, "$JS.API.DIRECT.GET.askback-other-abcdefgh", false},
		{publish, "$JS.API.STREAM.PURGE.KV_askback-cluster", false},
		{publish, "$JS.API.DIRECT.GET.KV_askback-cluster", false},
		{publish, "$JS.API.STREAM.MSG.GET.KV_askback-cluster", false},
		{publish, "$JS.API.DIRECT.GET.OBJ_askback-artefacts", false},
		{publish, "$JS.API.STREAM.NAMES", false},
		{publish, "$JS.API.INFO", false},
		{publish, "$KV.askback-cluster.topology.words", false},
		{publish, "$O.askback-artefacts.M.x", false},
		{publish, "$SYS.REQ.SERVER.PING", false},
		{publish, inbox(nimbus), false},
		{publish, "askback.jetstream.STREAM.PURGE.askback-other-abcdefgh", false},
		// messages to others
		{listen, ">", false},
		{listen, "askback.>", false},
		{listen, i + ">", false},
		{listen, i + "data.*.*.count.2", false},
		{listen, i + "data.*.*.*.*", false},
		{listen, i + "log.>", false},
		{listen, o + "data.*.*.count.1", false},
		{listen, p.Worker(second, "*"), false},
		{listen, p.WorkerHeartbeat(second), false},
		{listen, p.HostAPI("*", "*"), false},
		{listen, inbox(nimbus), false},
		{listen, "_INBOX.>", false},
		{listen, "$KV.>", false},
		{listen, "$JS.>", false},
		{listen, "$SRV.>", false},
	})
}

type verb bool

const (
	publish verb = false
	listen  verb = true
)

// A may is one operation of one user, allowed or not.
type may struct {
	do      verb
	subject string
	want    bool
}

func table(t *testing.T, c *client, rows []may) {
	t.Helper()
	for _, m := range rows {
		if m.do == publish && c.mayPublish(t, m.subject) != m.want {
			t.Errorf("publish to %s: %t, want %t", m.subject, !m.want, m.want)
		}
		if m.do == listen && c.maySubscribe(t, m.subject) != m.want {
			t.Errorf("listen to %s: %t, want %t", m.subject, !m.want, m.want)
		}
	}
}

// A worker of very many tasks gets in: its JWT names them all.
func TestManyTasks(t *testing.T) {
	y := newYard(t, 1)
	var tasks []string
	for i := range 1000 {
		tasks = append(tasks, fmt.Sprint("an-operator-with-a-rather-long-name.", i))
	}
	u := y.worker(t, first, time.Hour, tasks...)
	t.Logf("its JWT has %d bytes", len(u.JWT()))
	table(t, y.connect(t, u), []may{
		{listen, "askback.words-abcdefgh.data.*.*." + tasks[999], true},
		{publish, "askback.words-abcdefgh.log." + tasks[999], true},
		{publish, "askback.words-abcdefgh.log.an-operator-with-a-rather-long-name.1000", false},
	})
}
