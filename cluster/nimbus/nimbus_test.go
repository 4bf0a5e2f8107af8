package nimbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/checkpoint/natslog"
	"github.com/askback/askback/cluster"
	"github.com/askback/askback/cluster/nimbus"
	"github.com/askback/askback/msgid"
)

func (s *site) logExists(i cluster.Instance) bool {
	s.Helper()
	there, err := natslog.Exists(s.Context(), s.nc, string(s.p), string(i))
	return err == nil && there
}

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
	s.until("all is told", func() bool {
		told, err := ask[cluster.ExplainReply](s, cluster.View, cluster.VerbExplain, cluster.ExplainRequest{Name: string(r.Instance)})
		var kinds []cluster.EventKind
		for _, e := range told.Events {
			kinds = append(kinds, e.Kind)
		}
		return err == nil && slices.Contains(kinds, cluster.Submitted) && slices.Contains(kinds, cluster.Assigned) && told.Events[len(told.Events)-1].Text == "killed"
	})
}

// Row 41: of two that submit the same name at once, one wins, and the other hears why. One who asks twice is one.
func TestSubmitTwiceAtOnce(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.untilHosts(1)
	const users = 8
	records, errs := make([]cluster.Record, 2*users), make([]error, 2*users)
	var group sync.WaitGroup
	for i := range records {
		group.Go(func() {
			q := s.request("words", fmt.Sprintf("user-%d", i/2)) // each asks twice
			records[i], errs[i] = ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, q)
		})
	}
	group.Wait()
	var winner cluster.Instance
	for i := 0; i < len(records); i += 2 {
		if (errs[i] == nil) != (errs[i+1] == nil) || records[i].Instance != records[i+1].Instance {
			t.Errorf("user %d was answered %v, and %v", i/2, errs[i], errs[i+1])
		}
		switch {
		case errs[i] == nil && winner == "":
			winner = records[i].Instance
		case errs[i] == nil:
			t.Error("two won")
		case code(errs[i]) != cluster.CodeConflict || !strings.Contains(errs[i].Error(), "exists: words"):
			t.Error(errs[i])
		}
	}
	if d, err := s.describe("words"); err != nil || d.Record.Instance != winner {
		t.Errorf("runs %v, %v", d.Record.Instance, err)
	}
}

// Row 42: whatever races, there is one final state, and nothing is left of what lost.
func TestKillRacesSubmit(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.untilHosts(1)
	for round := range 10 {
		var group sync.WaitGroup
		var submitted cluster.Record
		var errSubmit, errKill, errBalance error
		group.Go(func() {
			submitted, errSubmit = ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("words", fmt.Sprintf("n-%d", round)))
		})
		group.Go(func() {
			_, errBalance = ask[cluster.Record](s, cluster.Operate, cluster.VerbRebalance, cluster.RebalanceRequest{Name: "words", Workers: 1})
		})
		group.Go(func() {
			time.Sleep(time.Duration(round) * time.Millisecond)
			_, errKill = ask[cluster.Record](s, cluster.Operate, cluster.VerbKill, cluster.KillRequest{Name: "words"})
		})
		group.Wait()
		if errSubmit != nil || errKill != nil && code(errKill) != cluster.CodeNotFound || errBalance != nil && code(errBalance) != cluster.CodeNotFound {
			t.Fatalf("round %d: submit %v, kill %v, rebalance %v", round, errSubmit, errKill, errBalance)
		}
		d, err := s.describe("words")
		if there := err == nil; there && d.Record.Instance != submitted.Instance || !there && code(err) != cluster.CodeNotFound {
			t.Fatalf("round %d: %v, %v", round, d.Record.Instance, err)
		}
		_, _ = ask[cluster.Record](s, cluster.Operate, cluster.VerbKill, cluster.KillRequest{Name: "words"})
	}
	s.until("all logs are gone", func() bool { return len(s.logs()) == 0 })
}

// logs returns the streams that are task logs.
func (s *site) logs() (names []string) {
	s.Helper()
	js := s.jetStream()
	list := js.StreamNames(s.Context())
	for name := range list.Name() {
		if cluster.Instance(strings.TrimPrefix(name, string(s.p)+"-")).Check() == nil {
			names = append(names, name)
		}
	}
	return names
}

func TestSubmitWithoutProgram(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	q := s.request("words", "n")
	q.Artefact.SHA256 = strings.Repeat("ab", 32)
	_, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, q)
	if code(err) != cluster.CodeBadRequest || !strings.Contains(err.Error(), "not in the object store: abababababab; upload it") {
		t.Errorf("missing: %v", err)
	}
	q = s.request("words", "n")
	q.Artefact.Size++
	if _, err = ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, q); code(err) != cluster.CodeBadRequest {
		t.Errorf("of another size: %v", err)
	}
	if left := s.logs(); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	s.submit("words")
}

// Row 43: what the object store holds is not what was submitted.
func TestSubmitSpoiledProgram(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.spoil()
	_, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("words", "n"))
	if code(err) != cluster.CodeBadRequest || !strings.Contains(err.Error(), "mismatch") {
		t.Error(err)
	}
}

// Row 44: names from outside are checked, and the refusal says the rule.
func TestNames(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	for _, name := range []string{"a.>", "../x", "a\nb", "", strings.Repeat("x", 5000)} {
		for verb, q := range map[string]any{
			cluster.VerbKill: cluster.KillRequest{Name: name}, cluster.VerbActivate: cluster.NameRequest{Name: name},
			cluster.VerbRebalance: cluster.RebalanceRequest{Name: name}, cluster.VerbSubmit: s.request(name, "n"),
			cluster.VerbRestart: cluster.RestartRequest{Name: name}, cluster.VerbLevel: cluster.LevelRequest{Name: name, Level: "debug"},
		} {
			_, err := ask[cluster.Record](s, cluster.Operate, verb, q)
			if code(err) != cluster.CodeBadRequest || !strings.Contains(err.Error(), "of A-Z a-z 0-9 _ -") || len(err.Error()) > 300 {
				t.Errorf("%s %.20q: %v", verb, name, err)
			}
		}
	}
	_, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbKill, "nonsense")
	if code(err) != cluster.CodeBadRequest {
		t.Errorf("nonsense: %v", err)
	}
}

