package sinktest_test

import (
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/jetsink"
	"github.com/askback/askback/bolt/jetsink/natstest"
	"github.com/askback/askback/recovery"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Tasks and the NATS server are killed while a topology runs. At the end the stream has every message; once, where a
// message id always means the same tuple.
func TestJetStream(t *testing.T) {
	t.Run("backtrack", func(t *testing.T) {
		if n, of := squares(t, 30_000, jetsink.Config{InFlight: 100}, askback.WithStrategy("backtrack")); n != of {
			t.Errorf("%d messages of %d numbers: some are there twice", n, of)
		}
	})
	t.Run("barrier", func(t *testing.T) {
		squares(t, 30_000, jetsink.Config{InFlight: 100}, askback.WithStrategy("barrier"))
	})
	t.Run("acker", func(t *testing.T) {
		squares(t, 10_000, jetsink.Config{AtLeastOnce: true},
			askback.WithStrategy("acker"), askback.WithSettings(recovery.Config{MessageTimeout: 1000, MaxPending: 2000}))
	})
}

// squares publishes the squares of numbers, each on a subject of its own, while tasks and the server are killed. It checks
// that none is missing or wrong, and returns how many messages there are.
func squares(t *testing.T, numbers int64, c jetsink.Config, opts ...askback.Option) (messages, subjects int64) {
	seed := uint64(time.Now().UnixNano())
	chance := rand.New(rand.NewPCG(seed, 1))
	server := natstest.Start(t)
	nc, js := server.Connect()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "squares", Subjects: []string{"squares.>"}})
	must(t, err)

	var executed atomic.Int64
	b := topology.New("squares")
	b.Spout("numbers", spout.Generate(numbers, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).
		Parallel(2).Fields("n")
	b.Bolt("square", bolt.Func(func(t tuple.Tuple, out bolt.Emitter) error {
		if executed.Add(1)%100 == 0 {
			time.Sleep(5 * time.Millisecond) // long enough for the server to be killed in the middle
		}
		return out.Row().Int(t.Int(0)).Int(t.Int(0) * t.Int(0)).Emit()
	})).Parallel(2).Shuffle("numbers").Fields("n", "square")
	c.Conn, c.Stream = nc, "squares"
	c.Message = func(t tuple.Tuple) (subject string, payload []byte) {
		return "squares." + strconv.FormatInt(t.Int(0), 10), strconv.AppendInt(nil, t.Int(1), 10)
	}
	b.Bolt("out", jetsink.New(c)).Parallel(2).Shuffle("square").Retry(100, 100*time.Millisecond)

	ended := make(chan error, 1)
	var report *askback.Report
	go func() {
		var err error
		report, err = askback.Run(t.Context(), b, append(opts, askback.WithKills(6, seed))...)
		ended <- err
	}()
	kills := 0
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			running = false
		case <-time.After(time.Duration(100+chance.IntN(300)) * time.Millisecond):
			if kills < 3 {
				kills++
				server.Kill()
				server.Again()
			}
		}
	}
	if report.Kills != 6 || kills == 0 {
		t.Errorf("seed %d: %d tasks and %d servers were killed", seed, report.Kills, kills)
	}

	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter("squares.>"))
	must(t, err)
	if n := int64(len(info.State.Subjects)); n != numbers {
		t.Errorf("seed %d: the stream has %d numbers, want %d", seed, n, numbers)
	}
	for range 1000 {
		n := chance.Int64N(numbers)
		m, err := stream.GetLastMsgForSubject(t.Context(), "squares."+strconv.FormatInt(n, 10))
		if err != nil || string(m.Data) != strconv.FormatInt(n*n, 10) {
			t.Fatalf("seed %d: the square of %d: %v, %v", seed, n, m, err)
		}
	}
	return int64(info.State.Msgs), numbers
}
