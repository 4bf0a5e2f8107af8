package core

import (
	"strconv"
	"strings"
	"time"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/schedule"
)

// A worker is what is known of a worker in its place.
type worker struct {
	since time.Time // when it was placed there, or when nimbus began to lead
	heard time.Time // zero: never
	beat  *cluster.Beat
	noted bool // its loss was told

	process *cluster.Process // as its supervisor sees it; nil: it has not said
	refused int              // how many beats in a row its supervisor has said that it cannot run
}

// Beat tells what a worker said of itself, as it arrived at a moment.
func (c *Core) Beat(now time.Time, b *cluster.Beat) {
	if e := c.ending[b.Seat.Instance]; e != nil {
		e.heard = now
	}
	t := c.topologies[b.Seat.Instance.Name()]
	if t == nil || t.record.Instance != b.Seat.Instance {
		return
	}
	w := t.workers[schedule.Slot{Supervisor: b.Seat.Supervisor, Number: b.Seat.Slot}]
	if w == nil || w.outdated(now, b) {
		return
	}
	w.heard, w.beat, w.noted = now, b, false
}

// outdated reports whether a beat is of a process that another has replaced in its seat. Only while that one is heard:
// the wall clock, by which they are told apart, may have jumped.
func (w *worker) outdated(now time.Time, b *cluster.Beat) bool {
	return w.beat != nil && w.beat.PID != b.PID && b.Started.Before(w.beat.Started) && now.Sub(w.heard) < 4*cluster.BeatEvery
}

// refusals is how many beats in a row a supervisor must have said that a worker cannot run: the first ones may be
// older than the order.
const refusals = 3

// processes notes how a supervisor sees the workers that are placed with it.
func (c *Core) processes(b *cluster.HostBeat) {
	for i := range b.Workers {
		p := &b.Workers[i]
		t := c.topologies[p.Seat.Instance.Name()]
		if t == nil || t.record.Instance != p.Seat.Instance || p.Seat.Supervisor != b.Name {
			continue
		}
		w := t.workers[schedule.Slot{Supervisor: b.Name, Number: p.Seat.Slot}]
		if w == nil {
			continue
		}
		w.process = p
		if p.State != "failed" || fenced(p.Error) {
			w.refused = 0
			continue
		}
		w.refused++
	}
}

// exitFenced is how a supervisor says that a worker has ended because its tasks run elsewhere.
var exitFenced = "exit status " + strconv.Itoa(cluster.ExitFenced)

// fenced reports whether an error, of a task or of a worker, says that it runs elsewhere. That is no failure of the
// topology.
func fenced(text string) bool {
	return strings.Contains(text, checkpoint.ErrFenced.Error()) || strings.HasPrefix(text, exitFenced)
}

// lost reports whether a worker is given up, and why: neither it nor its supervisor has been heard for long.
func (c *Core) lost(now time.Time, p *cluster.Placed, w *worker) (*cluster.Loss, bool) {
	var host time.Time
	if h := c.hosts[p.Supervisor]; h != nil {
		host = h.heard
	}
	silent := min(c.silence(now, w.since, w.heard), c.silence(now, w.since, host))
	if silent < c.cfg.Detection {
		return nil, false
	}
	last := latest(w.heard, host)
	if last.IsZero() {
		last = latest(w.since, c.listening)
	}
	return &cluster.Loss{
		Cause: "supervisor " + p.Supervisor + " and its worker " + slot(p).String() + " were silent for " + silent.Round(100*time.Millisecond).String(),
		Last:  wall(last), Noted: wall(now),
	}, true
}
