package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

var (
	// ErrFenced occurs when a later incarnation of the task has taken over, or another run of the topology writes
	// with the same name. Nothing was written.
	ErrFenced = errors.New("postgres: fenced")
	// ErrLost occurs when the database lacks what a snapshot counts on.
	ErrLost = errors.New("postgres: rows that were committed are gone")
)

// A RejectedError says which tuple the database refuses.
type RejectedError struct {
	Table string
	ID    msgid.ID
	Err   error
}

// Error names the table and the tuple.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("postgres: table %s refuses tuple %v: %v", e.Table, e.ID, e.Err)
}

// Unwrap returns what the database said.
func (e *RejectedError) Unwrap() error { return e.Err }

// in says where an error happened.
func (c *Config) in(task bolt.Task, err error) error {
	var rejected *RejectedError
	switch {
	case errors.As(err, &rejected) && c.Batch > 1:
		return fmt.Errorf("%w; with a Batch of 1 it would go to the dead letters", err)
	case errors.As(err, &rejected):
		return err
	}
	return fmt.Errorf("task %v, table %s: %w", task.Alias, c.Table, err)
}

// errAgain marks an error that the same transaction may not meet again.
type errAgain struct{ error }

func (e errAgain) Unwrap() error { return e.error }

// again reports whether to try the same transaction again: the connection is lost, the server restarts or is full,
// or other transactions were in the way.
func again(err error) bool {
	var marked errAgain
	var network net.Error
	var state interface{ SQLState() string }
	switch {
	case errors.As(err, &marked), errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &state) && len(state.SQLState()) == 5:
		switch code := state.SQLState(); code[:2] {
		case "08", "40", "53", "57": // connection, rollback, resources, intervention
			return true
		default:
			return code == "55P03" || code == "25P03" // lock not available; idle in transaction for too long
		}
	}
	return false
}
