package nimbus_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
	"github.com/askback/askback/msgid"
)

type issuer struct{}

func (issuer) IssueWorker(key string, slot cluster.WorkerSlot, tasks []msgid.Alias, _ cluster.Instance, _ time.Duration) (string, error) {
	return fmt.Sprintf("%s %v %v", key[:1], slot, tasks), nil
}

// A login is issued to the supervisor with which a worker is placed, and to that worker, and for its tasks.
func TestLogins(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", func(c *nimbus.Config) { c.Issuer = issuer{} })
	s.host("a")
	s.host("b")
	s.untilHosts(2)
	r := s.submit("words")
	pair, _ := nkeys.CreateUser()
	key, _ := pair.PublicKey()
	slot := r.WorkerSlot(&r.Placement[0])
	login := func(subject string, q cluster.LoginRequest) (cluster.LoginReply, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return natscluster.Request[cluster.LoginReply](ctx, s.nc, subject, q)
	}
	want := fmt.Sprintf("U %v %v", slot, r.Placement[0].Tasks)
	for _, subject := range []string{s.p.HostAPI("a", cluster.VerbLogin), s.p.WorkerAPI(slot, cluster.VerbRenew)} {
		if got, err := login(subject, cluster.LoginRequest{Slot: slot, Key: key}); err != nil || got.JWT != want || got.Expires.IsZero() {
			t.Errorf("%s: %+v, %v", subject, got, err)
		}
	}
	free := cluster.WorkerSlot{Instance: r.Instance, Supervisor: "a", Number: 1}
	for name, c := range map[string]struct {
		subject string
		q       cluster.LoginRequest
	}{
		"of another's worker":    {s.p.HostAPI("b", cluster.VerbLogin), cluster.LoginRequest{Slot: slot, Key: key}},
		"of no worker":           {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Slot: free, Key: key}},
		"renewed by another":     {s.p.WorkerAPI(r.WorkerSlot(&r.Placement[1]), cluster.VerbRenew), cluster.LoginRequest{Slot: slot, Key: key}},
		"with a bad key":         {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Slot: slot, Key: "secret"}},
		"of a bad supervisor":    {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Slot: cluster.WorkerSlot{Supervisor: "a"}, Key: key}},
		"of a replaced instance": {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Slot: cluster.WorkerSlot{Instance: "words-abcdefgh", Supervisor: "a"}, Key: key}},
	} {
		if got, err := login(c.subject, c.q); code(err) == "" || got.JWT != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// Row 48, and a name that two have.
func TestJoin(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	a := s.host("a")
	s.untilHosts(1)
	join := func(subject string, h cluster.Host) error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := natscluster.Request[cluster.JoinReply](ctx, s.nc, s.p.HostAPI(subject, cluster.VerbJoin), h)
		return err
	}
	for what, err := range map[string]error{
		`supervisor "b" has runtime "2", and this nimbus has "1"`: join("b", cluster.Host{Name: "b", Runtime: "2"}),
		"run by another process already":                          join("a", cluster.Host{Name: "a", Slots: 1, Runtime: cluster.Runtime, Started: time.Now()}),
		"each asks for itself":                                    join("b", cluster.Host{Name: "a", Runtime: cluster.Runtime}),
	} {
		if code(err) != cluster.CodeConflict || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := ask[cluster.Host](s, cluster.Admin, cluster.VerbRemove, cluster.NameRequest{Name: "a"})
	if code(err) != cluster.CodeConflict {
		t.Errorf("remove one that is up: %v", err)
	}
	a.halt()
	s.untilHosts(0)
	if h, err := ask[cluster.Host](s, cluster.Admin, cluster.VerbRemove, cluster.NameRequest{Name: "a"}); err != nil || h.Name != "a" {
		t.Errorf("remove: %+v, %v", h, err)
	}
	if l, err := ask[cluster.ListReply](s, cluster.View, cluster.VerbList, nil); err != nil || len(l.Hosts) != 0 {
		t.Errorf("%+v, %v", l.Hosts, err)
	}
}
