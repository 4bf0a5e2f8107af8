package nimbus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus/core"
)

// prepareTimeout limits the preparation of a submission: reading a gigabyte, and making a stream with replicas.
const prepareTimeout = time.Minute

// submit prepares a submission asynchronously, then writes it. A repeated request meanwhile gets the same answer.
func (t *term) submit(ctx context.Context, _ sender, q *cluster.SubmitRequest, r reply) {
	s, first, record, err := t.core.Admit(q)
	if err != nil || record != nil {
		r.send(record, err)
		return
	}
	if len(t.waiting[s]) >= maxAsync {
		r.send(nil, errBusy)
		return
	}
	t.waiting[s] = append(t.waiting[s], r)
	if !first {
		return
	}
	prepare := func() {
		err := t.prepare(ctx, s)
		t.enqueueWait(ctx, func(ctx context.Context) { t.submitted(ctx, s, err) })
	}
	if !t.runAsync(prepare) {
		t.reject(s, errBusy)
	}
}

// prepare verifies the program, and makes the log unless the topology has one.
func (t *term) prepare(ctx context.Context, s *core.Submission) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTimeout)
	defer cancel()
	if err := t.verifyArtefact(ctx, s.Request); err != nil {
		return err
	}
	if s.Request.Resume {
		return nil
	}
	if err := t.makeLog(ctx, s.Instance, t.cfg.Durability); err != nil {
		return unavailable(fmt.Errorf("no task log can be made for %s: %w", s.Instance.Name(), err))
	}
	return nil
}

// submitted writes a submission that was prepared.
func (t *term) submitted(ctx context.Context, s *core.Submission, err error) {
	if ctx.Err() != nil {
		t.reject(s, errTermOver)
		return
	}
	var w *core.Write
	if err == nil {
		w, err = t.core.Accept(time.Now(), s, submitter(&s.Request.Artefact), string(t.cfg.Durability))
	}
	if err == nil {
		err = t.write(ctx, w)
	}
	if err != nil {
		t.reject(s, err)
		return
	}
	t.decide(ctx)
	t.answer(s, t.core.Record(s.Request.Spec.Name), nil)
}

// reject gives a submission up. Its log, if there is one, is deleted as an orphan.
func (t *term) reject(s *core.Submission, err error) {
	t.core.Reject(s)
	t.core.LogsFound(time.Now(), []cluster.Instance{s.Instance})
	var refused *cluster.RequestError
	if errors.As(err, &refused) && refused.Code == cluster.CodeBadRequest {
		t.publish(cluster.Event{Kind: cluster.Refused, Text: fmt.Sprintf("submission of %s: %s", s.Request.Spec.Name, refused.Text)})
	}
	t.answer(s, nil, err)
}

func (t *term) answer(s *core.Submission, record *cluster.Record, err error) {
	for _, r := range t.waiting[s] {
		r.send(record, err)
	}
	delete(t.waiting, s)
}

// verifyArtefact refuses a program that is missing, damaged, or signed by an untrusted user.
func (t *term) verifyArtefact(ctx context.Context, q *cluster.SubmitRequest) error {
	trust := t.cfg.Trust
	trust.Now = time.Now()
	err := artefact.Verify(q.Artefact, q.Spec.Name, trust)
	if err == nil {
		err = t.verified.check(ctx, t.nc, t.subjects, q.Artefact)
	}
	for _, theirs := range []error{artefact.ErrDigest, artefact.ErrMissing, artefact.ErrMismatch, artefact.ErrSignature, artefact.ErrUntrusted} {
		if errors.Is(err, theirs) {
			return &cluster.RequestError{Code: cluster.CodeBadRequest, Text: err.Error()}
		}
	}
	return unavailable(err)
}

// unavailable makes an error a refusal after which the request may be repeated.
func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return &cluster.RequestError{Code: cluster.CodeUnavailable, Text: err.Error()}
}

// submitter returns the name of the user who signed an artefact.
func submitter(a *cluster.Artefact) string {
	if claims, err := jwt.DecodeUserClaims(a.Proof); err == nil && claims.Subject == a.Signer && claims.Name != "" {
		return claims.Name
	}
	return a.Signer
}

// verified holds the digests of programs that have been verified: each is read once, afterwards only looked up.
type verified struct {
	mu   sync.Mutex
	seen map[string]string // by digest: the id of the object
}

// maxVerified bounds the number of remembered digests.
const maxVerified = 1000

func (v *verified) check(ctx context.Context, nc *nats.Conn, p natscluster.Subjects, a cluster.Artefact) error {
	object, err := artefact.Find(ctx, nc, p, a)
	if err != nil {
		return err
	}
	v.mu.Lock()
	known := v.seen[a.SHA256] == object
	v.mu.Unlock()
	if known {
		return nil
	}
	if err := artefact.Get(ctx, nc, p, a, io.Discard); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.seen == nil || len(v.seen) >= maxVerified {
		v.seen = map[string]string{}
	}
	v.seen[a.SHA256] = object
	return nil
}
