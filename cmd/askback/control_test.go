package main

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/standin"
	"github.com/askback/askback/msgid"
)

// Each command sends its arguments on the subject of its role, and prints the answer as the contract's JSON.
func TestRequests(t *testing.T) {
	s := newStage(t)
	record := standin.Description().Record
	record.KillAt = time.Now().Add(20 * time.Second)
	record.Level = cluster.Level{Name: "debug"}
	for _, verb := range []string{cluster.VerbKill, cluster.VerbActivate, cluster.VerbDeactivate, cluster.VerbRebalance, cluster.VerbRestart, cluster.VerbLevel} {
		s.Answer("askback.api.operate."+verb, record)
	}
	s.Answer("askback.api.admin.remove", cluster.Host{Name: "host-3"})

	for _, c := range []struct {
		args  string
		check func() bool
		text  string
	}{
		{"kill words --wait 9s", func() bool {
			return standin.Question[cluster.KillRequest](s.Cluster) == cluster.KillRequest{Name: "words", Wait: 9 * time.Second}
		}, "ends in"},
		{"activate words", func() bool { return standin.Question[cluster.NameRequest](s.Cluster).Name == "words" }, "words is active"},
		{"deactivate words", func() bool { return standin.Question[cluster.NameRequest](s.Cluster).Name == "words" }, "words is active"},
		{"rebalance words --workers 4", func() bool {
			return reflect.DeepEqual(standin.Question[cluster.RebalanceRequest](s.Cluster), cluster.RebalanceRequest{Name: "words", Workers: 4})
		}, "2 workers"},
		{"rebalance words --parallel split=4 --parallel out=1", func() bool {
			return reflect.DeepEqual(standin.Question[cluster.RebalanceRequest](s.Cluster), cluster.RebalanceRequest{Name: "words", Parallel: map[string]int{"split": 4, "out": 1}})
		}, "tasks"},
		{"restart words count.1", func() bool {
			return standin.Question[cluster.RestartRequest](s.Cluster) == cluster.RestartRequest{Name: "words", Task: msgid.Alias{Operator: "count", Index: 1}}
		}, "count.1 restarts"},
		{"log-level words debug --for 2m", func() bool {
			return standin.Question[cluster.LevelRequest](s.Cluster) == cluster.LevelRequest{Name: "words", Level: "debug", For: 2 * time.Minute}
		}, "level debug"},
		{"remove-host host-3", func() bool { return standin.Question[cluster.NameRequest](s.Cluster).Name == "host-3" }, "host-3 is forgotten"},
	} {
		out, progress, err := s.run(t.Context(), strings.Fields(c.args)...)
		if err != nil || !strings.Contains(out, c.text) {
			t.Errorf("%s: %v, %s%s; want %q", c.args, err, out, progress, c.text)
			continue
		}
		if !c.check() {
			t.Errorf("%s does not send its arguments", c.args)
		}
		out, _, err = s.run(t.Context(), append(strings.Fields(c.args), "--json")...)
		if err != nil || !strings.Contains(compactJSON(t, out), `"name":"`) || strings.HasPrefix(c.args, "remove") == strings.Contains(out, `"instance"`) {
			t.Errorf("%s --json: %v, %s", c.args, err, out)
		}
	}
}

