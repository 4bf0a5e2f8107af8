package core

import (
	"fmt"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// A Submission is a topology that is being prepared: its name is taken, and it has no record yet.
type Submission struct {
	Instance cluster.Instance
	Request  *cluster.SubmitRequest
}

// Admit decides whether a submission may be prepared. If it was made already, it returns its record; if it is being
// prepared, the same Submission, with first false.
func (c *Core) Admit(q *cluster.SubmitRequest) (s *Submission, first bool, r *cluster.Record, err error) {
	if err := q.Check(); err != nil {
		return nil, false, nil, badRequest("%v", err)
	}
	name := q.Spec.Name
	if t := c.topologies[name]; t != nil {
		if t.record.Nonce == q.Nonce {
			return nil, false, t.record, nil
		}
		return nil, false, nil, conflict("exists: %s; kill it first or choose another name", statusSince(t.record))
	}
	if s := c.pending[name]; s != nil {
		if s.Request.Nonce == q.Nonce {
			return s, false, nil, nil
		}
		return nil, false, nil, conflict("exists: %s is being submitted by another user; choose another name", name)
	}
	s = &Submission{Instance: cluster.NewInstance(name), Request: q}
	c.pending[name] = s
	return s, true, nil, nil
}

// statusSince describes a topology's status, such as "wordcount has been running since 2026-11-21T07:00:00Z".
func statusSince(r *cluster.Record) string {
	doing := map[cluster.Status]string{
		cluster.Active: "has been running", cluster.Inactive: "has been inactive", cluster.Killing: "has been ending",
		cluster.Completed: "has been complete", cluster.Failed: "has failed, and is kept",
	}[r.Status]
	return fmt.Sprintf("%s %s since %s", r.Spec.Name, doing, r.Since.Format(time.RFC3339))
}

// Accept returns the record of a prepared submission, by a user, with a log of that durability.
func (c *Core) Accept(now time.Time, s *Submission, by, durability string) *Write {
	q, at := s.Request, wall(now)
	r := &cluster.Record{
		Instance: s.Instance, Spec: q.Spec, Artefact: q.Artefact, Args: q.Args, Durability: durability, Workers: max(1, q.Workers),
		Tags: q.Tags, By: by, Nonce: q.Nonce, Submitted: at, Status: cluster.Active, Since: at,
	}
	if q.Inactive {
		r.Status = cluster.Inactive
	}
	text := fmt.Sprintf("submitted with %d tasks for %d workers", len(q.Spec.Tasks()), r.Workers)
	if by != "" {
		text += " by " + by
	}
	return &Write{Name: q.Spec.Name, Record: r, Events: []cluster.Event{{At: at, Kind: cluster.Submitted, Instance: r.Instance, Text: text}}}
}

// Reject gives up a submission: its name is free again.
func (c *Core) Reject(s *Submission) {
	if name := s.Request.Spec.Name; c.pending[name] == s {
		delete(c.pending, name)
	}
}
