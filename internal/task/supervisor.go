package task

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
	"github.com/askback/askback/msgid"
)

// Options tell a Supervisor how to run a task. NewSupervisor applies the defaults.
type Options struct {
	Config    Config
	Transport channel.Transport
	Log       checkpoint.Log     // nil: the strategy keeps no log, and a restarted task begins empty
	LogOption checkpoint.Options // how the log is written
	Base      *recovery.Base     // from which snapshot the task is restored; nil: the newest
	From      *Origin            // what the task begins with; nil: with nothing

	// Failures is how many times in a row a task may fail, without having got further in between, before it is
	// FAILED for good. Default 5.
	Failures int
	// Backoff is the pause before the first restart after a failure; it doubles up to MaxBackoff. A killed task
	// is restarted at once. Defaults 10 ms and 5 s.
	Backoff, MaxBackoff time.Duration
	// Patience is how long a task may wait for one channel without any progress before a warning is logged that
	// names the channel. Default 10 s.
	Patience time.Duration

	// Lost says what became of the task's last incarnation if it was in another process. The first incarnation here
	// is then a recovery like any other, if it finds an earlier one in the log. Default: it is the run that resumes.
	Lost *Loss

	OnRecovery func(Recovery)  // told of each recovery when the task has caught up
	OnFailure  func(err error) // told of each failure that leads to a restart
}

// A State is what a task is doing.
type State uint8

// The states of a task.
const (
	Starting   State = iota
	Running          // it consumes and emits
	Restoring        // it repeats what it had done
	Finishing        // its operator has finished; its end is not safe with its targets yet
	Complete         // nothing is left to do but to answer peers
	Restarting       // it failed, and waits for its next start
	Failed           // it failed too often, or for a reason that a restart cannot cure
)

var stateNames = [...]string{"starting", "running", "restoring", "finishing", "complete", "restarting", "FAILED"}

func (s State) String() string { return stateNames[s] }

// Info is how a task stands. It is a copy, safe to keep.
type Info struct {
	Alias            msgid.Alias
	State            State
	Incarnation      msgid.Incarnation
	Restarts         int
	Done, Total      int64             // a spout's progress, in its own unit
	Resumed          bool              // the first incarnation here went on from an earlier process's log
	ResumedAt        int64             // Done at that moment
	Counters         recovery.Counters // of all incarnations here
	Core             Counters
	Lost             Lost      // tuples given up by the operator's policy, by all incarnations, each once
	Overflowed       uint64    // messages dropped by a full inbox; they are asked for again
	Retained         int       // bytes kept for resending
	HasSnapshot      bool      // its own log has a snapshot, so that Options.From is not needed any more
	KeepsState       StateKind // what its operator keeps
	Quiesced         uint64    // the number of Config.Quiesce when the task was found quiescent; 0: it is not
	QuiescePositions uint64    // hash of its channel positions at that moment
	Blocked          string    // the channel without credit, if there is one
	Starved          string    // the channel that recorded order waits for, if there is one
	Recovering       bool      // the present incarnation was restored and has not caught up, even if it has finished again
	Since            time.Time
	LogError         error // why the log takes nothing just now
	Err              error // why it failed last
}

// A Supervisor keeps one task running: it starts the next incarnation when one ends. Its methods may be called
// from any goroutine.
type Supervisor struct {
	opt Options

	mu       sync.Mutex
	current  *runner
	info     Info
	gone     recovery.Counters // of incarnations that have ended
	goneCore Counters
	at       []recovery.Position // where the last incarnation stood
	position []byte              // of a spout without a log
	changed  chan struct{}       // closed and made anew when info.State changes
	lost     lost                // the last incarnation
	first    bool                // the present incarnation is the first here
	begunAt  time.Time
	loaded   time.Time
	reported bool
	watchdog watchdog

	panickedAt msgid.ID // the tuple at which the last incarnation that panicked did so

	failing atomic.Pointer[error] // why the log takes nothing just now
}

// NewSupervisor returns the supervisor of a task. Run starts it.
func NewSupervisor(opt Options) *Supervisor {
	if opt.Failures == 0 {
		opt.Failures = 5
	}
	if opt.Backoff == 0 {
		opt.Backoff = 10 * time.Millisecond
	}
	if opt.MaxBackoff == 0 {
		opt.MaxBackoff = 5 * time.Second
	}
	if opt.Patience == 0 {
		opt.Patience = 10 * time.Second
	}
	if opt.Config.Log == nil {
		opt.Config.Log = zap.NewNop()
	}
	opt.Config.Log = opt.Config.Log.With(zap.Stringer("task", opt.Config.Task.Alias))
	s := &Supervisor{opt: opt, changed: make(chan struct{}), first: true}
	if s.opt.LogOption.Pause == nil {
		s.opt.LogOption.Pause = s.pause
	}
	s.info = Info{Alias: opt.Config.Task.Alias, Since: time.Now()}
	if opt.Lost != nil {
		s.lost = opt.Lost.here()
	}
	return s
}

