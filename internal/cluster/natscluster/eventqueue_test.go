package natscluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
)

// sending runs the queue until stop is called, which returns when Run has.
func sending(t *testing.T, e *EventQueue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { e.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

// Events come back in order, the newest of each instance.
func TestEvents(t *testing.T) {
	nc := serveOne(t)
	e := NewEventQueue(nc, prefix)
	stop := sending(t, e)
	a, b := cluster.NewInstance("a"), cluster.NewInstance("b")
	e.Publish(cluster.Event{Kind: cluster.LeaderChanged, Text: "of no topology"})
	for i := range 100 {
		e.Publish(cluster.Event{Kind: cluster.Assigned, Instance: a, Text: fmt.Sprint(i)})
		e.Publish(cluster.Event{Kind: cluster.Assigned, Instance: b, Text: fmt.Sprint(-i)})
	}
	e.Publish(cluster.Event{Kind: cluster.TaskRecovered, Instance: b, Text: strings.Repeat("x", 1<<20), Recovery: &cluster.Recovery{Asked: strings.Repeat("y", 1<<20)}})
	stop() // queued events are still sent
	for _, c := range []struct {
		of          string
		limit, want int
		first, last string
	}{
		{string(a), 0, 100, "0", "99"},
		{string(a), 7, 7, "93", "99"},
		{string(b), 3, 3, "-98", strings.Repeat("x", 4<<10) + " …"},
		{"", 0, 1, "of no topology", "of no topology"},
		{cluster.ClusterEvents, 5, 1, "of no topology", "of no topology"},
	} {
		events, err := ReadEvents(limit(t), nc, prefix, c.of, c.limit)
		if err != nil || len(events) != c.want || events[0].Text != c.first || events[len(events)-1].Text != c.last || events[0].At.IsZero() {
			t.Errorf("%s, limit %d: %d events, %v", c.of, c.limit, len(events), err)
		}
	}
	if reply, err := nc.Request(prefix.Event(string(a)), make([]byte, eventBytes+1), 5*time.Second); err != nil || !strings.Contains(string(reply.Data), "exceed") {
		t.Errorf("a long one is not refused: %v", err)
	}
	for range maxEventsRead/(60<<10) + 1 {
		if _, err := nc.Request(prefix.Event(string(a)), []byte(`{"text":"`+strings.Repeat("x", 60<<10)+`"}`), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if events, err := ReadEvents(limit(t), nc, prefix, string(a), 0); err != nil || len(events) != maxEventsRead/(60<<10) {
		t.Errorf("of a worker that writes much: %d events, %v", len(events), err)
	}
	if events, err := ReadEvents(limit(t), nc, prefix, "unknown-12345678", 0); err != nil || len(events) != 0 {
		t.Errorf("of an unknown instance: %v, %v", events, err)
	}
	if _, err := ReadEvents(limit(t), nc, prefix, ">", 0); !errors.Is(err, cluster.ErrName) {
		t.Errorf("of >: %v", err)
	}
	if n := e.Dropped(); n != 0 {
		t.Errorf("%d dropped", n)
	}
}

// While the stream cannot be reached, events wait; when too many do, the oldest are dropped, and counted.
func TestEventsWait(t *testing.T) {
	nc := serveOne(t)
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(prefix.Events()); err != nil {
		t.Fatal(err)
	}
	e := NewEventQueue(nc, prefix)
	stop := sending(t, e)
	for i := range maxQueuedEvents + 50 {
		e.Publish(cluster.Event{Text: fmt.Sprint(i)})
	}
	if n := e.Dropped(); n != 50 {
		t.Errorf("%d dropped, want 50", n)
	}
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	for ctx := limit(t); ; time.Sleep(5 * time.Millisecond) {
		events, err := ReadEvents(ctx, nc, prefix, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == maxQueuedEvents {
			if events[0].Text != "50" || events[maxQueuedEvents-1].Text != fmt.Sprint(maxQueuedEvents+49) {
				t.Errorf("from %s to %s", events[0].Text, events[maxQueuedEvents-1].Text)
			}
			break
		}
	}
	e.Publish(cluster.Event{Instance: "not an instance"})
	stop()
	if n := e.Dropped(); n != 51 {
		t.Errorf("%d dropped, want 51", n)
	}
}

// Run ends soon when its events cannot be stored, and they are counted.
func TestEventsEnd(t *testing.T) {
	nc := serveOne(t)
	nc.Close()
	e := NewEventQueue(nc, prefix)
	stop := sending(t, e)
	e.Publish(cluster.Event{})
	began := time.Now()
	stop()
	if took := time.Since(began); took > 2*drainTimeout {
		t.Errorf("it took %v", took)
	}
	if n := e.Dropped(); n != 1 {
		t.Errorf("%d dropped, want 1", n)
	}
}

// Reading and publishing events need only the rights that the documentation names.
func TestRights(t *testing.T) {
	bucket := "KV_" + prefix.Bucket()
	instance := cluster.NewInstance("x")
	url := serveUsers(t, map[string]rights{
		"nimbus": {pub: []string{">"}, sub: []string{">"}},
		"reader": {
			pub: []string{"$JS.API.DIRECT.GET." + bucket, "$JS.API.STREAM.MSG.GET." + bucket},
			sub: []string{prefix.Changed(">"), "_INBOX.>"},
		},
		"worker": {pub: []string{prefix.Event(string(instance))}, sub: []string{"_INBOX.>"}},
	})
	as := func(user string) *nats.Conn {
		nc, err := nats.Connect(url, nats.UserInfo(user, user), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { t.Error(user, err) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	nimbus := as("nimbus")
	if err := Setup(limit(t), nimbus, prefix, 0); err != nil {
		t.Fatal(err)
	}
	l := lead(t, nimbus, "n", 0)
	w := watching(t, OpenReader(as("reader"), prefix))
	put(t, l, record("x", 1))
	w.sees(t, map[string]int{"x": 1})
	if hosts, err := OpenReader(as("reader"), prefix).Hosts(limit(t)); err != nil || len(hosts) != 0 {
		t.Error(hosts, err)
	}
	e := NewEventQueue(as("worker"), prefix)
	stop := sending(t, e)
	e.Publish(cluster.Event{Instance: instance})
	stop()
	if n := e.Dropped(); n != 0 {
		t.Errorf("%d dropped", n)
	}
}
