package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
)

// A savedProcess is the saved description of a process, by which the supervisor's next run finds it.
type savedProcess struct {
	PID      int       `json:"pid"`
	Born     uint64    `json:"born"` // in ticks of the system's clock
	Boot     string    `json:"boot"` // run of the system
	SHA256   string    `json:"sha256"`
	Args     []string  `json:"args,omitempty"`
	Started  time.Time `json:"started"`
	Restarts int       `json:"restarts"`
	Need     need      `json:"need"`
	Limits   string    `json:"limits"`
}

// runs reports whether a process runs the program of a record.
func (p *savedProcess) runs(r *cluster.Record) bool {
	return p.SHA256 == r.Artefact.SHA256 && slices.Equal(p.Args, r.Args)
}

// start starts a process. Its program has just been checked.
func (m *workerManager) start(now time.Time) {
	w, path := m.desired, m.path
	m.path = "" // it is checked again for the next
	r := &run{since: now, written: m.out.size(), oomKills: m.limits.groups.oomKills(m.slot)}
	r.saved = savedProcess{Boot: m.boot, SHA256: w.record.Artefact.SHA256, Args: w.record.Args, Started: now.Round(0), Restarts: m.restarts, Need: w.need()}
	jwt := ""
	if m.login != nil {
		jwt = m.login.JWT
	}
	r.assignment, r.assignedAt = w.assignment(m.loss, ""), now
	if err := m.exec(r, path, jwt); err != nil {
		m.startFailed(err)
		return
	}
	m.run, m.startError = r, ""
	m.await(r)
	m.log.Info("started", zap.Int("pid", r.pid), zap.String("limits", r.saved.Limits))
	m.event(cluster.WorkerStarted, "worker %s is process %d, with tasks %s", m.slot, r.pid, w)
}

// await reports when a process has ended.
func (m *workerManager) await(r *run) {
	m.helpers.Go(func() {
		if e, ended := r.wait(); ended {
			r.close()
			m.exits <- e
		}
	})
}

// exec starts the process of a run, writes it down, and limits it.
func (m *workerManager) exec(r *run, path, jwt string) error {
	launch, err := m.launch(r.assignment, jwt)
	if err != nil {
		return err
	}
	work, err := m.makeDirs()
	if err != nil {
		return fmt.Errorf("make the worker's directory: %w", err)
	}
	out, err := m.out.open()
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	if r.process, err = start(&program{
		path: path, args: m.desired.record.Args, env: append(environment(work), m.limits.env(r.saved.Need)...),
		dir: work, output: out, launch: launch, owner: m.owner,
	}); err != nil {
		return err
	}
	r.saved.PID, r.saved.Born = r.pid, r.born
	if err = m.dir.put(m.slot, processFile, &r.saved); err == nil { // first, since to limit it may take tens of milliseconds
		r.saved.Limits, err = m.limits.apply(m.slot, r.pid, r.saved.Need)
	}
	if err == nil {
		err = m.dir.put(m.slot, processFile, &r.saved)
	}
	if err != nil { // unlimited, or unknown to the next run of the supervisor: better not
		r.kill()
		r.wait()
		r.close()
	}
	return err
}

// launch is the first input of the process. No other place has the login.
func (m *workerManager) launch(o *cluster.Assignment, jwt string) ([]byte, error) {
	r := m.desired.record
	l := &cluster.Launch{
		Slot: m.slot, Prefix: string(m.subjects), Servers: m.servers, CA: m.authority, Spec: r.Spec, Assignment: *o,
		Parallel: r.Parallel, From: r.From,
		Durability: r.Durability, Runtime: cluster.Runtime, Detection: m.detection(), StopWait: m.cfg.StopWait,
	}
	if m.login != nil {
		l.Login = cluster.Login{JWT: jwt, Seed: m.login.Seed}
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write the launch: %w", err)
	}
	return text, nil
}

// makeDirs makes the directories that are the worker's own, and returns where it is to work.
func (m *workerManager) makeDirs() (work string, err error) {
	above := m.dir.of("workers", m.slot)
	if err := os.MkdirAll(above, 0o711); err != nil {
		return "", err
	}
	work = filepath.Join(above, "work")
	return work, m.owner.own(work, filepath.Join(above, "tmp"))
}

