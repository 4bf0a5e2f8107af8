package core

import (
	"maps"
	"slices"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// List returns the cluster at a glance.
func (c *Core) List(now time.Time) *cluster.ListReply {
	r := &cluster.ListReply{Topologies: []cluster.Summary{}, Hosts: []cluster.HostSummary{}}
	used := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(c.topologies)) {
		t := c.topologies[name]
		r.Topologies = append(r.Topologies, c.summarise(now, t))
		for i := range t.record.Placement {
			used[t.record.Placement[i].Supervisor]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.hosts)) {
		h := c.hosts[name]
		s := cluster.HostSummary{Host: h.Host, State: "silent", LastHeartbeat: h.lastHeartbeat, Used: used[name]}
		if c.up(now, h) {
			s.State = "up"
		}
		if h.heartbeat != nil {
			s.Workers = h.heartbeat.Workers
		}
		r.Hosts = append(r.Hosts, s)
	}
	return r
}

func (c *Core) summarise(now time.Time, t *topology) cluster.Summary {
	r := t.record
	return cluster.Summary{
		Name: r.Spec.Name, Instance: r.Instance, Status: r.Status, Reason: r.Reason, Submitted: r.Submitted,
		Workers: len(r.Placement), Tasks: len(r.Spec.Tasks()), Healthy: c.healthy(now, t), Shortage: r.Shortage,
		Lost: t.lostTuples(), Failure: r.Failure,
	}
}

// healthy returns how many tasks run in workers that send heartbeats, and have not failed.
func (c *Core) healthy(now time.Time, t *topology) (n int) {
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		w := t.workers[slot(p)]
		if !c.responsive(now, w) {
			continue
		}
		for _, its := range w.heartbeat.Tasks {
			if its.State != cluster.StateFailed && slices.Contains(p.Tasks, its.Alias) {
				n++
			}
		}
	}
	return n
}

// responsive reports whether a worker has sent a heartbeat lately.
func (c *Core) responsive(now time.Time, w *worker) bool {
	return w.heartbeat != nil && c.silence(now, w.lastHeartbeat, w.lastHeartbeat) < c.cfg.Detection
}

// Describe returns how a topology and its workers stand.
func (c *Core) Describe(now time.Time, name string) (*cluster.Description, error) {
	t, err := c.find(name)
	if err != nil {
		return nil, err
	}
	d := &cluster.Description{Record: *t.record, Workers: []cluster.WorkerStatus{}, Lost: t.lostTuples()}
	for i := range t.record.Placement {
		p := &t.record.Placement[i]
		w := t.workers[slot(p)]
		d.Workers = append(d.Workers, cluster.WorkerStatus{
			Slot: t.record.WorkerSlot(p), Tasks: p.Tasks, State: c.workerState(now, w), LastHeartbeat: w.lastHeartbeat, Heartbeat: w.heartbeat, Process: w.process,
		})
	}
	return d, nil
}

// workerState returns the state in the worker's own heartbeat, else the one in its supervisor's.
func (c *Core) workerState(now time.Time, w *worker) string {
	switch {
	case c.responsive(now, w) && (w.process == nil || w.process.State == "running"):
		return "running"
	case w.process != nil && w.process.State != "running":
		return string(w.process.State)
	case c.silence(now, w.since, w.lastHeartbeat) < c.cfg.Detection:
		return "starting"
	}
	return "silent"
}
