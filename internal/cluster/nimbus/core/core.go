package core

import (
	"fmt"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/schedule"
	"github.com/askback/askback/msgid"
)

// A Config holds the time limits of a Core.
type Config struct {
	Detection time.Duration // silence after which a supervisor and its workers are given up; default cluster.Detection
	// Grace is how long a topology's workers must have been silent, after its end, before its log is deleted. It must
	// exceed a supervisor's StopWait, and the lease. Default 10 s.
	Grace time.Duration
}

// A Core holds the knowledge of the leading nimbus.
type Core struct {
	cfg            Config
	began          time.Time // when it was loaded first
	detectionSince time.Time // silence before does not count
	decided        time.Time // when Decide was called last
	topologies     map[string]*topology
	hosts          map[string]*host
	pending        map[string]*Submission
	retired        map[cluster.Instance]*retiredLog
	unchangedFor   []string        // the hosts that were up and the workers that were lost when the scheduler had nothing to change; nil: ask it
	events         []cluster.Event // events of the cluster, yet to be returned
}

// A topology is a record, with the heartbeats of its workers.
type topology struct {
	record         *cluster.Record
	revision       uint64
	workers        map[schedule.Slot]*worker  // one for each placement
	lost           map[msgid.Alias]lostTuples // as heartbeats reported them
	killAt         time.Time                  // as this process's clock runs: the wall's may jump
	quiescingSince time.Time                  // when it began to come to a standstill, likewise
}

// A Write is the new state of a record.
type Write struct {
	Name   string
	Record *cluster.Record // nil: it is to be removed
	Events []cluster.Event // to be published when it is written
}

// New returns a Core that knows nothing.
func New(cfg Config) *Core {
	if cfg.Detection <= 0 {
		cfg.Detection = cluster.Detection
	}
	if cfg.Grace <= 0 {
		cfg.Grace = 10 * time.Second
	}
	return &Core{
		cfg: cfg, topologies: map[string]*topology{}, hosts: map[string]*host{},
		pending: map[string]*Submission{}, retired: map[cluster.Instance]*retiredLog{},
	}
}

// Load replaces the records by those that were read. Heartbeats are kept.
func (c *Core) Load(now time.Time, records []cluster.Change, hosts []cluster.Host) {
	if c.began.IsZero() {
		c.began, c.detectionSince, c.decided = now, now, now
	}
	known := map[string]bool{}
	for _, r := range records {
		if r.Record != nil {
			known[r.Name] = true
			c.Stored(now, &Write{Name: r.Name, Record: r.Record}, r.Revision)
		}
	}
	for name := range c.topologies {
		if !known[name] {
			c.Stored(now, &Write{Name: name}, 0)
		}
	}
	joined := map[string]bool{}
	for i := range hosts {
		joined[hosts[i].Name] = true
		c.joined(&hosts[i])
	}
	for name := range c.hosts {
		if !joined[name] {
			delete(c.hosts, name)
		}
	}
}

// Stored must be called when a Write is in the bucket, at a revision.
func (c *Core) Stored(now time.Time, w *Write, revision uint64) {
	c.unchangedFor = nil
	t := c.topologies[w.Name]
	if t != nil {
		c.retireInstances(now, t.record, w.Record)
	}
	if t != nil && (w.Record == nil || w.Record.Instance != t.record.Instance) {
		delete(c.topologies, w.Name)
		t = nil
	}
	if w.Record == nil {
		return
	}
	if s := c.pending[w.Name]; s != nil && s.Request.Nonce == w.Record.Nonce {
		delete(c.pending, w.Name)
	}
	if t == nil {
		t = &topology{workers: map[schedule.Slot]*worker{}, lost: map[msgid.Alias]lostTuples{}}
		c.topologies[w.Name] = t
	}
	if t.record == nil || !t.record.KillAt.Equal(w.Record.KillAt) {
		t.killAt = killAt(now, w.Record)
	}
	if w.Record.Rescale != nil && (t.record == nil || t.record.Rescale == nil) {
		t.quiescingSince = now
	}
	if t.record != nil && t.record.Status == cluster.Failed && w.Record.Status == cluster.Active {
		t.clearStartFailures()
	}
	t.record, t.revision = w.Record, revision
	t.updateWorkers(now)
	if w.Record.Status == cluster.Completed {
		c.retireLog(now, w.Record)
	}
}

// killAt returns when a topology is to end. The wall clock may have jumped since that was written, so it is no later
// than was asked for then.
func killAt(now time.Time, r *cluster.Record) time.Time {
	left := min(r.KillAt.Sub(now), r.KillAt.Sub(r.Since))
	return now.Add(max(0, left))
}

// slot makes the workers those of the placement. One that stays remains known.
func (t *topology) updateWorkers(now time.Time) {
	was := t.workers
	t.workers = make(map[schedule.Slot]*worker, len(t.record.Placement))
	for i := range t.record.Placement {
		at := slot(&t.record.Placement[i])
		if t.workers[at] = was[at]; was[at] == nil {
			t.workers[at] = &worker{since: now}
		}
	}
}

func slot(p *cluster.Placement) schedule.Slot {
	return schedule.Slot{Supervisor: p.Supervisor, Number: p.Slot}
}

// RestartDetection must be called when messages may not have arrived until now.
func (c *Core) RestartDetection(now time.Time) { c.detectionSince = now }

// silence returns how long an object that exists since a moment has sent no heartbeat.
func (c *Core) silence(now, since, heard time.Time) time.Duration {
	return now.Sub(latest(since, heard, c.detectionSince))
}

func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// wall returns a moment in the form that records have.
func wall(now time.Time) time.Time { return now.UTC().Round(0) }

// Record returns the record of that name, or nil.
func (c *Core) Record(name string) *cluster.Record {
	if t := c.topologies[name]; t != nil {
		return t.record
	}
	return nil
}

// Decide returns the records to be written now. When they are written, call it again: it may return more.
//
// Detection is as exact as the calls are frequent: ten times a second will do. If it has not been called for long,
// nimbus has been asleep, and does not take that for the silence of others.
func (c *Core) Decide(now time.Time) []Write {
	if now.Sub(c.decided) > c.cfg.Detection/2 {
		c.RestartDetection(now)
	}
	c.decided = now
	c.reportSilentHosts(now)
	if writes := c.changeStatus(now); len(writes) > 0 {
		return writes
	}
	return c.place(now)
}

func (c *Core) clusterEvent(now time.Time, kind cluster.EventKind, format string, args ...any) {
	c.events = append(c.events, cluster.Event{At: wall(now), Kind: kind, Text: fmt.Sprintf(format, args...)})
}

// Events returns the events of supervisors since it was called last.
func (c *Core) Events() []cluster.Event {
	events := c.events
	c.events = nil
	return events
}
