package core

import (
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/schedule"
)

// A worker is the knowledge about one worker in its slot.
type worker struct {
	since         time.Time // when it was placed there, or when nimbus began to lead
	lastHeartbeat time.Time // zero: never
	heartbeat     *cluster.Heartbeat
	lossReported  bool // its loss was published

	process       *cluster.Process // of its supervisor's heartbeat; nil: not in one yet
	startFailures int              // how many heartbeats in a row of its supervisor reported that it cannot run
}

// WorkerHeartbeat records a worker's heartbeat, which arrived at a moment.
func (c *Core) WorkerHeartbeat(now time.Time, b *cluster.Heartbeat) {
	if e := c.retired[b.Slot.Instance]; e != nil {
		e.lastHeartbeat = now
	}
	t := c.topologies[b.Slot.Instance.Name()]
	if t == nil || t.record.Instance != b.Slot.Instance {
		return
	}
	w := t.workers[schedule.Slot{Supervisor: b.Slot.Supervisor, Number: b.Slot.Number}]
	if w == nil || w.outdated(now, b) {
		return
	}
	w.lastHeartbeat, w.heartbeat, w.lossReported = now, b, false
	t.countLost(b)
}

// outdated reports whether a heartbeat is of a process that another has replaced in its slot. It applies only while the
// newer process sends heartbeats: the wall clock, which orders the two, may have jumped.
func (w *worker) outdated(now time.Time, b *cluster.Heartbeat) bool {
	return w.heartbeat != nil && w.heartbeat.PID != b.PID && b.Started.Before(w.heartbeat.Started) && now.Sub(w.lastHeartbeat) < 4*cluster.HeartbeatEvery
}

// maxStartFailures is how many heartbeats in a row a supervisor must have reported that a worker cannot run: the first
// ones may be older than the assignment.
const maxStartFailures = 3

// noteProcesses notes how a supervisor sees the workers that are placed with it.
func (c *Core) noteProcesses(b *cluster.HostHeartbeat) {
	for i := range b.Workers {
		p := &b.Workers[i]
		t := c.topologies[p.Slot.Instance.Name()]
		if t == nil || t.record.Instance != p.Slot.Instance || p.Slot.Supervisor != b.Name {
			continue
		}
		w := t.workers[schedule.Slot{Supervisor: b.Name, Number: p.Slot.Number}]
		if w == nil {
			continue
		}
		w.process = p
		if p.State != cluster.ProcessFailed || p.Fenced {
			w.startFailures = 0
			continue
		}
		w.startFailures++
	}
}

// lost reports whether a worker is given up, and why: for long neither it nor its supervisor has sent a heartbeat.
func (c *Core) lost(now time.Time, p *cluster.Placement, w *worker) (*cluster.Loss, bool) {
	var host time.Time
	if h := c.hosts[p.Supervisor]; h != nil {
		host = h.lastHeartbeat
	}
	silent := min(c.silence(now, w.since, w.lastHeartbeat), c.silence(now, w.since, host))
	if silent < c.cfg.Detection {
		return nil, false
	}
	last := latest(w.lastHeartbeat, host)
	if last.IsZero() {
		last = latest(w.since, c.detectionSince)
	}
	return &cluster.Loss{
		Cause:    "supervisor " + p.Supervisor + " and its worker " + slot(p).String() + " were silent for " + silent.Round(100*time.Millisecond).String(),
		LastSeen: wall(last), DetectedAt: wall(now),
	}, true
}
