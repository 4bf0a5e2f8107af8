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

// States of a keeper, as they are told.
const (
	fetching = "fetching" // the program, and the login
	starting = "starting" // no beat yet
	running  = "running"
	waiting  = "waiting" // before it is started again
	failed   = "failed"  // not to be started again before its order changes
)

// A keeper looks after one seat. One goroutine owns all but what is said to be shared; others send to its inbox.
type keeper struct {
	*Supervisor
	seat cluster.Seat
	log  *zap.Logger
	out  *output
	help sync.WaitGroup // the goroutines that wait for something on its behalf

	// The inbox. Of wishes and beats the newest counts; of the others at most one is under way.
	wishes chan wish
	beats  chan *nats.Msg
	ready  chan prepared
	exits  chan exit

	told bool // something was wished: an adopted worker lives on until then
	want *want
	last wish

	asking bool   // prepare is under way
	login  *login // nil: none yet, or an open cluster
	path   string // of the program, checked for the next start; "" not yet

	run      *run // nil: no process
	delay    time.Duration
	retry    time.Time // not before then
	held     uint64    // revision that must be passed before the next start; 0 none
	restarts int
	trouble  string // how the last process ended
	hurdle   string // why none can be started
	loss     *cluster.Loss

	shown atomic.Pointer[cluster.Process] // shared: how it stands
}

// A wish is what is to become of a seat. Without a want its process is stopped, and if it is to be forgotten all its
// files but the output are removed.
type wish struct {
	want   *want
	forget bool
}

// A run is one process of a seat.
type run struct {
	*process
	state     kept
	adopted   bool
	since     time.Time // by this supervisor's clock
	heard     time.Time // the last beat; zero none
	revision  uint64    // of the order that the last beat shows
	order     *cluster.Order
	orderedAt time.Time
	loginFrom uint64 // revision of the order that brings the present login; 0: it was started with it
	stopping  bool
	killAt    time.Time // when stopping
	left      strays    // what it had forked elsewhere when it was told to stop
	hung      string    // why it was killed
	oomKills  uint64    // of its cgroup before
	written   int64     // length of the output before
}

func (s *Supervisor) newKeeper(seat cluster.Seat) *keeper {
	k := &keeper{
		Supervisor: s, seat: seat,
		log:    s.cfg.Log.With(zap.String("worker", seat.String())),
		out:    &output{s.dir.output(seat), s.cfg.MaxLog, s.cfg.LogFiles},
		wishes: make(chan wish, 1), beats: make(chan *nats.Msg, 1), ready: make(chan prepared, 1), exits: make(chan exit, 1),
	}
	if l := (&login{}); s.dir.get(seat, loginFile, l) {
		k.login = l
	}
	return k
}

// newest puts a value into a channel of one, in place of what waits there. Only one goroutine may put.
func newest[T any](c chan T, v T) {
	select {
	case <-c:
	default:
	}
	c <- v
}

// keep looks after the seat until it is not wanted and has no process, or until ctx ends: then the process lives on.
func (k *keeper) keep(ctx context.Context) {
	defer k.help.Wait()
	work, stop := context.WithCancel(ctx)
	defer stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		k.advance(work, time.Now())
		k.show()
		if k.told && k.want == nil && k.run == nil {
			k.end()
			return
		}
		timer.Reset(k.pause(time.Now()))
		select {
		case w := <-k.wishes:
			k.onWish(w)
		case b := <-k.beats:
			k.onBeat(b)
		case p := <-k.ready:
			k.onReady(p)
		case e := <-k.exits:
			k.onExit(e, time.Now())
		case <-timer.C:
		case <-ctx.Done():
			if k.run != nil {
				k.run.close()
			}
			return
		}
	}
}

// pause is how long there is nothing to do unless something arrives.
func (k *keeper) pause(now time.Time) time.Duration {
	pause := cluster.BeatEvery
	if k.run == nil && k.retry.After(now) {
		pause = min(pause, k.retry.Sub(now))
	}
	if k.run != nil && k.run.stopping && k.run.killAt.After(now) {
		pause = min(pause, k.run.killAt.Sub(now))
	}
	return max(pause, time.Millisecond)
}

// advance does what is to be done next.
func (k *keeper) advance(ctx context.Context, now time.Time) {
	switch {
	case k.run != nil && k.told && k.want == nil:
		k.stop(now)
	case k.run != nil:
		k.watch(now)
		if k.want != nil {
			k.limit()
			k.refresh(ctx, now)
			k.instruct(now)
		}
	case k.want == nil || k.asking || k.held >= k.want.revision || now.Before(k.retry):
	case k.path == "" || !k.open() && !k.login.covers(k.want.tasks(), now):
		k.ask(ctx)
	default:
		k.start(now)
	}
}

func (k *keeper) onWish(w wish) {
	if k.want != nil && w.want != nil && w.want.revision > k.want.revision && k.held > 0 {
		k.delay, k.retry = 0, time.Time{}
	}
	k.told, k.last, k.want = true, w, w.want
}

