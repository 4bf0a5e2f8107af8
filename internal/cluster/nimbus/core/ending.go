package core

import (
	"slices"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// An ending is a topology that is over, and whose log is still there: its workers may be writing.
type ending struct {
	record *cluster.Record // nil: it is only known that there is a log
	heard  time.Time       // when it ended, or when one of its workers was heard last
}

// end begins to wait for the silence of a topology's workers.
func (c *Core) end(now time.Time, r *cluster.Record) {
	if c.ending[r.Instance] == nil {
		c.ending[r.Instance] = &ending{record: r, heard: now}
	}
}

// Found tells which logs exist. Those of no topology are left of submissions and kills that a nimbus did not finish.
func (c *Core) Found(now time.Time, logs []cluster.Instance) {
	for _, i := range logs {
		if !c.keeps(i) && c.ending[i] == nil {
			c.ending[i] = &ending{heard: now}
		}
	}
}

// keeps reports whether an instance runs, or is about to.
func (c *Core) keeps(i cluster.Instance) bool {
	if s := c.pending[i.Name()]; s != nil && s.Instance == i {
		return true
	}
	t := c.topologies[i.Name()]
	return t != nil && speaks(t.record, i) && t.record.Status.Running()
}

// Ended returns the instances whose logs can be deleted.
func (c *Core) Ended(now time.Time) (over []cluster.Instance) {
	for i, e := range c.ending {
		if now.Sub(latest(e.heard, c.listening)) >= c.cfg.Grace {
			over = append(over, i)
		}
	}
	slices.Sort(over)
	return over
}

// Deleted tells that an instance's log is gone.
func (c *Core) Deleted(i cluster.Instance) { delete(c.ending, i) }

// Logs returns the records of all instances that must have a log.
func (c *Core) Logs() (all []*cluster.Record) {
	for _, t := range c.topologies {
		if t.record.Status.Running() {
			all = append(all, t.record)
		}
	}
	return all
}
