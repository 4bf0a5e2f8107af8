package executor_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// A task with its last incarnation in another process is restored, and reports all phases of the recovery.
func TestLostElsewhere(t *testing.T) {
	var gate atomic.Int64
	gate.Store(500)
	b, sink := topology.New("moved"), bolt.NewCollector()
	b.Spout("numbers", spout.Gate(numbers(1000), func(s spout.Spout, _ int) bool {
		done, _ := s.(spout.Progresser).Progress()
		return done >= gate.Load()
	})).Fields("n")
	b.Bolt("sink", sink.New).Global("numbers")
	first := open(t, b, memlog.Options{}, nil)
	first.until("half is there", func() bool { return sink.Len() >= 500 })
	first.stop()
	for range first.tasks {
		if err := <-first.ended; err != nil {
			t.Fatal(err)
		}
	}
	gate.Store(1 << 62)

	dead := errors.New("worker killed")
	now := time.Now()
	next := open(t, b, memlog.Options{}, func(o *executor.Options) {
		o.Log = first.log
		o.Lost = &executor.Loss{Cause: dead, Last: now.Add(-3 * time.Second), Noted: now.Add(-time.Second)}
	})
	next.complete()
	has(t, sink, 1000)
	next.until("both report it", func() bool { next.mu.Lock(); defer next.mu.Unlock(); return len(next.recoveries) == 2 })
	for _, r := range next.recoveries {
		if !errors.Is(r.Cause, dead) || r.Incarnation != 2 || r.Detect != 2*time.Second || r.Start < time.Second || r.Missed != r.Replayed {
			t.Errorf("%+v", r)
		}
		if sum := r.Detect + r.Start + r.Load + r.Replay; r.Load <= 0 || r.Replay <= 0 || (r.Took-sum).Abs() > time.Millisecond {
			t.Errorf("the phases of %v are not its whole: %+v", r.Alias, r)
		}
	}
}

// A task that is begun for the first time is no recovery, whatever loss was reported.
func TestNothingLostElsewhere(t *testing.T) {
	b, _, sink := chain(1000, bolt.Func(pass))
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Lost = &executor.Loss{Cause: errors.New("moved")} })
	h.complete()
	has(t, sink, 1000)
	if len(h.recoveries) > 0 {
		t.Errorf("%+v", h.recoveries)
	}
}

// A task that cannot join the transport waits for it, for as long as it takes.
func TestTransportAway(t *testing.T) {
	b, _, sink := chain(1000, bolt.Func(pass))
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Transport = &away{Transport: o.Transport} })
	h.complete()
	has(t, sink, 1000)
	if len(h.failures) > 0 {
		t.Errorf("failed: %v", h.failures)
	}
}

// away is a transport that is not there at first.
type away struct {
	channel.Transport
	tries atomic.Int64
}

func (a *away) Join(self msgid.Alias, deliver func(channel.Message)) (channel.Endpoint, error) {
	if a.tries.Add(1) < 20 {
		return nil, errors.New("no connection")
	}
	return a.Transport.Join(self, deliver)
}
