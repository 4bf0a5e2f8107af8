package nimbus_test

import (
	"strings"
	"testing"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
)

func (s *site) logExists(i cluster.Instance) bool {
	s.Helper()
	there, err := natslog.Exists(s.Context(), s.nc, string(s.p), string(i))
	return err == nil && there
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

// Streams that an unfinished submission or kill left behind are deleted. Streams that nimbus did not make are left
// alone, under any name.
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
	s.until("the leftovers are gone", func() bool { return !s.logExists("left-abcdefgh") })
	if !s.logExists("my-topology-pipeline") {
		t.Error("the log of a local run is gone")
	}
}
