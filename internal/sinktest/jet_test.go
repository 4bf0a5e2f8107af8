package sinktest_test

import (
	"strconv"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Tasks and the NATS server are killed while a topology runs. At the end the stream has every message; once, where a
// message id always means the same tuple.
func TestJetStream(t *testing.T) {
	t.Run("backtrack", func(t *testing.T) {
		if n, of := published(t, 30_000, jetstream.SinkConfig{InFlight: 100}, askback.WithStrategy(strategy.Backtrack)); n != of {
			t.Errorf("%d messages of %d numbers: some are there twice", n, of)
		}
	})
	t.Run("barrier", func(t *testing.T) {
		published(t, 30_000, jetstream.SinkConfig{InFlight: 100}, askback.WithStrategy(strategy.Barrier))
	})
	t.Run("acker", func(t *testing.T) {
		published(t, 10_000, jetstream.SinkConfig{AtLeastOnce: true},
			askback.WithStrategy(strategy.Acker), askback.WithMessageTimeout(time.Second), askback.WithMaxPending(2000))
	})
}

// published publishes the squares of numbers, each on a subject of its own. It checks that none is missing or wrong, and
// returns how many messages there are.
func published(t *testing.T, numbers int64, c jetstream.SinkConfig, opts ...askback.Option) (messages, subjects int64) {
	server := natstest.Start(t)
	nc, js := server.Connect()
	stream, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "squares", Subjects: []string{"squares.>"}})
	must.Do(t, err)
	c.Conn, c.Stream = nc, "squares"
	message := func(t tuple.Tuple) jetstream.Message {
		return jetstream.Message{Subject: "squares." + strconv.FormatInt(t.Int(0), 10), Data: strconv.AppendInt(nil, t.Int(1), 10)}
	}
	squares(t, numbers, server, func(b *topology.Builder) *topology.Node {
		return b.Bolt("out", jetstream.Bolt(c, message)).Retry(100, 100*time.Millisecond)
	}, opts...)

	info, err := stream.Info(t.Context(), natsjs.WithSubjectFilter("squares.>"))
	must.Do(t, err)
	if n := int64(len(info.State.Subjects)); n != numbers {
		t.Errorf("the stream has %d numbers, want %d", n, numbers)
	}
	_, chance := chanceOf(t)
	for range 1000 {
		n := chance.Int64N(numbers)
		m, err := stream.GetLastMsgForSubject(t.Context(), "squares."+strconv.FormatInt(n, 10))
		if err != nil || string(m.Data) != strconv.FormatInt(n*n, 10) {
			t.Fatalf("the square of %d: %v, %v", n, m, err)
		}
	}
	return int64(info.State.Msgs), numbers
}
