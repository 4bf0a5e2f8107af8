package core

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// changeStatus returns the changes of status that follow from the time and from the workers' heartbeats.
func (c *Core) changeStatus(now time.Time) (writes []Write) {
	for _, name := range slices.Sorted(maps.Keys(c.topologies)) {
		t := c.topologies[name]
		var w *Write
		switch t.record.Status {
		case cluster.Killing:
			if !now.Before(t.killAt) {
				w = t.remove(now)
			}
		case cluster.Active, cluster.Inactive:
			if w = c.changeTaskStatus(now, t); w == nil {
				w = c.advanceRescale(now, t)
			}
		}
		if w == nil {
			w = t.reissue(now)
		}
		if w != nil {
			writes = append(writes, *w)
		}
	}
	return writes
}

func (c *Core) changeTaskStatus(now time.Time, t *topology) *Write {
	if reason, failure := t.failureReason(); reason != "" {
		next := t.change()
		next.Status, next.Since, next.Reason, next.Failure, next.Rescale = cluster.Failed, wall(now), reason, failure, nil
		return t.write(next, cluster.Event{At: next.Since, Kind: cluster.StatusChanged, Text: "failed: " + reason})
	}
	if c.complete(now, t) {
		next := t.change()
		next.Status, next.Since, next.Reason = cluster.Completed, wall(now), t.summary(now)
		next.Placement, next.Shortage, next.Rescale, next.LostTuples = nil, "", nil, t.lostTuples()
		return t.write(next, cluster.Event{At: next.Since, Kind: cluster.StatusChanged, Text: "completed: " + next.Reason})
	}
	return nil
}

// maxReason bounds a reason, in bytes: an error may hold a stack.
const maxReason = 2000

// failureReason returns why a topology cannot go on, "" if it can; and the error of the task that has failed, if one has.
func (t *topology) failureReason() (reason string, failure *cluster.Failure) {
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		w := t.workers[slot(p)]
		if w.startFailures >= maxStartFailures {
			return shorten("worker " + slot(p).String() + " cannot run: " + w.process.Error), nil
		}
		if w.heartbeat == nil || w.heartbeat.Revision < t.revision { // it may yet restart failed tasks
			continue
		}
		for _, now := range w.heartbeat.Tasks {
			if now.State == cluster.StateFailed && slices.Contains(p.Tasks, now.Alias) && !now.Fenced {
				return shorten(taskFailure(&now)), now.Failure
			}
		}
	}
	return "", nil
}

// clearStartFailures makes supervisors report anew which workers cannot run.
func (t *topology) clearStartFailures() {
	for _, w := range t.workers {
		w.startFailures = 0
	}
}

func taskFailure(now *cluster.Task) string {
	if strings.Contains(now.Error, now.Alias.String()) {
		return now.Error
	}
	return "task " + now.Alias.String() + ": " + now.Error
}

func shorten(reason string) string {
	if len(reason) > maxReason {
		return strings.ToValidUTF8(reason[:maxReason], "") + " …"
	}
	return reason
}

// complete reports whether all tasks of a topology have come to their end, and nothing is left to do but to answer
// peers.
func (c *Core) complete(now time.Time, t *topology) bool {
	n := 0
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		w := t.workers[slot(p)]
		if w.heartbeat == nil || w.heartbeat.Revision != t.revision || c.silence(now, w.lastHeartbeat, w.lastHeartbeat) >= c.cfg.Detection {
			return false
		}
		for _, alias := range p.Tasks {
			if !slices.ContainsFunc(w.heartbeat.Tasks, func(its cluster.Task) bool {
				return its.Alias == alias && its.State == cluster.StateComplete
			}) {
				return false
			}
		}
		n += len(p.Tasks)
	}
	return n > 0 && n == len(t.record.Spec.Tasks())
}

// summary describes the work of a topology. The counters are those of the processes that have come to the end: work
// done before a worker was lost is in the events.
func (t *topology) summary(now time.Time) string {
	var sum cluster.Counters
	tasks := 0
	for _, w := range t.workers {
		for i := range w.heartbeat.Tasks {
			sum.Add(w.heartbeat.Tasks[i].Counters)
			tasks++
		}
	}
	lost := ""
	if dead, dropped := cluster.SumLost(t.lostTuples()); dead+dropped > 0 {
		lost = fmt.Sprintf("; %d tuples became dead letters, %d were dropped", dead, dropped)
	}
	return fmt.Sprintf("all %d tasks complete after %v; the last processes have consumed %d tuples and emitted %d%s",
		tasks, now.Sub(t.record.Submitted).Round(time.Millisecond), sum.Consumed, sum.Emitted, lost)
}

// reissue returns the same record once more if a worker gave up a task that is nevertheless its own: it has been
// elsewhere meanwhile, and its supervisor waits for another order.
func (t *topology) reissue(now time.Time) *Write {
	for _, w := range t.workers {
		if w.process != nil && w.process.State == cluster.ProcessFailed && w.process.Fenced && now.Sub(w.since) > 4*cluster.HeartbeatEvery {
			w.since, w.process = now, nil
			return t.write(t.change())
		}
	}
	return nil
}
