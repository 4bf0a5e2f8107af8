package nimbus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// rescale begins to give a topology other numbers of tasks. Nimbus does not run programs: a worker computes the new Spec.
// The new instance's log is made before the decision; without a decision it is deleted as an orphan.
func (t *term) rescale(ctx context.Context, q *cluster.RebalanceRequest, r reply) {
	slot, parallel, record, err := t.core.CheckRescale(time.Now(), q)
	if err != nil || record != nil {
		r.send(record, err)
		return
	}
	durability := natslog.Durability(t.core.Record(q.Name).Durability)
	t.runAsyncFor(r, func() {
		spec, as, err := t.prepareRescale(ctx, q.Name, slot, parallel, durability)
		if err != nil {
			r.send(nil, err)
			return
		}
		t.enqueueWait(ctx, func(ctx context.Context) {
			w, record, err := t.core.StartRescale(time.Now(), q, as, spec)
			r.send(t.commit(ctx, w, record, err))
		})
	})
}

// prepareRescale requests the new Spec from a worker, and makes the log of the new instance.
func (t *term) prepareRescale(ctx context.Context, name string, slot cluster.WorkerSlot, parallel map[string]int, d natslog.Durability) (*cluster.Spec, cluster.Instance, error) {
	limited, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	spec, err := natscluster.Request[cluster.Spec](limited, t.nc, t.subjects.Worker(slot, cluster.VerbSpec), cluster.SpecRequest{Parallel: parallel})
	if refused := (*cluster.RequestError)(nil); err != nil && !errors.As(err, &refused) {
		err = &cluster.RequestError{Code: cluster.CodeUnavailable, Text: fmt.Sprintf("worker %v does not describe its program at other numbers of tasks", slot)}
	}
	if err != nil {
		return nil, "", err
	}
	as := cluster.NewInstance(name)
	if err := t.makeLog(ctx, as, d); err != nil {
		return nil, "", unavailable(fmt.Errorf("no task log can be made for %s: %w", name, err))
	}
	return &spec, as, nil
}
