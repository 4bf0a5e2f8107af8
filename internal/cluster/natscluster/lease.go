package natscluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/msgid"
)

// LeaseTTL is how long a lease lasts unless it is renewed.
const LeaseTTL = 2 * time.Second

// errLeaseHeld: another candidate holds the lease.
var errLeaseHeld = errors.New("natscluster: the lease is held")

// Bounds of a lease's TTL.
const (
	minTTL = 100 * time.Millisecond
	maxTTL = time.Minute
)

// A claim is the value of the lease and of the epoch: it names the holder. The nonce distinguishes one run of a nimbus
// from another, and its own write whose answer was lost from another candidate's.
type claim struct {
	Name  string        `json:"name"`
	Nonce string        `json:"nonce"`
	TTL   time.Duration `json:"ttl,omitempty"`   // of the lease
	Epoch uint64        `json:"epoch,omitempty"` // of the epoch
}

// Campaign waits until it holds the lease, then takes over: it writes the next epoch, and returns the Leadership of it.
// It goes on through losses of the connection until ctx ends. It ends with ErrNotSetUp if there is no bucket, or not any
// more: call Setup and try again. A TTL of 0 is LeaseTTL.
//
// The lease only keeps candidates from deposing each other all the time. The epoch makes a leader's writes safe.
//
// A candidate takes the lease when it is free (the server lets it expire by its TTL), or when the candidate has seen it
// unrenewed for its TTL. The latter is sooner, for the server checks once a second, and does not depend on its clock.
func Campaign(ctx context.Context, nc *nats.Conn, p Subjects, name string, ttl time.Duration) (*Leadership, error) {
	if ttl == 0 {
		ttl = LeaseTTL
	}
	if err := cluster.CheckName("nimbus", name, msgid.MaxName); err != nil {
		return nil, err
	}
	if ttl < minTTL || ttl > maxTTL {
		return nil, fmt.Errorf("cluster: lease of %v: want %v to %v", ttl, minTTL, maxTTL)
	}
	c := &candidate{b: OpenReader(nc, p), claim: claim{Name: name, Nonce: rand.Text(), TTL: ttl}, wake: make(chan struct{}, 1)}
	sub, err := nc.Subscribe(p.Changed(leaseKey), func(*nats.Msg) {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: campaign: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		l, err := c.try(ctx)
		if l != nil {
			l.start()
			return l, nil
		}
		if closed(err) || errors.Is(err, ErrNotSetUp) {
			return nil, fmt.Errorf("cluster: campaign: %w", err)
		}
		if !c.wait(ctx, err) {
			return nil, fmt.Errorf("cluster: campaign: %w", context.Cause(ctx))
		}
	}
}

// A candidate waits for the lease.
type candidate struct {
	b     *Bucket
	claim claim
	wake  chan struct{}
	seen  uint64    // revision of the lease
	free  time.Time // when the lease will have been unrenewed for its TTL
}

// try takes the lease and the epoch if it can.
func (c *candidate) try(ctx context.Context) (*Leadership, error) {
	e, err := c.b.last(ctx, leaseKey)
	if err != nil {
		return nil, err
	}
	c.observe(e)
	if time.Now().Before(c.free) {
		return nil, errLeaseHeld
	}
	lease := &lease{b: c.b, claim: c.claim, revision: e.revision}
	if err := lease.renew(ctx); err != nil {
		return nil, err
	}
	for time.Now().Before(lease.until) {
		l, err := c.takeOver(ctx, lease)
		if l != nil || closed(err) || ctx.Err() != nil {
			return l, err
		}
		_ = retry.Sleep(ctx, errorPause/10)
	}
	return nil, errLeaseHeld
}

// observe notes when the lease changed last.
func (c *candidate) observe(e entry) {
	if e.gone || e.revision == 0 {
		c.seen, c.free = e.revision, time.Time{}
		return
	}
	if e.revision == c.seen {
		return
	}
	var holder claim
	_ = json.Unmarshal(e.data, &holder) // an unreadable one lasts for the longest time
	if holder.TTL < minTTL || holder.TTL > maxTTL {
		holder.TTL = maxTTL
	}
	c.seen, c.free = e.revision, time.Now().Add(holder.TTL)
	if holder.Nonce == c.claim.Nonce { // it was taken, and the answer was lost
		c.free = time.Time{}
	}
}

// takeOver writes the next epoch.
func (c *candidate) takeOver(ctx context.Context, lease *lease) (*Leadership, error) {
	e, err := c.b.last(ctx, epochKey)
	if err != nil {
		return nil, err
	}
	var before claim
	if e.revision > 0 {
		if err := json.Unmarshal(e.data, &before); err != nil {
			return nil, damaged(epochKey, err)
		}
	}
	if before.Nonce == c.claim.Nonce { // it was written, and the answer was lost
		return newLeadership(c.b, lease, before.Epoch, e.revision), nil
	}
	mine := c.claim
	mine.TTL, mine.Epoch = 0, before.Epoch+1
	value, _ := json.Marshal(mine)
	m := nats.NewMsg(c.b.subject(epochKey))
	m.Data = value
	m.Header.Set(expectSequence, strconv.FormatUint(e.revision, 10))
	revision, err := publish(ctx, c.b.nc, m)
	if err != nil {
		return nil, err
	}
	return newLeadership(c.b, lease, mine.Epoch, revision), nil
}

// wait waits until the lease should be read again; it reports false when ctx has ended.
func (c *candidate) wait(ctx context.Context, err error) bool {
	pause := c.claim.TTL / 3
	if errors.Is(err, cluster.ErrUnknown) || errors.Is(err, errConflict) {
		pause = min(pause, errorPause)
	}
	if left := time.Until(c.free); left > 0 && left < pause {
		pause = left
	}
	timer := time.NewTimer(max(pause, time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-c.wake:
	case <-timer.C:
	}
	return ctx.Err() == nil
}

// Headers of JetStream.
const (
	expectSequence = "Nats-Expected-Last-Subject-Sequence"
	expectSubject  = "Nats-Expected-Last-Subject-Sequence-Subject"
	ttlHeader      = "Nats-TTL"
	operation      = "KV-Operation"
	rollup         = "Nats-Rollup"
)

// A lease is a lease that this process holds. One goroutine uses it.
type lease struct {
	b        *Bucket
	claim    claim
	revision uint64    // of the key: the condition of the next write
	until    time.Time // by the own monotonic clock, from the moment before the last renewal was sent
}

// renew writes the lease anew, with a TTL: an update through the KV interface would clear it.
func (l *lease) renew(ctx context.Context) error {
	value, _ := json.Marshal(l.claim)
	m := nats.NewMsg(l.b.subject(leaseKey))
	m.Data = value
	m.Header.Set(expectSequence, strconv.FormatUint(l.revision, 10))
	m.Header.Set(ttlHeader, strconv.Itoa(int((l.claim.TTL+time.Second-1)/time.Second))) // whole seconds; at least 1
	sent := time.Now()
	revision, err := publish(ctx, l.b.nc, m)
	if err == nil {
		l.revision, l.until = revision, sent.Add(l.claim.TTL)
	}
	return err
}

// resolve reads the lease after a renewal that was refused. It returns nil if the lease is ours, by a renewal whose answer
// was lost, or free, because the server's clock has leapt. Otherwise it returns ErrDeposed.
func (l *lease) resolve(ctx context.Context) error {
	e, err := l.b.last(ctx, leaseKey)
	if err != nil {
		return err
	}
	if !e.gone && e.revision > 0 {
		var holder claim
		if json.Unmarshal(e.data, &holder) != nil || holder.Nonce != l.claim.Nonce {
			return fmt.Errorf("%w: %.80q holds the lease", cluster.ErrDeposed, holder.Name)
		}
	}
	l.revision = e.revision
	return nil
}

// release gives the lease up, if it is still ours.
func (l *lease) release(ctx context.Context) error {
	m := nats.NewMsg(l.b.subject(leaseKey))
	m.Header.Set(operation, "DEL")
	m.Header.Set(expectSequence, strconv.FormatUint(l.revision, 10))
	_, err := publish(ctx, l.b.nc, m)
	if errors.Is(err, errConflict) {
		return nil
	}
	return err
}