// Rows 11 and 12: the next leader knows what was decided, and goes on.
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
	s.until("it is told", func() bool {
		told, err := ask[cluster.ExplainReply](s, cluster.View, cluster.VerbExplain, cluster.ExplainRequest{})
		text := fmt.Sprint(told.Events)
		return err == nil && strings.Contains(text, "nimbus n-1 leads, epoch 1") && strings.Contains(text, "nimbus n-2 leads, epoch 2")
	})
}

// Row 14: while NATS is away nothing is decided, and afterwards nobody is believed lost for it.
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

// Row 31: a log that vanishes under a topology is made anew.
func TestLogIsRestored(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.untilHosts(1)
	r := s.submit("words")
	if err := natslog.Delete(t.Context(), s.nc, string(s.p), string(r.Instance)); err != nil {
		t.Fatal(err)
	}
	s.until("it is there again", func() bool { return s.logExists(r.Instance) })
}

func TestCompletes(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	a := s.host("a")
	s.untilHosts(1)
	r := s.submit("words")
	a.become("complete")
	s.until("it is complete", func() bool {
		d, err := s.describe("words")
		return err == nil && d.Record.Status == cluster.Completed && len(d.Record.Placement) == 0
	})
	s.until("its log is gone", func() bool { return !s.logExists(r.Instance) })
	_, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("words", "other"))
	if code(err) != cluster.CodeConflict || !strings.Contains(err.Error(), "words has been complete since") {
		t.Error(err)
	}
}

// A restart is relayed to the worker, and its answer to the user.
func TestRestartTask(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.host("a")
	s.untilHosts(1)
	r := s.submit("words")
	at := slices.IndexFunc(r.Placement, func(p cluster.Placed) bool { return slices.Contains(p.Tasks, lines0) })
	asked := make(chan msgid.Alias, 2)
	s.worker(r.Seat(&r.Placement[at]), cluster.VerbCrash, func(q cluster.TaskRequest) error {
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

type issuer struct{}

func (issuer) IssueWorker(key string, seat cluster.Seat, tasks []msgid.Alias, _ time.Duration) (string, error) {
	return fmt.Sprintf("%s %v %v", key[:1], seat, tasks), nil
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
	seat := r.Seat(&r.Placement[0])
	login := func(subject string, q cluster.LoginRequest) (cluster.LoginReply, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return cluster.Request[cluster.LoginReply](ctx, s.nc, subject, q)
	}
	want := fmt.Sprintf("U %v %v", seat, r.Placement[0].Tasks)
	for _, subject := range []string{s.p.HostAPI("a", cluster.VerbLogin), s.p.WorkerAPI(seat, cluster.VerbRenew)} {
		if got, err := login(subject, cluster.LoginRequest{Seat: seat, Key: key}); err != nil || got.JWT != want || got.Expires.IsZero() {
			t.Errorf("%s: %+v, %v", subject, got, err)
		}
	}
	free := cluster.Seat{Instance: r.Instance, Supervisor: "a", Slot: 1}
	for name, c := range map[string]struct {
		subject string
		q       cluster.LoginRequest
	}{
		"of another's worker":  {s.p.HostAPI("b", cluster.VerbLogin), cluster.LoginRequest{Seat: seat, Key: key}},
		"of no worker":         {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Seat: free, Key: key}},
		"renewed by another":   {s.p.WorkerAPI(r.Seat(&r.Placement[1]), cluster.VerbRenew), cluster.LoginRequest{Seat: seat, Key: key}},
		"with a bad key":       {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Seat: seat, Key: "secret"}},
		"of a bad supervisor":  {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Seat: cluster.Seat{Supervisor: "a"}, Key: key}},
		"of what was replaced": {s.p.HostAPI("a", cluster.VerbLogin), cluster.LoginRequest{Seat: cluster.Seat{Instance: "words-abcdefgh", Supervisor: "a"}, Key: key}},
	} {
		if got, err := login(c.subject, c.q); code(err) == "" || got.JWT != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
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
	n, err := nimbus.New(nimbus.Config{Connection: cluster.Connection{Servers: "nats://192.0.2.1:4222"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Run(t.Context()); !errors.Is(err, cluster.ErrInsecure) {
		t.Errorf("outside loopback: %v", err)
	}
}

// What a nimbus left that did not finish is cleared away. What is not nimbus's is left alone, whatever its name.
func TestClearsAwayLogs(t *testing.T) {
	s := newSite(t)
	for _, topology := range []string{"left-abcdefgh", "my-topology-pipeline"} {
		if _, err := natslog.Open(t.Context(), s.nc, natslog.Options{Topology: topology}); err != nil {
			t.Fatal(err)
		}
	}
	stream, err := s.jetStream().Stream(t.Context(), "askback-left-abcdefgh")
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Metadata = map[string]string{"askback.cluster": string(s.p)}
	if _, err := s.jetStream().UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s.nimbus("n-1", nil)
	s.until("what is left is gone", func() bool { return !s.logExists("left-abcdefgh") })
	if !s.logExists("my-topology-pipeline") {
		t.Error("the log of a local run is gone")
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
		_, err := cluster.Request[cluster.JoinReply](ctx, s.nc, s.p.HostAPI(subject, cluster.VerbJoin), h)
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
