package nimbus_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// Row 41: of two users that submit the same name at once, one wins, and the other receives the reason. A request that
// is sent twice is one.
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

// Row 42: a race of any kill and submit ends in one final state, and the loser leaves nothing behind.
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

func TestSubmitWithoutProgram(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	q := s.request("words", "n")
	q.Artefact.SHA256 = strings.Repeat("ab", 32)
	_, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, q)
	if code(err) != cluster.CodeBadRequest || !strings.Contains(err.Error(), "not in the object store: abababababab; submit") {
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

// Row 43: the object store holds other bytes than those submitted.
func TestSubmitSpoiledProgram(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	s.spoil()
	_, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request("words", "n"))
	if code(err) != cluster.CodeBadRequest || !strings.Contains(err.Error(), "mismatch") {
		t.Error(err)
	}
}

// Row 44: names from outside are checked, and the refusal states the rule.
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
