package cluster_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

const instance = cluster.Instance("words-3k9x2m7q")

func spec() cluster.Spec {
	return cluster.Spec{
		Name: "words", Plan: 1 << 63, Strategy: "backtrack",
		Operators: []cluster.Operator{{Name: "lines", Spout: true, Parallel: 1}, {Name: "count", Parallel: 2, Memory: 1 << 20}},
		Edges:     []cluster.Edge{{From: "lines", To: "count", Grouping: "shuffle", Targets: 2}},
	}
}

func TestSpec(t *testing.T) {
	s := spec()
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.Tasks()); got != "[lines.0 count.0 count.1]" {
		t.Error(got)
	}
	if s.Operator("count").Parallel != 2 || s.Operator("none") != nil {
		t.Error("Operator finds the wrong one")
	}
	if got := s.Parallelism(map[string]int{"count": 5}); !reflect.DeepEqual(got, map[string]int{"lines": 1, "count": 5}) {
		t.Error(got)
	}
	wider, other := spec(), spec()
	wider.Operators[1].Parallel, other.Operators[1].Log = 3, true
	if !s.SameProgram(&wider) || s.SameProgram(&other) {
		t.Error("SameProgram depends on numbers of tasks, and on nothing else")
	}
}

// Each invalid Spec is refused with an error that names the rule.
func TestSpecCheck(t *testing.T) {
	for want, change := range map[string]func(*cluster.Spec){
		"topology":            func(s *cluster.Spec) { s.Name = "a.b" },
		"has no operators":    func(s *cluster.Spec) { s.Operators = nil },
		"operator \"a b\"":    func(s *cluster.Spec) { s.Operators[0].Name = "a b" },
		"has 0 tasks":         func(s *cluster.Spec) { s.Operators[0].Parallel = 0 },
		"at most 100000":      func(s *cluster.Spec) { s.Operators[0].Parallel = 100_001 },
		"listed twice":        func(s *cluster.Spec) { s.Operators[1].Name = "lines" },
		"want 0 or more":      func(s *cluster.Spec) { s.Operators[1].Memory = -1 },
		"lines to gone joins": func(s *cluster.Spec) { s.Edges[0].To = "gone" },
		"lines to count":      func(s *cluster.Spec) { s.Edges[0].Targets = 3 },
	} {
		s := spec()
		change(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestRequestChecks(t *testing.T) {
	submit := func(change func(*cluster.SubmitRequest)) error {
		q := cluster.SubmitRequest{Spec: spec(), Artefact: cluster.Artefact{SHA256: strings.Repeat("ab", 32), Size: 1}, Nonce: "n"}
		change(&q)
		return q.Check()
	}
	if err := submit(func(*cluster.SubmitRequest) {}); err != nil {
		t.Fatal(err)
	}
	host := cluster.Host{Name: "h", Slots: 1}
	if err := host.Check(); err != nil {
		t.Fatal(err)
	}
	for want, err := range map[string]error{
		"nonce":          submit(func(q *cluster.SubmitRequest) { q.Nonce = "" }),
		"SHA-256":        submit(func(q *cluster.SubmitRequest) { q.Artefact.SHA256 = strings.Repeat("AB", 32) }),
		"of 0 bytes":     submit(func(q *cluster.SubmitRequest) { q.Artefact.Size = 0 }),
		"-1 workers":     submit(func(q *cluster.SubmitRequest) { q.Workers = -1 }),
		"tag \"a b\"":    submit(func(q *cluster.SubmitRequest) { q.Tags = []string{"a b"} }),
		"101 tags":       submit(func(q *cluster.SubmitRequest) { q.Tags = make([]string, 101) }),
		"zero byte":      submit(func(q *cluster.SubmitRequest) { q.Args = []string{"a\x00"} }),
		"1001 arguments": submit(func(q *cluster.SubmitRequest) { q.Args = make([]string, 1001) }),
		"wait -1s":       (&cluster.KillRequest{Wait: -time.Second}).Check(),
		"10001 workers":  (&cluster.RebalanceRequest{Workers: 10_001}).Check(),
		"0 tasks of":     (&cluster.RebalanceRequest{Parallel: map[string]int{"count": 0}}).Check(),
		"level \"loud\"": (&cluster.LevelRequest{Level: "loud"}).Check(),
		"at most 24h":    (&cluster.LevelRequest{Level: "info", For: 25 * time.Hour}).Check(),
		"0 slots":        (&cluster.Host{Name: "h"}).Check(),
		"-1 bytes":       (&cluster.Host{Name: "h", Slots: 1, Memory: -1}).Check(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestNames(t *testing.T) {
	if i := cluster.NewInstance("words"); i.Check() != nil || i.Name() != "words" || i == cluster.NewInstance("words") {
		t.Error(i)
	}
	for _, i := range []cluster.Instance{"", "words", "words-123", "a.b-12345678", cluster.Instance(strings.Repeat("x", msgid.MaxName) + "-12345678")} {
		if err := i.Check(); !errors.Is(err, cluster.ErrName) {
			t.Errorf("%q: %v", i, err)
		}
	}
	for _, s := range []cluster.WorkerSlot{{}, {Instance: instance}, {Instance: instance, Supervisor: "a.b"}, {Instance: instance, Supervisor: "a", Number: -1}} {
		if err := s.Check(); !errors.Is(err, cluster.ErrName) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	s := cluster.WorkerSlot{Instance: instance, Supervisor: "host-1", Number: 2}
	if s.Check() != nil || s.String() != "host-1/2 words-3k9x2m7q" {
		t.Error(s, s.Check())
	}
	for _, r := range []cluster.Role{cluster.View, cluster.Operate, cluster.Admin} {
		if parsed, err := cluster.ParseRole(r.String()); err != nil || parsed != r || r.Tag() != "role:"+r.String() {
			t.Error(r, parsed, err)
		}
	}
	if _, err := cluster.ParseRole("root"); !errors.Is(err, cluster.ErrName) {
		t.Error(err)
	}
	origin := cluster.Origin{Instance: instance}
	if origin.Check("words-aaaaaaaa") != nil || origin.Check(instance) == nil || origin.Check("other-aaaaaaaa") == nil {
		t.Error("an origin is another instance of the same topology")
	}
}

// A launch is checked before a worker acts on it, and no form of printing shows its secret.
func TestLaunch(t *testing.T) {
	slot := cluster.WorkerSlot{Instance: instance, Supervisor: "host-1"}
	launch := func(change func(*cluster.Launch)) error {
		l := cluster.Launch{Slot: slot, Prefix: "askback", Assignment: cluster.Assignment{Instance: instance}, Login: cluster.Login{JWT: "j", Seed: "canary"}}
		change(&l)
		err := l.Check()
		if text := fmt.Sprintf("%v %+v %#v %v", l, l, l, err); strings.Contains(text, "canary") {
			t.Error("the seed is printed:", text)
		}
		return err
	}
	if err := launch(func(*cluster.Launch) {}); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*cluster.Launch){
		"supervisor":   func(l *cluster.Launch) { l.Slot.Supervisor = "" },
		"prefix":       func(l *cluster.Launch) { l.Prefix = "a.b" },
		"the slot is":  func(l *cluster.Launch) { l.Assignment.Instance = "words-aaaaaaaa" },
		"cannot go on": func(l *cluster.Launch) { l.From = &cluster.Origin{Instance: instance} },
	} {
		if err := launch(change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// Numbers of 64 bits survive JSON readers that have only floating point: they are strings.
func TestJSON(t *testing.T) {
	record := cluster.Record{
		Instance: instance, Spec: spec(), Status: cluster.Active, Submitted: time.Unix(1, 0).UTC(), Since: time.Unix(2, 0).UTC(),
		Placement: []cluster.Placement{{Supervisor: "a", Tasks: []msgid.Alias{{Operator: "count", Index: 1}}}},
		From:      &cluster.Origin{Instance: "words-aaaaaaaa", Plan: 1<<64 - 1, QuiescePositions: map[string]uint64{"count.1": 7}},
	}
	text, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"plan":"9223372036854775808"`, `"plan":"18446744073709551615"`, `"tasks":["count.1"]`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	var back cluster.Record
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, record) {
		t.Errorf("%v\n%+v\n%+v", err, back, record)
	}
	if back.Check("words") != nil || back.Check("other") == nil {
		t.Error("a record is that of its instance's topology")
	}
}

func TestEventShorten(t *testing.T) {
	asked := strings.Repeat("y", 1<<20)
	recovery := &cluster.Recovery{Asked: asked}
	e := cluster.Event{Text: strings.Repeat("x", 1<<20), Recovery: recovery}
	e.Shorten()
	if len(e.Text) > 5<<10 || len(e.Recovery.Asked) > 33<<10 || recovery.Asked != asked {
		t.Errorf("%d, %d bytes; the caller's recovery has %d", len(e.Text), len(e.Recovery.Asked), len(recovery.Asked))
	}
}
