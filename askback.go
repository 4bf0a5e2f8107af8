package askback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/inject"
	"github.com/askback/askback/internal/slogzap"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/topology"
)

// Run runs a topology in this process, on an embedded NATS server or on a given one, until it ends by itself (all its
// spouts are finite), ctx ends, or a task has FAILED. The report is not nil once the topology has started, even if an
// error is returned with it; a run ended by ctx returns ctx's error. See the errors of this package for others.
func Run(ctx context.Context, t topology.Topology, options ...Option) (*Report, error) {
	r := &run{opt: configured(options)}
	err := r.opt.check()
	if err != nil {
		return nil, err
	}
	r.zap = slogzap.New(r.opt.log.Handler())
	if r.strategy, err = strategies.Of(r.opt.strategy); err != nil {
		return nil, fmt.Errorf("askback: %w", err)
	}
	b, err := builderOf(t)
	if err != nil {
		return nil, err
	}
	if r.plan, err = b.BuildWith(r.strategy.Extension, r.strategy.Described()); err != nil {
		return nil, err
	}
	if err := r.open(ctx); err != nil {
		return nil, classify(errors.Join(err, r.close()))
	}
	err = r.run(ctx)
	report := r.report()
	return report, classify(errors.Join(err, r.close()))
}

// builderOf returns the operators of a topology.
func builderOf(t topology.Topology) (*topology.Builder, error) {
	if t == nil {
		return nil, errors.New("askback: the topology is nil: make one with stream.New or topology.New")
	}
	b := t.Builder()
	if b == nil {
		return nil, fmt.Errorf("askback: %T has no operators: its method Builder returned nil", t)
	}
	return b, nil
}

// run is one call of Run.
type run struct {
	plan     *topology.Plan
	strategy *strategies.Implementation
	opt      *config
	zap      *zap.Logger // for the runtime, onto opt.log

	server    *embed.Server
	transport *natschan.Transport
	claim     *natschan.Claim // of the topology's name, on a server that others use
	log       checkpoint.Log

	began   time.Time
	tasks   []*executor.Executor
	chaos   *inject.Chaos
	closing atomic.Bool

	mu         sync.Mutex
	recoveries []Recovery
}

// open connects to a server, or starts one, and opens the topology's log.
func (r *run) open(ctx context.Context) (err error) {
	dial := natschan.Config{URL: r.opt.server, Prefix: r.opt.prefix, Topology: r.plan.Name, OnEvent: r.onEvent}
	if r.opt.server == "" {
		r.server, err = embed.Start(embed.Options{
			Dir: r.opt.dir, SyncAlways: r.opt.durability == Power, SyncInterval: syncInterval, MaxPayload: r.opt.maxPayload,
		})
		if err != nil {
			return err
		}
		dial.InProcess = r.server.InProcess()
	}
	if r.transport, err = natschan.Dial(dial); err != nil {
		return err
	}
	if r.server == nil {
		if r.claim, err = natschan.NewClaim(dial); err != nil {
			return err
		}
	}
	if r.strategy.Log == nil {
		return nil
	}
	opt := natslog.Options{Prefix: r.opt.prefix, Topology: r.plan.Name, Plan: r.plan.Version, Durability: natslog.Durability(r.opt.durability)}
	if r.server != nil {
		opt.SyncInterval = syncInterval
	}
	if r.shared() {
		if err := natslog.Delete(ctx, r.transport.Control(), r.opt.prefix, r.plan.Name); err != nil {
			return err
		}
	}
	r.log, err = natslog.Open(ctx, r.transport.Control(), opt)
	return err
}

// shared reports whether the run must leave nothing behind, and must not find anything left, on a server that
// others use.
func (r *run) shared() bool { return r.server == nil && !r.opt.keep && r.strategy.Log != nil }

// syncInterval is how often the embedded server syncs its store under process durability. It bounds what the log
// keeps for the case of a power cut.
const syncInterval = 5 * time.Second

func (r *run) close() error {
	var errs []error
	r.closing.Store(true)
	if r.transport != nil {
		if r.shared() && r.log != nil {
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			errs = append(errs, natslog.Delete(ctx, r.transport.Control(), r.opt.prefix, r.plan.Name))
			cancel()
		}
		errs = append(errs, r.transport.Close())
	}
	if r.claim != nil {
		r.claim.Close()
	}
	if r.server != nil {
		errs = append(errs, r.server.Stop())
	}
	return errors.Join(errs...)
}

