package cluster

import (
	"context"
	"errors"
)

// Errors of a Store.
var (
	// ErrDeposed: another nimbus has taken over. Nothing was written.
	ErrDeposed = errors.New("cluster: another nimbus leads")
	// ErrNotLeading: somebody else holds the lease.
	ErrNotLeading = errors.New("cluster: the lease is held")
)

// A Change is a record that was written or removed.
type Change struct {
	Name     string  // of the topology
	Record   *Record // nil: it was removed
	Revision uint64  // of the bucket
}

// A Reader sees what is decided.
type Reader interface {
	// Records returns all records as they stand, with their revisions, and the revision of the newest write.
	Records(ctx context.Context) ([]Change, error)
	// Watch calls f for each record there is, then with caughtUp once, then for each change, until ctx ends (it returns
	// nil). It goes on through losses of the connection; what is missed meanwhile is seen afterwards as it then stands.
	Watch(ctx context.Context, f func(Change), caughtUp func()) error
	// Hosts returns all supervisors that have joined.
	Hosts(ctx context.Context) ([]Host, error)
}

// A Writer writes what one leader decides. All its writes fail with ErrDeposed once another has taken over, whatever
// the leader believes: each is a compare-and-set on the epoch.
type Writer interface {
	Reader
	Epoch() uint64
	PutRecord(ctx context.Context, r *Record) (revision uint64, err error)
	DeleteRecord(ctx context.Context, name string) error
	PutHost(ctx context.Context, h *Host) error
	DeleteHost(ctx context.Context, name string) error
}
