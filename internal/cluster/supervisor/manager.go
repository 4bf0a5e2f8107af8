package supervisor

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
)

// A workerManager looks after one slot. One goroutine owns all fields but those marked as shared; others send to its
// inbox.
type workerManager struct {
	*Supervisor
	slot    cluster.WorkerSlot
	log     *zap.Logger
	out     *output
	helpers sync.WaitGroup // the goroutines that wait for something on its behalf

	// The inbox. The newest update and heartbeat count; of the others at most one is under way.
	updates    chan update
	heartbeats chan *nats.Msg
	prepared   chan prepared
	exits      chan exit

	updated    bool // something was wished: an adopted worker lives on until then
	desired    *desired
	lastUpdate update

	preparing bool   // prepare is under way
	login     *login // nil: none yet, or an open cluster
	path      string // of the program, checked for the next start; "" not yet
	program   string // SHA-256 of the program at path

	run         *run // nil: no process
	delay       time.Duration
	retry       time.Time // not before then
	blockedUpTo uint64    // revision that must be passed before the next start; 0 none
	restarts    int
	exitError   string // how the last process ended
	fenced      bool   // exitError is that its tasks run elsewhere
	startError  string // why none can be started
	loss        *cluster.Loss

	status atomic.Pointer[cluster.Process] // shared: how it stands
}

// An update is the new desired state of a slot. Without one its process is stopped, and if it is to be forgotten all
// its files but the output are removed.
type update struct {
	desired *desired
	forget  bool
}

// A run is one process of a slot.
type run struct {
	*process
	saved         savedProcess
	adopted       bool
	since         time.Time // by this supervisor's clock
	lastHeartbeat time.Time // the last heartbeat; zero none
	revision      uint64    // of the order that the last heartbeat shows
	assignment    *cluster.Assignment
	assignedAt    time.Time
	loginRevision uint64 // revision of the order that brings the present login; 0: it was started with it
	stopping      bool
	killAt        time.Time // when stopping
	forked        strays    // processes it had forked into other sessions when it was ordered to stop
	hung          string    // why it was killed
	oomKills      uint64    // of its cgroup before
	written       int64     // length of the output before
}

func (s *Supervisor) newManager(slot cluster.WorkerSlot) *workerManager {
	m := &workerManager{
		Supervisor: s, slot: slot,
		log:     s.cfg.Log.With(zap.String("worker", slot.String())),
		out:     &output{s.dir.output(slot), s.cfg.MaxLog, s.cfg.LogFiles},
		updates: make(chan update, 1), heartbeats: make(chan *nats.Msg, 1), prepared: make(chan prepared, 1), exits: make(chan exit, 1),
	}
	if l := (&login{}); s.dir.get(slot, loginFile, l) {
		m.login = l
	}
	return m
}

// sendLatest puts a value into a channel of one, in place of the one that waits there. Only one goroutine may put.
func sendLatest[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// manage looks after the slot until it is not wanted and has no process, or until ctx ends: then the process lives on.
func (m *workerManager) manage(ctx context.Context) {
	defer m.helpers.Wait()
	work, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		m.step(work, time.Now())
		m.publishStatus()
		if m.updated && m.desired == nil && m.run == nil {
			m.cleanUp()
			return
		}
		timer.Reset(m.pause(time.Now()))
		select {
		case w := <-m.updates:
			m.onUpdate(w)
		case b := <-m.heartbeats:
			m.onHeartbeat(b)
		case p := <-m.prepared:
			m.onPrepared(p)
		case e := <-m.exits:
			m.onExit(e, time.Now())
		case <-timer.C:
		case <-ctx.Done():
			if m.run != nil {
				m.run.close()
			}
			return
		}
	}
}

// pause is how long there is nothing to do unless something arrives.
func (m *workerManager) pause(now time.Time) time.Duration {
	pause := cluster.HeartbeatEvery
	if m.run == nil && m.retry.After(now) {
		pause = min(pause, m.retry.Sub(now))
	}
	if m.run != nil && m.run.stopping && m.run.killAt.After(now) {
		pause = min(pause, m.run.killAt.Sub(now))
	}
	return max(pause, time.Millisecond)
}