// run runs every task until all are complete, one has failed, or ctx ends.
func (r *run) run(ctx context.Context) error {
	r.began = time.Now()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	if r.opt.faults.Kills > 0 {
		r.chaos = inject.NewChaos(r.opt.faults)
		r.chaos.Gate(r.plan)
	}
	var tasks crew
	var group sync.WaitGroup
	for _, t := range r.plan.Tasks {
		r.tasks = append(r.tasks, executor.New(r.options(t)))
	}
	for _, started := range r.opt.faults.Started {
		started(control{r})
	}
	for _, s := range r.tasks {
		tasks.begin(s, func() {
			if err := s.Run(ctx); err != nil {
				stop(err)
			}
		})
	}
	group.Go(func() { r.watch(ctx) })
	if r.chaos != nil {
		group.Go(func() { r.chaos.Loop(ctx, control{r}) })
	}
	err := r.wait(ctx)
	stop(errComplete)
	group.Wait()
	return errors.Join(err, tasks.wait(r.opt.stopTimeout))
}

var errComplete = errors.New("askback: complete")

// wait returns when every task is complete, or why that will not be.
func (r *run) wait(ctx context.Context) error {
	for n := 0; n < len(r.tasks); {
		changed := r.tasks[n].Changed()
		if r.tasks[n].Info().State != executor.Complete {
			select {
			case <-changed:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			n = 0 // one that was complete may have been killed meanwhile
			continue
		}
		n++
	}
	return nil
}

// options describes one task to its supervisor.
func (r *run) options(t *topology.Task) executor.Options {
	o := executor.Options{
		Config: task.Config{
			Plan: r.plan, Task: t, Settings: r.opt.settings(),
			FrameSize: r.opt.frameSize, MaxPayload: r.transport.MaxPayload(), Log: r.zap,
			OnLatency: r.opt.onLatency,
			Strategy:  r.strategy.New,
		},
		Transport:  r.transport,
		Base:       r.strategy.Base,
		OnRecovery: r.onRecovery,
	}
	if r.opt.onLost != nil {
		o.Config.OnLost = func(g task.GivenUp) { r.opt.onLost(givenUp(r.plan, t, g)) }
	}
	if r.strategy.Keeps(t.Operator) {
		o.Log = r.log
	}
	return o
}

// watch reports progress, ten times a second.
func (r *run) watch(ctx context.Context) {
	if r.opt.onProgress == nil {
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.opt.onProgress(r.progress())
			return
		case <-tick.C:
			r.opt.onProgress(r.progress())
		}
	}
}

func (r *run) progress() Progress {
	p := Progress{Elapsed: time.Since(r.began)}
	for _, s := range r.tasks {
		i := s.Info()
		p.Done += i.Done
		p.Resumed += i.ResumedAt
		p.Total += i.Total
		p.Tasks = append(p.Tasks, taskInfo(&i))
	}
	return p
}

func (r *run) onRecovery(t executor.Recovery) {
	rec := recoveryOf(&t)
	r.mu.Lock()
	r.recoveries = append(r.recoveries, rec)
	r.mu.Unlock()
	if r.opt.onRecovery != nil {
		r.opt.onRecovery(rec)
	}
}

func (r *run) onEvent(e natschan.Event) {
	if r.closing.Load() {
		return // the run itself ends the connections
	}
	level, attrs := slog.LevelWarn, []any{"connection", e.Conn}
	if e.Err != nil {
		attrs = append(attrs, "error", e.Err)
	}
	if e.Kind == natschan.Reconnected {
		level = slog.LevelInfo
	}
	r.opt.log.Log(context.Background(), level, "connection "+e.Kind.String(), attrs...)
	if r.opt.onEvent != nil {
		r.opt.onEvent(event(e))
	}
}

func (r *run) report() *Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	traffic := r.transport.Stats()
	rep := &Report{
		Plan: r.plan, Strategy: r.strategy.Strategy, Elapsed: time.Since(r.began), Recoveries: r.recoveries,
		LostMessages: traffic.Lost + traffic.Dropped, Reconnects: traffic.Reconnects,
	}
	for _, s := range r.tasks {
		i := s.Info()
		rep.Resumed = rep.Resumed || i.Resumed
		rep.Tasks = append(rep.Tasks, taskInfo(&i))
		rep.LostMessages += i.Overflowed
	}
	if r.chaos != nil {
		rep.Kills = r.chaos.Done()
	}
	return rep
}
