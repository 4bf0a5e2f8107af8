//go:build !race

package supervisor

import (
	"strings"
	"testing"

	"github.com/askback/askback/internal/cluster"
)

// Row 35. The race detector maps more than any limit.
func TestOutOfMemory(t *testing.T) {
	s := newSite(t)
	s.supervise(func(c *Config) { c.Cgroup = "none" })
	r := s.record("words", "hog")
	r.Spec.Operators[0].Memory = 64 << 20
	s.put(r)
	slot := slotOf(r)
	p := s.shows(slot, cluster.ProcessWaiting, func(p cluster.Process) bool { return p.Restarts > 0 })
	if p.Error != "OOM-killed, limit 128 MiB" { // 64 for lines, and 64 for count, which has no demand
		t.Errorf("the error is %q", p.Error)
	}
	s.happened(cluster.WorkerExited, "OOM-killed, limit 128 MiB")
	launched := s.testimony(slot, nil)
	if env := strings.Join(launched.Env, " "); !strings.Contains(env, "GOMEMLIMIT=") {
		t.Errorf("the environment is %s", env)
	}
}
