package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// A Submission is a program to run.
type Submission struct {
	Path     string   // of the executable
	Args     []string // of it, in each worker
	Name     string   // default: the program's own name of its topology
	Workers  int      // default 1
	Tags     []string // required of its supervisors
	Inactive bool     // its spouts emit nothing before activate
	// Resume is set to have the topology of that name, such as one that has failed, go on from its log with this program.
	// Workers, Tags and Inactive do not count then.
	Resume bool

	// Timeout is how long the function Submit waits for a nimbus to answer. Default 10 s.
	Timeout time.Duration
	// Progress is called with the number of uploaded bytes of the program. It may be nil.
	Progress func(done, all int64)
}

// Submit connects to a cluster and submits a program; see Client.Submit.
func Submit(ctx context.Context, conn *natscluster.Connection, s Submission) (*cluster.Record, error) {
	spec, err := s.spec(ctx)
	if err != nil {
		return nil, err
	}
	c, err := Dial(Options{Connection: *conn, Name: "askback submit", Timeout: s.Timeout})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.submit(ctx, s, spec)
}

// Submit runs the program for its description, uploads it unless the cluster has it, signs it, and requests that it be
// run. It returns the record that nimbus has written. A refusal is a *cluster.RequestError, of CodeConflict if a topology
// of that name exists.
func (c *Client) Submit(ctx context.Context, s Submission) (*cluster.Record, error) {
	spec, err := s.spec(ctx)
	if err != nil {
		return nil, err
	}
	return c.submit(ctx, s, spec)
}

// spec returns the program's Spec under the name of the submission.
func (s *Submission) spec(ctx context.Context) (*cluster.Spec, error) {
	spec, err := SpecOf(ctx, s.Path, s.Args)
	if err != nil {
		return nil, err
	}
	if s.Name != "" {
		spec.Name = s.Name
	}
	return spec, spec.Check()
}

func (c *Client) submit(ctx context.Context, s Submission, spec *cluster.Spec) (record *cluster.Record, err error) {
	err = c.guarded(ctx, cluster.Operate, cluster.VerbSubmit, func(ctx context.Context) error {
		a, err := artefact.Put(ctx, c.nc, c.subjects, s.Path, s.Progress)
		if err != nil {
			return err
		}
		if err := artefact.Sign(c.user, spec.Name, &a); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, c.opt.Timeout)
		defer cancel()
		defer c.noticeWaiting()()
		record, err = natscluster.Request[*cluster.Record](limited, c.nc, c.subjects.API(cluster.Operate, cluster.VerbSubmit), cluster.SubmitRequest{
			Spec: *spec, Artefact: a, Args: s.Args, Workers: cmp.Or(s.Workers, 1), Tags: s.Tags, Inactive: s.Inactive, Resume: s.Resume, Nonce: rand.Text(),
		})
		if err != nil {
			return fmt.Errorf("submit %s: %w", spec.Name, err)
		}
		return nil
	})
	return record, err
}
