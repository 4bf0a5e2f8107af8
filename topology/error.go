package topology

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of routing a tuple and of restoring a router.
var (
	// ErrTarget occurs when a tuple on a direct stream names no task, or one that the reader does not have, and
	// when a custom grouping picks such a task.
	ErrTarget = errors.New("topology: no such target task")
	// ErrState occurs when SetState is given bytes that AppendState of such a router cannot have written.
	ErrState = errors.New("topology: bad routing state")
)

// An Error is one fault of a topology, found by Build or Validate. Set names give its place; Problem describes it, and the
// remedy. Find it with errors.As in their result.
type Error struct {
	Operator string // "" if the whole topology is meant
	Stream   string // as declared ("errors") or as subscribed to ("split:errors"); "" is the default stream, or none
	Field    string
	Problem  string
}

// Error returns the problem and its place, on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("topology: ")
	for _, at := range []struct{ kind, name string }{{"operator", e.Operator}, {"stream", e.Stream}, {"field", e.Field}} {
		if at.name != "" {
			fmt.Fprintf(&b, "%s %.80q: ", at.kind, at.name)
		}
	}
	b.WriteString(e.Problem)
	return b.String()
}
