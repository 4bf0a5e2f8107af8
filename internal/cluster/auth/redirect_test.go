package auth_test

import (
	"maps"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Row 45, the long way round: NATS does not check whether a client may publish to the reply subject that it names. So a
// worker sends a request, and names as reply subject one that it may not publish to. Workers have an account of their
// own: the answers stay in it, and do not pass on to what it imports. There they reach other workers only, which
// recognize them: see natscluster.FromStream.
func TestAnswersAreNotRedirected(t *testing.T) {
	y := newYard(t, 1)
	redirect(t, y, 1)
}

func redirect(t *testing.T, y *yard, replicas int) {
	nimbus := y.as(t, "nimbus")
	setup(t, nimbus, replicas)
	logOf(t, nimbus, words)
	logOf(t, nimbus, other)
	leader, err := natscluster.Campaign(t.Context(), nimbus.Conn, p, "n1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = leader.Close() }()
	revision, err := leader.PutRecord(t.Context(), &cluster.Record{Instance: other, Spec: cluster.Spec{Name: "other"}})
	if err != nil {
		t.Fatal(err)
	}
	slot := cluster.WorkerSlot{Instance: other, Supervisor: "host-2"}
	theirLog, log := "askback."+string(other)+".log.a.0", "askback."+string(words)+".log.e.0"
	victim := y.connect(t, y.worker(t, slot, time.Hour, "a.0"))
	if _, err := victim.Request(theirLog, []byte("precious"), timeout); err != nil {
		t.Fatal(err)
	}
	reached, err := victim.SubscribeSync(p.Worker(slot, "*"))
	if err != nil {
		t.Fatal(err)
	}
	requests, err := nimbus.SubscribeSync(string(p) + ".api.>")
	if err != nil {
		t.Fatal(err)
	}
	heartbeats, err := nimbus.SubscribeSync(string(p) + ".heartbeat.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{victim, nimbus} {
		if err := c.FlushTimeout(timeout); err != nil {
			t.Fatal(err)
		}
	}

	js, err := jetstream.New(nimbus.Conn)
	if err != nil {
		t.Fatal(err)
	}
	ends := func() map[string]uint64 {
		last := map[string]uint64{}
		for _, name := range []string{natslog.StreamName(string(p), string(other)), p.Events(), "OBJ_" + p.Artefacts()} {
			s, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(name, err)
			}
			last[name], last[name+" first"] = s.CachedInfo().State.LastSeq, s.CachedInfo().State.FirstSeq
		}
		return last
	}
	before := ends()

	evil := y.connect(t, y.worker(t, first, time.Hour, "e.0"))
	get, asked := `{"last_by_subj":"`+log+`"}`, 0
	for _, content := range []string{"{}", "", get, `{"instance":"other-abcdefgh"}`} {
		if _, err := evil.Request(log, []byte(content), timeout); err != nil {
			t.Fatal(err)
		}
		for _, reply := range []string{
			"$KV.askback-cluster.topology.other", "$KV.askback-cluster.lease", "$O.askback-artefacts.M.x",
			"$JS.API.STREAM.PURGE.askback-other-abcdefgh", "askback.jetstream.STREAM.PURGE.askback-other-abcdefgh",
			"$JS.API.STREAM.DELETE.askback-other-abcdefgh", "$JS.API.STREAM.DELETE.KV_askback-cluster",
			theirLog, p.Event(string(other)), p.WorkerAPI(slot, cluster.VerbRenew), p.API(cluster.Operate, cluster.VerbKill),
			p.WorkerHeartbeat(slot), p.HostHeartbeat("host-2"), p.Worker(slot, cluster.VerbAssign),
		} {
			for _, question := range []nats.Msg{
				{Subject: log, Data: []byte(content)},
				{Subject: "$JS.API.DIRECT.GET.askback-words-abcdefgh", Data: []byte(get)},
				{Subject: "$JS.API.DIRECT.GET.askback-words-abcdefgh." + log},
				{Subject: "$JS.API.STREAM.MSG.GET.askback-words-abcdefgh", Data: []byte(get)},
				{Subject: "$JS.API.STREAM.INFO.askback-words-abcdefgh"},
			} {
				question.Reply = reply
				if err := evil.PublishMsg(&question); err != nil {
					t.Fatal(err)
				}
				asked++
			}
		}
	}
	// An order that was redirected does arrive, and shows that the questions were answered.
	redirected := 0
	for {
		m, err := reached.NextMsg(time.Second)
		if err != nil {
			break
		}
		if natscluster.FromStream(m) {
			redirected++
		}
	}
	if redirected == 0 {
		t.Error("nothing was redirected: the test tests nothing")
	}
	for _, s := range []*nats.Subscription{requests, heartbeats} {
		for {
			m, err := s.NextMsg(10 * time.Millisecond)
			if err != nil {
				break
			}
			t.Errorf("%s was forged: %.100q", m.Subject, m.Data)
		}
	}
	now, err := natscluster.OpenReader(nimbus.Conn, p).Records(t.Context())
	if err != nil || len(now) != 1 || now[0].Revision != revision {
		t.Errorf("the record was overwritten: %v, %v", now, err)
	}
	if after := ends(); !maps.Equal(before, after) {
		t.Errorf("streams were written or purged: %v, and now %v", before, after)
	}
	for len(evil.errors) > 0 {
		t.Error("a question was denied:", <-evil.errors)
	}
	t.Logf("%d questions, %d orders redirected", asked, redirected)
}

// Answers that a worker directs to another's tasks have headers, and tuples have none.
func TestRedirectedTuplesShow(t *testing.T) {
	y := newYard(t, 1)
	logOf(t, y.as(t, "nimbus"), words)
	victim := y.connect(t, y.worker(t, cluster.WorkerSlot{Instance: other, Supervisor: "host-2"}, time.Hour, "a.0"))
	redirected, err := victim.SubscribeSync("askback." + string(other) + ".data.*.*.a.0")
	if err != nil || victim.FlushTimeout(timeout) != nil {
		t.Fatal(err)
	}
	evil := y.connect(t, y.worker(t, first, time.Hour, "e.0"))
	log := "askback." + string(words) + ".log.e.0"
	if _, err := evil.Request(log, []byte("forged"), timeout); err != nil {
		t.Fatal(err)
	}
	if err := evil.PublishRequest("$JS.API.DIRECT.GET.askback-words-abcdefgh."+log, "askback."+string(other)+".data.b.0.a.0", nil); err != nil {
		t.Fatal(err)
	}
	if m, err := redirected.NextMsg(timeout); err != nil || len(m.Header) == 0 {
		t.Error(m, err)
	}
}
