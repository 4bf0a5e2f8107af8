package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/cluster"
)

// A kept is what is written down of a process, so that the supervisor's next run finds it.
type kept struct {
	PID      int       `json:"pid"`
	Born     uint64    `json:"born"` // in ticks of the system's clock
	Boot     string    `json:"boot"` // run of the system
	SHA256   string    `json:"sha256"`
	Started  time.Time `json:"started"`
	Restarts int       `json:"restarts"`
	Need     need      `json:"need"`
	Limits   string    `json:"limits"`
}

// start starts a process. Its program has just been checked.
func (k *keeper) start(now time.Time) {
	w, path := k.want, k.path
	k.path = "" // it is checked again for the next
	r := &run{since: now, written: k.out.size(), oomKills: k.limits.groups.oomKills(k.seat)}
	r.state = kept{Boot: k.boot, SHA256: w.record.Artefact.SHA256, Started: now.Round(0), Restarts: k.restarts, Need: w.need()}
	jwt := ""
	if k.login != nil {
		jwt = k.login.JWT
	}
	r.order, r.orderedAt = w.order(k.loss, ""), now
	if err := k.exec(r, path, jwt); err != nil {
		k.fail(err)
		return
	}
	k.run, k.hurdle = r, ""
	k.await(r)
	k.log.Info("started", zap.Int("pid", r.pid), zap.String("limits", r.state.Limits))
	k.tell(cluster.WorkerStarted, "worker %s is process %d, with tasks %s", k.seat, r.pid, w)
}

// await tells when a process has ended.
func (k *keeper) await(r *run) {
	k.help.Go(func() {
		if e, ended := r.wait(); ended {
			r.close()
			k.exits <- e
		}
	})
}

// exec starts the process of a run, writes it down, and limits it.
func (k *keeper) exec(r *run, path, jwt string) error {
	launch, err := k.launch(r.order, jwt)
	if err != nil {
		return err
	}
	work, err := k.rooms()
	if err != nil {
		return fmt.Errorf("make the worker's directory: %w", err)
	}
	out, err := k.out.open()
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	if r.process, err = start(&program{
		path: path, args: k.want.record.Args, env: append(environment(work), k.limits.env(r.state.Need)...),
		dir: work, output: out, launch: launch, owner: k.owner,
	}); err != nil {
		return err
	}
	r.state.PID, r.state.Born = r.pid, r.born
	if err = k.dir.put(k.seat, processFile, &r.state); err == nil { // first, since to limit it may take tens of milliseconds
		r.state.Limits, err = k.limits.apply(k.seat, r.pid, r.state.Need)
	}
	if err == nil {
		err = k.dir.put(k.seat, processFile, &r.state)
	}
	if err != nil { // unlimited, or unknown to the next run of the supervisor: better not
		r.kill()
		r.wait()
		r.close()
	}
	return err
}

// launch is what the process reads first. It is the only place where the login is.
func (k *keeper) launch(o *cluster.Order, jwt string) ([]byte, error) {
	r := k.want.record
	l := &cluster.Launch{
		Seat: k.seat, Prefix: string(k.subjects), Servers: k.servers, CA: k.authority, Spec: r.Spec, Order: *o,
		Parallel: r.Parallel, From: r.From,
		Durability: r.Durability, Runtime: cluster.Runtime, Detection: k.detection(),
	}
	if k.login != nil {
		l.Login = cluster.Login{JWT: jwt, Seed: k.login.Seed}
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("write the launch: %w", err)
	}
	return text, nil
}

// rooms makes the directories that are the worker's own, and returns where it is to work.
func (k *keeper) rooms() (work string, err error) {
	above := k.dir.of("workers", k.seat)
	if err := os.MkdirAll(above, 0o711); err != nil {
		return "", err
	}
	work = filepath.Join(above, "work")
	return work, k.owner.own(work, filepath.Join(above, "tmp"))
}

// environment is all that a worker inherits: nothing of the supervisor's but where programs are, language and time zone.
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

