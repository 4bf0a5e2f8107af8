package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

var (
	// ErrFenced occurs when a later incarnation of the task has taken over, or another run of the topology writes with
	// the same name. The write had no effect.
	ErrFenced = errors.New("postgres: fenced")
	// ErrLost occurs when the database lacks what a snapshot counts on.
	ErrLost = errors.New("postgres: rows that were committed are gone")
)

// A RejectedError names a row that the database refuses.
type RejectedError struct {
	Table string
	ID    msgid.ID // of the tuple; of a typed sink with Config.Hold the number of the value, with the task as source and target
	Row   string   // its values, shortened for reading
	Err   error    // the database's answer
}

// Error names the table, the tuple and its row.
func (e *RejectedError) Error() string {
	if e.ID.Channel.Source == e.ID.Channel.Target {
		return fmt.Sprintf("postgres: table %s refuses row %s, value %d of task %v: %v", e.Table, e.Row, e.ID.Seq, e.ID.Channel.Target, e.Err)
	}
	return fmt.Sprintf("postgres: table %s refuses tuple %v with row %s: %v", e.Table, e.ID, e.Row, e.Err)
}

// Unwrap returns the database's answer.
func (e *RejectedError) Unwrap() error { return e.Err }

// in names where an error happened, and marks it as an outage or as permanent if it is one. A RejectedError stays as it is.
func (c *Config) in(task bolt.Task, err error) error {
	var rejected *RejectedError
	if errors.As(err, &rejected) {
		return err
	}
	err = fmt.Errorf("postgres: task %v, table %s: %w", task.Alias, c.Table, err)
	switch {
	case again(err), denied(err):
		return bolt.Outage(err)
	case errors.Is(err, bolt.ErrOutputExists), errors.Is(err, ErrLost):
		return bolt.Permanent(err)
	case missing(err):
		return bolt.Permanent(fmt.Errorf("%w: create it, or correct the Config", err))
	}
	return err
}

// whole marks the refusal of a row as permanent where it comes too late for the row alone to fail.
func (c *Config) whole(err error) error {
	var rejected *RejectedError
	if !errors.As(err, &rejected) || bolt.IsPermanent(err) {
		return err
	}
	return bolt.Permanent(err)
}

// errAgain marks an error that the same transaction may not meet again.
type errAgain struct{ error }

func (e errAgain) Unwrap() error { return e.error }

// sqlState returns the SQLSTATE of a database's error, "" if it is none.
func sqlState(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) && len(state.SQLState()) == 5 {
		return state.SQLState()
	}
	return ""
}

// again reports whether to try the same transaction again: the connection is lost, the server restarts, is full or only
// read at the moment, or other transactions were in the way.
func again(err error) bool {
	var marked errAgain
	var network net.Error
	switch {
	case errors.As(err, &marked), errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, context.DeadlineExceeded):
		return true
	}
	code := sqlState(err)
	if code == "" {
		return false
	}
	switch code[:2] {
	case "08", "40", "53", "57", "58": // connection, rollback, resources, intervention, system
		return true
	}
	return code == "55P03" || code == "25P03" || code == "25006" // lock not available; idle for too long; read-only
}

// denied reports whether a permission is missing, which an administrator may grant meanwhile.
func denied(err error) bool {
	code := sqlState(err)
	return code == "42501" || strings.HasPrefix(code, "28")
}

// missing reports whether the database lacks what the Config names: the table, a column, the key's index, the database.
func missing(err error) bool {
	switch sqlState(err) {
	case "42P01", "42703", "42P10", "3D000", "3F000":
		return true
	}
	return false
}

// notTheRow reports whether an error of a statement has nothing to do with the row that it writes.
func notTheRow(err error) bool { return again(err) || denied(err) || missing(err) }
