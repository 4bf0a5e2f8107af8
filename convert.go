package askback

import (
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// The public types are copies of what the runtime counts, so that the runtime may change without them.

var states = [...]TaskState{
	executor.Starting: Starting, executor.Running: Running, executor.Restoring: Restoring, executor.Finishing: Finishing,
	executor.Complete: Complete, executor.Restarting: Restarting, executor.Failed: Failed,
}

func taskInfo(i *executor.Info) TaskInfo {
	return TaskInfo{
		Alias: i.Alias, State: states[i.State], Since: i.Since, Incarnation: i.Incarnation, Restarts: i.Restarts,
		Done: i.Done, Total: i.Total, Resumed: i.Resumed, ResumedAt: i.ResumedAt, Counts: counts(i),
		Retained: i.Retained, Blocked: i.Blocked, Starved: i.Starved, LogError: i.LogError, Err: i.Err,
	}
}

func counts(i *executor.Info) Counts {
	return Counts{
		Consumed: i.Counters.Consumed, Emitted: i.Counters.Emitted,
		Missed: i.Counters.Missed, Replayed: i.Counters.Replayed, Resent: i.Counters.Resent,
		Duplicates: i.Counters.Duplicates, Lost: i.Counters.Lost, Snapshots: i.Counters.Snapshots,
		Reemitted: i.Core.Replayed, Retries: i.Core.Retries, Dead: i.Lost.Dead, Dropped: i.Lost.Dropped,
	}
}

func recoveryOf(r *executor.Recovery) Recovery {
	return Recovery{
		Alias: r.Alias, Cause: r.Cause, RolledBack: r.RolledBack(), Incarnation: r.Incarnation, Asked: r.Asked,
		Missed: r.Missed, Replayed: r.Replayed, Reprocessed: r.Reprocessed, Duplicates: r.Duplicates,
		Start: r.Detect + r.Start, Load: r.Load, Replay: r.Replay, Took: r.Took,
	}
}

func givenUp(p *topology.Plan, t *topology.Task, g task.GivenUp) GivenUp {
	lost := GivenUp{Task: t.Alias, Policy: t.Operator.OnError, ID: g.ID, Err: g.Err}
	var fields *tuple.Fields
	if from := p.Operator(g.ID.Channel.Source.Operator); from != nil {
		if s := from.Stream(g.ID.Channel.Stream); s != nil {
			fields = s.Fields
		}
	}
	lost.Tuple, _ = tuple.Parse(fields, g.Tuple) // the task has parsed it before
	return lost
}

var eventKinds = [...]EventKind{
	natschan.Disconnected: Disconnected, natschan.Reconnected: Reconnected, natschan.SlowConsumer: SlowConsumer,
	natschan.Denied: Denied, natschan.Foreign: Foreign, natschan.Failed: ConnectionError, natschan.Closed: Closed,
}

func event(e natschan.Event) Event {
	return Event{Kind: eventKinds[e.Kind], Connection: e.Conn, Err: e.Err}
}
