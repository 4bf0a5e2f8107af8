package natscluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
)

const shortTTL = 300 * time.Millisecond

// One of several candidates leads; when it steps down, another does at once, with the next epoch.
func TestOneLeads(t *testing.T) {
	nc := serveOne(t)
	ctx, stop := context.WithCancel(limit(t))
	var leading, most atomic.Int32
	var mu sync.Mutex
	var epochs []uint64
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			l, err := Campaign(ctx, nc, prefix, fmt.Sprint("n", i), shortTTL)
			if err != nil {
				t.Error(err)
				return
			}
			most.Store(max(most.Load(), leading.Add(1)))
			mu.Lock()
			epochs = append(epochs, l.Epoch())
			mu.Unlock()
			_ = retry.Sleep(ctx, 2*shortTTL) // longer than a lease that is not renewed
			if err := l.Err(); err != nil {
				t.Error(err)
			}
			leading.Add(-1)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	began := time.Now()
	all.Wait()
	stop()
	if most.Load() != 1 || fmt.Sprint(epochs) != "[1 2 3 4 5]" {
		t.Errorf("%d led at once, epochs %v", most.Load(), epochs)
	}
	if took := time.Since(began); took > 5*2*shortTTL+5*shortTTL {
		t.Errorf("it took %v: the waiting candidates did not notice", took)
	}
}

