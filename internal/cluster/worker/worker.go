package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// Run reads a launch and runs the worker until it is ordered to stop, or cannot go on. It returns the exit status of
// the process, and the reason for any but ExitDone. See package cluster for the statuses.
func Run(ctx context.Context, b *topology.Builder, launch io.Reader) (exit int, err error) {
	return run(ctx, b, launch, os.Stderr)
}

func run(ctx context.Context, b *topology.Builder, launch io.Reader, out io.Writer) (exit int, err error) {
	l, err := readLaunch(launch)
	if err != nil {
		return status(err), err
	}
	w, err := newWorker(b, l, out)
	if err != nil {
		return status(err), err
	}
	err = w.run(ctx)
	return status(err), err
}

// tasks is a set of them.
type tasks map[msgid.Alias]bool

// status returns the exit status of an error.
func status(err error) int {
	switch {
	case err == nil:
		return cluster.ExitDone
	case errors.Is(err, ErrRefused):
		return cluster.ExitRefused
	case errors.Is(err, checkpoint.ErrFenced):
		return cluster.ExitFenced
	}
	return cluster.ExitError
}

// A worker is one run of Run. The loop owns every field that is not marked as another goroutine's.
type worker struct {
	launch   *cluster.Launch
	builder  *topology.Builder
	before   *topology.Plan // of launch.From; nil: there is none
	plan     *topology.Plan
	strategy *strategies.Implementation
	user     *natscluster.User
	conn     *natscluster.Connection
	subjects natscluster.Subjects
	log      *logger
	started  time.Time

	nc        *nats.Conn
	events    *natscluster.EventQueue
	transport *natschan.Transport
	tasklog   checkpoint.Log // nil: the strategy has none
	origin    checkpoint.Log // of launch.From

	assignment   cluster.Assignment                 // that is in force
	inbox        atomic.Pointer[cluster.Assignment] // the newest that has come
	wake         chan struct{}                      // there is mail, or a member has ended; one is enough
	opened       chan error                         // the transport and the log are there, or cannot be
	ready        bool                               // they are
	reconnectDue bool                               // the transport may have connected with a JWT that has been replaced

	active       atomic.Bool                   // spouts emit
	quiesce      atomic.Uint64                 // revision of the order by which all is to stand still; 0: it is not
	level        atomic.Pointer[cluster.Level] // of the log
	local        atomic.Pointer[tasks]         // that are to run here
	revision     atomic.Uint64                 // of the last order that has been followed to its end
	heartbeatNow chan struct{}                 // something is worth a heartbeat at once; one is enough
	denials      atomic.Uint64                 // by the server's permissions

	mu      sync.Mutex // the loop changes members, others look
	members map[msgid.Alias]*member
	group   sync.WaitGroup // of all goroutines
}

func newWorker(b *topology.Builder, l *cluster.Launch, out io.Writer) (*worker, error) {
	plan, chosen, err := planOf(b, l)
	if err != nil {
		return nil, err
	}
	w := &worker{
		launch: l, builder: b, plan: plan, strategy: chosen, started: time.Now(), log: newLogger(out),
		conn:         &natscluster.Connection{Servers: l.Servers, Prefix: l.Prefix, CAPEM: l.CA, Login: l.Login},
		wake:         make(chan struct{}, 1),
		heartbeatNow: make(chan struct{}, 1),
		opened:       make(chan error, 1),
		members:      map[msgid.Alias]*member{},
	}
	if l.From != nil {
		if w.before, err = versionOf(b.Override(l.From.Parallel), chosen, l.From.Plan); err != nil {
			return nil, err
		}
	}
	w.subjects = w.conn.Subjects()
	if w.user, err = w.conn.User(); err != nil {
		return nil, err
	}
	for _, o := range plan.Operators {
		if o.Spout != nil {
			o.Spout = spout.Gate(o.Spout, func(spout.Spout, int) bool { return !w.active.Load() })
		}
	}
	return w, w.apply(&l.Assignment)
}

// Bounds of the time that tasks have to end. It is shorter than the supervisor's, so that the worker can report which task
// has not ended before it is killed.
const (
	defaultStopWait = 5 * time.Second
	reportTime      = 500 * time.Millisecond
)

// stopWait is how long tasks have to end.
func (w *worker) stopWait() time.Duration {
	all := cmp.Or(w.launch.StopWait, defaultStopWait)
	return max(all-reportTime, all/2)
}

