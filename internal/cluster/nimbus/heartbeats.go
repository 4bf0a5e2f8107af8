package nimbus

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// subscribeHeartbeats subscribes to all heartbeats. The returned function unsubscribes.
func (t *term) subscribeHeartbeats() (stop func(), err error) {
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			_ = s.Unsubscribe()
		}
	}
	for _, on := range []struct {
		subject string
		f       nats.MsgHandler
	}{
		{t.subjects.HostHeartbeat("*"), t.onHostHeartbeat},
		{t.subjects.WorkerHeartbeats("*"), t.onWorkerHeartbeat},
	} {
		s, err := t.nc.Subscribe(on.subject, on.f)
		if err != nil {
			stop()
			return nil, err
		}
		subs = append(subs, s)
	}
	return stop, nil
}

// onHostHeartbeat enqueues a supervisor's heartbeat. It drops one whose subject is another supervisor's.
func (t *term) onHostHeartbeat(m *nats.Msg) {
	at, b := time.Now(), &cluster.HostHeartbeat{}
	if natscluster.FromStream(m) || json.Unmarshal(m.Data, b) != nil || !msgid.ValidName(b.Name) || m.Subject != t.subjects.HostHeartbeat(b.Name) {
		return
	}
	t.enqueueHeartbeat(m.Subject, func() { t.core.HostHeartbeat(at, b) })
}

// onWorkerHeartbeat enqueues a worker's heartbeat. It drops one whose subject is another worker's.
func (t *term) onWorkerHeartbeat(m *nats.Msg) {
	at, b := time.Now(), &cluster.Heartbeat{}
	if natscluster.FromStream(m) || json.Unmarshal(m.Data, b) != nil || b.Slot.Check() != nil || m.Subject != t.subjects.WorkerHeartbeat(b.Slot) {
		return
	}
	t.enqueueHeartbeat(m.Subject, func() { t.core.WorkerHeartbeat(at, b) })
}

// A heartbeatQueue holds heartbeats for the loop. Only the newest of each subject is queued, so a flood crowds out no other
// worker.
type heartbeatQueue struct {
	mu       sync.Mutex
	latest   map[string]func()
	subjects chan string // in the order of arrival; when it is full, a heartbeat is dropped
}

func newHeartbeatQueue() *heartbeatQueue {
	return &heartbeatQueue{latest: map[string]func(){}, subjects: make(chan string, maxHeartbeats)}
}

// put reports false if there is no room.
func (s *heartbeatQueue) put(subject string, heartbeat func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest[subject] == nil {
		select {
		case s.subjects <- subject:
		default:
			return false
		}
	}
	s.latest[subject] = heartbeat
	return true
}

// take returns the newest heartbeat of a subject.
func (s *heartbeatQueue) take(subject string) (heartbeat func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heartbeat = s.latest[subject]
	delete(s.latest, subject)
	return heartbeat
}

func (t *term) enqueueHeartbeat(subject string, heartbeat func()) {
	if !t.heartbeats.put(subject, heartbeat) {
		t.droppedHeartbeats.Add(1)
	}
}
