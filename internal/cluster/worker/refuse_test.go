package worker_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/internal/recovery"
)

// An invalid launch fails with one line that names the fault, and never shows its key. Faults, rows 40, 44 and 48.
func TestRefused(t *testing.T) {
	pair, err := nkeys.CreateUser()
	check(t, err)
	seed, err := pair.Seed()
	check(t, err)
	spec, err := worker.Describe(counting(t.TempDir(), 1), "backtrack", recovery.Config{}, 0)
	check(t, err)
	instance := cluster.NewInstance("words")
	good := func() *cluster.Launch {
		return &cluster.Launch{
			Slot: cluster.WorkerSlot{Instance: instance, Supervisor: "here"}, Prefix: "askback", Servers: "nats://127.0.0.1:1", Spec: *spec,
			Assignment: cluster.Assignment{Instance: instance}, Runtime: cluster.Runtime, Login: cluster.Login{JWT: "token", Seed: string(seed)},
		}
	}
	for _, c := range []struct {
		name   string
		change func(*cluster.Launch)
		exit   int
		says   []string
	}{
		{"another plan", func(l *cluster.Launch) { l.Spec.Plan = 0xfeed }, cluster.ExitRefused, []string{"000000000000feed", fmt.Sprintf("%016x", spec.Plan)}},
		{"another runtime", func(l *cluster.Launch) { l.Runtime = "9" }, cluster.ExitRefused, []string{`"9"`, `"` + cluster.Runtime + `"`}},
		{"another strategy's plan", func(l *cluster.Launch) { l.Spec.Strategy = "acker" }, cluster.ExitRefused, []string{"plan"}},
		{"an unknown strategy", func(l *cluster.Launch) { l.Spec.Strategy = "hope" }, cluster.ExitRefused, []string{"hope", "backtrack"}},
		{"an unknown task", func(l *cluster.Launch) { l.Assignment.Tasks = append(l.Assignment.Tasks, alias("count", 9)) }, cluster.ExitRefused, []string{"count.9"}},
		{"a bad instance", func(l *cluster.Launch) { l.Slot.Instance = "a.>" }, cluster.ExitError, []string{"a.>"}},
		{"a bad supervisor", func(l *cluster.Launch) { l.Slot.Supervisor = "../x" }, cluster.ExitError, []string{"../x"}},
		{"a bad prefix", func(l *cluster.Launch) { l.Prefix = "a\nb" }, cluster.ExitError, []string{"prefix"}},
		{"an order of another", func(l *cluster.Launch) { l.Assignment.Instance = cluster.NewInstance("other") }, cluster.ExitError, []string{"other-"}},
		{"a bad key", func(l *cluster.Launch) { l.Login.Seed = l.Login.Seed[:20] }, cluster.ExitError, []string{"seed"}},
		{"a server elsewhere, unsecured", func(l *cluster.Launch) { l.Servers, l.Login = "nats://192.0.2.1:4222", cluster.Login{} }, cluster.ExitError, []string{"TLS"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := good()
			c.change(l)
			exit, err := worker.Run(t.Context(), counting(t.TempDir(), 1), encode(t, l))
			if exit != c.exit || err == nil || errors.Is(err, worker.ErrRefused) != (exit == cluster.ExitRefused) {
				t.Fatalf("exit %d, want %d: %v", exit, c.exit, err)
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("want an error that names %q: %v", s, err)
				}
			}
			if strings.Contains(err.Error(), string(seed)) || len(err.Error()) > 500 {
				t.Errorf("it reveals too much: %v", err)
			}
		})
	}
	for name, launch := range map[string]io.Reader{
		"nothing":  strings.NewReader(""),
		"nonsense": strings.NewReader(`{"login":{"seed":"` + string(seed) + `"},`),
		"wrong":    strings.NewReader(`{"login":{"seed":["` + string(seed) + `"]}}`),
		"endless":  io.MultiReader(strings.NewReader(`{"login":{"seed":"`), endless{}),
	} {
		exit, err := worker.Run(t.Context(), counting(t.TempDir(), 1), launch)
		if exit != cluster.ExitError || err == nil || strings.Contains(err.Error(), string(seed)) {
			t.Errorf("%s: exit %d, %v", name, exit, err)
		}
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// A Spec agrees with the plan, channel by channel.
func TestDescribe(t *testing.T) {
	b := counting(t.TempDir(), 1)
	plan, err := b.Build()
	check(t, err)
	spec, err := worker.Describe(b, "backtrack", recovery.Config{}, 0)
	check(t, err)
	if spec.Name != "counting" || spec.Plan != plan.Version || len(spec.Operators) != 4 || len(spec.Tasks()) != len(plan.Tasks) {
		t.Errorf("%+v", spec)
	}
	for i, alias := range spec.Tasks() {
		if plan.Tasks[i].Alias != alias {
			t.Errorf("task %d is %v, want %v", i, alias, plan.Tasks[i].Alias)
		}
	}
	if c := spec.Operator("count"); c.CPU != 50 || !c.Log || c.Spout || c.Parallel != 2 || c.Streams[0].Fields[0] != "word" {
		t.Errorf("%+v", c)
	}
	for _, e := range spec.Edges {
		ch := plan.Channel(e.First)
		if ch.Source.Alias != alias(e.From, 0) || ch.Target.Alias != alias(e.To, 0) || ch.ID.Stream != e.Stream || e.Grouping != ch.Edge.Grouping.String() {
			t.Errorf("%+v begins with channel %v", e, ch.ID)
		}
	}
	barrier, err := worker.Describe(b, "barrier", recovery.Config{}, 0)
	check(t, err)
	if last := barrier.Operators[len(barrier.Operators)-1]; !last.System || barrier.Plan == spec.Plan {
		t.Errorf("%+v", barrier)
	}
	if _, err := worker.Describe(b, "hope", recovery.Config{}, 0); err == nil {
		t.Error("strategy hope is accepted")
	}
}