// adopt takes over the process that an earlier run of the supervisor has left in the seat, if it lives.
func (k *keeper) adopt(now time.Time) error {
	var state kept
	if !k.dir.get(k.seat, processFile, &state) || state.Boot != k.boot || state.PID < 2 {
		k.dir.drop(k.seat, processFile)
		return nil
	}
	p, err := find(state.PID, state.Born)
	if err != nil {
		return err
	}
	k.restarts = state.Restarts
	if p == nil {
		k.limits.groups.kill(k.seat)
		k.dir.drop(k.seat, processFile)
		k.trouble = "it ended while the supervisor was away"
		k.loss = &cluster.Loss{Cause: fmt.Sprintf("worker %s: %s", k.seat, k.trouble), Last: k.out.written(state.Started), Noted: now.Round(0)}
		k.tell(cluster.WorkerExited, "worker %s, process %d, ended while its supervisor was away", k.seat, state.PID)
		return nil
	}
	k.run = &run{process: p, state: state, adopted: true, since: now, written: k.out.size(), oomKills: k.limits.groups.oomKills(k.seat)}
	k.await(k.run)
	k.log.Info("adopted", zap.Int("pid", p.pid))
	k.tell(cluster.WorkerAdopted, "worker %s, process %d, lives on under the supervisor's new run", k.seat, p.pid)
	return nil
}

// limit changes the limits of a process when its tasks have changed. Its Go runtime keeps the one that it began with.
func (k *keeper) limit() {
	r, n := k.run, k.want.need()
	if n == r.state.Need {
		return
	}
	words, err := k.limits.apply(k.seat, r.pid, n)
	if err != nil {
		k.log.Warn("the limits cannot be changed", zap.Error(err))
		return
	}
	r.state.Need, r.state.Limits = n, words
	if err := k.dir.put(k.seat, processFile, &r.state); err != nil {
		k.log.Warn("the process cannot be written down", zap.Error(err))
	}
}

// refresh has the login replaced when the tasks have changed, or half its time is over.
func (k *keeper) refresh(ctx context.Context, now time.Time) {
	if k.open() || k.asking || now.Before(k.retry) {
		return
	}
	if k.login.covers(k.want.tasks(), now) && !k.login.old(now) {
		return
	}
	k.asking = true
	w, old := k.want, k.login
	k.help.Go(func() {
		l, err := k.askLogin(ctx, k.seat, w, old)
		k.ready <- prepared{login: l, err: err}
	})
}

// instruct sends the worker its order when it has changed, and again for as long as its beats show an older one. An order
// with other tasks waits for the login that lets them speak.
func (k *keeper) instruct(now time.Time) {
	r := k.run
	if r.order == nil || r.order.Revision != k.want.revision {
		if !k.open() && !k.login.covers(k.want.tasks(), now) {
			return
		}
		jwt := ""
		if k.login != nil && r.loginFrom > r.revision {
			jwt = k.login.JWT
		}
		lost := k.loss
		r.order, r.orderedAt = k.want.order(lost, jwt), time.Time{}
	}
	if r.revision >= r.order.Revision || now.Sub(r.orderedAt) < cluster.BeatEvery {
		return
	}
	if text, err := json.Marshal(r.order); err == nil && k.nc.Publish(k.subjects.Worker(k.seat, cluster.VerbOrder), text) == nil {
		r.orderedAt = now
	}
}

// onBeat notes what a worker says of itself. A beat of another process is that of one that is being killed.
func (k *keeper) onBeat(m *nats.Msg) {
	var b cluster.Beat
	if json.Unmarshal(m.Data, &b) != nil || b.Seat != k.seat {
		return
	}
	if r := k.run; r != nil && b.PID == r.pid {
		r.heard, r.revision = time.Now(), b.Revision
	}
}

// fencedText says that a worker has ended because its tasks run elsewhere.
func fencedText(e *ending) string {
	text := checkpoint.ErrFenced.Error() + ": its tasks run elsewhere"
	if e.report.line != "" {
		text += " (" + e.report.line + ")"
	}
	return text
}

// revisionAtMost is that of the order that the process followed, or was sent at last.
func (r *run) revisionAtMost(w *want) uint64 {
	switch {
	case w == nil:
		return 0
	case r.order != nil:
		return r.order.Revision
	case r.revision > 0:
		return r.revision
	}
	return w.revision
}

// lastSign is when the process showed last that it lives.
func (r *run) lastSign() time.Time {
	if r.heard.After(r.since) {
		return r.heard
	}
	return r.since
}