// run connects, follows orders until there is an end, and lets go of everything.
func (w *worker) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := w.openControl(ctx); err != nil || w.nc == nil {
		return err
	}
	events := w.runEvents()
	w.group.Go(func() { w.opened <- w.open(ctx) })
	w.group.Go(func() { w.sendHeartbeats(ctx) })
	w.group.Go(func() { w.renew(ctx) })
	w.log.Info("worker begins", zap.Stringer("slot", w.launch.Slot), zap.Int("tasks", len(w.assignment.Tasks)), zap.Uint64("revision", w.assignment.Revision))
	err := w.loop(ctx)
	stop()
	err = errors.Join(err, w.wait())
	events()
	w.close()
	w.log.Info("worker ends", zap.Error(err))
	return err
}

// runEvents sends events until it is ordered to end, and then those that are left.
func (w *worker) runEvents() (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { w.events.Run(ctx); close(ended) }()
	return func() { stop(); <-ended }
}

// wait waits until all goroutines of the worker have ended, or returns an error that names the tasks that have not.
func (w *worker) wait() error {
	ended := make(chan struct{})
	go func() { w.group.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-time.After(w.stopWait()):
	}
	var stuck []string
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.plan.Tasks {
		if m := w.members[t.Alias]; m != nil && !m.over() {
			stuck = append(stuck, m.stuckText())
			w.publish(cluster.Event{Kind: cluster.TaskStuck, Task: t.Alias.String(), Text: "ordered to stop, " + m.stuckText()})
		}
	}
	if len(stuck) == 0 {
		return nil
	}
	return fmt.Errorf("worker: ordered to stop, %s: an operator must return when its context ends", strings.Join(stuck, "; "))
}

func (w *worker) close() {
	if w.transport != nil {
		_ = w.transport.Close()
	}
	w.nc.Close()
}

// openControl connects for orders, requests, heartbeats and events. It returns nil without a line if ctx ends first.
func (w *worker) openControl(ctx context.Context) error {
	return w.retry(ctx, "connect", func() (err error) {
		nc, err := w.conn.Connect("askback "+w.launch.Slot.String(), w.user,
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { w.asyncError(err) }),
			nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { w.log.Warn("line broken", zap.Error(err)) }),
			nats.ReconnectHandler(func(*nats.Conn) { w.log.Info("line restored") }),
		)
		if err != nil {
			return err
		}
		w.nc, w.events = nc, natscluster.NewEventQueue(nc, w.subjects)
		if err = w.listen(); err != nil {
			nc.Close()
			w.nc = nil
		}
		return err
	})
}

// open connects for tuples and opens the log.
func (w *worker) open(ctx context.Context) error {
	options, err := w.conn.Options(w.user)
	if err != nil {
		return err
	}
	instance := string(w.launch.Slot.Instance)
	err = w.retry(ctx, "connect for tuples", func() (err error) {
		w.transport, err = natschan.Dial(natschan.Config{
			URL: w.launch.Servers, Prefix: string(w.subjects), Topology: instance,
			Name: "askback " + w.launch.Slot.String(), Options: options, OnEvent: w.onEvent,
		})
		return err
	})
	if err != nil || w.transport == nil || w.strategy.Log == nil {
		return err
	}
	if w.launch.From != nil {
		if w.origin, err = w.openLog(ctx, string(w.launch.From.Instance)); err != nil {
			return err
		}
	}
	w.tasklog, err = w.openLog(ctx, instance)
	return err
}

// openLog opens the log of an instance. It returns nil if ctx ends first.
func (w *worker) openLog(ctx context.Context, instance string) (log checkpoint.Log, err error) {
	err = w.retry(ctx, "open the log", func() error {
		opened, err := natslog.Open(ctx, w.transport.Control(), natslog.Options{
			Prefix: string(w.subjects), Topology: instance, Durability: natslog.Durability(w.launch.Durability), Attach: true,
		})
		if err == nil {
			log = opened
		}
		return err
	})
	return log, err
}

// retry tries until it is done, ctx has ended (it returns nil), or trying again would not help.
func (w *worker) retry(ctx context.Context, what string, do func() error) error {
	permanent := func(err error) bool {
		var config *natslog.ConfigError
		return errors.Is(err, natscluster.ErrInsecure) || errors.Is(err, natscluster.ErrCredentials) || errors.Is(err, channel.ErrAddress) || errors.As(err, &config)
	}
	err := retry.Do(ctx, retry.Policy{
		Min: 50 * time.Millisecond, Max: 2 * time.Second,
		Again:  func(err error) bool { return !permanent(err) },
		Failed: func(err error) { w.log.Warn("cannot "+what+" yet", zap.Error(err)) },
	}, do)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("worker: %s: %w", what, err)
}