// step performs the next action.
func (m *workerManager) step(ctx context.Context, now time.Time) {
	switch {
	case m.run != nil && m.updated && (m.desired == nil || m.run.stopping || !m.run.saved.runs(m.desired.record)):
		m.stop(now)
	case m.run != nil:
		m.watch(now)
		if m.desired != nil {
			m.updateLimits()
			m.refreshLogin(ctx, now)
			m.assign(now)
		}
	case m.desired == nil || m.preparing || m.blockedUpTo >= m.desired.revision || now.Before(m.retry):
	case !m.fetched() || !m.open() && !m.login.covers(m.desired.tasks(), now):
		m.prepareAsync(ctx)
	default:
		m.start(now)
	}
}

// fetched reports whether the desired program is there, checked for the next start.
func (m *workerManager) fetched() bool {
	return m.path != "" && m.program == m.desired.record.Artefact.SHA256
}

func (m *workerManager) onUpdate(w update) {
	if m.desired != nil && w.desired != nil && w.desired.revision > m.desired.revision && m.blockedUpTo > 0 {
		m.delay, m.retry = 0, time.Time{}
	}
	m.updated, m.lastUpdate, m.desired = true, w, w.desired
}

// prepareAsync fetches the program and login of a worker on another goroutine.
func (m *workerManager) prepareAsync(ctx context.Context) {
	m.preparing = true
	w, old := m.desired, m.login
	m.helpers.Go(func() { m.prepared <- m.prepare(ctx, m, w, old) })
}

func (m *workerManager) onPrepared(p prepared) {
	m.preparing = false
	if p.login != nil && p.err == nil {
		m.login = p.login
		if m.run != nil && m.desired != nil {
			m.run.loginRevision, m.run.assignment = m.desired.revision, nil
		}
	}
	switch {
	case m.run != nil:
		if p.err != nil {
			m.log.Warn("the login cannot be renewed yet", zap.Error(p.err))
			m.retry = time.Now().Add(time.Second)
		}
	case p.err == nil:
		m.path, m.program = p.path, p.sha
	default:
		m.startFailed(p.err)
	}
}

// startFailed notes why the worker cannot be started.
func (m *workerManager) startFailed(err error) {
	if m.startError != oneLine(err) {
		m.log.Warn("cannot start yet", zap.Error(err))
	}
	m.startError, m.path = oneLine(err), ""
	m.backOff(time.Now())
	if permanent(err) && m.desired != nil {
		m.blockedUpTo = m.desired.revision
		m.event(cluster.Refused, "worker %s is not started: %v", m.slot, err)
	}
}

// Bounds of the delay before a start.
const (
	leastDelay = 100 * time.Millisecond
	mostDelay  = 10 * time.Second
	longRun    = 30 * time.Second       // after which the delays begin anew
	shortRun   = 500 * time.Millisecond // even one that was killed counts
)

// backOff delays the next start: the first is at once.
func (m *workerManager) backOff(now time.Time) {
	m.retry = now.Add(m.delay)
	m.delay = min(max(2*m.delay, leastDelay), mostDelay)
}

// stop asks a process to end, and kills it when its time is over.
func (m *workerManager) stop(now time.Time) {
	r := m.run
	switch {
	case !r.stopping:
		m.log.Info("stopping", zap.Int("pid", r.pid))
		r.stopping, r.killAt, r.forked = true, now.Add(m.cfg.StopWait), r.strays()
		r.signal(syscall.SIGTERM)
	case !now.Before(r.killAt):
		m.kill()
		r.killAt = now.Add(time.Second)
	}
}

// kill kills a process, and all that it has forked.
func (m *workerManager) kill() {
	m.run.kill()
	m.limits.groups.kill(m.slot)
}

