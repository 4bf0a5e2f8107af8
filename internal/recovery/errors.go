package recovery

import (
	"fmt"

	"github.com/askback/askback/msgid"
)

// A DivergedError occurs when a source's history differs from the one that its target consumed: the operator is
// nondeterministic and not declared so (T5). It occurs before any tuple of the frame is consumed.
type DivergedError struct {
	ID        msgid.ID // the first tuple after the common history, as far as the target can determine
	Want, Got uint32   // running checksums before it: the target's and the source's
}

func (e *DivergedError) Error() string {
	op := e.ID.Channel.Source.Operator
	return fmt.Sprintf("recovery: operator %q is not deterministic: the tuples that %v sent before %v have checksum %08x, its target consumed %08x; take time and chance from the context, or declare the operator Nondeterministic",
		op, e.ID.Channel.Source, e.ID, e.Got, e.Want)
}

// A ReplayError occurs when an operator, consuming recorded input again, requests other determinants than those recorded.
type ReplayError struct {
	Alias msgid.Alias
	What  string
}

func (e *ReplayError) Error() string {
	return fmt.Sprintf("recovery: operator %q is not deterministic: while %v repeated its recorded order, %s; declare the operator Nondeterministic, or repair it",
		e.Alias.Operator, e.Alias, e.What)
}

// A WentBackError occurs when a target was restored at a position before the one that it had reported as stable: its log
// was damaged, or replaced by an older copy, and its source has rightly dropped the frames between (S4). With Source, a
// source was restored at a position before one that it had reported as final.
type WentBackError struct {
	Channel          msgid.Channel
	Restored, Stable msgid.Seq
	Source           bool
}

func (e *WentBackError) Error() string {
	if e.Source {
		return fmt.Sprintf("recovery: the log of %v is too old: restored at %v#%d, its target has consumed the end of the stream at #%d; bring back the newest log, or start the topology over with a new one",
			e.Channel.Source, e.Channel, e.Restored, e.Stable)
	}
	return fmt.Sprintf("recovery: the log of %v is too old: restored at %v#%d, acknowledged as stable up to #%d; bring back the newest log, or start the topology over with a new one",
		e.Channel.Target, e.Channel, e.Restored, e.Stable)
}

// A RollbackError occurs when a task has to begin again from a checkpoint that all tasks go back to. The task is not at
// fault, so its supervisor restarts it at once. A Stale one is cured by reading the decision again, or, if the
// coordinator's log is damaged, not at all.
type RollbackError struct {
	Alias   msgid.Alias
	To      string // the checkpoint
	Stale   bool   // the task was restored from an older checkpoint, and has not worked yet
	Channel uint32 // 1 + the number of the channel by which the culprit reports; 0: the coordinator itself
	Culprit string // filled in by the task, which knows the plan
}

func (e *RollbackError) Error() string {
	if e.Stale {
		return fmt.Sprintf("recovery: %v was restored from a checkpoint before %s, which is committed: the coordinator's log was read too early, or has lost its newest decision", e.Alias, e.To)
	}
	culprit := e.Culprit
	if culprit == "" {
		culprit = "another task"
	}
	return fmt.Sprintf("recovery: %v was rolled back to checkpoint %s, because %s was restarted", e.Alias, e.To, culprit)
}
