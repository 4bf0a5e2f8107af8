package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/internal/task/migrate"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
)

// Options describe a task and how to run it. New applies the defaults.
type Options struct {
	Config    task.Config
	Transport channel.Transport
	Log       checkpoint.Log     // nil: the strategy keeps no log, and a restarted task begins empty
	LogOption checkpoint.Options // how the log is written
	Base      *recovery.Base     // chooses the snapshot to restore; nil: the newest
	From      *migrate.Origin    // the log of another plan that the task continues from; nil: none

	// Failures is how many times in a row a task may fail, without having got further in between, before it is
	// FAILED for good. Default 5.
	Failures int
	// Backoff is the pause before the first restart after a failure; it doubles up to MaxBackoff. A killed task
	// is restarted at once. Defaults 10 ms and 5 s.
	Backoff, MaxBackoff time.Duration
	// StuckAfter is how long a task may wait for one channel without any progress before a warning is logged that
	// names the channel. Default 10 s.
	StuckAfter time.Duration

	// Lost is the end of the task's last incarnation, if it was in another process. The first incarnation here is then a
	// recovery like any other, if it finds an earlier one in the log. Default: it is the run that resumes.
	Lost *Loss

	OnRecovery func(Recovery)  // called for each recovery when the task has caught up
	OnFailure  func(err error) // called for each failure that leads to a restart
}

func (opt *Options) applyDefaults() {
	if opt.Failures == 0 {
		opt.Failures = 5
	}
	if opt.Backoff == 0 {
		opt.Backoff = 10 * time.Millisecond
	}
	if opt.MaxBackoff == 0 {
		opt.MaxBackoff = 5 * time.Second
	}
	if opt.StuckAfter == 0 {
		opt.StuckAfter = 10 * time.Second
	}
	if opt.Config.Log == nil {
		opt.Config.Log = zap.NewNop()
	}
	opt.Config.Log = opt.Config.Log.With(zap.Stringer("task", opt.Config.Task.Alias))
}

// An Executor keeps one task running: it starts the next incarnation when one ends. Its methods may be called from any
// goroutine. Make it with New.
type Executor struct {
	opt Options

	mu       sync.Mutex
	current  *incarnation
	info     Info
	gone     recovery.Counters // of incarnations that have ended
	goneCore task.Counters
	at       []recovery.Position // positions of the last incarnation
	position []byte              // of a spout without a log
	changed  chan struct{}       // closed and made anew when info.State changes
	lost     lost                // the last incarnation
	first    bool                // the present incarnation is the first here
	begunAt  time.Time
	loaded   time.Time
	reported bool
	watchdog watchdog

	panickedAt msgid.ID // the tuple at which the last incarnation that panicked did so

	failing atomic.Pointer[error] // why the log rejects appends just now
}

// New returns the executor of a task. Run starts it.
func New(opt Options) *Executor {
	opt.applyDefaults()
	e := &Executor{opt: opt, changed: make(chan struct{}), first: true}
	if e.opt.LogOption.Pause == nil {
		e.opt.LogOption.Pause = e.pause
	}
	e.info = Info{Alias: opt.Config.Task.Alias, Since: time.Now()}
	if opt.Lost != nil {
		e.lost = opt.Lost.here()
	}
	return e
}

// pause waits between tries of a call that the log does not answer. From the silentTries-th on, Info has the reason.
func (e *Executor) pause(ctx context.Context, attempt int) error {
	if attempt > silentTries {
		e.failing.CompareAndSwap(nil, &errSilent)
	}
	return retry.Sleep(ctx, min(time.Second, 10*time.Millisecond<<min(attempt, 10)))
}

// silentTries is about two seconds.
const silentTries = 7

var errSilent = errors.New("the log does not answer, or was not made yet")

// Run runs the task, incarnation after incarnation, until ctx ends (it returns nil) or the task has FAILED (it returns the
// error). All goroutines that it started have ended when it returns.
func (e *Executor) Run(ctx context.Context) error {
	failures, pauses := 0, retry.Backoff{Min: e.opt.Backoff, Max: e.opt.MaxBackoff}
	for {
		caughtUp, err := e.incarnate(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrKilled) || rolledBack(err) {
			e.set(func(i *Info) { i.State = Restarting; i.Restarts++ })
			continue
		}
		if caughtUp {
			failures = 0
			pauses.Reset()
		}
		outage := isOutage(err)
		if !outage {
			failures++
		}
		final := permanent(err) || e.panickedAgain(err)
		if failures >= e.opt.Failures || final {
			if failures > 1 && !final {
				err = fmt.Errorf("failed %d times in a row, last: %w", failures, err)
			}
			var named *bolt.TupleError
			if !errors.As(err, &named) { // that has the task's name already
				err = fmt.Errorf("task %v: %w", e.opt.Config.Task.Alias, err)
			}
			e.set(func(i *Info) { i.State, i.Err = Failed, err })
			return err
		}
		e.opt.Config.Log.Warn("task failed, will restart", zap.Duration("in", pauses.Next()), zap.Error(err))
		if e.opt.OnFailure != nil && !outage {
			e.opt.OnFailure(err)
		}
		e.set(func(i *Info) { i.State, i.Err = Restarting, err; i.Restarts++ })
		if pauses.Wait(ctx) != nil {
			return nil
		}
	}
}