// ask has what a worker needs fetched.
func (k *keeper) ask(ctx context.Context) {
	k.asking = true
	w, old := k.want, k.login
	k.help.Go(func() { k.ready <- k.prepare(ctx, k, w, old) })
}

func (k *keeper) onReady(p prepared) {
	k.asking = false
	if p.login != nil && p.err == nil {
		k.login = p.login
		if k.run != nil && k.want != nil {
			k.run.loginFrom, k.run.order = k.want.revision, nil
		}
	}
	switch {
	case k.run != nil:
		if p.err != nil {
			k.log.Warn("the login cannot be renewed yet", zap.Error(p.err))
			k.retry = time.Now().Add(time.Second)
		}
	case p.err == nil:
		k.path = p.path
	default:
		k.fail(p.err)
	}
}

// fail notes why the worker cannot be started.
func (k *keeper) fail(err error) {
	if k.hurdle != oneLine(err) {
		k.log.Warn("cannot start yet", zap.Error(err))
	}
	k.hurdle, k.path = oneLine(err), ""
	k.backOff(time.Now())
	if hopeless(err) && k.want != nil {
		k.held = k.want.revision
		k.tell(cluster.Refused, "worker %s is not started: %v", k.seat, err)
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
func (k *keeper) backOff(now time.Time) {
	k.retry = now.Add(k.delay)
	k.delay = min(max(2*k.delay, leastDelay), mostDelay)
}

// stop asks a process to end, and kills it when its time is over.
func (k *keeper) stop(now time.Time) {
	r := k.run
	switch {
	case !r.stopping:
		k.log.Info("stopping", zap.Int("pid", r.pid))
		r.stopping, r.killAt, r.left = true, now.Add(k.cfg.StopWait), r.strays()
		r.signal(syscall.SIGTERM)
	case !now.Before(r.killAt):
		k.kill()
		r.killAt = now.Add(time.Second)
	}
}

// kill kills a process, and all that it has forked.
func (k *keeper) kill() {
	k.run.kill()
	k.limits.groups.kill(k.seat)
}

// onExit notes how a process ended.
func (k *keeper) onExit(e exit, now time.Time) {
	r := k.run
	k.limits.groups.kill(k.seat)
	r.left.kill()
	k.dir.drop(k.seat, processFile)
	end := &ending{exit: e, hung: r.hung, limit: size(r.state.Need.Memory), report: k.out.report(r.written)}
	end.oom = r.state.Need.Memory > 0 && (end.report.oom || k.limits.groups.oomKills(k.seat) > r.oomKills)
	k.run, k.path = nil, ""
	if r.stopping && k.want == nil {
		k.log.Info("stopped", zap.Stringer("exit", e))
		k.tell(cluster.WorkerExited, "worker %s was stopped", k.seat)
		return
	}
	if now.Sub(r.since) >= longRun {
		k.delay = 0
	}
	k.restarts++
	k.trouble = end.cause()
	if k.retry = now; !end.blameless() || now.Sub(r.since) < shortRun {
		k.backOff(now)
	}
	last := now // it lived until it died
	if r.hung != "" {
		last = r.lastSign()
	}
	k.loss = &cluster.Loss{Cause: fmt.Sprintf("worker %s: %s", k.seat, k.trouble), Last: last.Round(0), Noted: now.Round(0)}
	k.log.Warn("ended", zap.Int("pid", r.pid), zap.String("cause", k.trouble))
	if e.is(cluster.ExitFenced) {
		k.trouble = fencedText(end)
		k.tell(cluster.WorkerFenced, "worker %s has ended: %s", k.seat, k.trouble)
	} else {
		k.tell(cluster.WorkerExited, "worker %s, process %d: %s", k.seat, r.pid, k.trouble)
	}
	if end.final() {
		k.held = r.revisionAtMost(k.want)
	}
}

// show says how the seat stands.
func (k *keeper) show() {
	p := &cluster.Process{Seat: k.seat, Restarts: k.restarts, Error: cmp.Or(k.hurdle, k.trouble)}
	switch r := k.run; {
	case r != nil:
		p.PID, p.Started, p.Limits, p.Adopted = r.pid, r.state.Started, r.state.Limits, r.adopted
		if p.State = running; r.heard.IsZero() {
			p.State = starting
		}
	case k.want != nil && k.held >= k.want.revision:
		p.State = failed
	case k.asking:
		p.State = fetching
	default:
		p.State = waiting
	}
	k.shown.Store(p)
}

// end removes what is left of a seat that is not wanted.
func (k *keeper) end() {
	k.limits.groups.remove(k.seat)
	if !k.last.forget {
		return
	}
	if err := k.dir.forget(k.seat); err != nil {
		k.log.Warn("what the worker has left cannot be removed", zap.Error(err))
	}
}

func (k *keeper) tell(kind cluster.EventKind, format string, args ...any) {
	k.events.Tell(cluster.Event{Kind: kind, Instance: k.seat.Instance, Seat: &k.seat, Text: fmt.Sprintf(format, args...)})
}
