package nimbus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/nimbus/core"
)

// A term is one time of leading. One goroutine, its loop, makes all decisions: so concurrent requests have one outcome.
// Other goroutines do slow operations, whose results come back as steps of the loop.
type term struct {
	*Nimbus
	nc     *nats.Conn
	js     jetstream.JetStream
	bucket cluster.Writer
	events publisher
	core   *core.Core

	steps             chan step       // requests, and results of asynchronous operations; when it is full, requests are refused
	heartbeats        *heartbeatQueue // when it is full, heartbeats are dropped and counted
	droppedHeartbeats atomic.Uint64   // heartbeats
	asyncSlots        chan struct{}   // one for each thing that may take long at a time
	ended             chan struct{}   // closed when the loop has ended
	depose            context.CancelCauseFunc
	group             sync.WaitGroup

	writeAfter time.Time                    // until when nothing more is decided, after a write was refused
	waiting    map[*core.Submission][]reply // answers that wait for a submission
}

// A step is executed by the loop.
type step func(ctx context.Context)

// A publisher publishes events.
type publisher interface{ Publish(cluster.Event) }

// Bounds of the loop's queues.
const (
	maxSteps      = 256
	maxHeartbeats = 8192 // of as many workers and supervisors
	maxAsync      = 16
)

// Times of the loop.
const (
	tick            = 100 * time.Millisecond
	writeRetryAfter = time.Second
)

func newTerm(n *Nimbus, nc *nats.Conn, js jetstream.JetStream, bucket cluster.Writer, events publisher) *term {
	return &term{
		Nimbus: n, nc: nc, js: js, bucket: bucket, events: events,
		core:  core.New(core.Config{Detection: n.cfg.Detection, Grace: n.cfg.grace()}),
		steps: make(chan step, maxSteps), heartbeats: newHeartbeatQueue(), asyncSlots: make(chan struct{}, maxAsync),
		ended: make(chan struct{}), waiting: map[*core.Submission][]reply{},
	}
}

// run leads until ctx ends (it returns nil), or another nimbus may lead.
func (t *term) run(ctx context.Context, over <-chan struct{}) error {
	ctx, t.depose = context.WithCancelCause(ctx)
	defer t.depose(nil)
	t.group.Go(func() {
		select {
		case <-over:
			t.depose(cluster.ErrDeposed)
		case <-ctx.Done():
		}
	})
	defer t.group.Wait()
	defer t.depose(nil)
	defer close(t.ended)
	if err := t.load(ctx); err != nil {
		return err
	}
	t.log.Info("leading", zap.Uint64("epoch", t.bucket.Epoch()))
	t.publish(cluster.Event{At: time.Now().UTC(), Kind: cluster.LeaderChanged, Text: fmt.Sprintf("nimbus %s leads, epoch %d", t.cfg.Name, t.bucket.Epoch())})
	stopHearing, err := t.subscribeHeartbeats()
	if err != nil {
		return err
	}
	defer stopHearing()
	stopServing, err := t.serve()
	if err != nil {
		return err
	}
	defer stopServing()
	t.group.Go(func() { t.keepLogs(ctx) })
	t.loop(ctx)
	return t.cause(ctx)
}

// cause returns why the term is over: nil if nimbus is to end.
func (t *term) cause(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		t.log.Warn("no longer leading", zap.Error(err))
		return err
	}
	return nil
}

// loop executes steps, heartbeats and ticks, one after another.
func (t *term) loop(ctx context.Context) {
	connection := t.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING)
	defer t.nc.RemoveStatusListener(connection)
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	for awake := time.Now(); ctx.Err() == nil; awake = time.Now() {
		select {
		case <-ctx.Done():
		case subject := <-t.heartbeats.subjects:
			t.heartbeats.take(subject)()
		case do := <-t.steps:
			if time.Since(awake) >= t.cfg.Lease { // others may have been asked since: their answers count
				t.depose(errAsleep)
			}
			do(ctx)
			t.decide(ctx)
		case <-connection:
			t.core.RestartDetection(time.Now())
		case <-ticks.C:
			t.onTick(ctx)
		}
	}
	// Requests that came too late are refused, and sent again to the next leader.
	for s := range t.waiting {
		t.answer(s, nil, errTermOver)
	}
	for {
		select {
		case do := <-t.steps:
			do(ctx)
		default:
			return
		}
	}
}

