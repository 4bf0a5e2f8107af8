package nimbus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
	"github.com/askback/askback/msgid"
)

// A topology from its submission to its end.
func TestLife(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.host("b")
	s.untilHosts(2)
	r := s.submit("words")
	if places(&r) != "a/0 b/0" || r.Status != cluster.Active || r.Epoch != 1 || !s.logExists(r.Instance) {
		t.Errorf("submitted: %s, %s, epoch %d", places(&r), r.Status, r.Epoch)
	}
	s.until("all tasks are healthy", func() bool {
		l, err := ask[cluster.ListReply](s, cluster.View, cluster.VerbList, nil)
		return err == nil && l.Leader == "n-1" && len(l.Topologies) == 1 && l.Topologies[0].Healthy == 4
	})
	r, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbDeactivate, cluster.NameRequest{Name: "words"})
	if err != nil || r.Status != cluster.Inactive {
		t.Errorf("deactivate: %s, %v", r.Status, err)
	}
	r, err = ask[cluster.Record](s, cluster.Operate, cluster.VerbActivate, cluster.NameRequest{Name: "words"})
	if err != nil || r.Status != cluster.Active {
		t.Errorf("activate: %s, %v", r.Status, err)
	}
	r, err = ask[cluster.Record](s, cluster.Operate, cluster.VerbKill, cluster.KillRequest{Name: "words", Wait: 300 * time.Millisecond})
	if err != nil || r.Status != cluster.Killing {
		t.Fatalf("kill: %s, %v", r.Status, err)
	}
	s.until("it is gone", func() bool { _, err := s.describe("words"); return code(err) == cluster.CodeNotFound })
	if !s.logExists(r.Instance) {
		t.Error("its log is gone before its workers are quiet")
	}
	s.until("its log is gone", func() bool { return !s.logExists(r.Instance) })
	s.until("all events are published", func() bool {
		events, err := ask[cluster.ExplainReply](s, cluster.View, cluster.VerbExplain, cluster.ExplainRequest{Name: string(r.Instance)})
		var kinds []cluster.EventKind
		for _, e := range events.Events {
			kinds = append(kinds, e.Kind)
		}
		return err == nil && slices.Contains(kinds, cluster.Submitted) && slices.Contains(kinds, cluster.Assigned) && events.Events[len(events.Events)-1].Text == "killed"
	})
}

// Rows 11 and 12: the next leader knows the decisions, and goes on.
func TestFailover(t *testing.T) {
	s := newSite(t)
	stop := s.nimbus("n-1", nil)
	s.host("a")
	b := s.host("b")
	s.untilHosts(2)
	before := s.submit("words")
	s.nimbus("n-2", nil)
	stop()
	b.halt()
	began := time.Now()
	again, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("words", "n-words"))
	if err != nil || again.Instance != before.Instance {
		t.Errorf("the same submission: %v, %v", again.Instance, err)
	}
	t.Logf("answered after %v", time.Since(began))
	s.untilPlaced("words", "a/0 a/1")
	d, _ := s.describe("words")
	if d.Record.Epoch != 2 || d.Record.Placement[1].Lost == nil {
		t.Errorf("%+v", d.Record)
	}
	s.until("it is published", func() bool {
		events, err := ask[cluster.ExplainReply](s, cluster.View, cluster.VerbExplain, cluster.ExplainRequest{})
		text := fmt.Sprint(events.Events)
		return err == nil && strings.Contains(text, "nimbus n-1 leads, epoch 1") && strings.Contains(text, "nimbus n-2 leads, epoch 2")
	})
}

// Row 14: while NATS is away nothing is decided, and afterwards no worker is given up for it.
func TestServerRestarts(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.host("b")
	s.host("c")
	s.untilHosts(3)
	before := s.submit("words")
	_ = s.server.Stop()
	time.Sleep(1500 * time.Millisecond)
	s.start(s.address)
	s.untilHosts(3)
	time.Sleep(time.Second)
	d, err := s.describe("words")
	if err != nil || places(&d.Record) != places(&before) || d.Record.Instance != before.Instance {
		t.Errorf("%s, then %s, %v", places(&before), places(&d.Record), err)
	}
	s.submit("more")
}

// A restart is relayed to the worker, and its answer to the user.
func TestRestartTask(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.untilHosts(1)
	r := s.submit("words")
	at := slices.IndexFunc(r.Placement, func(p cluster.Placement) bool { return slices.Contains(p.Tasks, lines0) })
	asked := make(chan msgid.Alias, 2)
	s.worker(r.WorkerSlot(&r.Placement[at]), cluster.VerbCrash, func(q cluster.TaskRequest) error {
		if asked <- q.Task; len(asked) > 1 {
			return errors.New("it is being restored")
		}
		return nil
	})
	q := cluster.RestartRequest{Name: "words", Task: lines0}
	if _, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbRestart, q); err != nil || len(asked) != 1 {
		t.Errorf("%v, asked %d times", err, len(asked))
	}
	if _, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbRestart, q); code(err) != cluster.CodeConflict || err.Error() != "it is being restored" {
		t.Error(err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, c := range []nimbus.Config{
		{Name: "a.b"}, {Detection: time.Millisecond}, {Lease: time.Millisecond}, {Replicas: 7}, {Durability: "for ever"},
	} {
		if _, err := nimbus.New(c); !errors.Is(err, nimbus.ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if n, err := nimbus.New(nimbus.Config{}); err != nil || cluster.CheckName("nimbus", n.Name(), msgid.MaxName) != nil {
		t.Errorf("%v", err)
	}
	n, err := nimbus.New(nimbus.Config{Connection: natscluster.Connection{Servers: "nats://192.0.2.1:4222"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); !errors.Is(err, natscluster.ErrInsecure) {
		t.Errorf("outside loopback: %v", err)
	}
}
