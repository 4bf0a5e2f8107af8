package core

import (
	"slices"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// A retiredLog is the log of a topology that is over, while it still exists: its workers may be writing.
type retiredLog struct {
	record        *cluster.Record // nil: only the log is known
	lastHeartbeat time.Time       // its end, or the last heartbeat of one of its workers
}

// retireLog begins to wait for the silence of a topology's workers.
func (c *Core) retireLog(now time.Time, r *cluster.Record) {
	if c.retired[r.Instance] == nil {
		c.retired[r.Instance] = &retiredLog{record: r, lastHeartbeat: now}
	}
}

// LogsFound records which logs exist. Logs without a topology are left of submissions and kills that a nimbus did not
// finish.
func (c *Core) LogsFound(now time.Time, logs []cluster.Instance) {
	for _, i := range logs {
		if !c.needsLog(i) && c.retired[i] == nil {
			c.retired[i] = &retiredLog{lastHeartbeat: now}
		}
	}
}

// needsLog reports whether an instance runs, or is about to.
func (c *Core) needsLog(i cluster.Instance) bool {
	if s := c.pending[i.Name()]; s != nil && s.Instance == i {
		return true
	}
	t := c.topologies[i.Name()]
	return t != nil && usesLog(t.record, i) && t.record.Status.Running()
}

// DeletableLogs returns the instances whose logs can be deleted.
func (c *Core) DeletableLogs(now time.Time) (over []cluster.Instance) {
	for i, e := range c.retired {
		if now.Sub(latest(e.lastHeartbeat, c.detectionSince)) >= c.cfg.Grace {
			over = append(over, i)
		}
	}
	slices.Sort(over)
	return over
}

// LogDeleted must be called when an instance's log is gone.
func (c *Core) LogDeleted(i cluster.Instance) { delete(c.retired, i) }

// Logs returns the records of all instances that must have a log.
func (c *Core) Logs() (all []*cluster.Record) {
	for _, t := range c.topologies {
		if t.record.Status.Running() {
			all = append(all, t.record)
		}
	}
	return all
}
