package core_test

import (
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// Two processes of one name cannot both be a supervisor; one that replaces another can.
func TestTwoSupervisorsOfOneName(t *testing.T) {
	w := newWorld(t, "a")
	second := &cluster.Host{Name: "a", Slots: 2, Runtime: cluster.Runtime, Started: w.now.Add(time.Second)}
	if _, err := w.core.Join(w.now, second); refused(err) != cluster.CodeUnavailable {
		t.Errorf("at once: %v", err)
	}
	w.pass(time.Second)
	if _, err := w.core.Join(w.now, second); refused(err) != cluster.CodeConflict {
		t.Errorf("while the first sends heartbeats: %v", err)
	}
	w.silent["a"] = true
	w.pass(200 * time.Millisecond)
	third := *second
	third.Started = w.now
	if _, err := w.core.Join(w.now, &third); refused(err) != cluster.CodeUnavailable {
		t.Errorf("after the first's last heartbeat: %v", err)
	}
	w.pass(1500 * time.Millisecond)
	if _, err := w.core.Join(w.now, &third); err != nil {
		t.Errorf("after the first is silent: %v", err)
	}
}

func TestJoinIsChecked(t *testing.T) {
	w := newWorld(t)
	for name, h := range map[string]cluster.Host{
		`runtime "2"`:           {Name: "a", Runtime: "2"},
		"want 1 to 64":          {Name: "a.b", Runtime: cluster.Runtime},
		"nothing negative":      {Name: "a", Runtime: cluster.Runtime, Slots: 1, CPU: -1},
		"want 1 to 10000 slots": {Name: "a", Runtime: cluster.Runtime},
		"tag":                   {Name: "a", Runtime: cluster.Runtime, Slots: 1, Tags: []string{"a b"}},
		`this nimbus has "1"`:   {Name: "a", Runtime: "0"},
	} {
		if _, err := w.core.Join(w.now, &h); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v: %v", h, err)
		}
	}
}

func TestRemoveHost(t *testing.T) {
	w := newWorld(t, "a", "b")
	if _, err := w.core.Remove(w.now, "a"); refused(err) != cluster.CodeConflict {
		t.Errorf("of one that is up: %v", err)
	}
	w.silent["a"] = true
	w.pass(4 * time.Second)
	if h, err := w.core.Remove(w.now, "a"); err != nil || h.Name != "a" {
		t.Errorf("%v, %v", h, err)
	}
	w.core.Removed("a")
	if _, err := w.core.Remove(w.now, "a"); refused(err) != cluster.CodeNotFound {
		t.Errorf("again: %v", err)
	}
	if _, err := w.core.Remove(w.now, strings.Repeat("x", 5<<10)); refused(err) != cluster.CodeBadRequest || len(err.Error()) > 500 {
		t.Errorf("a name that cannot be: %v", err)
	}
}