// pause waits between tries of what the log does not answer, and says so when it takes long.
func (s *Supervisor) pause(ctx context.Context, attempt int) error {
	if attempt > silentTries {
		s.failing.CompareAndSwap(nil, &errSilent)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(time.Second, 10*time.Millisecond<<min(attempt, 10))):
		return nil
	}
}

// silentTries is about two seconds.
const silentTries = 7

var errSilent = errors.New("the log does not answer, or is yet to be made")

// Run runs the task, incarnation after incarnation, until ctx ends (it returns nil) or the task has FAILED (it
// returns why). Everything that it started has ended when it returns.
func (s *Supervisor) Run(ctx context.Context) error {
	failures, pause := 0, s.opt.Backoff
	for {
		caughtUp, err := s.incarnate(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrKilled) || rolledBack(err) {
			s.set(func(i *Info) { i.State = Restarting; i.Restarts++ })
			continue
		}
		if caughtUp {
			failures, pause = 0, s.opt.Backoff
		}
		outage := isOutage(err)
		if !outage {
			failures++
		}
		final := permanent(err) || s.panickedAgain(err)
		if failures >= s.opt.Failures || final {
			if failures > 1 && !final {
				err = fmt.Errorf("failed %d times in a row, last: %w", failures, err)
			}
			var named *bolt.TupleError
			if !errors.As(err, &named) { // that has the task's name already
				err = fmt.Errorf("task %v: %w", s.opt.Config.Task.Alias, err)
			}
			s.set(func(i *Info) { i.State, i.Err = Failed, err })
			return err
		}
		s.opt.Config.Log.Warn("task failed, will restart", zap.Duration("in", pause), zap.Error(err))
		if s.opt.OnFailure != nil && !outage {
			s.opt.OnFailure(err)
		}
		s.set(func(i *Info) { i.State, i.Err = Restarting, err; i.Restarts++ })
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, s.opt.MaxBackoff)
	}
}

// lostWithoutLog returns the counts that a task without a log hands on to its next incarnation.
func (s *Supervisor) lostWithoutLog() Lost {
	if s.opt.Log != nil {
		return Lost{} // its snapshots have them
	}
	return s.Info().Lost
}

// panickedAgain reports whether the operator has panicked at the same tuple as the last time: it is deterministic.
func (s *Supervisor) panickedAgain(err error) bool {
	var at *bolt.TupleError
	if !errors.As(err, &at) || at.ID == (msgid.ID{}) {
		return false
	}
	again := at.ID == s.panickedAt
	s.panickedAt = at.ID
	return again
}

// permanent reports whether a restart cannot cure an error.
func permanent(err error) bool {
	var tuple *bolt.TupleError
	var panicked *bolt.PanicError
	if bolt.IsPermanent(err) || errors.As(err, &tuple) && !errors.As(err, &panicked) {
		return true
	}
	var diverged *recovery.DivergedError
	var replay *recovery.ReplayError
	var back *recovery.WentBackError
	return errors.As(err, &diverged) || errors.As(err, &replay) || errors.As(err, &back) ||
		errors.Is(err, checkpoint.ErrFenced) || errors.Is(err, checkpoint.ErrDamaged) || errors.Is(err, ErrSnapshot)
}

// errJoin is why an incarnation ended that could not join the transport.
var errJoin = errors.New("join the transport")

// isOutage reports whether an error is no failure of the task: what it needs is not there just now. That may last, and
// must not make it FAILED.
func isOutage(err error) bool {
	return bolt.IsOutage(err) || errors.Is(err, errJoin) && !errors.Is(err, channel.ErrClosed) && !errors.Is(err, channel.ErrAddress) ||
		errors.Is(err, checkpoint.ErrUnknown) || errors.Is(err, checkpoint.ErrFull) || errors.Is(err, checkpoint.ErrGone)
}

// incarnate runs one incarnation and returns how it ended, and whether it had caught up and gone on by then.
func (s *Supervisor) incarnate(ctx context.Context) (caughtUp bool, err error) {
	alias := s.opt.Config.Task.Alias
	history := &checkpoint.History{}
	s.begunAt = time.Now()
	var writer *checkpoint.Writer
	cfg := s.opt.Config
	cfg.lost = s.lostWithoutLog()
	if s.opt.Log != nil {
		if writer, history, cfg.seed, err = s.open(ctx); err != nil {
			return false, s.ended(nil, err)
		}
		s.failing.Store(nil)
	} else {
		history.Incarnation = msgid.Incarnation(s.Info().Restarts + 1)
	}
	calls, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &runner{box: newInbox(), publish: s.publish, failing: &s.failing, end: end}
	err = guard(alias, func() (err error) {
		r.core, err = NewCore(calls, cfg, history, r)
		if err == nil && s.opt.Log == nil && s.position != nil && r.core.spout != nil {
			err = r.core.spout.Seek(s.position)
		}
		return err
	})
	if err != nil {
		if r.core != nil {
			_ = guard(alias, r.core.Close)
		}
		return false, s.ended(nil, err)
	}
	s.begun(r, history)
	if err = r.start(ctx, s.opt.Transport, writer); err == nil {
		err = guard(alias, func() error { return r.run(calls) })
		if panicked, ok := err.(*bolt.PanicError); ok {
			err = r.core.panicked(panicked)
		}
	}
	r.stop()
	_ = guard(alias, r.core.Close)
	caughtUp = s.caughtUp(r)
	return caughtUp, s.ended(r, err)
}

