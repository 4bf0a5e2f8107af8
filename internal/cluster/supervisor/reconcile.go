package supervisor

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
)

// housekeeping is how often what nobody needs is removed.
const housekeeping = 10 * time.Minute

// A reconciler compares what the records want with the keepers that there are. One goroutine owns it.
type reconciler struct {
	*Supervisor
	life  context.Context
	wants map[string]map[cluster.Seat]*want // by topology
	known bool                              // all records have been seen
}

// reconcile does so until ctx ends, or the connection has been closed for good.
func (s *Supervisor) reconcile(ctx, life context.Context) error {
	r := &reconciler{Supervisor: s, life: life, wants: map[string]map[cluster.Seat]*want{}}
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
		case k := <-s.gone:
			r.onGone(k)
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
	return cluster.OpenReader(s.nc, s.subjects).Watch(ctx, func(c cluster.Change) {
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
	was, now := r.wants[c.Name], wantsOf(c, r.cfg.Name)
	if r.wants[c.Name] = now; len(now) == 0 {
		delete(r.wants, c.Name)
	}
	for seat := range was {
		if k := r.keeper(seat); now[seat] == nil && k != nil {
			newest(k.wishes, wish{forget: true})
		}
	}
	for seat := range now {
		r.wish(seat)
	}
	if !r.known {
		return
	}
	for _, k := range r.all() { // those of an earlier instance, which an earlier run has left
		if k.seat.Instance.Name() == c.Name && now[k.seat] == nil && was[k.seat] == nil {
			newest(k.wishes, wish{forget: true})
		}
	}
}

// wish tells the keeper of a seat what is wanted of it.
func (r *reconciler) wish(seat cluster.Seat) {
	w := r.wants[seat.Instance.Name()][seat]
	if w == nil {
		return
	}
	k := r.keeper(seat)
	if k == nil {
		k = r.newKeeper(seat)
		newest(k.wishes, wish{want: w})
		r.launch(r.life, k)
		return
	}
	newest(k.wishes, wish{want: w})
}

// onCaughtUp stops what an earlier run has left, and no record wants.
func (r *reconciler) onCaughtUp() {
	r.known = true
	r.cfg.Log.Info("all records are known")
	for _, k := range r.all() {
		if r.wants[k.seat.Instance.Name()][k.seat] == nil {
			newest(k.wishes, wish{forget: true})
		}
	}
	r.tidy()
}

// onGone forgets a keeper that has ended. Its seat may be wanted again meanwhile.
func (r *reconciler) onGone(k *keeper) {
	r.mu.Lock()
	delete(r.keepers, k.seat)
	r.mu.Unlock()
	r.wish(k.seat)
}

// tidy removes programs that no seat needs, and old output.
func (r *reconciler) tidy() {
	if !r.known {
		return
	}
	keep := map[string]bool{}
	for _, seats := range r.wants {
		for _, w := range seats {
			keep[w.record.Artefact.SHA256] = true
		}
	}
	if err := r.cache.Prune(keep); err != nil {
		r.cfg.Log.Warn("old programs cannot be removed", zap.Error(err))
	}
	r.dir.pruneLogs(time.Now().Add(-r.cfg.KeepLogs), func(s cluster.Seat) bool { return r.keeper(s) != nil }, r.cfg.Name)
}

// stopAll stops all workers, and waits for them for a while.
func (r *reconciler) stopAll() {
	for _, k := range r.all() {
		newest(k.wishes, wish{})
	}
	limit := time.NewTimer(r.cfg.StopWait + 5*time.Second)
	defer limit.Stop()
	for len(r.all()) > 0 {
		select {
		case k := <-r.gone:
			r.mu.Lock()
			delete(r.keepers, k.seat)
			r.mu.Unlock()
		case <-limit.C:
			r.cfg.Log.Warn("workers are left that do not end")
			return
		}
	}
}
