//go:build unix

package nimbus_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
)

func (s *site) untilLeads(name string) cluster.ListReply {
	s.Helper()
	var l cluster.ListReply
	s.until(name+" leads", func() bool {
		var err error
		l, err = ask[cluster.ListReply](s, cluster.View, cluster.VerbList, nil)
		return err == nil && l.Leader == name
	})
	return l
}

// Row 13: a leader that is paused past its lease finds, when it goes on, that another leads. Its decisions on requests
// that arrived meanwhile are not written, and streams that it made for them are deleted.
func TestLeaderPaused(t *testing.T) {
	s := newSite(t)
	child := s.child()
	s.untilLeads("child")
	s.host("a")
	s.untilHosts(1)
	words := s.submit("words")
	signal := func(sig syscall.Signal) {
		if err := child.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	defer func() { _ = child.Signal(syscall.SIGCONT) }()
	s.nimbus("other", nil)
	began := time.Now()
	more := s.submit("more") // the child is asked as well
	t.Logf("answered after %v", time.Since(began))
	if _, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbKill, cluster.KillRequest{Name: "words"}); err != nil {
		t.Fatal(err)
	}
	signal(syscall.SIGCONT)
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l, err := ask[cluster.ListReply](s, cluster.View, cluster.VerbList, nil)
		if err != nil || l.Leader != "other" || l.Epoch != 2 || len(l.Topologies) != 1 || l.Topologies[0].Instance != more.Instance {
			t.Fatalf("%+v, %v", l, err)
		}
	}
	if d, err := s.describe("words"); code(err) != cluster.CodeNotFound {
		t.Errorf("%v is back: %v", d.Record.Instance, err)
	}
	s.until("only one log is left", func() bool {
		logs := s.logs()
		return len(logs) == 1 && strings.HasSuffix(logs[0], string(more.Instance))
	})
	t.Logf("words was %s, more is %s", words.Instance, more.Instance)
}

// Row 11: a leader that is killed is followed by another as soon as its lease is over, and nothing that ran has moved.
func TestLeaderKilled(t *testing.T) {
	s := newSite(t)
	child := s.child()
	s.untilLeads("child")
	s.host("a")
	s.host("b")
	s.untilHosts(2)
	before := s.submit("words")
	s.nimbus("other", nil)
	if err := child.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.submit("more")
	t.Logf("answered after %v", time.Since(began))
	s.untilPlaced("more", "a/1 b/1")
	if d, err := s.describe("words"); err != nil || places(&d.Record) != places(&before) || d.Record.Instance != before.Instance {
		t.Errorf("%s, then %s, %v", places(&before), places(&d.Record), err)
	}
}
