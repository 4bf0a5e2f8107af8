package cluster

import (
	"context"
	"errors"
)

// Errors of a Writer.
var (
	// ErrDeposed occurs when another nimbus has taken over. The write had no effect.
	ErrDeposed = errors.New("cluster: another nimbus leads")
	// ErrUnknown occurs without a definite answer: the write may have happened, or not.
	ErrUnknown = errors.New("cluster: no definite answer")
)

// A Change is a record that was written or removed.
type Change struct {
	Name     string  // of the topology
	Record   *Record // nil: it was removed
	Revision uint64  // of the bucket
}

// A Reader reads decisions.
type Reader interface {
	// Records returns all records, with their revisions.
	Records(ctx context.Context) ([]Change, error)
	// Watch calls f for each existing record, then caughtUp once, then f for each change, until ctx ends (it returns nil).
	// It goes on through losses of the connection; changes missed meanwhile are reported afterwards as one.
	Watch(ctx context.Context, f func(Change), caughtUp func()) error
	// Hosts returns all supervisors that have joined.
	Hosts(ctx context.Context) ([]Host, error)
}

// A Writer writes the decisions of one leader. All its writes fail with ErrDeposed once another has taken over, even
// before the leader notices: each is a compare-and-set on the epoch.
type Writer interface {
	Reader
	Epoch() uint64
	PutRecord(ctx context.Context, r *Record) (revision uint64, err error)
	DeleteRecord(ctx context.Context, name string) error
	PutHost(ctx context.Context, h *Host) error
	DeleteHost(ctx context.Context, name string) error
}
