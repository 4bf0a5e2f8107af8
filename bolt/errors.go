package bolt

import (
	"errors"
	"fmt"

	"github.com/askback/askback/msgid"
)

// A TupleError reports a tuple that an operator could not process: Execute returned an error, or panicked, and the
// operator's retries are used up. It fails the topology unless the operator declares another policy (topology.Node's
// DeadLetter and Drop). The tuple was not acknowledged, so a repaired program continues from the log at that very tuple.
type TupleError struct {
	Alias msgid.Alias // the task; Alias.Operator is the operator
	// Step is the step of a fused operator that failed; "" for an operator of one step.
	Step string
	ID   msgid.ID // the tuple's message id; the zero ID in a spout
	// Tuple is the tuple's fields by name, shortened for reading.
	Tuple string
	Err   error // the cause: the error of Execute, or a *PanicError
}

// Error names operator, task, message id, tuple and cause, as far as they are known: an operator that begins the error leaves
// operator, task and id to the runtime.
func (e *TupleError) Error() string {
	if e.Alias.Operator == "" {
		if e.Step == "" {
			return fmt.Sprintf("could not process tuple %s: %v", e.Tuple, e.Err)
		}
		return fmt.Sprintf("step %q could not process tuple %s: %v", e.Step, e.Tuple, e.Err)
	}
	step, id := "", ""
	if e.Step != "" {
		step = fmt.Sprintf(", step %q", e.Step)
	}
	if e.ID != (msgid.ID{}) {
		id = " " + e.ID.String()
	}
	return fmt.Sprintf("operator %q%s, task %v could not process tuple%s %s: %v", e.Alias.Operator, step, e.Alias, id, e.Tuple, e.Err)
}

// Unwrap returns the cause.
func (e *TupleError) Unwrap() error { return e.Err }

// A PanicError reports that an operator, or the runtime on its behalf, has panicked.
type PanicError struct {
	Alias msgid.Alias
	Value any    // of panic
	Stack []byte // of the goroutine, as debug.Stack formats it
}

// Error returns the panic's value and the stack.
func (e *PanicError) Error() string {
	return fmt.Sprintf("task %v panicked: %v\n%s", e.Alias, e.Value, e.Stack)
}

// An OutageError reports that an outside system is not available: a disk is full, a server does not answer, a permission is
// missing. It is never the tuple's fault.
type OutageError struct{ Err error }

// Outage marks an error as the outside's fault, for operators to return from any of their methods; nil stays nil. The task
// is restarted with growing pauses for as long as the outage lasts, whatever the operator's retries and policy, and no
// tuple is given up for it.
func Outage(err error) error {
	if err == nil {
		return nil
	}
	return &OutageError{Err: err}
}

// IsOutage reports whether err is, or wraps, an OutageError.
func IsOutage(err error) bool {
	var outage *OutageError
	return errors.As(err, &outage)
}

// Error returns the text of the error that Outage was given.
func (e *OutageError) Error() string { return e.Err.Error() }

// Unwrap returns the error that Outage was given.
func (e *OutageError) Unwrap() error { return e.Err }

// A permanentError fails the topology whatever the operator's policy.
type permanentError struct{ err error }

// Permanent marks an error that no retry, dead letter or restart may hide, for operators to return from any of their
// methods; nil stays nil. The topology fails with it at once.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err was marked by Permanent.
func IsPermanent(err error) bool {
	var permanent *permanentError
	return errors.As(err, &permanent)
}

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }
