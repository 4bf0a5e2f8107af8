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
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Tasks and the NATS server are killed while a topology runs, and at the end the stream has each message once.
func TestJetStream(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	chance := rand.New(rand.NewPCG(seed, 1))
	server := natstest.Start(t)
	nc, js := server.Connect()
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "squares", Subjects: []string{"squares.>"}})
	must(t, err)

	const numbers = 30_000
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
	b.Bolt("out", jetsink.New(jetsink.Config{
		Conn:   nc,
		Stream: "squares",
		Message: func(t tuple.Tuple) (subject string, payload []byte) {
			return "squares." + strconv.FormatInt(t.Int(0), 10), strconv.AppendInt(nil, t.Int(1), 10)
		},
		InFlight: 100,
	})).Parallel(2).Shuffle("square")

	ended := make(chan error, 1)
	var report *askback.Report
	go func() {
		var err error
		report, err = askback.Run(t.Context(), b, askback.WithKills(6, seed))
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
	if info.State.Msgs != numbers || len(info.State.Subjects) != numbers {
		t.Errorf("seed %d: %d messages of %d numbers, want %d of each", seed, info.State.Msgs, len(info.State.Subjects), numbers)
	}
	for range 1000 {
		n := chance.IntN(numbers)
		m, err := stream.GetLastMsgForSubject(t.Context(), "squares."+strconv.Itoa(n))
		if err != nil || string(m.Data) != strconv.Itoa(n*n) {
			t.Fatalf("seed %d: the square of %d: %v, %v", seed, n, m, err)
		}
	}
}
