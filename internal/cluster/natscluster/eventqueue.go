package natscluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/msgid"
)

const (
	maxQueuedEvents = 256
	drainTimeout    = time.Second // for events that are queued when Run ends
)

// An EventQueue keeps events until the stream of events has stored them. It is safe for concurrent use.
type EventQueue struct {
	nc *nats.Conn
	p  Subjects

	mu      sync.Mutex
	queue   []*nats.Msg // bounded: when it is full, the oldest are dropped and counted
	dropped uint64
	wake    chan struct{}
}

// NewEventQueue returns a queue of events. Run sends them.
func NewEventQueue(nc *nats.Conn, p Subjects) *EventQueue {
	return &EventQueue{nc: nc, p: p, wake: make(chan struct{}, 1)}
}

// Publish queues an event. It never blocks. At is now unless it is set; an event without an Instance is the cluster's.
func (e *EventQueue) Publish(event cluster.Event) {
	if event.At.IsZero() {
		event.At = time.Now()
	}
	of := cluster.ClusterEvents
	if event.Instance != "" {
		of = string(event.Instance)
		if event.Instance.Check() != nil {
			e.drop(1)
			return
		}
	}
	event.Shorten()
	data, err := json.Marshal(event)
	if err != nil {
		e.drop(1)
		return
	}
	m := nats.NewMsg(e.p.Event(of))
	m.Data = data
	m.Header.Set(nats.MsgIdHdr, rand.Text()) // it may be sent again
	e.mu.Lock()
	if e.queue = append(e.queue, m); len(e.queue) > maxQueuedEvents {
		e.queue = e.queue[1:]
		e.dropped++
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Dropped returns the number of lost events: the stream of events could not be reached for too long, or rejected them.
func (e *EventQueue) Dropped() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dropped
}

func (e *EventQueue) drop(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped += uint64(n)
}

// Run sends queued events until ctx ends, and then the remaining ones for a second at most.
func (e *EventQueue) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if !e.send(ctx) {
			select {
			case <-ctx.Done():
			case <-e.wake:
			}
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	for last.Err() == nil && e.send(last) {
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped += uint64(len(e.queue))
	e.queue = nil
}

// send sends the oldest event until it is stored, rejected or pushed out; it reports false if there is none.
func (e *EventQueue) send(ctx context.Context) (found bool) {
	_ = retry.Do(ctx, retry.Policy{Min: 10 * time.Millisecond, Max: time.Second, Again: unknown}, func() error {
		e.mu.Lock()
		if found = len(e.queue) > 0; !found {
			e.mu.Unlock()
			return nil
		}
		m := e.queue[0]
		e.mu.Unlock()
		_, err := publish(ctx, e.nc, m)
		e.mu.Lock()
		defer e.mu.Unlock()
		if !unknown(err) && len(e.queue) > 0 && e.queue[0] == m {
			e.queue = e.queue[1:]
			if err != nil {
				e.dropped++
			}
		}
		return err
	})
	return found
}

// maxEventsRead bounds the events of one instance that are read, in bytes: a worker may write anything.
const maxEventsRead = 8 << 20

// ReadEvents returns the newest events of an instance, or of ClusterEvents, oldest first, and at most limit, or fewer if
// they are very long. A limit of 0 is 1000.
func ReadEvents(ctx context.Context, nc *nats.Conn, p Subjects, of string, limit int) ([]cluster.Event, error) {
	if of == "" {
		of = cluster.ClusterEvents
	}
	if err := cluster.CheckName("instance", of, msgid.MaxName); err != nil {
		return nil, err
	}
	if limit <= 0 {
		limit = 1000
	}
	limit = min(limit, eventsEach)
	var found []cluster.Event
	var bytes []int // of each
	total := 0
	_, err := readStream(ctx, nc, p.Events(), p.Event(of), 0, func(m message) error {
		var e cluster.Event
		if json.Unmarshal(m.data, &e) != nil {
			return nil // a worker may write anything there
		}
		found, bytes, total = append(found, e), append(bytes, len(m.data)), total+len(m.data)
		for len(found) > limit || total > maxEventsRead {
			total -= bytes[0]
			found, bytes = found[1:], bytes[1:]
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: events of %s: %w", of, err)
	}
	return found, nil
}