// Invalid names and values are refused before a request is sent, with the rule.
func TestBadArguments(t *testing.T) {
	long := strings.Repeat("x", 5<<10)
	for _, name := range []string{"a.>", "../x", "a\nb", long, "", "a b", "*", "\x00"} {
		for _, args := range [][]string{
			{"kill", name}, {"describe", name}, {"logs", name}, {"tap", name, "a>b"}, {"explain", name}, {"submit", "/bin/true", "--name", name + "/"},
			{"restart", "words", name}, {"remove-host", name}, {"tap", "words", name + ">b"}, {"tap", "words", "a:" + name + ">b"}, {"logs", "words", "--task", name + "."},
		} {
			_, _, err := compared(t.Context(), append(args, "--server", "nats://127.0.0.1:1")...)
			if exitStatus(err) != exitUsage || len(err.Error()) > 2000 {
				t.Errorf("%.40q: status %d, %.300v", args, exitStatus(err), err)
			}
		}
	}
	for _, c := range []struct{ args, want string }{
		{"kill", "kill NAME"},
		{"kill a b", "kill NAME"},
		{"kill words --wait -1s", "0s or more"},
		{"kill words --wait soon", "soon"},
		{"list --timeout 0s", "--timeout"},
		{"list --nonsense", "--nonsense"},
		{"fly", "unknown command"},
		{"log-level words loud", "debug, info, warn and error"},
		{"log-level words info --for 0s", "10m"},
		{"rebalance words --workers -1", "1 or more"},
		{"rebalance words --parallel split", "such as split=4"},
		{"rebalance words --parallel split=2 --parallel split=3", "once for each operator"},
		{"rebalance words --parallel split=0", "want 1 to"},
		{"rebalance words --parallel split=2 --workers 2", "one after the other"},
		{"tap words a-b", "source>target"},
		{"tap words a>b --sample half", "1/100"},
		{"tap words a>b --sample 1/0", "1/100"},
		{"logs words --tail 0", "1 or more"},
		{"explain words --limit 0", "1 or more"},
		{"submit", "submit BINARY"},
		{"submit /bin/true --workers 0", "1 or more"},
		{"settings mars", "nimbus"},
		{"auth init /nowhere --servers -", "DNS name"},
		{"auth add /nowhere a --role king", "operate"},
	} {
		_, _, err := compared(t.Context(), strings.Fields(c.args)...)
		if exitStatus(err) != exitUsage || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: status %d, %v, want something with %q", c.args, exitStatus(err), err, c.want)
		}
	}
}

// Failures differ by exit status, and their messages name the remedy.
func TestFailures(t *testing.T) {
	s := newStage(t)
	for code, want := range map[cluster.ErrCode]int{
		cluster.CodeNotFound: exitNotFound, cluster.CodeConflict: exitConflict, cluster.CodeBadRequest: exitUsage, cluster.CodeInternal: exitError,
	} {
		name := "words" + string(code)
		s.Answer("prefix"+string(code)+".api.view.describe", &cluster.RequestError{Code: code, Text: "nothing about " + name})
		_, _, err := s.run(t.Context(), "describe", name, "--prefix", "prefix"+string(code))
		if exitStatus(err) != want || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: status %d, %v", code, exitStatus(err), err)
		}
	}

	_, progress, err := s.run(t.Context(), "list", "--timeout", "1s")
	if exitStatus(err) != exitUnreachable || !errors.Is(err, cluster.ErrNoNimbus) || !strings.Contains(err.Error(), "--prefix") {
		t.Errorf("without nimbus: status %d, %v", exitStatus(err), err)
	}
	if !strings.Contains(progress, "waiting for a nimbus") {
		t.Errorf("the reason of the wait is not printed: %q", progress)
	}

	_, _, err = compared(t.Context(), "list", "--server", "nats://127.0.0.1:1")
	if exitStatus(err) != exitUnreachable || !strings.Contains(err.Error(), "askback dev") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("without server: status %d, %v", exitStatus(err), err)
	}
	_, _, err = compared(t.Context(), "list", "--server", "nats://192.0.2.1:4222")
	if exitStatus(err) != exitDenied || !errors.Is(err, natscluster.ErrInsecure) {
		t.Errorf("outside loopback: status %d, %v", exitStatus(err), err)
	}
	_, _, err = compared(t.Context(), "list", "--server", "nats://me:canary@127.0.0.1:1")
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a secret in an address: %v", err)
	}

	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, stop)
	if _, _, err = s.run(ctx, "list"); exitStatus(err) != exitInterrupted {
		t.Errorf("interrupted: status %d, %v", exitStatus(err), err)
	}
}

// A nimbus that comes while it is waited for answers.
func TestLateNimbus(t *testing.T) {
	s := newStage(t)
	time.AfterFunc(time.Second, func() { s.Answer("askback.api.view.list", cluster.ListReply{Leader: "late", Epoch: 7}) })
	out, progress, err := s.run(t.Context(), "list")
	if err != nil || !strings.Contains(out, "late leads, epoch 7") || !strings.Contains(progress, "waiting") {
		t.Error(out, progress, err)
	}
}
