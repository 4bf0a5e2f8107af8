package supervisor

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
)

// A pulse is the time since when the supervisor has been punctual and connected: the server has answered each of its
// heartbeats in time. Only from then on is a worker's silence the worker's own.
type pulse struct {
	mu          sync.Mutex
	last, since time.Time
}

// answered notes that the server answered.
func (p *pulse) answered(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.last) > late {
		p.since = now
	}
	p.last = now
}

// late is when a heartbeat, or its answer, has not come as it should.
const late = cluster.HeartbeatEvery * 3 / 2

// steady returns since when all is well; false if it is not now.
func (p *pulse) steady(now time.Time) (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since, now.Sub(p.last) <= late
}

const (
	// firstHeartbeat is the time that a process has for its first heartbeat.
	firstHeartbeat = 10 * time.Second
	// reconnectTime is the time that a running worker has beyond the detection time: its NATS server may be gone or
	// paused, which takes it up to three seconds to notice.
	reconnectTime = 4 * time.Second
)

// watch rotates the output, and kills a process that has been silent for too long.
func (m *workerManager) watch(now time.Time) {
	if err := m.out.rotate(); err != nil {
		m.log.Warn("the output cannot be rotated", zap.Error(err))
	}
	r := m.run
	if r.hung != "" {
		return
	}
	from, steady := m.pulse.steady(now)
	if !steady {
		return
	}
	if r.hung = r.hungReason(now, from, m.detection(), r.stopped); r.hung != "" {
		m.log.Warn("hung", zap.Int("pid", r.pid), zap.String("cause", r.hung))
		m.kill()
	}
}

// hungReason returns why a process is to be taken for hung, "" if it is not. From is since when its heartbeats would
// have been received.
func (r *run) hungReason(now, from time.Time, detection time.Duration, stopped func() bool) string {
	if r.lastHeartbeat.IsZero() && now.Sub(r.since) < firstHeartbeat {
		return ""
	}
	if sign := r.lastSign(); sign.After(from) {
		from = sign
	}
	silent := now.Sub(from)
	if silent < detection {
		return ""
	}
	text := fmt.Sprintf("silent for %v, and was killed", silent.Round(100*time.Millisecond))
	if stopped() {
		return "it was stopped and " + text
	}
	if silent < detection+reconnectTime {
		return ""
	}
	return "it was " + text
}
