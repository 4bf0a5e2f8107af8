package nimbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/retry"
)

// A Nimbus leads the cluster, or waits to.
type Nimbus struct {
	cfg      Config
	log      *zap.Logger
	subjects natscluster.Subjects
	verified verified
}

// New returns a nimbus. Run starts it.
func New(cfg Config) (*Nimbus, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Nimbus{cfg: cfg, log: cfg.Log.With(zap.String("nimbus", cfg.Name)), subjects: cfg.Connection.Subjects()}, nil
}

// Name returns the name of this nimbus.
func (n *Nimbus) Name() string { return n.cfg.Name }

// Run leads whenever no other does, until ctx ends (it returns nil). All its goroutines have ended when it returns; running
// topologies go on. It waits for NATS for as long as it takes; invalid credentials are an error.
func (n *Nimbus) Run(ctx context.Context) error {
	user, err := n.cfg.Connection.User()
	if err != nil {
		return err
	}
	nc, err := n.connect(ctx, user)
	if nc == nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("nimbus: %w", err)
	}
	events := natscluster.NewEventQueue(nc, n.subjects)
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	var group sync.WaitGroup
	group.Go(func() { events.Run(telling) })
	defer group.Wait()
	defer stop()
	for ctx.Err() == nil {
		if err := n.lead(ctx, nc, js, events); err != nil && ctx.Err() == nil {
			n.log.Warn("not leading, will try again", zap.Error(err))
			_ = retry.Sleep(ctx, 200*time.Millisecond)
		}
	}
	return nil
}

// connect connects as soon as there is a server. It returns nil without an error if ctx ends before.
func (n *Nimbus) connect(ctx context.Context, user *natscluster.User) (nc *nats.Conn, err error) {
	permanent := func(err error) bool {
		return errors.Is(err, natscluster.ErrInsecure) || errors.Is(err, natscluster.ErrCredentials) || errors.Is(err, cluster.ErrName) ||
			errors.Is(err, nats.ErrAuthorization)
	}
	var once sync.Once
	err = retry.Do(ctx, retry.Policy{
		Min:    250 * time.Millisecond,
		Again:  func(err error) bool { return !permanent(err) },
		Failed: func(err error) { once.Do(func() { n.log.Warn("no NATS server yet, waiting", zap.Error(err)) }) },
	}, func() (err error) {
		nc, err = n.cfg.Connection.Connect("nimbus "+n.cfg.Name, user, nats.ErrorHandler(n.onError))
		return err
	})
	if err != nil && !permanent(err) { // ctx has ended
		return nil, nil
	}
	return nc, err
}

// onError logs asynchronous errors of the connection, such as a denied publish.
func (n *Nimbus) onError(_ *nats.Conn, sub *nats.Subscription, err error) {
	on := ""
	if sub != nil {
		on = sub.Subject
	}
	n.log.Warn("NATS", zap.String("subject", on), zap.Error(err))
}

// lead waits for the lease, and leads until its term ends.
func (n *Nimbus) lead(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, events *natscluster.EventQueue) error {
	if err := natscluster.Setup(ctx, nc, n.subjects, n.cfg.Replicas); err != nil {
		return err
	}
	won, err := natscluster.Campaign(ctx, nc, n.subjects, n.cfg.Name, n.cfg.Lease)
	if err != nil {
		return err
	}
	defer func() { _ = won.Close() }()
	t := newTerm(n, nc, js, won, events)
	return t.run(ctx, won.Done())
}