// onTick takes all queued heartbeats, then decides.
func (t *term) onTick(ctx context.Context) {
	for range len(t.heartbeats.subjects) {
		t.heartbeats.take(<-t.heartbeats.subjects)()
	}
	if t.droppedHeartbeats.Swap(0) > 0 {
		t.core.RestartDetection(time.Now())
	}
	t.decide(ctx)
}

// load reads records and hosts.
func (t *term) load(ctx context.Context) error {
	records, err := t.bucket.Records(ctx)
	if err != nil {
		return fmt.Errorf("nimbus: read records: %w", err)
	}
	hosts, err := t.bucket.Hosts(ctx)
	if err != nil {
		return fmt.Errorf("nimbus: read hosts: %w", err)
	}
	t.core.Load(time.Now(), records, hosts)
	return nil
}

// decide writes the decisions that are due.
func (t *term) decide(ctx context.Context) {
	for ctx.Err() == nil && !time.Now().Before(t.writeAfter) {
		writes := t.core.Decide(time.Now())
		t.publish(t.core.Events()...)
		if len(writes) == 0 {
			return
		}
		for i := range writes {
			if err := t.write(ctx, &writes[i]); err != nil {
				t.writeAfter = time.Now().Add(writeRetryAfter) // the decision will be made again
				return
			}
		}
	}
}

// errAsleep occurs when the process, or the whole machine, was stopped for longer than the lease.
var errAsleep = errors.New("nimbus: asleep for longer than the lease")

// errTermOver: this leader cannot decide any more. The next leader will.
var errTermOver = &cluster.RequestError{Code: cluster.CodeUnavailable, Text: "this nimbus no longer leads: another will answer"}

// write puts a decision into the bucket. It goes on for as long as the term does: so afterwards the decision is in force, or
// rejected, or the term is over and the next leader will read the outcome.
func (t *term) write(ctx context.Context, w *core.Write) error {
	if ctx.Err() != nil {
		return errTermOver
	}
	var revision uint64
	var err error
	if w.Record == nil {
		err = t.bucket.DeleteRecord(ctx, w.Name)
	} else {
		revision, err = t.bucket.PutRecord(ctx, w.Record)
	}
	if err != nil {
		return t.notWritten(ctx, err)
	}
	t.core.Stored(time.Now(), w, revision)
	t.publish(w.Events...)
	return nil
}

// notWritten returns the refusal for a failed write. If its outcome is unknown, the term ends.
func (t *term) notWritten(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, cluster.ErrDeposed) || errors.Is(err, cluster.ErrUnknown) {
		t.depose(err)
		return errTermOver
	}
	t.log.Error("a decision cannot be written", zap.Error(err))
	return &cluster.RequestError{Code: cluster.CodeInternal, Text: "it cannot be written down: " + err.Error()}
}

// publish keeps events, and logs them.
func (t *term) publish(events ...cluster.Event) {
	for _, e := range events {
		t.log.Info(string(e.Kind), zap.String("instance", string(e.Instance)), zap.String("text", e.Text))
		t.events.Publish(e)
	}
}

// enqueue gives the loop something to do, and reports whether it will.
func (t *term) enqueue(do step) bool {
	select {
	case <-t.ended:
		return false
	default:
	}
	select {
	case t.steps <- do:
		return true
	default:
		return false
	}
}

// enqueueWait is enqueue for steps that must not be lost while the term goes on: it waits for room.
func (t *term) enqueueWait(ctx context.Context, do step) {
	select {
	case t.steps <- do:
	case <-ctx.Done():
	}
}

// runAsync calls a slow function on a goroutine of its own. It reports false, and does not, when maxAsync are under way.
func (t *term) runAsync(do func()) bool {
	select {
	case t.asyncSlots <- struct{}{}:
	default:
		return false
	}
	t.group.Go(func() {
		defer func() { <-t.asyncSlots }()
		do()
	})
	return true
}
