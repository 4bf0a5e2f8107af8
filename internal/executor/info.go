package executor

import (
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/internal/task/migrate"
	"github.com/askback/askback/msgid"
)

// A State is a phase in the life of a task.
type State uint8

// The states of a task.
const (
	Starting   State = iota
	Running          // it consumes and emits
	Restoring        // it repeats the work of its predecessor
	Finishing        // its operator has finished; its end is not safe with its targets yet
	Complete         // it only answers peers
	Restarting       // it failed, and waits for its next start
	Failed           // it failed too often, or for a reason that a restart cannot cure
)

var stateNames = [...]string{"starting", "running", "restoring", "finishing", "complete", "restarting", "FAILED"}

func (s State) String() string { return stateNames[s] }

// Info is the state of a task. It is a copy, safe to keep.
type Info struct {
	Alias            msgid.Alias
	State            State
	Incarnation      msgid.Incarnation
	Restarts         int
	Done, Total      int64             // a spout's progress, in its own unit
	Resumed          bool              // the first incarnation here was restored from an earlier process's log
	ResumedAt        int64             // Done at that moment
	Counters         recovery.Counters // of all incarnations here
	Core             task.Counters
	Lost             task.Lost      // tuples given up by the operator's policy, by all incarnations, each once
	Overflowed       uint64         // messages dropped by a full inbox; they are asked for again
	Retained         int            // bytes kept for resending
	HasSnapshot      bool           // its own log has a snapshot, so that Options.From is not needed any more
	KeepsState       task.StateKind // the kind of its operator's state
	Quiesced         uint64         // the number of Config.Quiesce when the task was found quiescent; 0: it is not
	QuiescePositions uint64         // hash of its channel positions at that moment; see migrate.Positions
	Blocked          string         // the channel without credit, if there is one
	Starved          string         // the channel that recorded order waits for, if there is one
	Recovering       bool           // the present incarnation was restored and has not caught up, even if it has finished again
	Since            time.Time
	LogError         error // why the log rejects appends just now
	Err              error // its last failure
}

// Info returns the state of the task.
func (e *Executor) Info() Info {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.info
	i.LogError = e.logError()
	return i
}

// Changed returns a channel that is closed when the task's state changes next.
func (e *Executor) Changed() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// publish copies the state, on the task's goroutine.
func (e *Executor) publish(in *incarnation) {
	in.published = time.Now()
	st := in.core.Status()
	e.mu.Lock()
	defer e.mu.Unlock()
	i := &e.info
	i.Counters = e.gone
	i.Counters.Add(st.Counters)
	i.Core = e.goneCore
	i.Core.Add(in.core.Counters())
	i.Lost = in.core.Lost()
	i.HasSnapshot = i.HasSnapshot || st.Counters.Snapshots > 0
	i.KeepsState, i.Quiesced = in.core.KeepsState(), 0
	if number, is := in.core.Quiesced(); is {
		i.Quiesced, i.QuiescePositions = number, migrate.Positions(st)
	}
	i.Overflowed, i.Retained = in.inbox.lost(), st.Retained
	i.Done, i.Total = in.progress()
	i.Blocked, i.Starved, i.LogError = "", "", e.logError()
	if st.Blocked != recovery.NoOutput {
		i.Blocked = in.task.Out[st.Blocked].ID.String()
	}
	if st.Starved != recovery.NoInput {
		i.Starved = in.task.In[st.Starved].ID.String()
	}
	i.Recovering = st.Recovery.Open() && !in.core.Done()
	switch {
	case in.killed.Load(): // it is Restarting already
	case in.core.Done():
		e.setState(Complete)
	case st.Finished:
		e.setState(Finishing)
	case i.Recovering:
		e.setState(Restoring)
	default:
		e.setState(Running)
	}
	e.report(in, &st.Recovery)
	if e.watchdog.look(i, in.published, e.opt.StuckAfter) {
		bark(e.opt.Config.Log, i, e.opt.Config.Settings.Defaulted().HardBound, in.published.Sub(e.watchdog.since))
	}
}

func (e *Executor) logError() error {
	if err := e.failing.Load(); err != nil {
		return *err
	}
	return nil
}

func (e *Executor) setState(to State) {
	if e.info.State == to {
		return
	}
	e.info.State, e.info.Since = to, time.Now()
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *Executor) set(f func(*Info)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.info.State
	f(&e.info)
	to := e.info.State
	e.info.State = was
	e.setState(to)
}
