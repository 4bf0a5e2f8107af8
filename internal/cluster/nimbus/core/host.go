package core

import (
	"slices"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// A host is a supervisor that has joined.
type host struct {
	cluster.Host
	lastHeartbeat time.Time // zero: never by this leader
	heartbeat     *cluster.HostHeartbeat
	reportedLost  bool   // its silence was reported
	successor     *rival // another process that wants to be it
}

// A rival is a process that asks to join by a name that has been another's.
type rival struct {
	started time.Time
	since   time.Time
}

// HostHeartbeat records a supervisor's heartbeat, which arrived at a moment.
func (c *Core) HostHeartbeat(now time.Time, b *cluster.HostHeartbeat) {
	h := c.hosts[b.Name]
	if h == nil || !h.Started.IsZero() && !h.Started.Equal(b.Started) {
		return // it has yet to join
	}
	if h.reportedLost {
		h.reportedLost = false
		c.clusterEvent(now, cluster.HostJoined, "supervisor %s is back", b.Name)
	}
	h.lastHeartbeat, h.heartbeat = now, b
	c.noteProcesses(b)
}

// up reports whether a host sends heartbeats, so that workers may be placed there.
func (c *Core) up(now time.Time, h *host) bool {
	return !h.lastHeartbeat.IsZero() && c.silence(now, h.lastHeartbeat, h.lastHeartbeat) < c.cfg.Detection
}

// ready reports whether all live hosts have sent a heartbeat since nimbus began to lead.
func (c *Core) ready(now time.Time) bool {
	if now.Sub(c.began) >= 2*cluster.HeartbeatEvery {
		return true
	}
	for _, h := range c.hosts {
		if h.lastHeartbeat.IsZero() {
			return false
		}
	}
	return len(c.hosts) > 0
}

// reportSilentHosts publishes an event for each host that has fallen silent.
func (c *Core) reportSilentHosts(now time.Time) {
	for _, h := range c.hosts {
		if !h.reportedLost && !h.lastHeartbeat.IsZero() && !c.up(now, h) {
			h.reportedLost = true
			c.clusterEvent(now, cluster.HostLost, "supervisor %s has been silent for %v", h.Name, c.silence(now, h.lastHeartbeat, h.lastHeartbeat).Round(100*time.Millisecond))
		}
	}
}

// Join decides whether a supervisor may join. It returns the host as it is to be stored; call Joined when it is.
func (c *Core) Join(now time.Time, h *cluster.Host) (*cluster.Host, error) {
	if err := checkHost(h); err != nil {
		return nil, err
	}
	joined := *h
	joined.Joined = wall(now)
	old := c.hosts[h.Name]
	if old == nil {
		return &joined, nil
	}
	if !old.Started.IsZero() && !h.Started.IsZero() && !old.Started.Equal(h.Started) {
		if err := c.checkReplacement(now, old, h); err != nil {
			return nil, err
		}
	}
	return &joined, nil
}

// checkReplacement returns an error unless the process that has had a host's name is gone. Both would start each worker, so
// that can take three heartbeats.
func (c *Core) checkReplacement(now time.Time, old *host, h *cluster.Host) error {
	if old.successor == nil || !old.successor.started.Equal(h.Started) {
		old.successor = &rival{started: h.Started, since: now}
	}
	if old.lastHeartbeat.Sub(old.successor.since) > cluster.HeartbeatEvery/5 { // an earlier heartbeat may have been on its way
		return conflict("supervisor %s is run by another process already, which was started %s and is alive: stop it, or give this one another name",
			h.Name, old.Started.Format(time.RFC3339))
	}
	if c.silence(now, c.began, old.lastHeartbeat) < 3*cluster.HeartbeatEvery {
		return unavailable("supervisor %s sent a heartbeat a moment ago as another process: waiting until that is gone", h.Name)
	}
	return nil
}

func checkHost(h *cluster.Host) error {
	if h.Runtime != cluster.Runtime {
		return conflict("supervisor %.80q has runtime %.20q, and this nimbus has %q: upgrade the older of the two", h.Name, h.Runtime, cluster.Runtime)
	}
	if err := h.Check(); err != nil {
		return badRequest("%v", err)
	}
	return nil
}

// Joined must be called when a host is in the bucket.
func (c *Core) Joined(now time.Time, joined *cluster.Host) {
	if c.hosts[joined.Name] == nil {
		c.clusterEvent(now, cluster.HostJoined, "supervisor %s joined with %d slots", joined.Name, joined.Slots)
	}
	c.joined(joined)
}

func (c *Core) joined(joined *cluster.Host) {
	c.unchangedFor = nil
	h := c.hosts[joined.Name]
	if h == nil {
		h = &host{}
		c.hosts[joined.Name] = h
	}
	h.Host, h.successor = *joined, nil
}

// Unchanged reports whether a host has already joined with the same properties.
func (c *Core) Unchanged(h *cluster.Host) bool {
	old := c.hosts[h.Name]
	return old != nil && old.Slots == h.Slots && old.CPU == h.CPU && old.Memory == h.Memory && old.Runtime == h.Runtime &&
		old.Started.Equal(h.Started) && slices.Equal(old.Tags, h.Tags)
}

// Remove decides whether a supervisor may be forgotten. Call Removed when it is.
func (c *Core) Remove(now time.Time, name string) (*cluster.Host, error) {
	if err := cluster.CheckName("supervisor", name, msgid.MaxName); err != nil {
		return nil, badRequest("%v", err)
	}
	h := c.hosts[name]
	switch {
	case h == nil:
		return nil, notFound("no supervisor is called %s", name)
	case c.up(now, h) || !c.ready(now):
		return nil, conflict("supervisor %s is up: stop it first, or it would join again", name)
	}
	return &h.Host, nil
}

// Removed must be called when a host is no longer in the bucket.
func (c *Core) Removed(name string) {
	c.unchangedFor = nil
	delete(c.hosts, name)
}
