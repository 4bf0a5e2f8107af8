package natscluster

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
)

// A watcher keeps the number of workers of each topology, as a Watch reports it.
type watcher struct {
	mu     sync.Mutex
	view   map[string]int
	caught int // how often the watch reported that it has caught up
	early  int // changes received before that
	told   int // changes
}

// watching starts a Watch that the end of the test stops and waits for.
func watching(t *testing.T, b *Bucket) *watcher {
	w := &watcher{view: map[string]int{}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Watch(ctx, w.change, w.caughtUp) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watcher) change(c cluster.Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told++; w.caught == 0 {
		w.early++
	}
	if delete(w.view, c.Name); c.Record != nil {
		w.view[c.Name] = c.Record.Workers
	}
}

func (w *watcher) caughtUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.caught++
}

// sees waits until the view is that.
func (w *watcher) sees(t *testing.T, want map[string]int) {
	t.Helper()
	began := time.Now()
	for {
		w.mu.Lock()
		same := w.caught == 1 && maps.Equal(w.view, want)
		text := fmt.Sprintf("%v, caught up %d times", w.view, w.caught)
		w.mu.Unlock()
		if same {
			return
		}
		if time.Since(began) > 20*time.Second {
			t.Fatalf("sees %s, want %v", text, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// quick is a reader with short intervals.
func quick(nc *nats.Conn) *Bucket {
	b := OpenReader(nc, prefix)
	b.times = watchTimes{retry: time.Millisecond, poll: 20 * time.Millisecond, audit: 50 * time.Millisecond}
	return b
}

// Existing records are reported before caughtUp, then each change, soon.
func TestWatch(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", 0)
	put(t, l, record("x", 1))
	put(t, l, record("y", 1))
	if err := l.DeleteRecord(limit(t), "y"); err != nil {
		t.Fatal(err)
	}
	b := OpenReader(nc, prefix)
	b.times.poll = time.Hour // hints alone
	w := watching(t, b)
	w.sees(t, map[string]int{"x": 1})
	for i := range 20 {
		put(t, l, record("x", i))
		began := time.Now()
		w.sees(t, map[string]int{"x": i})
		if took := time.Since(began); took > time.Second {
			t.Errorf("a change took %v to be seen", took)
		}
	}
	put(t, l, record("z", 5))
	if err := l.DeleteRecord(limit(t), "x"); err != nil {
		t.Fatal(err)
	}
	w.sees(t, map[string]int{"z": 5})
	if w.early != 1 {
		t.Errorf("%d changes before it had caught up, want 1", w.early)
	}
}

// A change without a hint is reported too.
func TestWatchPolls(t *testing.T) {
	nc := serveOne(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(limit(t), "KV_"+prefix.Bucket())
	if err != nil {
		t.Fatal(err)
	}
	silent := s.CachedInfo().Config
	silent.RePublish = nil
	if _, err := js.UpdateStream(limit(t), silent); err != nil {
		t.Fatal(err)
	}
	l := lead(t, nc, "a", 0)
	w := watching(t, quick(nc))
	w.sees(t, map[string]int{})
	for i := range 5 {
		put(t, l, record("x", i))
		w.sees(t, map[string]int{"x": i})
	}
}

// A bucket that comes only later is watched from then on.
func TestWatchWaitsForBucket(t *testing.T) {
	nc := serveOne(t)
	if err := deleteBucket(nc); err != nil {
		t.Fatal(err)
	}
	w := watching(t, quick(nc))
	time.Sleep(200 * time.Millisecond)
	w.mu.Lock()
	if w.caught != 0 {
		t.Error("it has caught up with nothing")
	}
	w.mu.Unlock()
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	put(t, lead(t, nc, "a", 0), record("x", 1))
	w.sees(t, map[string]int{"x": 1})
}

// An audit detects a removal that leaves no marker.
func TestWatchAudits(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", 0)
	put(t, l, record("x", 1))
	put(t, l, record("y", 2))
	w := watching(t, quick(nc))
	w.sees(t, map[string]int{"x": 1, "y": 2})
	purge(t, nc, l.subject("topology.x"))
	w.sees(t, map[string]int{"y": 2})
	put(t, l, record("x", 3))
	w.sees(t, map[string]int{"x": 3, "y": 2})
}

// The same holds for a bucket that was lost and made anew, whose revisions are lower.
func TestWatchOfLostBucket(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", shortTTL)
	for i := range 30 {
		put(t, l, record("x", i))
	}
	put(t, l, record("y", 2))
	w := watching(t, quick(nc))
	w.sees(t, map[string]int{"x": 29, "y": 2})
	if err := deleteBucket(nc); err != nil {
		t.Fatal(err)
	}
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	next := lead(t, nc, "b", shortTTL)
	put(t, next, record("y", 3))
	put(t, next, record("z", 4))
	w.sees(t, map[string]int{"y": 3, "z": 4})
}

// A lagging replica, here one that answers with older entries, removes nothing.
func TestWatchDoubtsOldEntries(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", 0)
	put(t, l, record("x", 1))
	first, err := l.last(limit(t), "topology.x")
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, record("x", 2))
	var told []cluster.Change
	w := &watch{b: l.Bucket, f: func(c cluster.Change) { told = append(told, c) }, known: map[string]known{}}
	if err := w.poll(limit(t)); err != nil {
		t.Fatal(err)
	}
	_ = w.onEntry(first)
	if len(told) != 1 || told[0].Record.Workers != 2 {
		t.Fatalf("received %+v", told)
	}
	if err := l.DeleteRecord(limit(t), "x"); err != nil {
		t.Fatal(err)
	}
	if err := w.poll(limit(t)); err != nil {
		t.Fatal(err)
	}
	_ = w.onEntry(first)
	if len(told) != 2 || told[1].Record != nil {
		t.Fatalf("received %+v", told)
	}
}

func deleteBucket(nc *nats.Conn) error {
	js, err := nc.JetStream()
	if err != nil {
		return err
	}
	return js.DeleteStream("KV_" + prefix.Bucket())
}

// A damaged record is passed over, and does not hide the others; a listing names it.
func TestDamagedRecord(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", 0)
	put(t, l, record("x", 1))
	for key, value := range map[string]string{"topology.y": "{", "topology.z": `{"instance":"other-12345678"}`} {
		if _, err := nc.Request(l.subject(key), []byte(value), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	put(t, l, record("u", 2))
	watching(t, quick(nc)).sees(t, map[string]int{"x": 1, "u": 2})
	if _, err := l.Records(limit(t)); err == nil {
		t.Error("damaged records are listed without an error")
	}
}
