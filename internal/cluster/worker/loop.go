package worker

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
)

// fencedTimeout is how long a fenced task may wait for the assignment that takes it away. Tasks move in normal
// operation, and the assignment may be slower than the task's next incarnation.
const fencedTimeout = 2 * time.Second

// loop follows assignments until the worker is to end. It returns nil if it was ordered to.
func (w *worker) loop(ctx context.Context) error {
	fencedTimer := time.NewTimer(fencedTimeout)
	fencedTimer.Stop()
	defer fencedTimer.Stop()
	for {
		w.refresh()
		fenced := w.reconcile(ctx)
		if w.assignment.Stop && len(w.members) == 0 {
			return nil
		}
		if fenced != nil {
			left := fencedTimeout - time.Since(fenced.overAt)
			if left <= 0 {
				err := fmt.Errorf("worker: %w", fenced.err)
				w.publish(cluster.Event{Kind: cluster.WorkerFenced, Task: fenced.alias.String(), Text: oneLine(fenced.err)})
				return err
			}
			fencedTimer.Reset(left)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-w.opened:
			if err != nil {
				return err
			}
			w.ready = ctx.Err() == nil
		case <-w.wake:
		case <-fencedTimer.C:
		}
		if o := w.inbox.Swap(nil); o != nil {
			w.accept(o)
		}
	}
}

// wakeUp has the loop look at its mail and at its members.
func (w *worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// accept takes an order that has come.
func (w *worker) accept(o *cluster.Assignment) {
	if o.Revision < w.assignment.Revision {
		return // it was overtaken
	}
	if err := w.apply(o); err != nil {
		w.log.Error("order refused", zap.Uint64("revision", o.Revision), zap.Error(err))
		w.publish(cluster.Event{Kind: cluster.Refused, Text: oneLine(err)})
		return
	}
	if o.JWT != "" && o.JWT != w.user.JWT() {
		w.user.SetJWT(o.JWT)
		w.reconnectDue = true
	}
}

// refresh connects anew for the permissions of a new JWT.
func (w *worker) refresh() {
	if !w.ready || !w.reconnectDue {
		return
	}
	w.reconnectDue = false
	if err := w.transport.Reconnect(); err != nil {
		w.log.Warn("reconnect for new permissions", zap.Error(err))
	}
}

// apply puts an order in force, but for its tasks. One that names tasks that are not there is refused whole.
func (w *worker) apply(o *cluster.Assignment) error {
	for _, alias := range o.Tasks {
		if w.plan.Task(alias) == nil {
			return fmt.Errorf("%w: order %d is to run %.80q, which the plan does not have", ErrRefused, o.Revision, alias.String())
		}
	}
	w.assignment = *o
	local := tasks{}
	if !o.Stop {
		for _, alias := range o.Tasks {
			local[alias] = true
		}
	}
	w.local.Store(&local)
	w.active.Store(o.Active && !o.Quiesce)
	if o.Quiesce {
		w.quiesce.Store(o.Revision)
	} else {
		w.quiesce.Store(0)
	}
	level := o.Level
	w.level.Store(&level)
	w.log.set(level)
	return nil
}

// reconcile starts the members that are wanted and ends those that are not. It returns one that is wanted and fenced, if
// there is one.
func (w *worker) reconcile(ctx context.Context) (fenced *member) {
	if !w.ready && !w.assignment.Stop {
		return nil
	}
	wanted := *w.local.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	settled := true
	for alias, m := range w.members {
		switch {
		case m.over() && (m.leaving || !wanted[alias]):
			delete(w.members, alias)
			w.log.Info("task has left", zap.Stringer("task", alias))
		case !wanted[alias]:
			m.leave(w.stopWait(), w.wakeUp)
			settled = false
			w.reportStuck(m)
		case m.leaving: // it is wanted again, and starts anew when it has left
			settled = false
		case m.fenced():
			fenced = m
		case m.over() && !m.reported && ctx.Err() == nil:
			m.reported = true
			w.publish(cluster.Event{Kind: cluster.TaskFailed, Task: alias.String(), Text: "FAILED: " + oneLine(m.err), Failure: failure(alias, m.err)})
			w.heartbeatSoon()
		}
	}
	for alias := range wanted {
		if w.members[alias] == nil {
			w.members[alias] = w.start(ctx, alias)
			w.log.Info("task begins", zap.Stringer("task", alias))
		}
	}
	if settled && w.revision.Swap(w.assignment.Revision) != w.assignment.Revision {
		w.heartbeatSoon()
	}
	return fenced
}

// heartbeatSoon has a heartbeat sent at once.
func (w *worker) heartbeatSoon() {
	select {
	case w.heartbeatNow <- struct{}{}:
	default:
	}
}

// reportStuck publishes, once, that a member which was ordered to end has not returned from its operator in time.
func (w *worker) reportStuck(m *member) {
	if m.reported || m.over() || time.Since(m.leftAt) < w.stopWait() {
		return
	}
	m.reported = true
	text := m.stuckText()
	w.log.Warn("stuck", zap.Stringer("task", m.alias), zap.String("call", text))
	w.publish(cluster.Event{Kind: cluster.TaskStuck, Task: m.alias.String(), Text: "ordered to stop, " + text})
}