// onExit notes how a process ended.
func (m *workerManager) onExit(e exit, now time.Time) {
	r := m.run
	m.limits.groups.kill(m.slot)
	r.forked.kill()
	m.dir.drop(m.slot, processFile)
	end := &ending{exit: e, hung: r.hung, limit: size(r.saved.Need.Memory), report: m.out.report(r.written)}
	end.oom = r.saved.Need.Memory > 0 && (end.report.oom || m.limits.groups.oomKills(m.slot) > r.oomKills)
	m.run, m.path = nil, ""
	if r.stopping && m.desired == nil {
		how := end.stopped()
		m.log.Info("stopped", zap.String("how", how))
		m.event(cluster.WorkerExited, "worker %s was stopped%s", m.slot, how)
		return
	}
	if now.Sub(r.since) >= longRun {
		m.delay = 0
	}
	if r.stopping && m.desired != nil && !r.saved.runs(m.desired.record) {
		m.replaced(r, end, now)
		return
	}
	m.restarts++
	m.exitError = end.cause()
	if m.retry = now; !end.killedByOthers() || now.Sub(r.since) < shortRun {
		m.backOff(now)
	}
	last := now // it lived until it died
	if r.hung != "" {
		last = r.lastSign()
	}
	m.loss = &cluster.Loss{Cause: fmt.Sprintf("worker %s: %s", m.slot, m.exitError), LastSeen: last.Round(0), DetectedAt: now.Round(0)}
	m.log.Warn("ended", zap.Int("pid", r.pid), zap.String("cause", m.exitError))
	if m.fenced = e.is(cluster.ExitFenced); m.fenced {
		m.exitError = fencedText(end)
		m.event(cluster.WorkerFenced, "worker %s has ended: %s", m.slot, m.exitError)
	} else {
		m.event(cluster.WorkerExited, "worker %s, process %d: %s", m.slot, r.pid, m.exitError)
	}
	if end.permanent() {
		m.blockedUpTo = r.revisionAtMost(m.desired)
	}
}

// replaced notes that a process has ended because the topology goes on with another program, which is started at once.
func (m *workerManager) replaced(r *run, end *ending, now time.Time) {
	m.delay, m.retry, m.blockedUpTo = 0, now, 0
	m.exitError, m.fenced = "", false
	m.loss = &cluster.Loss{Cause: "the program was replaced", LastSeen: now.Round(0), DetectedAt: now.Round(0)}
	how := end.stopped()
	m.log.Info("replaced", zap.Int("pid", r.pid), zap.String("how", how))
	m.event(cluster.WorkerExited, "worker %s was stopped%s: the topology goes on with another program", m.slot, how)
}

// publishStatus publishes the state of the slot.
func (m *workerManager) publishStatus() {
	p := &cluster.Process{Slot: m.slot, Restarts: m.restarts, Error: cmp.Or(m.startError, m.exitError), Fenced: m.fenced && m.startError == ""}
	switch r := m.run; {
	case r != nil:
		p.PID, p.Started, p.Limits, p.Adopted = r.pid, r.saved.Started, r.saved.Limits, r.adopted
		if p.State = cluster.ProcessRunning; r.lastHeartbeat.IsZero() {
			p.State = cluster.ProcessStarting
		}
	case m.desired != nil && m.blockedUpTo >= m.desired.revision:
		p.State = cluster.ProcessFailed
	case m.preparing:
		p.State = cluster.ProcessFetching
	default:
		p.State = cluster.ProcessWaiting
	}
	m.status.Store(p)
}

// cleanUp removes the files of a slot that is not desired any more.
func (m *workerManager) cleanUp() {
	m.limits.groups.remove(m.slot)
	if !m.lastUpdate.forget {
		return
	}
	if err := m.dir.forget(m.slot); err != nil {
		m.log.Warn("cannot remove the worker's directory", zap.Error(err))
	}
}

func (m *workerManager) event(kind cluster.EventKind, format string, args ...any) {
	m.events.Publish(cluster.Event{Kind: kind, Instance: m.slot.Instance, Slot: &m.slot, Text: fmt.Sprintf(format, args...)})
}
