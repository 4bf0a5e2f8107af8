package nimbus

import (
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/cluster"
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
	t.heard(func() { t.core.HostBeat(at, b) })
}

// onWorkerBeat takes what a worker says of itself.
func (t *term) onWorkerBeat(m *nats.Msg) {
	at, b := time.Now(), &cluster.Beat{}
	if cluster.Redirected(m) || json.Unmarshal(m.Data, b) != nil || b.Seat.Check() != nil || m.Subject != t.subjects.WorkerBeat(b.Seat) {
		return
	}
	t.heard(func() { t.core.Beat(at, b) })
}

func (t *term) heard(beat func()) {
	select {
	case t.beats <- beat:
	default:
		t.missed.Add(1)
	}
}
