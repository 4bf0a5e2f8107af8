package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/msgid"
)

// sendHeartbeats publishes the worker's state, every cluster.HeartbeatEvery and whenever it has followed an assignment,
// until ctx ends.
func (w *worker) sendHeartbeats(ctx context.Context) {
	tick := time.NewTicker(cluster.HeartbeatEvery)
	defer tick.Stop()
	full := map[msgid.Alias]bool{} // those whose log accepted nothing at the last heartbeat
	for {
		w.log.set(*w.level.Load())
		b := w.heartbeat()
		w.reportLogErrors(b, full)
		if text, err := json.Marshal(b); err != nil {
			w.log.Error("heartbeat", zap.Error(err))
		} else {
			_ = w.nc.Publish(w.subjects.WorkerHeartbeat(w.launch.Slot), text) // the next one repeats it
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-w.heartbeatNow:
		}
	}
}

// heartbeat is how the worker stands.
func (w *worker) heartbeat() *cluster.Heartbeat {
	b := &cluster.Heartbeat{
		Slot: w.launch.Slot, PID: os.Getpid(), Started: w.started, Runtime: cluster.Runtime,
		JWT: w.user.Expires(), Memory: resident(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	b.Revision = w.revision.Load()
	for _, t := range w.plan.Tasks {
		if m := w.members[t.Alias]; m != nil && !m.fenced() { // a fenced one has not FAILED, but runs elsewhere
			b.Tasks = append(b.Tasks, m.status(w.quiesce.Load()))
		}
	}
	if len(b.Tasks) > 0 { // so the transport is there
		for _, k := range w.transport.Stats().Kinds {
			b.Sent += k.Sent
		}
	}
	return b
}

// status is how the task stands, and whether it stands still as the order of a revision wants.
func (m *member) status(still uint64) cluster.Task {
	i := m.Info()
	t := cluster.Task{
		Alias: i.Alias, State: cluster.TaskState(i.State.String()), Incarnation: i.Incarnation, Restarts: i.Restarts, Done: i.Done, Total: i.Total,
		Retained: i.Retained, Blocked: i.Blocked, Counters: i.Counters, KeepsState: cluster.StateKind(i.KeepsState), HasSnapshot: i.HasSnapshot,
	}
	if still != 0 && i.Quiesced == still {
		t.QuiescePositions = i.QuiescePositions
	}
	t.Dead, t.Dropped = i.Lost.Dead, i.Lost.Dropped
	if i.State == executor.Failed {
		t.Failure = failure(i.Alias, i.Err)
	}
	if i.Err != nil {
		t.Error, t.Fenced = oneLine(i.Err), errors.Is(i.Err, checkpoint.ErrFenced)
	}
	if i.LogError != nil {
		t.LogError = oneLine(i.LogError)
	}
	return t
}

// reportLogErrors publishes an event for each task whose log has begun to accept nothing.
func (w *worker) reportLogErrors(b *cluster.Heartbeat, full map[msgid.Alias]bool) {
	for _, t := range b.Tasks {
		if t.LogError != "" && !full[t.Alias] {
			w.publish(cluster.Event{Kind: cluster.CheckpointError, Task: t.Alias.String(), Text: t.LogError})
		}
		full[t.Alias] = t.LogError != ""
	}
}

// Bounds of a failure, in bytes.
const (
	maxTuple = 1000
	maxCause = 2000
)

// failure returns the error of a task that has FAILED in the form of heartbeats.
func failure(alias msgid.Alias, err error) *cluster.Failure {
	f := &cluster.Failure{Task: alias}
	if e := (*bolt.TupleError)(nil); errors.As(err, &e) {
		f.Step, f.Tuple, err = e.Step, shorten(e.Tuple, maxTuple), e.Err
		if e.ID != (msgid.ID{}) {
			f.MessageID = e.ID.String()
		}
	}
	f.Cause = oneLine(err)
	if p := (*bolt.PanicError)(nil); errors.As(err, &p) {
		f.Cause = shorten(fmt.Sprintf("panic: %v\n%s", p.Value, p.Stack), maxCause)
	}
	return f
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}
