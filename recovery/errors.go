package recovery

import (
	"fmt"

	"github.com/askback/askback/msgid"
)

// A DivergedError says that a source's history is not the one that its target consumed: the operator is not
// deterministic although it is not declared so (T5). It occurs before anything of the frame is consumed.
type DivergedError struct {
	ID        msgid.ID // the first tuple after the common history, as far as the target can tell
	Want, Got uint32   // running checksums before it: the target's and the source's
}

func (e *DivergedError) Error() string {
	op := e.ID.Channel.Source.Operator
	return fmt.Sprintf("recovery: operator %q is not deterministic: what %v sent before %v has checksum %08x, its target consumed %08x; take time and chance from the context, or declare the operator Nondeterministic",
		op, e.ID.Channel.Source, e.ID, e.Got, e.Want)
}

// A ReplayError says that an operator, consuming recorded input again, made other choices than those recorded.
type ReplayError struct {
	Alias msgid.Alias
	What  string
}

func (e *ReplayError) Error() string {
	return fmt.Sprintf("recovery: operator %q is not deterministic: while %v repeated its recorded order, %s; declare the operator Nondeterministic, or mend it",
		e.Alias.Operator, e.Alias, e.What)
}

// A WentBackError says that a target was restored at a position before what it had declared stable: its log was
// damaged, or replaced by an older copy, and its source has rightly dropped what would be needed (S4). Or, if Source
// is set, that a source was restored at a position before one that it had told for good.
type WentBackError struct {
	Channel          msgid.Channel
	Restored, Stable msgid.Seq
	Source           bool
}

func (e *WentBackError) Error() string {
	if e.Source {
		return fmt.Sprintf("recovery: the log of %v is older than what it told: restored at %v#%d, its target has settled on #%d; bring back the newest log, or start the topology over with a new one",
			e.Channel.Source, e.Channel, e.Restored, e.Stable)
	}
	return fmt.Sprintf("recovery: the log of %v is older than what it acknowledged: restored at %v#%d, acknowledged as stable up to #%d; bring back the newest log, or start the topology over with a new one",
		e.Channel.Target, e.Channel, e.Restored, e.Stable)
}
