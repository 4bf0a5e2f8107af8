package natscluster

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
)

// watchTimes are the intervals at which a watch reads.
type watchTimes struct {
	retry time.Duration // when a replica lags behind
	poll  time.Duration // without any hint
	audit time.Duration // for changes that no message announces
}

var defaultWatchTimes = watchTimes{retry: 5 * time.Millisecond, poll: time.Second, audit: 30 * time.Second}

// errorPause is the pause before a failed read is repeated.
const errorPause = 100 * time.Millisecond

// lagRetries is how often a hint is followed up at once: a replica receives an entry some time after the leader hints at it.
const lagRetries = 40

// A watch is one run of Watch.
//
// Invariant: known holds the entries that f has received. A newer entry is passed on. An older or missing one is
// accepted only if the stream's leader confirms it twice, an audit apart: a lagging replica would otherwise remove
// running topologies.
type watch struct {
	b        *Bucket
	f        func(cluster.Change)
	known    map[string]known
	next     uint64          // revision to read on from
	suspects map[string]bool // keys whose older or missing entry the leader has confirmed once
	hinted   atomic.Uint64   // newest revision hinted at
	wake     chan struct{}
}

// known is the newest entry of a key that f has received. A removed one is kept: a lagging replica may still have the key.
type known struct {
	revision uint64
	gone     bool
}

// Watch implements cluster.Reader. Removals without a message, such as those of a bucket that was lost, are detected within
// a minute or so. A record that cannot be read leaves the previous one in force.
func (b *Bucket) Watch(ctx context.Context, f func(cluster.Change), caughtUp func()) error {
	w := &watch{b: b, f: f, known: map[string]known{}, suspects: map[string]bool{}, wake: make(chan struct{}, 1)}
	sub, err := b.nc.Subscribe(b.p.Changed(recordKey+"*"), w.hint)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	for audited, told := time.Now(), false; ctx.Err() == nil; w.wait(ctx, err) {
		switch {
		case !told:
			told, err = w.catchUp(ctx)
			if told {
				caughtUp()
			}
		case time.Since(audited) >= b.times.audit:
			if err = w.audit(ctx); err == nil {
				audited = time.Now()
			}
		default:
			err = w.poll(ctx)
		}
		if closed(err) {
			return err
		}
	}
	return nil
}

// hint notes the revision of a hint. It runs on a goroutine of the connection.
func (w *watch) hint(m *nats.Msg) {
	revision, _ := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	w.follow(revision)
}

func (w *watch) follow(revision uint64) {
	w.hinted.Store(revision)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// wait waits until the bucket should be read again.
func (w *watch) wait(ctx context.Context, err error) {
	pause := w.b.times.poll
	if err != nil {
		pause = min(pause, errorPause)
	}
	tick := time.NewTimer(pause)
	defer tick.Stop()
	select {
	case <-ctx.Done():
	case <-w.wake:
	case <-tick.C:
	}
}

// catchUp reports whether f has received all entries that existed at the call.
func (w *watch) catchUp(ctx context.Context) (bool, error) {
	newest, err := w.b.newest(ctx)
	if err != nil {
		return false, err
	}
	if err := w.poll(ctx); err != nil {
		return false, err
	}
	if w.next <= newest { // the replica lags behind
		w.follow(newest)
		return false, nil
	}
	return true, nil
}

// poll passes new entries on.
func (w *watch) poll(ctx context.Context) (err error) {
	for range lagRetries {
		w.next, err = w.b.read(ctx, w.next, w.onEntry)
		if err != nil || w.next > w.hinted.Load() {
			return err
		}
		if err := retry.Sleep(ctx, w.b.times.retry); err != nil {
			return err
		}
	}
	w.hinted.Store(0) // there may be another bucket now, whose revisions are lower
	return nil
}

// onEntry passes an entry on if it is newer than the known one.
func (w *watch) onEntry(e entry) error {
	if strings.HasPrefix(e.key, recordKey) && e.revision > w.known[e.key].revision {
		w.report(e)
	}
	return nil
}

// report calls f for an entry, unless it cannot be read.
func (w *watch) report(e entry) {
	c, err := change(e)
	if err != nil {
		return
	}
	was := w.known[e.key]
	w.known[e.key] = known{e.revision, e.gone}
	if !e.gone || was.revision > 0 && !was.gone {
		w.f(c)
	}
}

// audit compares the known entries with those of the bucket.
func (w *watch) audit(ctx context.Context) error {
	there := map[string]uint64{}
	next, err := w.b.read(ctx, 0, func(e entry) error {
		there[e.key] = e.revision
		return w.onEntry(e)
	})
	if err != nil {
		return err
	}
	w.next = next // it may have gone back
	doubted := map[string]bool{}
	for key, k := range w.known {
		switch {
		case there[key] >= k.revision:
		case k.gone:
			if there[key] == 0 && next > k.revision { // its marker has expired
				delete(w.known, key)
			}
		default:
			older, e, err := w.older(ctx, key, k)
			if err != nil {
				return err
			}
			if older && w.suspects[key] {
				w.report(e)
			} else if older {
				doubted[key] = true
			}
		}
	}
	w.suspects = doubted
	return nil
}

// older reports whether the stream's leader has an older entry for a key than the known one, or none; and that entry.
func (w *watch) older(ctx context.Context, key string, k known) (bool, entry, error) {
	e, err := w.b.last(ctx, key)
	if err != nil {
		return false, e, err
	}
	if e.revision == 0 {
		e.key, e.gone = key, true
	}
	return e.revision < k.revision, e, nil
}
