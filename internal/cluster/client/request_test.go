package client

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/standin"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/msgid"
)

// dial connects a client to the stand-in.
func dial(t *testing.T, s *standin.Cluster, change func(*Options)) *Client {
	t.Helper()
	o := Options{Connection: natscluster.Connection{Servers: s.URL()}, Timeout: 5 * time.Second}
	if change != nil {
		change(&o)
	}
	c, err := Dial(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Each method sends its request on the subject of its role, and returns the answer.
func TestRequests(t *testing.T) {
	s := standin.Start(t)
	record := standin.Description().Record
	for _, verb := range []string{cluster.VerbKill, cluster.VerbActivate, cluster.VerbDeactivate, cluster.VerbRebalance, cluster.VerbRestart, cluster.VerbLevel} {
		s.Answer("askback.api.operate."+verb, record)
	}
	s.Answer("askback.api.admin.remove", cluster.Host{Name: "host-3"})
	s.Answer("askback.api.view.list", cluster.ListReply{Leader: "m1"})
	s.Answer("askback.api.view.describe", standin.Description())
	s.Answer("askback.api.view.explain", cluster.ExplainReply{Events: []cluster.Event{{Text: "x"}}})
	c, ctx := dial(t, s, nil), t.Context()
	task := msgid.Alias{Operator: "count", Index: 1}
	for name, one := range map[string]struct {
		do   func() (any, error)
		same func() bool
	}{
		"kill": {func() (any, error) { return c.Kill(ctx, "words", time.Second) }, func() bool {
			return standin.Question[cluster.KillRequest](s) == cluster.KillRequest{Name: "words", Wait: time.Second}
		}},
		"activate":   {func() (any, error) { return c.Activate(ctx, "words") }, func() bool { return standin.Question[cluster.NameRequest](s).Name == "words" }},
		"deactivate": {func() (any, error) { return c.Deactivate(ctx, "words") }, func() bool { return standin.Question[cluster.NameRequest](s).Name == "words" }},
		"rebalance": {func() (any, error) { return c.Rebalance(ctx, "words", 4) }, func() bool {
			return reflect.DeepEqual(standin.Question[cluster.RebalanceRequest](s), cluster.RebalanceRequest{Name: "words", Workers: 4})
		}},
		"restart": {func() (any, error) { return c.Restart(ctx, "words", task) }, func() bool {
			return standin.Question[cluster.RestartRequest](s) == cluster.RestartRequest{Name: "words", Task: task}
		}},
		"level": {func() (any, error) { return c.SetLogLevel(ctx, "words", "debug", time.Minute) }, func() bool {
			return standin.Question[cluster.LevelRequest](s) == cluster.LevelRequest{Name: "words", Level: "debug", For: time.Minute}
		}},
		"remove":   {func() (any, error) { return c.RemoveHost(ctx, "host-3") }, func() bool { return standin.Question[cluster.NameRequest](s).Name == "host-3" }},
		"list":     {func() (any, error) { return c.List(ctx) }, func() bool { return true }},
		"describe": {func() (any, error) { return c.Describe(ctx, "words") }, func() bool { return standin.Question[cluster.NameRequest](s).Name == "words" }},
		"explain": {func() (any, error) { return c.Explain(ctx, "words", 7) }, func() bool {
			return standin.Question[cluster.ExplainRequest](s) == cluster.ExplainRequest{Name: "words", Limit: 7}
		}},
	} {
		answer, err := one.do()
		if err != nil || reflect.ValueOf(answer).IsNil() || !one.same() {
			t.Errorf("%s: %v, %+v", name, err, answer)
		}
	}
}

// A refusal keeps its code; without nimbus the caller is notified, and then gets ErrNoNimbus.
func TestNoAnswer(t *testing.T) {
	s := standin.Start(t)
	s.Answer("askback.api.operate.kill", &cluster.RequestError{Code: cluster.CodeNotFound, Text: "no topology is called words"})
	var waited atomic.Int32
	c := dial(t, s, func(o *Options) { o.Timeout, o.OnWaiting = time.Second, func() { waited.Add(1) } })
	var refused *cluster.RequestError
	if _, err := c.Kill(t.Context(), "words", 0); !errors.As(err, &refused) || refused.Code != cluster.CodeNotFound || waited.Load() != 0 {
		t.Errorf("%v, notified %d times", err, waited.Load())
	}
	if _, err := c.List(t.Context()); !errors.Is(err, cluster.ErrNoNimbus) || waited.Load() != 1 {
		t.Errorf("%v, notified %d times, want 1", err, waited.Load())
	}
	if _, err := Dial(Options{Connection: natscluster.Connection{Servers: "nats://127.0.0.1:1"}, Timeout: time.Second}); !errors.Is(err, ErrUnreachable) {
		t.Error(err)
	}
}

// A missing permission ends a request at once, and the error names the role.
func TestDenied(t *testing.T) {
	perms := &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"askback.api.operate.>"}}}
	n := natstest.Serve(t, &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, Users: []*server.User{{Username: "u", Password: "p", Permissions: perms}}, NoAuthUser: "u"})
	natstest.Ready(t, n)
	c, err := Dial(Options{Connection: natscluster.Connection{Servers: n.ClientURL()}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Kill(t.Context(), "words", 0); !errors.Is(err, ErrDenied) || !strings.Contains(err.Error(), "kill needs the role operate") {
		t.Error(err)
	}
}

// FollowEvents passes each event on once, and goes on while no nimbus answers.
func TestFollowEvents(t *testing.T) {
	s := standin.Start(t)
	s.Answer("askback.api.view.explain", cluster.ExplainReply{Events: []cluster.Event{{Text: "one"}, {Text: "two"}}})
	c := dial(t, s, nil)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var texts []string
	rounds := 0
	go func() {
		time.Sleep(1500 * time.Millisecond)
		stop()
	}()
	err := c.FollowEvents(ctx, "words", 5, func(e *cluster.Event) error {
		texts = append(texts, e.Text)
		rounds++
		return nil
	})
	if err != nil || strings.Join(texts, " ") != "one two" {
		t.Errorf("%v, %q after %d calls", err, texts, rounds)
	}
	enough := errors.New("enough")
	if err := c.FollowEvents(t.Context(), "words", 5, func(*cluster.Event) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	for _, one := range []struct {
		err  error
		want bool
	}{
		{cluster.ErrNoNimbus, true}, {ErrUnreachable, true}, {&cluster.RequestError{Code: cluster.CodeUnavailable}, true},
		{&cluster.RequestError{Code: cluster.CodeNotFound}, false}, {ErrDenied, false},
	} {
		if unavailable(one.err) != one.want {
			t.Errorf("%v: a follower goes on: %v", one.err, !one.want)
		}
	}
}

// Rescale waits until the topology is the new instance, or goes on as it was.
func TestRescale(t *testing.T) {
	s := standin.Start(t)
	begun := standin.Description().Record
	begun.Rescale = &cluster.Rescale{Instance: "words-bbbbbbbb"}
	s.Answer("askback.api.operate.rebalance", begun)
	c := dial(t, s, nil)
	for want, now := range map[string]func(*cluster.Record){
		"":                           func(r *cluster.Record) { r.Instance = "words-bbbbbbbb" },
		"goes on as it was: too bad": func(r *cluster.Record) { r.Reason = "too bad" },
		"submitted anew":             func(r *cluster.Record) { r.Instance = "words-cccccccc" },
	} {
		quiescing := 0
		var calls atomic.Int32
		d := standin.Description()
		d.Record.Rescale = begun.Rescale
		stop := s.AnswerEach("askback.api.view.describe", func() any {
			if calls.Add(1) < 3 {
				return d
			}
			after := standin.Description()
			now(&after.Record)
			return after
		})
		r, err := c.Rescale(t.Context(), "words", map[string]int{"split": 4}, func() { quiescing++ })
		stop()
		switch {
		case want == "" && (err != nil || r.Instance != "words-bbbbbbbb"):
			t.Errorf("%+v, %v", r, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%v, want something with %q", err, want)
		case quiescing != 1 || calls.Load() != 3:
			t.Errorf("notified %d times, asked %d times", quiescing, calls.Load())
		}
	}
}

// Logs come from the supervisors of all workers; the error names those that do not answer.
func TestLogs(t *testing.T) {
	s := standin.Start(t)
	s.Answer("askback.api.view.describe", standin.Description())
	s.Output("host-1", "one", "two")
	c := dial(t, s, nil)
	var lines []LogLine
	collect := func(l LogLine) error {
		lines = append(lines, l)
		return nil
	}
	err := c.Logs(t.Context(), LogsQuery{Topology: "words", Tail: 7}, collect)
	if len(lines) != 3 || lines[0] != (LogLine{"host-1", 0, "one", true}) || lines[2].Line != "task= tail=7" {
		t.Errorf("%+v", lines)
	}
	if err == nil || !strings.Contains(err.Error(), "host-2/3: supervisor host-2 does not answer") {
		t.Error(err)
	}
	other := msgid.Alias{Operator: "count", Index: 9}
	if err := c.Logs(t.Context(), LogsQuery{Topology: "words", Task: &other}, collect); err == nil || !strings.Contains(err.Error(), "no task count.9") {
		t.Error(err)
	}
	enough := errors.New("enough")
	if err := c.Logs(t.Context(), LogsQuery{Topology: "words"}, func(LogLine) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var problems []string
	err = c.Logs(ctx, LogsQuery{Topology: "words", Follow: true, OnError: func(err error) { problems = append(problems, err.Error()); stop() }}, collect)
	if err != nil || len(problems) != 1 || !strings.Contains(problems[0], "host-2") {
		t.Errorf("%v, %q", err, problems)
	}
}

// The output of ended workers is requested from every supervisor.
func TestLogsOfEndedWorkers(t *testing.T) {
	s := standin.Start(t)
	d := standin.Description()
	d.Workers = nil
	s.Answer("askback.api.view.describe", d)
	s.Answer("askback.api.view.list", cluster.ListReply{Hosts: []cluster.HostSummary{
		{Host: cluster.Host{Name: "host-1", Slots: 2}}, {Host: cluster.Host{Name: "host-2", Slots: 3}},
	}})
	s.Output("host-1", "one")
	s.Output("host-2", "two")
	c := dial(t, s, nil)
	found := map[string]bool{}
	err := c.Logs(t.Context(), LogsQuery{Topology: "words"}, func(l LogLine) error { found[l.Supervisor+" "+l.Line] = true; return nil })
	if err != nil || !found["host-1 one"] || !found["host-2 two"] {
		t.Errorf("%v, %v", err, found)
	}
}
