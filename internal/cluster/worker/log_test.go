package worker

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
)

// The level is changed for a while only.
func TestLevel(t *testing.T) {
	var out bytes.Buffer
	log := newLogger(&out)
	for _, c := range []struct {
		level  cluster.Level
		writes string
	}{
		{cluster.Level{}, "info warn"},
		{cluster.Level{Name: "debug", Until: time.Now().Add(time.Hour)}, "debug info warn"},
		{cluster.Level{Name: "warn", Until: time.Now().Add(time.Hour)}, "warn"},
		{cluster.Level{Name: "debug", Until: time.Now().Add(-time.Second)}, "info warn"},
		{cluster.Level{Name: "loud", Until: time.Now().Add(time.Hour)}, "info warn"},
	} {
		out.Reset()
		log.set(c.level)
		log.Debug("debug", zap.String("task", "a.1"))
		log.Info("info", zap.String("task", "a.1"))
		log.Warn("warn", zap.String("task", "a.1"))
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if want := strings.Fields(c.writes); len(lines) != len(want) || !strings.Contains(lines[0], `"msg":"`+want[0]+`"`) || !strings.Contains(lines[0], `"task":"a.1"`) {
			t.Errorf("at %+v it writes %q, want %s", c.level, lines, c.writes)
		}
	}
}
