package nimbus

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// hear begins to listen to beats. The returned function ends it.
func (t *term) hear() (stop func(), err error) {
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
		{t.subjects.HostBeat("*"), t.onHostBeat},
		{t.subjects.WorkerBeats("*"), t.onWorkerBeat},
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

// onHostBeat takes what a supervisor says of itself; what somebody says of another is dropped.
func (t *term) onHostBeat(m *nats.Msg) {
	at, b := time.Now(), &cluster.HostBeat{}
	if cluster.Redirected(m) || json.Unmarshal(m.Data, b) != nil || !msgid.ValidName(b.Name) || m.Subject != t.subjects.HostBeat(b.Name) {
		return
	}
	t.heard(m.Subject, func() { t.core.HostBeat(at, b) })
}

// onWorkerBeat takes what a worker says of itself.
func (t *term) onWorkerBeat(m *nats.Msg) {
	at, b := time.Now(), &cluster.Beat{}
	if cluster.Redirected(m) || json.Unmarshal(m.Data, b) != nil || b.Seat.Check() != nil || m.Subject != t.subjects.WorkerBeat(b.Seat) {
		return
	}
	t.heard(m.Subject, func() { t.core.Beat(at, b) })
}

// Sounds are beats that wait for the loop: the newest of each subject, so that nobody who floods his takes the room of
// others.
type sounds struct {
	mu     sync.Mutex
	newest map[string]func()
	order  chan string // subjects; what finds it full is missed
}

func newSounds() *sounds {
	return &sounds{newest: map[string]func(){}, order: make(chan string, maxBeats)}
}

// put reports false if there is no room.
func (s *sounds) put(subject string, beat func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest[subject] == nil {
		select {
		case s.order <- subject:
		default:
			return false
		}
	}
	s.newest[subject] = beat
	return true
}

// take returns the newest beat of a subject that was next in order.
func (s *sounds) take(subject string) (beat func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	beat = s.newest[subject]
	delete(s.newest, subject)
	return beat
}

func (t *term) heard(subject string, beat func()) {
	if !t.sounds.put(subject, beat) {
		t.missed.Add(1)
	}
}
