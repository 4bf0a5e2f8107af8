package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// A Submission says what to run.
type Submission struct {
	Path     string   // of the executable
	Args     []string // of it, in each worker
	Name     string   // default: the one that the program has for its topology
	Workers  int      // default 1
	Tags     []string // which its supervisors must have
	Inactive bool     // wait for activate

	// Patience is how long to wait for a nimbus to answer. Default 10 s.
	Timeout time.Duration
	// Progress is told how many bytes of the program are uploaded. May be nil.
	Progress func(done, all int64)
}

// ErrDenied: the user may not submit. Use credentials of the role operate.
var ErrDenied = errors.New("client: not permitted, it needs the role operate")

// Submit asks the program what it is, uploads it unless the cluster has it, signs it, and asks nimbus to run it. It
// returns what nimbus has decided. A refusal is a cluster.RequestError, CodeConflict if a topology of that name exists.
func Submit(ctx context.Context, conn *natscluster.Connection, s Submission) (*cluster.Record, error) {
	spec, err := Describe(ctx, s.Path, s.Args)
	if err != nil {
		return nil, err
	}
	if s.Name != "" {
		spec.Name = s.Name
	}
	if err := spec.Check(); err != nil {
		return nil, err
	}
	if s.Workers == 0 {
		s.Workers = 1
	}
	if s.Timeout == 0 {
		s.Timeout = 10 * time.Second
	}
	user, err := conn.User()
	if err != nil {
		return nil, err
	}
	ctx, deny := context.WithCancelCause(ctx)
	defer deny(nil)
	nc, err := conn.Connect("askback submit", user, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) { // which NATS tells of beside what it lets wait
			deny(fmt.Errorf("%w: %w", ErrDenied, err))
		}
	}))
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	record, err := s.submit(ctx, nc, conn.Subjects(), user, spec)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrDenied) {
		err = cause
	}
	return record, err
}

// submit uploads, signs and asks.
func (s *Submission) submit(ctx context.Context, nc *nats.Conn, subjects natscluster.Subjects, user *natscluster.User, spec *cluster.Spec) (*cluster.Record, error) {
	a, err := artefact.Put(ctx, nc, subjects, s.Path, s.Progress)
	if err != nil {
		return nil, err
	}
	if err := artefact.Sign(user, spec.Name, &a); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	record, err := natscluster.Request[cluster.Record](ctx, nc, subjects.API(cluster.Operate, cluster.VerbSubmit), cluster.SubmitRequest{
		Spec: *spec, Artefact: a, Args: s.Args, Workers: s.Workers, Tags: s.Tags, Inactive: s.Inactive, Nonce: rand.Text(),
	})
	if err != nil {
		return nil, fmt.Errorf("submit %s: %w", spec.Name, err)
	}
	return &record, nil
}
