package natscluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/msgid"
)

// A Leadership is the right of one nimbus to write, for one epoch. It implements cluster.Writer. Its methods may be
// called from any goroutine; Close it when it is over.
//
// Each write is conditional on the sequence number of the epoch's key: the server itself rejects the writes of a leader
// that was paused or cut off and has not noticed that another has taken over. If the bucket is lost and made anew, the
// leader is deposed too: everything starts over from the new bucket.
type Leadership struct {
	*Bucket
	epoch uint64
	fence uint64 // revision of the epoch's key
	lease *lease

	// writing holds one token: JetStream with replicas rejects two concurrent writes with the same condition.
	writing chan struct{}
	// inDoubt is a write whose outcome is unknown. The next write waits for it, since it might overtake it.
	inDoubt *nats.Msg

	ctx      context.Context // ends with the leadership
	end      context.CancelCauseFunc
	renewing sync.WaitGroup
	close    sync.Once
}

var _ cluster.Writer = (*Leadership)(nil)

func newLeadership(b *Bucket, lease *lease, epoch, fence uint64) *Leadership {
	l := &Leadership{Bucket: b, epoch: epoch, fence: fence, lease: lease, writing: make(chan struct{}, 1)}
	l.writing <- struct{}{}
	l.floor.Store(fence)
	l.ctx, l.end = context.WithCancelCause(context.Background())
	return l
}

func (l *Leadership) start() { l.renewing.Go(l.keep) }

// keep renews the lease until a renewal is late, or the leadership ends otherwise.
func (l *Leadership) keep() {
	every := l.lease.claim.TTL / 3
	for pause := every; ; {
		left := time.Until(l.lease.until)
		if left <= 0 {
			l.end(fmt.Errorf("%w, or may: the lease could not be renewed for %v", cluster.ErrDeposed, l.lease.claim.TTL))
		}
		if retry.Sleep(l.ctx, min(pause, left)) != nil {
			return
		}
		ctx, cancel := context.WithTimeout(l.ctx, min(every, time.Until(l.lease.until)))
		err := l.lease.renew(ctx)
		if errors.Is(err, errConflict) {
			if err = l.lease.resolve(ctx); err == nil {
				err = l.check(ctx)
			}
			pause = every / 10
		} else if err == nil {
			pause = every
		} else {
			pause = every / 10
		}
		cancel()
		if errors.Is(err, cluster.ErrDeposed) || closed(err) {
			l.end(err)
		}
	}
}

// check returns ErrDeposed if another leads.
func (l *Leadership) check(ctx context.Context) error {
	e, err := l.last(ctx, epochKey)
	if err != nil {
		return err
	}
	if e.revision != l.fence {
		var leader claim
		_ = json.Unmarshal(e.data, &leader)
		return fmt.Errorf("%w: %.80q, epoch %d", cluster.ErrDeposed, leader.Name, leader.Epoch)
	}
	return nil
}

// Epoch implements Writer.
func (l *Leadership) Epoch() uint64 { return l.epoch }

// Done is closed when the leadership is over. No other nimbus leads before that.
func (l *Leadership) Done() <-chan struct{} { return l.ctx.Done() }

// Err returns why the leadership is over, and nil before that.
func (l *Leadership) Err() error {
	if l.ctx.Err() == nil {
		return nil
	}
	return context.Cause(l.ctx)
}

// ErrClosed occurs after Close.
var ErrClosed = errors.New("cluster: leadership closed")

// Close ends the leadership and gives the lease up, so that another candidate need not wait for it to expire.
func (l *Leadership) Close() error {
	var err error
	l.close.Do(func() {
		held := l.ctx.Err() == nil
		l.end(ErrClosed)
		l.renewing.Wait()
		if held {
			ctx, cancel := context.WithTimeout(context.Background(), tryTimeout)
			defer cancel()
			err = l.lease.release(ctx)
		}
	})
	return err
}

// PutRecord implements Writer. It sets the record's Epoch.
func (l *Leadership) PutRecord(ctx context.Context, r *cluster.Record) (uint64, error) {
	if err := r.Instance.Check(); err != nil {
		return 0, err
	}
	r.Epoch = l.epoch
	return l.put(ctx, recordKey+r.Instance.Name(), r)
}

