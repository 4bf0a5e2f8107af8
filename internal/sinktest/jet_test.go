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
	once := func(t *testing.T, of squaring) {
		if n := published(t, 30_000, jetstream.SinkConfig{InFlight: 100}, of, askback.WithStrategy(strategy.Backtrack)); n != 30_000 {
			t.Errorf("%d messages of %d numbers: some are there twice", n, 30_000)
		}
	}
	t.Run("backtrack", func(t *testing.T) { once(t, publishRows) })
	t.Run("backtrack, typed", func(t *testing.T) { once(t, publishTyped) })
	t.Run("barrier", func(t *testing.T) {
		published(t, 30_000, jetstream.SinkConfig{InFlight: 100}, publishRows, askback.WithStrategy(strategy.Barrier))
	})
	t.Run("acker", func(t *testing.T) {
		published(t, 10_000, jetstream.SinkConfig{AtLeastOnce: true}, publishRows,
			askback.WithStrategy(strategy.Acker), askback.WithMessageTimeout(time.Second), askback.WithMaxPending(2000))
	})
}

// squaring makes a topology that publishes the squares of numbers, each on a subject of its own.
type squaring func(numbers int64, c jetstream.SinkConfig) topology.Topology

func publishRows(numbers int64, c jetstream.SinkConfig) topology.Topology {
	return rows(numbers, func(b *topology.Builder) *topology.Node {
		return b.Bolt("out", jetstream.Bolt(c, func(t tuple.Tuple) jetstream.Message { return message(t.Int(0), t.Int(1)) })).
			Retry(100, 100*time.Millisecond)
	})
}

func publishTyped(numbers int64, c jetstream.SinkConfig) topology.Topology {
	return typed(numbers, jetstream.Sink(c, func(s Square) jetstream.Message { return message(s.N, s.Square) }))
}

func message(n, square int64) jetstream.Message {
	return jetstream.Message{Subject: "squares." + strconv.FormatInt(n, 10), Data: strconv.AppendInt(nil, square, 10)}
}

// published publishes the squares of numbers. It checks that none is missing or wrong, and returns how many messages there are.
func published(t *testing.T, numbers int64, c jetstream.SinkConfig, of squaring, opts ...askback.Option) (messages int64) {
	server := natstest.Start(t)
	nc, js := server.Connect()
	stream, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "squares", Subjects: []string{"squares.>"}})
	must.Do(t, err)
	c.Conn, c.Stream = nc, "squares"
	kill(t, of(numbers, c), server, opts...)

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
	return int64(info.State.Msgs)
}