// incarnate runs one incarnation. It returns the error that ended it, and whether it had made progress beyond the last one.
func (e *Executor) incarnate(ctx context.Context) (caughtUp bool, err error) {
	e.begunAt = time.Now()
	cfg, writer, history, err := e.open(ctx)
	if err != nil {
		return false, e.ended(nil, err)
	}
	calls, end := context.WithCancelCause(ctx)
	defer end(nil)
	in := &incarnation{task: cfg.Task, inbox: newInbox(), publish: e.publish, failing: &e.failing, end: end}
	err = task.Guard(cfg.Task.Alias, func() (err error) {
		in.core, err = task.NewCore(calls, cfg, history, in)
		if err == nil && e.position != nil {
			err = in.core.Operator().(spout.Spout).Seek(e.position)
		}
		return err
	})
	if err != nil {
		in.closeOperator()
		return false, e.ended(nil, err)
	}
	e.begun(in, history)
	if err = in.start(ctx, e.opt.Transport, writer); err == nil {
		err = task.Guard(cfg.Task.Alias, func() error { return in.run(calls) })
		if panicked, ok := err.(*bolt.PanicError); ok {
			err = in.core.Panicked(panicked)
		}
	}
	in.stop()
	in.closeOperator()
	caughtUp = e.caughtUp(in)
	return caughtUp, e.ended(in, err)
}

// open begins an incarnation in the log, and returns the history of its core: without a log, the one that the last
// incarnation here has left.
func (e *Executor) open(ctx context.Context) (cfg task.Config, w *checkpoint.Writer, h *checkpoint.History, err error) {
	cfg = e.opt.Config
	info := e.Info()
	if e.opt.Log == nil {
		cfg.Lost = info.Lost
		return cfg, nil, &checkpoint.History{Incarnation: msgid.Incarnation(info.Restarts + 1)}, nil
	}
	opt := e.opt.LogOption
	opt.AtLeast = max(opt.AtLeast, info.Incarnation+1) // a log that went back has lost some
	w, h, cfg.Seed, err = migrate.Open(ctx, e.opt.Log, cfg, e.opt.Base, e.opt.From, opt)
	if err == nil {
		e.failing.Store(nil)
	}
	return cfg, w, h, err
}

// begun notes a new incarnation, and how much of the last one's work it will do again.
func (e *Executor) begun(in *incarnation, h *checkpoint.History) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current, e.loaded, e.reported = in, time.Now(), false
	e.info.Incarnation = h.Incarnation
	e.info.HasSnapshot = e.info.HasSnapshot || len(h.Chain) > 0
	e.info.KeepsState, e.info.Quiesced = in.core.KeepsState(), 0
	e.info.Done, e.info.Total = in.progress()
	if e.first {
		e.info.Resumed, e.info.ResumedAt = h.Restarted, 0
		if h.Restarted {
			e.info.ResumedAt = e.info.Done
		} else {
			e.lost = lost{} // there was none
		}
	}
	e.setState(Running)
	if e.info.Recovering = h.Incarnation > 1; e.info.Recovering {
		e.setState(Restoring)
	}
}

// ended records the end of an incarnation; in is nil if it has never run.
func (e *Executor) ended(in *incarnation, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.current = nil
	if in == nil {
		return err
	}
	e.lost, e.first = lost{cause: err, at: time.Now()}, false
	st := in.core.Status()
	counted := st.Counters
	counted.Missed -= min(counted.Missed, st.Waiting) // its successor asks for that again
	e.gone.Add(counted)
	e.goneCore.Add(in.core.Counters())
	e.info.Counters, e.info.Core, e.info.Lost = e.gone, e.goneCore, in.core.Lost()
	e.at = in.positions()
	if s, ok := in.core.Operator().(spout.Spout); ok && e.opt.Log == nil {
		e.position = s.Position(nil)
	}
	return err
}

// caughtUp reports whether an incarnation got further than the last one. One that only repeats earlier work and then fails
// as before, such as in Finish, has not.
func (e *Executor) caughtUp(in *incarnation) bool {
	rec := in.core.Status().Recovery
	if !rec.Restored {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, p := range in.positions() {
		if i >= len(e.at) || p.Seq > e.at[i].Seq {
			return rec.CaughtUp
		}
	}
	return false
}

// Kill ends the running incarnation as a crash would: its state, its buffers and its inbox are dropped. The next
// one starts at once. It reports whether there was one to kill.
func (e *Executor) Kill() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	in := e.current
	if in == nil || in.killed.Load() {
		return false
	}
	in.kill()
	e.setState(Restarting)
	return true
}
