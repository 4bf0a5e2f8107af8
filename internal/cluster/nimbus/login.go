package nimbus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// An Issuer issues a JWT with the permissions of a worker's tasks, for a time. It does not block.
type Issuer interface {
	IssueWorker(key string, slot cluster.WorkerSlot, tasks []msgid.Alias, from cluster.Instance, ttl time.Duration) (jwt string, err error)
}

// login issues a JWT to a supervisor, for a worker that is placed with it.
func (t *term) login(_ context.Context, who sender, q *cluster.LoginRequest) (*cluster.LoginReply, error) {
	if q.Slot.Supervisor != who[0] {
		return nil, t.denied(fmt.Sprintf("supervisor %s asked for a login of %.200q", who[0], q.Slot.String()))
	}
	return t.issue(q)
}

// renew issues another JWT to a worker.
func (t *term) renew(_ context.Context, who sender, q *cluster.LoginRequest) (*cluster.LoginReply, error) {
	if string(q.Slot.Instance) != who[0] || q.Slot.Supervisor != who[1] || strconv.Itoa(q.Slot.Number) != who[2] {
		return nil, t.denied(fmt.Sprintf("worker %s/%s %s asked for a login of %.200q", who[1], who[2], who[0], q.Slot.String()))
	}
	return t.issue(q)
}

func (t *term) issue(q *cluster.LoginRequest) (*cluster.LoginReply, error) {
	tasks, record, err := t.core.TasksOf(q.Slot)
	if err != nil || t.cfg.Issuer == nil {
		return &cluster.LoginReply{}, err
	}
	if !nkeys.IsValidPublicUserKey(q.Key) {
		return nil, &cluster.RequestError{Code: cluster.CodeBadRequest, Text: fmt.Sprintf("%.80q is no user's public key", q.Key)}
	}
	from := cluster.Instance("")
	if record.From != nil {
		from = record.From.Instance
	}
	token, err := t.cfg.Issuer.IssueWorker(q.Key, q.Slot, tasks, from, t.cfg.LoginFor)
	if err != nil {
		return nil, fmt.Errorf("nimbus: issue a login for %v: %w", q.Slot, err)
	}
	return &cluster.LoginReply{JWT: token, Expires: time.Now().Add(t.cfg.LoginFor)}, nil
}
