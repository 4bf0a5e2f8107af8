package supervisor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// housekeeping is how often unused files are removed.
const housekeeping = 10 * time.Minute

// A reconciler compares the records with the worker managers that there are. One goroutine owns it.
type reconciler struct {
	*Supervisor
	life    context.Context
	desired map[string]map[cluster.WorkerSlot]*desired // by topology
	known   bool                                       // all records have been seen
}

// reconcile does so until ctx ends, or the connection has been closed for good.
func (s *Supervisor) reconcile(ctx, life context.Context) error {
	r := &reconciler{Supervisor: s, life: life, desired: map[string]map[cluster.WorkerSlot]*desired{}}
	changes, caughtUp := make(chan cluster.Change), make(chan struct{}, 1)
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- s.watchRecords(watching, changes, caughtUp) }()
	tidy := time.NewTicker(housekeeping)
	defer tidy.Stop()
	var err error
	for running := true; running; {
		select {
		case c := <-changes:
			r.onChange(&c)
		case <-caughtUp:
			r.onCaughtUp()
		case m := <-s.done:
			r.onManagerDone(m)
		case <-tidy.C:
			r.tidy()
		case err = <-watched:
			watched <- nil
			running = false
		case <-ctx.Done():
			running = false
		}
	}
	stop()
	<-watched
	if s.cfg.StopWorkers {
		r.stopAll()
	}
	return err
}

// watchRecords watches the records once the supervisor has joined: until then it might not be the one of its name.
func (s *Supervisor) watchRecords(ctx context.Context, changes chan<- cluster.Change, caughtUp chan<- struct{}) error {
	select {
	case <-s.joined:
	case <-ctx.Done():
		return nil
	}
	return natscluster.OpenReader(s.nc, s.subjects).Watch(ctx, func(c cluster.Change) {
		select {
		case changes <- c:
		case <-ctx.Done():
		}
	}, func() {
		select {
		case caughtUp <- struct{}{}:
		default:
		}
	})
}

func (r *reconciler) onChange(c *cluster.Change) {
	was, now := r.desired[c.Name], desiredBy(c, r.cfg.Name)
	if r.desired[c.Name] = now; len(now) == 0 {
		delete(r.desired, c.Name)
	}
	for slot := range was {
		if m := r.manager(slot); now[slot] == nil && m != nil {
			sendLatest(m.updates, update{forget: true})
		}
	}
	for slot := range now {
		r.update(slot)
	}
	if !r.known {
		return
	}
	for _, m := range r.all() { // those of an earlier instance, which an earlier run has left
		if m.slot.Instance.Name() == c.Name && now[m.slot] == nil && was[m.slot] == nil {
			sendLatest(m.updates, update{forget: true})
		}
	}
}

// update sends the worker manager of a slot its desired state.
func (r *reconciler) update(slot cluster.WorkerSlot) {
	w := r.desired[slot.Instance.Name()][slot]
	if w == nil {
		return
	}
	m := r.manager(slot)
	if m == nil {
		m = r.newManager(slot)
		sendLatest(m.updates, update{desired: w})
		r.launch(r.life, m)
		return
	}
	sendLatest(m.updates, update{desired: w})
}

// onCaughtUp stops workers that an earlier run has left, and that are in no record.
func (r *reconciler) onCaughtUp() {
	r.known = true
	r.cfg.Log.Info("all records are known")
	for _, m := range r.all() {
		if r.desired[m.slot.Instance.Name()][m.slot] == nil {
			sendLatest(m.updates, update{forget: true})
		}
	}
	r.tidy()
}

// onManagerDone forgets a worker manager that has ended. Its slot may be wanted again meanwhile.
func (r *reconciler) onManagerDone(m *workerManager) {
	r.mu.Lock()
	delete(r.managers, m.slot)
	r.mu.Unlock()
	r.update(m.slot)
}

// tidy removes programs that no slot needs, and old output.
func (r *reconciler) tidy() {
	if !r.known {
		return
	}
	keep := map[string]bool{}
	for _, slots := range r.desired {
		for _, w := range slots {
			keep[w.record.Artefact.SHA256] = true
		}
	}
	if err := r.cache.Prune(keep); err != nil {
		r.cfg.Log.Warn("old programs cannot be removed", zap.Error(err))
	}
	r.dir.pruneLogs(time.Now().Add(-r.cfg.KeepLogs), func(s cluster.WorkerSlot) bool { return r.manager(s) != nil }, r.cfg.Name)
}

// stopAll stops all workers, and waits for them for a while.
func (r *reconciler) stopAll() {
	for _, m := range r.all() {
		sendLatest(m.updates, update{})
	}
	limit := time.NewTimer(r.cfg.StopWait + 5*time.Second)
	defer limit.Stop()
	for len(r.all()) > 0 {
		select {
		case m := <-r.done:
			r.mu.Lock()
			delete(r.managers, m.slot)
			r.mu.Unlock()
		case <-limit.C:
			r.cfg.Log.Warn("workers are left that do not end")
			return
		}
	}
}
