package natscluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/natstest"
)

// dialFrom connects to one of the servers, and to the others when it is gone.
func dialFrom(t *testing.T, c *natstest.Cluster, first int) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(c.URLs(first), nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond),
		nats.PingInterval(time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func replicas(t *testing.T, nc *nats.Conn, stream string) int {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(limit(t), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config.Replicas
}

var streams = []string{"KV_" + prefix.Bucket(), "OBJ_" + prefix.Artefacts(), prefix.Events()}

// On one server there is one replica; asking for three names the reason.
func TestSetupAlone(t *testing.T) {
	nc := serveOne(t)
	for range 2 {
		if err := Setup(limit(t), nc, prefix, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range streams {
		if n := replicas(t, nc, name); n != 1 {
			t.Errorf("%s has %d replicas", name, n)
		}
	}
	if err := Setup(limit(t), nc, "other", 3); err == nil || !strings.Contains(err.Error(), "replicas") {
		t.Errorf("three replicas on one server: %v", err)
	}
	if err := Setup(limit(t), nc, "a.>", 0); !errors.Is(err, cluster.ErrName) {
		t.Errorf("prefix: %v", err)
	}
}

// In a cluster of three, several nimbuses set up at once; all streams get three replicas, also older ones. Then servers die
// and lose their stores, one after another, while a leader writes and others watch: it goes on, and all see the same.
func TestReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	c := natstest.ServeThree(t)
	var conns [3]*nats.Conn
	for i := range conns {
		conns[i] = dialFrom(t, c, i)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err := Setup(limit(t), conns[0], prefix, 1)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range conns {
		all.Go(func() {
			if err := Setup(limit(t), conns[i], prefix, 0); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, name := range streams {
		if n := replicas(t, conns[0], name); n != 3 {
			t.Errorf("%s has %d replicas", name, n)
		}
	}

	js, err := jetstream.New(conns[0])
	if err != nil {
		t.Fatal(err)
	}
	l := lead(t, conns[0], "a", 10*time.Second) // longer than a new stream leader takes
	var watchers [3]*watcher
	for i := range watchers {
		b := OpenReader(conns[i], prefix)
		b.times.audit = time.Second
		watchers[i] = watching(t, b)
	}
	want := map[string]int{}
	agree := func() {
		t.Helper()
		for _, w := range watchers {
			w.sees(t, want)
		}
	}
	n := 0
	write := func() {
		t.Helper()
		for range 20 {
			n++
			name := fmt.Sprint("t", n%7)
			if n%5 == 0 {
				if err := l.DeleteRecord(limit(t), name); err != nil {
					t.Fatal(err)
				}
				delete(want, name)
				continue
			}
			put(t, l, record(name, n))
			want[name] = n
		}
	}
	write()
	agree()
	for round, i := range []int{c.Leader("KV_" + prefix.Bucket()), 0, 1, 2} {
		if round%2 == 0 {
			c.Wipe(i)
		} else {
			c.Stop(i)
		}
		began := time.Now()
		write()
		t.Logf("without server %d the first writes took %v", i, time.Since(began).Round(time.Millisecond))
		agree()
		t.Logf("all agreed after %v", time.Since(began).Round(time.Millisecond))
		c.Start(i)
		write()
		agree()
		records, err := l.Records(limit(t))
		if err != nil || len(records) != len(want) {
			t.Errorf("%d records, want %d: %v", len(records), len(want), err)
		}
		settled(t, js)
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
}

// settled waits until all replicas of the bucket have everything: two of three must, before one may go.
func settled(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		s, err := js.Stream(limit(t), "KV_"+prefix.Bucket())
		if err == nil && len(s.CachedInfo().Cluster.Replicas) == 2 {
			current := 0
			for _, r := range s.CachedInfo().Cluster.Replicas {
				if r.Current && !r.Offline {
					current++
				}
			}
			if current == 2 {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the replicas do not catch up: %v", err)
		}
	}
}

// With three replicas, and a stream leader that changes under way, the older leader's writes are rejected too.
func TestInterleavingsOfReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	c := natstest.ServeThree(t)
	conns := []*nats.Conn{dialFrom(t, c, 0), dialFrom(t, c, 1), dialFrom(t, c, 2)}
	if err := Setup(limit(t), conns[0], prefix, 3); err != nil {
		t.Fatal(err)
	}
	interleave(t, func() *Bucket { return OpenReader(conns[rand.IntN(3)], prefix) }, 400, func(round int) {
		if round%50 == 49 {
			_, _ = conns[0].Request("$JS.API.STREAM.LEADER.STEPDOWN.KV_"+prefix.Bucket(), nil, time.Second)
		}
	})
}