// A leader that ends without releasing its lease is replaced after its TTL, and not before.
func TestLeaseExpires(t *testing.T) {
	nc := serveOne(t)
	for _, ttl := range []time.Duration{shortTTL, LeaseTTL} {
		l := lead(t, nc, "a", ttl)
		l.end(errors.New("killed"))
		l.renewing.Wait()
		began := time.Now()
		next := lead(t, nc, "b", ttl)
		if took := time.Since(began); took < ttl/2 || took > ttl+500*time.Millisecond {
			t.Errorf("a lease of %v was taken after %v", ttl, took)
		}
		_, err := l.write(context.Background(), nats.NewMsg(l.subject("topology.x")))
		if err == nil {
			t.Error("a leader that has ended writes")
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A leader that cannot renew its lease ends before another leads, and reports why.
func TestCannotRenew(t *testing.T) {
	nc := serveOne(t)
	own, err := nats.Connect("", nats.InProcessServer(inProcess(t)), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	l, err := Campaign(limit(t), own, prefix, "a", shortTTL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	own.Close()
	next := lead(t, nc, "b", shortTTL)
	select {
	case <-l.Done():
	default:
		t.Error("two lead")
	}
	if l.Err() == nil || next.Epoch() != l.Epoch()+1 {
		t.Errorf("error %v, epochs %d and %d", l.Err(), l.Epoch(), next.Epoch())
	}
}

// A lease that the server has expired too early, since its clock leapt, is taken again by the leader that has it.
func TestLeaseVanishes(t *testing.T) {
	nc := serveOne(t)
	l := lead(t, nc, "a", 3*shortTTL)
	purge(t, nc, l.subject(leaseKey))
	_ = retry.Sleep(limit(t), 4*shortTTL)
	if l.Err() != nil {
		t.Error(l.Err())
	}
	put(t, l, record("x", 1))
}

// If the bucket is lost and made anew, the leader is deposed.
func TestBucketLost(t *testing.T) {
	nc := serveOne(t)
	lead(t, nc, "a", 0)
	l := usurp(t, OpenReader(nc, prefix), "usurper")
	put(t, l, record("x", 1))
	if err := deleteBucket(nc); err != nil {
		t.Fatal(err)
	}
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := l.PutRecord(limit(t), record("x", 2)); !errors.Is(err, cluster.ErrDeposed) {
		t.Errorf("a write: %v, want ErrDeposed", err)
	}
	next := lead(t, nc, "b", shortTTL)
	if records, err := next.Records(limit(t)); err != nil || len(records) != 0 || next.Epoch() != 1 {
		t.Errorf("epoch %d, records %v, %v", next.Epoch(), records, err)
	}
}

// A missing bucket ends a campaign with ErrNotSetUp, also if it vanishes meanwhile.
func TestCampaignWithoutBucket(t *testing.T) {
	nc := serveOne(t)
	lead(t, nc, "a", 0)
	go func() {
		time.Sleep(shortTTL / 2)
		_ = deleteBucket(nc)
	}()
	if _, err := Campaign(limit(t), nc, prefix, "b", shortTTL); !errors.Is(err, ErrNotSetUp) {
		t.Errorf("%v, want ErrNotSetUp", err)
	}
	if _, err := Campaign(limit(t), nc, prefix, "b c", 0); !errors.Is(err, cluster.ErrName) {
		t.Errorf("%v, want ErrName", err)
	}
	ctx, cancel := context.WithTimeout(limit(t), 10*time.Millisecond)
	defer cancel()
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	lead(t, nc, "c", 0)
	if _, err := Campaign(ctx, nc, prefix, "b", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want the context's error", err)
	}
}

// usurp writes the next epoch without asking for the lease: as a leader would that was paused in between.
func usurp(t *testing.T, b *Bucket, name string) *Leadership {
	c := &candidate{b: b, claim: claim{Name: name, Nonce: strconv.FormatUint(rand.Uint64(), 36)}}
	for ctx := limit(t); ; {
		l, err := c.takeOver(ctx, &lease{b: b})
		if err == nil {
			return l
		}
		if !errors.Is(err, errConflict) && !errors.Is(err, cluster.ErrUnknown) || ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// Two leaders write at random; the server itself rejects the older one's writes. So the newest epoch's writes survive,
// even while the older leader takes itself for the leader.
func TestInterleavings(t *testing.T) {
	nc := serveOne(t)
	rounds := 1500
	if testing.Short() {
		rounds = 200
	}
	interleave(t, func() *Bucket { return OpenReader(nc, prefix) }, rounds, func(int) {})
}

func interleave(t *testing.T, open func() *Bucket, rounds int, disturb func(round int)) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	old := usurp(t, open(), "0")
	deposed := 0
	for round := range rounds {
		disturb(round)
		wait := time.Duration(random.IntN(1000)) * time.Microsecond
		writes := 1 + random.IntN(6)
		b := open()
		var next *Leadership
		var both sync.WaitGroup
		var revisions []uint64
		both.Go(func() {
			for i := range writes {
				revision, err := old.PutRecord(limit(t), record("x", i))
				if errors.Is(err, cluster.ErrDeposed) {
					deposed++
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				revisions = append(revisions, revision)
			}
		})
		both.Go(func() {
			time.Sleep(wait)
			next = usurp(t, b, fmt.Sprint(round))
			if revision, err := next.PutRecord(limit(t), record("x", 1000)); err != nil || revision <= next.fence {
				t.Errorf("the new leader's write: revision %d, %v", revision, err)
			}
		})
		both.Wait()
		if t.Failed() {
			return
		}
		for _, revision := range revisions {
			if revision > next.fence {
				t.Fatalf("round %d: epoch %d wrote revision %d after epoch %d began at %d", round, old.epoch, revision, next.epoch, next.fence)
			}
		}
		records, err := next.Records(limit(t))
		if err != nil || len(records) != 1 || records[0].Record.Epoch != next.epoch || records[0].Record.Workers != 1000 {
			t.Fatalf("round %d: epoch %d reads %+v, %v", round, next.epoch, records, err)
		}
		if err := old.DeleteRecord(limit(t), "x"); !errors.Is(err, cluster.ErrDeposed) {
			t.Fatalf("round %d: the old leader deletes: %v", round, err)
		}
		old = next
	}
	t.Logf("%d of %d were deposed while they wrote", deposed, rounds)
}