// environment is all that a worker inherits: the path of programs, language and time zone, and nothing else of the
// supervisor's.
func environment(work string) []string {
	env := []string{
		"PATH=" + cmp.Or(os.Getenv("PATH"), "/usr/local/bin:/usr/bin:/bin"),
		"HOME=" + work,
		"TMPDIR=" + filepath.Join(filepath.Dir(work), "tmp"),
		cluster.RoleVariable + "=worker",
	}
	for _, name := range []string{"LANG", "TZ"} {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// adopt takes over the process that an earlier run of the supervisor has left in the slot, if it lives.
func (m *workerManager) adopt(now time.Time) error {
	var state savedProcess
	if !m.dir.get(m.slot, processFile, &state) || state.Boot != m.boot || state.PID < 2 {
		m.dir.drop(m.slot, processFile)
		return nil
	}
	p, err := find(state.PID, state.Born)
	if err != nil {
		return err
	}
	m.restarts = state.Restarts
	if p == nil {
		m.limits.groups.kill(m.slot)
		m.dir.drop(m.slot, processFile)
		m.exitError = "it ended while the supervisor was away"
		m.loss = &cluster.Loss{Cause: fmt.Sprintf("worker %s: %s", m.slot, m.exitError), LastSeen: m.out.written(state.Started), DetectedAt: now.Round(0)}
		m.event(cluster.WorkerExited, "worker %s, process %d, ended while its supervisor was away", m.slot, state.PID)
		return nil
	}
	m.run = &run{process: p, saved: state, adopted: true, since: now, written: m.out.size(), oomKills: m.limits.groups.oomKills(m.slot)}
	m.await(m.run)
	m.log.Info("adopted", zap.Int("pid", p.pid))
	m.event(cluster.WorkerAdopted, "worker %s, process %d, lives on under the supervisor's new run", m.slot, p.pid)
	return nil
}

// updateLimits changes the limits of a process when its tasks have changed. Its Go runtime keeps the one that it began with.
func (m *workerManager) updateLimits() {
	r, n := m.run, m.desired.need()
	if n == r.saved.Need {
		return
	}
	words, err := m.limits.apply(m.slot, r.pid, n)
	if err != nil {
		m.log.Warn("the limits cannot be changed", zap.Error(err))
		return
	}
	r.saved.Need, r.saved.Limits = n, words
	if err := m.dir.put(m.slot, processFile, &r.saved); err != nil {
		m.log.Warn("the process cannot be written down", zap.Error(err))
	}
}

// refreshLogin has the login replaced when the tasks have changed, or half its time is over.
func (m *workerManager) refreshLogin(ctx context.Context, now time.Time) {
	if m.open() || m.preparing || now.Before(m.retry) {
		return
	}
	if m.login.covers(m.desired.tasks(), now) && !m.login.old(now) {
		return
	}
	m.preparing = true
	w, old := m.desired, m.login
	m.helpers.Go(func() {
		l, err := m.askLogin(ctx, m.slot, w, old)
		m.prepared <- prepared{login: l, err: err}
	})
}

// assign sends the worker its order when it has changed, and again for as long as its heartbeats show an older one. An order
// with other tasks waits for the login that lets them speak.
func (m *workerManager) assign(now time.Time) {
	r := m.run
	if r.assignment == nil || r.assignment.Revision != m.desired.revision {
		if !m.open() && !m.login.covers(m.desired.tasks(), now) {
			return
		}
		jwt := ""
		if m.login != nil && r.loginRevision > r.revision {
			jwt = m.login.JWT
		}
		lost := m.loss
		r.assignment, r.assignedAt = m.desired.assignment(lost, jwt), time.Time{}
	}
	if r.revision >= r.assignment.Revision || now.Sub(r.assignedAt) < cluster.HeartbeatEvery {
		return
	}
	if text, err := json.Marshal(r.assignment); err == nil && m.nc.Publish(m.subjects.Worker(m.slot, cluster.VerbAssign), text) == nil {
		r.assignedAt = now
	}
}

// onHeartbeat records a worker's heartbeat. A heartbeat with another process id is that of a process that is being
// killed.
func (m *workerManager) onHeartbeat(message *nats.Msg) {
	var b cluster.Heartbeat
	if json.Unmarshal(message.Data, &b) != nil || b.Slot != m.slot {
		return
	}
	if r := m.run; r != nil && b.PID == r.pid {
		r.lastHeartbeat, r.revision = time.Now(), b.Revision
	}
}

// fencedText describes that a worker has ended because its tasks run elsewhere.
func fencedText(e *ending) string {
	text := "fenced by a newer incarnation: its tasks run elsewhere"
	if e.report.line != "" {
		text += " (" + e.report.line + ")"
	}
	return text
}

// revisionAtMost is that of the order that the process followed, or was sent at last.
func (r *run) revisionAtMost(w *desired) uint64 {
	switch {
	case w == nil:
		return 0
	case r.assignment != nil:
		return r.assignment.Revision
	case r.revision > 0:
		return r.revision
	}
	return w.revision
}

// lastSign is when the process showed last that it lives.
func (r *run) lastSign() time.Time {
	if r.lastHeartbeat.After(r.since) {
		return r.lastHeartbeat
	}
	return r.since
}
