package core

import (
	"fmt"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// A Submission is a program that is being prepared: for a topology that has no record yet, whose name is taken, or for
// one that goes on with it.
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
		if !q.Resume {
			return nil, false, nil, conflict("exists: %s; submit with --resume to go on from its log with this program, kill it first, or choose another name",
				statusSince(t.record))
		}
		if err := resumable(t.record, &q.Spec); err != nil {
			return nil, false, nil, err
		}
	}
	if s := c.pending[name]; s != nil {
		if s.Request.Nonce == q.Nonce {
			return s, false, nil, nil
		}
		return nil, false, nil, conflict("exists: %s is being submitted by another user; choose another name", name)
	}
	s = &Submission{Instance: cluster.NewInstance(name), Request: q}
	if t := c.topologies[name]; t != nil {
		s.Instance = t.record.Instance
	} else if q.Resume {
		return nil, false, nil, notFound("no topology is called %s, so none can go on from its log; submit without --resume", name)
	}
	c.pending[name] = s
	return s, true, nil, nil
}

// resumable returns an error unless a topology can go on from its log with a program of that spec.
func resumable(r *cluster.Record, spec *cluster.Spec) error {
	switch {
	case r.Status == cluster.Completed || r.Status == cluster.Killing:
		return conflict("%s: it cannot go on", statusSince(r))
	case r.Rescale != nil:
		return unavailable("%s comes to a standstill for other numbers of tasks: try again in a moment", spec.Name)
	case len(r.Parallel) > 0:
		return conflict("%s: its numbers of tasks were changed, so no program's own plan fits its log; kill it and submit the program afresh", statusSince(r))
	case r.Spec.Strategy != spec.Strategy:
		return conflict("%s with strategy %s, and the program has strategy %s: it cannot go on from that log", statusSince(r), r.Spec.Strategy, spec.Strategy)
	case r.Spec.Plan != spec.Plan:
		return conflict("%s with plan %x, and the program's is %x: operators, streams and numbers of tasks must be the same to go on from its log; "+
			"kill it, or submit the program under another name", statusSince(r), r.Spec.Plan, spec.Plan)
	}
	return nil
}

// statusSince describes a topology's status, such as "wordcount has been running since 2026-11-21T07:00:00Z".
func statusSince(r *cluster.Record) string {
	doing := map[cluster.Status]string{
		cluster.Active: "has been running", cluster.Inactive: "has been inactive", cluster.Killing: "has been ending",
		cluster.Completed: "has been complete", cluster.Failed: "has failed, and is kept",
	}[r.Status]
	return fmt.Sprintf("%s %s since %s", r.Spec.Name, doing, r.Since.Format(time.RFC3339))
}

// Accept returns the record of a prepared submission, by a user, with a log of that durability. It fails if the topology
// that was to go on cannot any more.
func (c *Core) Accept(now time.Time, s *Submission, by, durability string) (*Write, error) {
	q, at := s.Request, wall(now)
	if q.Resume {
		return c.resume(at, s, by)
	}
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
	return &Write{Name: q.Spec.Name, Record: r, Events: []cluster.Event{{At: at, Kind: cluster.Submitted, Instance: r.Instance, Text: text}}}, nil
}

// resume returns the record of a topology that goes on with another program.
func (c *Core) resume(at time.Time, s *Submission, by string) (*Write, error) {
	q := s.Request
	t := c.topologies[q.Spec.Name]
	if t == nil || t.record.Instance != s.Instance {
		return nil, conflict("%s was killed meanwhile", q.Spec.Name)
	}
	if err := resumable(t.record, &q.Spec); err != nil {
		return nil, err
	}
	next := t.change()
	next.Spec, next.Artefact, next.Args, next.By, next.Nonce = q.Spec, q.Artefact, q.Args, by, q.Nonce
	if next.Status == cluster.Failed {
		next.Status, next.Since, next.Reason, next.Failure = cluster.Active, at, "", nil
	}
	text := fmt.Sprintf("goes on with program %.12s", q.Artefact.SHA256)
	if by != "" {
		text += ", submitted by " + by
	}
	return t.write(next, cluster.Event{At: at, Kind: cluster.Submitted, Text: text}), nil
}

// Reject gives up a submission: its name is free again.
func (c *Core) Reject(s *Submission) {
	if name := s.Request.Spec.Name; c.pending[name] == s {
		delete(c.pending, name)
	}
}
