package clustertest

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/askback/askback/internal/cluster"
)

// misnamed: names that would be subjects or paths are refused, by the command line and by nimbus.
func (f *fixture) misnamed() {
	names := []string{"a.>", "../x", "a\nb", "*", "", strings.Repeat("x", 5<<10)}
	for _, name := range names {
		for _, args := range [][]string{
			{"submit", f.program("wordcount"), "--name", cmp.Or(name, " "), "--", "-out", f.dir, text},
			{"kill", name}, {"describe", name}, {"explain", cmp.Or(name, " ")}, {"logs", name}, {"rebalance", name}, {"restart", name, "count.0"},
			{"tap", name, "a>b"}, {"log-level", name, "debug"}, {"remove-host", name},
		} {
			_, err := f.askback("admin", args...)
			if err == nil || !strings.Contains(err.Error(), "want 1 to ") {
				f.t.Errorf("%s %.20q: %v, want the rule", args[0], name, err)
			}
			if err != nil && len(err.Error()) > 2000 {
				f.t.Errorf("%s %.20q is answered with %d bytes", args[0], name, len(err.Error()))
			}
		}
	}
	before := f.list()
	program := cluster.Artefact{SHA256: strings.Repeat("0", 64), Size: 1}
	for _, name := range names {
		spec := cluster.Spec{Name: name, Operators: []cluster.Operator{{Name: "a", Parallel: 1}}}
		evil := cluster.Spec{Name: "fine", Operators: []cluster.Operator{{Name: name, Parallel: 1}}}
		for subject, question := range map[string]any{
			"operate.submit":     cluster.SubmitRequest{Spec: spec, Artefact: program, Workers: 1},
			"operate.kill":       cluster.KillRequest{Name: name},
			"operate.activate":   cluster.NameRequest{Name: name},
			"operate.deactivate": cluster.NameRequest{Name: name},
			"operate.rebalance":  cluster.RebalanceRequest{Name: name, Workers: 1 << 40},
			"operate.restart":    map[string]any{"name": name, "task": name},
			"operate.level":      cluster.LevelRequest{Name: name, Level: name},
			"view.describe":      cluster.NameRequest{Name: name},
			"view.explain":       cluster.ExplainRequest{Name: cmp.Or(name, "."), Limit: -1},
			"admin.remove":       cluster.NameRequest{Name: name},
		} {
			f.refusedBy("askback.api."+subject, question)
		}
		f.refusedBy("askback.api.operate.submit", cluster.SubmitRequest{Spec: evil, Artefact: program, Workers: 1})
		f.refusedBy("askback.api.operate.submit", cluster.SubmitRequest{Spec: cluster.Spec{Name: "fine", Operators: []cluster.Operator{{Name: "a", Parallel: 1}}},
			Artefact: cluster.Artefact{SHA256: name, Size: 1}, Workers: 1})
	}
	for _, junk := range []string{"", "{", `{"name":` + strings.Repeat("[", 50_000), `{"name":1}`, "\x00\xff"} {
		for _, subject := range []string{"operate.submit", "operate.kill", "view.describe", "operate.restart"} {
			f.refusedBy("askback.api."+subject, json.RawMessage(junk))
		}
	}
	if after := f.list(); after.Epoch != before.Epoch || len(after.Topologies) != len(before.Topologies) {
		f.t.Errorf("nimbus did not bear it: %+v after %+v", after, before)
	}
}

// refusedBy sends nimbus an invalid request, and checks that the answer refuses it.
func (f *fixture) refusedBy(subject string, question any) {
	f.t.Helper()
	text, raw := question.(json.RawMessage)
	if !raw {
		text, _ = json.Marshal(question)
	}
	answer := f.toolWithInput("admin", string(text), "ask", subject)
	code, rest, _ := strings.Cut(answer, "\n")
	if code != "400" && code != "404" {
		f.t.Errorf("%s %.80s is answered with %.300q", subject, text, answer)
	}
	if len(rest) > 2000 {
		f.t.Errorf("%s %.80s is answered with %d bytes", subject, text, len(rest))
	}
}
