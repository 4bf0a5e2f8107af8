package askback

import (
	"fmt"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A Report is the account of a run. It is a copy, safe to keep.
type Report struct {
	Plan       *topology.Plan
	Strategy   strategy.Strategy
	Elapsed    time.Duration
	Resumed    bool       // the log of an earlier run was there, and this run went on from it
	Kills      int        // tasks killed by package faults
	Recoveries []Recovery // in the order in which they ended
	Tasks      []TaskInfo // in the order of the plan

	// LostMessages counts messages that were lost on the way: there was no connection, writing to it failed, or a task
	// did not take them. Their tuples were asked for and sent again, unless the strategy promises less.
	LostMessages uint64
	Reconnects   uint64 // connections to the server that broke and were replaced
}

// Totals adds up what all tasks counted.
func (r *Report) Totals() (c Counts) {
	for i := range r.Tasks {
		c.Add(r.Tasks[i].Counts)
	}
	return c
}

// OperatorCounts is what the tasks of one operator counted together.
type OperatorCounts struct {
	Operator string
	Counts
}

// Operators adds up what the tasks of each operator counted, in the order of the plan.
func (r *Report) Operators() []OperatorCounts {
	var all []OperatorCounts
	for i := range r.Tasks {
		t := &r.Tasks[i]
		if n := len(all); n == 0 || all[n-1].Operator != t.Alias.Operator {
			all = append(all, OperatorCounts{Operator: t.Alias.Operator})
		}
		all[len(all)-1].Add(t.Counts)
	}
	return all
}

// Counts count events in a task, or in several, in all their incarnations of this process. All count tuples unless
// noted otherwise.
type Counts struct {
	Consumed   uint64
	Emitted    uint64
	Missed     uint64 // asked for by restored tasks
	Replayed   uint64 // resent to restored tasks, and received
	Resent     uint64 // sent again, for any reason
	Duplicates uint64 // received again and dropped, before an operator saw them
	Lost       uint64 // given up on the way, which only strategies that promise at most once do
	Reemitted  uint64 // emitted again by a spout, since they were not processed in time; only under strategy.Acker
	Retries    uint64 // calls of Execute repeated after an error
	Dead       uint64 // sent to dead letters, as the operator's policy declares; each once, over all restores
	Dropped    uint64 // dropped, as the operator's policy declares; each once, over all restores
	Snapshots  uint64 // snapshots that became durable
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Consumed += other.Consumed
	c.Emitted += other.Emitted
	c.Missed += other.Missed
	c.Replayed += other.Replayed
	c.Resent += other.Resent
	c.Duplicates += other.Duplicates
	c.Lost += other.Lost
	c.Reemitted += other.Reemitted
	c.Retries += other.Retries
	c.Dead += other.Dead
	c.Dropped += other.Dropped
	c.Snapshots += other.Snapshots
}

// A Progress is how far a run is.
type Progress struct {
	Done, Total int64 // of all spouts, in their unit; Total is 0 if they do not know
	Resumed     int64 // how much of Done an earlier run had done
	Elapsed     time.Duration
	Tasks       []TaskInfo // in the order of the plan
}

// A TaskState is what a task is doing.
type TaskState uint8

// The states of a task.
const (
	Starting   TaskState = iota
	Running              // it consumes and emits
	Restoring            // it repeats what the lost incarnation had done
	Finishing            // its operator has finished; its end is not safe with its targets yet
	Complete             // it only answers peers any more
	Restarting           // it failed, and waits for its next start
	Failed               // it failed too often, or for a reason that a restart cannot cure
)

// String returns the state in a word, such as "running".
func (s TaskState) String() string {
	names := [...]string{"starting", "running", "restoring", "finishing", "complete", "restarting", "FAILED"}
	if int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", uint8(s))
	}
	return names[s]
}

// TaskInfo is how a task stands.
type TaskInfo struct {
	Alias       msgid.Alias
	State       TaskState
	Since       time.Time // when it entered the state
	Incarnation msgid.Incarnation
	Restarts    int
	Done, Total int64 // a spout's progress, in its own unit
	Resumed     bool  // its first incarnation here went on from an earlier run's log
	ResumedAt   int64 // Done at that moment
	Counts      Counts
	Retained    int    // bytes kept for resending
	Blocked     string // the channel that takes nothing just now, such as "split.1>count.3"; "" if there is none
	Starved     string // the channel that a restored task waits for; "" if there is none
	LogError    error  // why the log takes nothing just now
	Err         error  // why it failed last
}

// A Recovery is the account of how a task was restored. Its phases follow one another.
type Recovery struct {
	Alias       msgid.Alias
	Cause       error // why the last incarnation ended
	RolledBack  bool  // the task was restored only because another one failed
	Incarnation msgid.Incarnation
	Asked       msgid.Set // tuples that it asked its sources for
	Missed      uint64    // tuples asked for
	Replayed    uint64    // tuples resent for them
	Reprocessed uint64    // tuples consumed again that the lost incarnation had consumed
	Duplicates  uint64    // tuples dropped because they were there already

	Start  time.Duration // from the loss until the next incarnation was begun
	Load   time.Duration // until its log was read
	Replay time.Duration // until it had caught up
	Took   time.Duration // all together
}

// A GivenUp is a tuple that an operator could not process, and whose loss its policy declares.
type GivenUp struct {
	Task   msgid.Alias
	Policy topology.ErrorPolicy // DeadLetter or Drop
	ID     msgid.ID
	Err    error       // of the last try
	Tuple  tuple.Tuple // safe to keep
}

// An EventKind is a kind of event.
type EventKind uint8

// The kinds of event.
const (
	// Disconnected: the connection broke, for the reason in Err. It is being replaced.
	Disconnected EventKind = iota + 1
	// Reconnected: the connection was replaced. Messages were lost in between.
	Reconnected
	// SlowConsumer: a task did not take its messages, and the newest were dropped.
	SlowConsumer
	// Denied: the server's permissions forbid a subject, named in Err. Reported for the 1st, 2nd, 4th, 8th … time.
	Denied
	// Foreign: a message came that no task sent, on the subject in Err. It was dropped. Reported as Denied is.
	Foreign
	// ConnectionError is any other error that the client library or the server reports.
	ConnectionError
	// Closed: the connection has ended for good.
	Closed
)

// String returns the kind in words.
func (k EventKind) String() string {
	names := [...]string{
		Disconnected: "disconnected", Reconnected: "reconnected", SlowConsumer: "slow consumer", Denied: "denied",
		Foreign: "foreign message", ConnectionError: "failed", Closed: "closed",
	}
	if k < Disconnected || int(k) >= len(names) {
		return fmt.Sprintf("event(%d)", uint8(k))
	}
	return names[k]
}

// An Event is what happened to a connection to the NATS server. A run has two of them.
type Event struct {
	Kind       EventKind
	Connection string // "data" or "control"
	Err        error  // may be nil
}

// String returns the event as a line for logs.
func (e Event) String() string {
	if e.Err == nil {
		return e.Connection + ": " + e.Kind.String()
	}
	return fmt.Sprintf("%s: %s: %v", e.Connection, e.Kind, e.Err)
}