// DeleteRecord implements Writer.
func (l *Leadership) DeleteRecord(ctx context.Context, name string) error {
	if err := cluster.CheckName("topology", name, cluster.MaxName); err != nil {
		return err
	}
	return l.remove(ctx, recordKey+name)
}

// PutHost implements Writer.
func (l *Leadership) PutHost(ctx context.Context, h *cluster.Host) error {
	if err := cluster.CheckName("supervisor", h.Name, msgid.MaxName); err != nil {
		return err
	}
	_, err := l.put(ctx, hostKey+h.Name, h)
	return err
}

// DeleteHost implements Writer.
func (l *Leadership) DeleteHost(ctx context.Context, name string) error {
	if err := cluster.CheckName("supervisor", name, msgid.MaxName); err != nil {
		return err
	}
	return l.remove(ctx, hostKey+name)
}

func (l *Leadership) put(ctx context.Context, key string, value any) (uint64, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("cluster: write %s: %w", key, err)
	}
	m := nats.NewMsg(l.subject(key))
	m.Data = data
	return l.write(ctx, m)
}

// remove leaves a marker for watchers, which expires.
func (l *Leadership) remove(ctx context.Context, key string) error {
	m := nats.NewMsg(l.subject(key))
	m.Header.Set(operation, "PURGE")
	m.Header.Set(rollup, "sub")
	m.Header.Set(ttlHeader, deletedTTL.String())
	_, err := l.write(ctx, m)
	return err
}

// write stores a message if this is still the newest epoch. When ctx ends before the outcome is known (ErrUnknown), the
// message may still be stored, but before any later one.
func (l *Leadership) write(ctx context.Context, m *nats.Msg) (revision uint64, err error) {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	select {
	case <-l.writing:
		defer func() { l.writing <- struct{}{} }()
	case <-ctx.Done():
		return 0, fmt.Errorf("cluster: write %s: %w", m.Subject, context.Cause(ctx))
	}
	m.Header.Set(expectSequence, strconv.FormatUint(l.fence, 10))
	m.Header.Set(expectSubject, l.subject(epochKey))
	m.Header.Set(nats.MsgIdHdr, rand.Text())
	if l.inDoubt != nil {
		if _, err := l.writeUntilKnown(ctx, l.inDoubt); err != nil && l.inDoubt != nil {
			return 0, fmt.Errorf("cluster: write %s: an earlier write: %w", m.Subject, err)
		}
	}
	if revision, err = l.writeUntilKnown(ctx, m); err != nil {
		return 0, fmt.Errorf("cluster: write %s: %w", m.Subject, err)
	}
	return revision, nil
}

// writeUntilKnown sends a message until its outcome is known. By its id the server stores it at most once.
func (l *Leadership) writeUntilKnown(ctx context.Context, m *nats.Msg) (revision uint64, err error) {
	l.inDoubt = m
	err = retry.Do(ctx, retry.Policy{Min: time.Millisecond, Max: errorPause, Again: unknown}, func() (err error) {
		revision, err = publish(ctx, l.nc, m)
		if errors.Is(err, errConflict) {
			if err = l.check(ctx); err == nil {
				err = cluster.ErrUnknown // a candidate's try was under way just then: not stored yet
			}
		}
		return err
	})
	switch {
	case err == nil:
		l.floor.Store(revision)
	case errors.Is(err, cluster.ErrDeposed):
		l.end(err)
	case ctx.Err() != nil:
		return 0, fmt.Errorf("%w: %w", cluster.ErrUnknown, context.Cause(ctx))
	}
	l.inDoubt = nil
	return revision, err
}

// unknown reports whether a write may or may not have been stored.
func unknown(err error) bool { return errors.Is(err, cluster.ErrUnknown) }

// bound returns a context that also ends with the leadership.
func (l *Leadership) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })
	return both, func() { stop(); cancel(nil) }
}

// Records implements Reader.
func (l *Leadership) Records(ctx context.Context) ([]cluster.Change, error) {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	c, err := l.Bucket.Records(ctx)
	return c, withCause(ctx, err)
}

// Hosts implements Reader.
func (l *Leadership) Hosts(ctx context.Context) ([]cluster.Host, error) {
	ctx, cancel := l.bound(ctx)
	defer cancel()
	h, err := l.Bucket.Hosts(ctx)
	return h, withCause(ctx, err)
}

// withCause adds to an error why its context ended.
func withCause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}