// begun notes a new incarnation, and how much of the last one's work it will do again.
func (s *Supervisor) begun(r *runner, h *checkpoint.History) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current, s.loaded, s.reported = r, time.Now(), false
	s.info.Incarnation = h.Incarnation
	s.info.HasSnapshot = s.info.HasSnapshot || len(h.Chain) > 0
	s.info.KeepsState, s.info.Quiesced = r.core.keepsState(), 0
	s.info.Done, s.info.Total = r.progress()
	if s.first {
		s.info.Resumed, s.info.ResumedAt = h.Restarted, 0
		if h.Restarted {
			s.info.ResumedAt = s.info.Done
		} else {
			s.lost = lost{} // there was none
		}
	}
	s.setState(Running)
	if s.info.Recovering = h.Incarnation > 1; s.info.Recovering {
		s.setState(Restoring)
	}
}

// ended takes the account of an incarnation that is over.
func (s *Supervisor) ended(r *runner, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
	if r != nil {
		s.lost, s.first = lost{cause: err, at: time.Now()}, false
		st := r.core.Status()
		counted := st.Counters
		counted.Missed -= min(counted.Missed, st.Waiting) // its successor asks for that again
		s.gone.Add(counted)
		s.goneCore.add(r.core.Counters())
		s.info.Counters, s.info.Core, s.info.Lost = s.gone, s.goneCore, r.core.Lost()
		s.at = positions(r.core)
		if r.core.spout != nil && s.opt.Log == nil {
			s.position = r.core.spout.Position(nil)
		}
	}
	return err
}

// caughtUp reports whether an incarnation got further than the last one. One that only repeats what was done and
// then fails as before, such as in Finish, has not.
func (s *Supervisor) caughtUp(r *runner) bool {
	rec := r.core.Status().Recovery
	if !rec.Restored {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range positions(r.core) {
		if i >= len(s.at) || p.Seq > s.at[i].Seq {
			return rec.CaughtUp
		}
	}
	return false
}

// publish copies how things stand from the task's goroutine.
func (s *Supervisor) publish(r *runner) {
	r.told = time.Now()
	st := r.core.Status()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := &s.info
	i.Counters = s.gone
	i.Counters.Add(st.Counters)
	i.Core = s.goneCore
	i.Core.add(r.core.Counters())
	i.Lost = r.core.Lost()
	i.HasSnapshot = i.HasSnapshot || st.Counters.Snapshots > 0
	i.KeepsState, i.Quiesced = r.core.keepsState(), 0
	if number, still := r.core.quiesced(); still {
		i.Quiesced, i.QuiescePositions = number, quiescePositions(st)
	}
	i.Overflowed, i.Retained = r.box.lost(), st.Retained
	i.Done, i.Total = r.progress()
	i.Blocked, i.Starved, i.LogError = "", "", s.logError()
	if st.Blocked != recovery.NoOutput {
		i.Blocked = r.core.cfg.Task.Out[st.Blocked].ID.String()
	}
	if st.Starved != recovery.NoInput {
		i.Starved = r.core.cfg.Task.In[st.Starved].ID.String()
	}
	i.Recovering = st.Recovery.Open() && !r.core.Done()
	switch {
	case r.killed.Load(): // it is Restarting already
	case r.core.Done():
		s.setState(Complete)
	case st.Finished:
		s.setState(Finishing)
	case i.Recovering:
		s.setState(Restoring)
	default:
		s.setState(Running)
	}
	s.report(r, &st.Recovery)
	if s.watchdog.look(i, r.told, s.opt.Patience) {
		bark(s.opt.Config.Log, i, s.opt.Config.Settings.Defaulted().HardBound, r.told.Sub(s.watchdog.since))
	}
}

func (s *Supervisor) logError() error {
	if err := s.failing.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Supervisor) setState(to State) {
	if s.info.State == to {
		return
	}
	s.info.State, s.info.Since = to, time.Now()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Supervisor) set(f func(*Info)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.info.State
	f(&s.info)
	to := s.info.State
	s.info.State = was
	s.setState(to)
}

// Info returns how the task stands.
func (s *Supervisor) Info() Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.info
	i.LogError = s.logError()
	return i
}

// Changed returns a channel that is closed when the task's state changes next.
func (s *Supervisor) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Kill ends the running incarnation as a crash would: its state, its buffers and its inbox are dropped. The next
// one starts at once. It reports whether there was one to kill.
func (s *Supervisor) Kill() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.current
	if r == nil || r.killed.Load() {
		return false
	}
	r.kill()
	s.setState(Restarting)
	return true
}

func (c *Counters) add(d Counters) {
	c.Damaged += d.Damaged
	c.Foreign += d.Foreign
	c.Retries += d.Retries
	c.Replayed += d.Replayed
}
