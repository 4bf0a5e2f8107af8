package nimbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus/core"
)

// commit writes a decision, and the decisions that follow at once, and returns the record after them.
func (t *term) commit(ctx context.Context, w *core.Write, r *cluster.Record, err error) (*cluster.Record, error) {
	if err != nil {
		return nil, err
	}
	if w != nil {
		if err := t.write(ctx, w); err != nil {
			return nil, err
		}
		t.decide(ctx)
	}
	if now := t.core.Record(r.Spec.Name); now != nil && now.Instance == r.Instance {
		return now, nil
	}
	return r, nil
}

func (t *term) kill(ctx context.Context, _ sender, q *cluster.KillRequest) (*cluster.Record, error) {
	w, r, err := t.core.Kill(time.Now(), q)
	return t.commit(ctx, w, r, err)
}

func (t *term) activate(ctx context.Context, _ sender, q *cluster.NameRequest) (*cluster.Record, error) {
	w, r, err := t.core.Activate(time.Now(), q.Name, true)
	return t.commit(ctx, w, r, err)
}

func (t *term) deactivate(ctx context.Context, _ sender, q *cluster.NameRequest) (*cluster.Record, error) {
	w, r, err := t.core.Activate(time.Now(), q.Name, false)
	return t.commit(ctx, w, r, err)
}

func (t *term) rebalance(ctx context.Context, _ sender, q *cluster.RebalanceRequest, r reply) {
	if len(q.Parallel) > 0 {
		t.rescale(ctx, q, r)
		return
	}
	w, record, err := t.core.Rebalance(time.Now(), q)
	r.send(t.commit(ctx, w, record, err))
}

func (t *term) level(ctx context.Context, _ sender, q *cluster.LevelRequest) (*cluster.Record, error) {
	w, r, err := t.core.Level(time.Now(), q)
	return t.commit(ctx, w, r, err)
}

func (t *term) list(context.Context, sender, *struct{}) (*cluster.ListReply, error) {
	l := t.core.List(time.Now())
	l.Leader, l.Epoch = t.cfg.Name, t.bucket.Epoch()
	return l, nil
}

func (t *term) describe(_ context.Context, _ sender, q *cluster.NameRequest) (*cluster.Description, error) {
	return t.core.Describe(time.Now(), q.Name)
}

// explain answers with the events of a topology. A killed one can still be explained, by its instance.
func (t *term) explain(ctx context.Context, _ sender, q *cluster.ExplainRequest, r reply) {
	of := q.Name
	if record := t.core.Record(q.Name); record != nil {
		of = string(record.Instance)
	} else if of != "" && cluster.Instance(of).Check() != nil {
		_, err := t.core.Describe(time.Now(), q.Name) // the error names the rule that the name breaks
		r.send(nil, err)
		return
	}
	lost, failure := t.core.Lost(q.Name)
	t.runAsyncFor(r, func() {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		events, err := natscluster.ReadEvents(ctx, t.nc, t.subjects, of, q.Limit)
		if err != nil {
			err = &cluster.RequestError{Code: cluster.CodeUnavailable, Text: err.Error()}
		}
		r.send(cluster.ExplainReply{Events: events, Lost: lost, Failure: failure}, err)
	})
}

// restart has the worker of a task end it as by a crash.
func (t *term) restart(ctx context.Context, _ sender, q *cluster.RestartRequest, r reply) {
	slot, record, err := t.core.WorkerOf(q.Name, q.Task)
	if err != nil {
		r.send(nil, err)
		return
	}
	t.runAsyncFor(r, func() {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		_, err := natscluster.Request[any](ctx, t.nc, t.subjects.Worker(slot, cluster.VerbCrash), cluster.TaskRequest{Task: q.Task})
		if refused := (*cluster.RequestError)(nil); err != nil && !errors.As(err, &refused) {
			err = &cluster.RequestError{Code: cluster.CodeUnavailable, Text: fmt.Sprintf("worker %v, which runs task %v, does not answer", slot, q.Task)}
		}
		r.send(record, err)
	})
}

// runAsyncFor is runAsync for a request, which is refused when too many operations are under way.
func (t *term) runAsyncFor(r reply, do func()) {
	if !t.runAsync(do) {
		r.send(nil, errBusy)
	}
}

// join adds a supervisor to the cluster.
func (t *term) join(ctx context.Context, who sender, h *cluster.Host) (*cluster.JoinReply, error) {
	if h.Name != who[0] {
		return nil, t.denied(fmt.Sprintf("supervisor %s asked to join as %.80q", who[0], h.Name))
	}
	joined, err := t.core.Join(time.Now(), h)
	if err != nil {
		if refused := (*cluster.RequestError)(nil); errors.As(err, &refused) && refused.Code != cluster.CodeUnavailable {
			t.publish(cluster.Event{Kind: cluster.Refused, Text: refused.Text})
		}
		return nil, err
	}
	if !t.core.Unchanged(joined) {
		if err := t.bucket.PutHost(ctx, joined); err != nil {
			return nil, t.notWritten(ctx, err)
		}
		t.core.Joined(time.Now(), joined)
	}
	return &cluster.JoinReply{Detection: t.cfg.Detection}, nil
}

// remove forgets a supervisor that is gone.
func (t *term) remove(ctx context.Context, _ sender, q *cluster.NameRequest) (*cluster.Host, error) {
	h, err := t.core.Remove(time.Now(), q.Name)
	if err != nil {
		return nil, err
	}
	if err := t.bucket.DeleteHost(ctx, q.Name); err != nil {
		return nil, t.notWritten(ctx, err)
	}
	t.core.Removed(q.Name)
	return h, nil
}

// denied publishes that a client has sent a request in another's name, and returns the refusal.
func (t *term) denied(text string) error {
	t.publish(cluster.Event{Kind: cluster.Denied, Text: text})
	return &cluster.RequestError{Code: cluster.CodeConflict, Text: text + ": each asks for itself"}
}
