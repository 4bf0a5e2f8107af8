package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/askback/askback/cluster"
	"github.com/askback/askback/cluster/artefact"
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
	Patience time.Duration
	// Progress is told how many bytes of the program are uploaded. May be nil.
	Progress func(done, all int64)
}

// Submit asks the program what it is, uploads it unless the cluster has it, signs it, and asks nimbus to run it. It
// returns what nimbus has decided. A refusal is a cluster.RequestError, CodeConflict if a topology of that name exists.
func Submit(ctx context.Context, conn *cluster.Connection, s Submission) (*cluster.Record, error) {
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
	if s.Patience == 0 {
		s.Patience = 10 * time.Second
	}
	user, err := conn.User()
	if err != nil {
		return nil, err
	}
	nc, err := conn.Connect("askback submit", user)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	a, err := artefact.Put(ctx, nc, conn.Subjects(), s.Path, s.Progress)
	if err != nil {
		return nil, err
	}
	if err := artefact.Sign(user, spec.Name, &a); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.Patience)
	defer cancel()
	record, err := cluster.Request[cluster.Record](ctx, nc, conn.Subjects().API(cluster.Operate, cluster.VerbSubmit), cluster.SubmitRequest{
		Spec: *spec, Artefact: a, Args: s.Args, Workers: s.Workers, Tags: s.Tags, Inactive: s.Inactive, Nonce: rand.Text(),
	})
	if err != nil {
		return nil, fmt.Errorf("submit %s: %w", spec.Name, err)
	}
	return &record, nil
}
