package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/internal/task/migrate"
	"github.com/askback/askback/msgid"
)

// A member is one task that the worker runs.
type member struct {
	*executor.Executor
	alias    msgid.Alias
	cancel   context.CancelFunc
	leaving  bool      // it has been ordered to end
	leftAt   time.Time // when it was
	reported bool      // that it has FAILED, or that it is stuck

	done   chan struct{} // closed when it has ended; the fields below are set then
	overAt time.Time
	err    error
}

// over reports whether the member has ended.
func (m *member) over() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// fenced reports whether the member has ended since its next incarnation runs elsewhere.
func (m *member) fenced() bool { return m.over() && errors.Is(m.err, checkpoint.ErrFenced) }

// leave orders the member to end, and calls late when it has not after a time. Only the first call counts.
func (m *member) leave(wait time.Duration, late func()) {
	if !m.leaving {
		m.leaving, m.leftAt, m.reported = true, time.Now(), false
		m.cancel()
		time.AfterFunc(wait, late)
	}
}

// stuckText names the call of the operator from which the member has not returned.
func (m *member) stuckText() string {
	c := m.Calling()
	text := fmt.Sprintf("operator %q, task %v ", m.alias.Operator, m.alias)
	switch {
	case c.Method == "":
		return text + "has not ended"
	case c.First == (msgid.ID{}):
		return text + fmt.Sprintf("has not returned from %s for %d s", c.Method, int(c.For.Seconds()))
	}
	return text + fmt.Sprintf("has not returned from %s for %d s (it works on tuples %v to #%d)", c.Method, int(c.For.Seconds()), c.First, c.Last.Seq)
}

// start starts a member. The assignment says how its last incarnation was lost.
func (w *worker) start(ctx context.Context, alias msgid.Alias) *member {
	m := &member{alias: alias, done: make(chan struct{})}
	ctx, m.cancel = context.WithCancel(ctx)
	m.Executor = executor.New(w.options(alias))
	w.group.Go(func() {
		m.err = m.Run(ctx)
		m.overAt = time.Now()
		m.cancel()
		close(m.done)
		w.wakeUp()
	})
	return m
}

func (w *worker) options(alias msgid.Alias) executor.Options {
	t := w.plan.Task(alias)
	o := executor.Options{
		Config: task.Config{
			Plan: w.plan, Task: t, Settings: configOf(&w.launch.Spec.Settings), FrameSize: w.launch.Spec.FrameSize,
			MaxPayload: w.transport.MaxPayload(), Log: w.log.Logger, Strategy: w.strategy.New,
			Local:   func(other msgid.Alias) bool { return (*w.local.Load())[other] },
			Quiesce: w.quiesce.Load,
		},
		Transport:  w.transport,
		Base:       w.strategy.Base,
		Lost:       w.loss(),
		OnRecovery: w.onRecovery,
		OnFailure: func(err error) {
			w.publish(cluster.Event{Kind: cluster.TaskFailed, Task: alias.String(), Text: "failed, and is restarted: " + oneLine(err)})
		},
	}
	if w.strategy.Keeps(t.Operator) {
		o.Log = w.tasklog
		if w.before != nil {
			o.From = &migrate.Origin{Log: w.origin, Plan: w.before, QuiescePositions: w.launch.From.QuiescePositions[alias.String()]}
		}
	}
	return o
}

// loss returns how the last incarnation of a task that is started now was lost, as far as the assignment has it. A loss
// from before this process began is not of a task that a later assignment brings.
func (w *worker) loss() *executor.Loss {
	l := w.assignment.Lost
	switch {
	case w.revision.Load() == 0 && l == nil: // such as after everything was stopped
		return &executor.Loss{Cause: errors.New("started again")}
	case l == nil || w.revision.Load() > 0 && l.DetectedAt.Before(w.started):
		return &executor.Loss{Cause: errors.New("moved here")}
	}
	return &executor.Loss{Cause: errors.New(l.Cause), Last: l.LastSeen, Noted: l.DetectedAt}
}

func (w *worker) onRecovery(r executor.Recovery) {
	e := recovered(r)
	w.log.Info("task recovered", zap.Stringer("task", r.Alias), zap.Any("recovery", e.Recovery))
	w.publish(e)
}
