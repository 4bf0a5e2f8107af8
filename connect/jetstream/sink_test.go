package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

func TestMain(m *testing.M) {
	natstest.Main()
	goleak.VerifyTestMain(m)
}

// TestSink runs the cases of one sink on one server.
func TestSink(t *testing.T) {
	server := natstest.Start(t)
	nc, js := server.Connect()

	t.Run("a replay leaves no trace", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		one := begin(t, c, 1)
		publish(t, one, 1, "to")
		data, err := one.Snapshot()
		check(t, err)
		publish(t, one, 2, "be")
		publish(t, one, 3, "or") // published, but no snapshot covers them
		check(t, one.settle(t.Context(), 0))

		two := begin(t, c, 2)
		check(t, two.Restore(data))
		for i, word := range []string{"be", "or", "not"} {
			publish(t, two, i+2, word)
		}
		check(t, two.Finish(context.Background(), nil))
		has(t, js, c, "to", "be", "or", "not")
	})

	t.Run("another tuple with an old id is not dropped", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		one := begin(t, c, 1)
		publish(t, one, 1, "a")
		publish(t, one, 2, "b")
		check(t, one.Finish(context.Background(), nil))
		two := begin(t, c, 2) // after a rollback, as under barrier
		publish(t, two, 1, "b")
		publish(t, two, 2, "a")
		publish(t, two, 3, "c")
		check(t, two.Finish(context.Background(), nil))
		has(t, js, c, "a", "b", "b", "a", "c")
	})

	t.Run("without ids nothing is dropped, and nothing waits", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		c.AtLeastOnce = true
		s := begin(t, c, 1)
		publish(t, s, 1, "a")
		publish(t, s, 1, "a")
		has(t, js, c, "a", "a")
	})

	t.Run("a snapshot covers nothing that is in flight", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		s := begin(t, c, 1)
		for i := range 300 {
			publish(t, s, i+1, fmt.Sprint(i))
		}
		_, err := s.Snapshot()
		check(t, err)
		stream, err := js.Stream(t.Context(), c.Stream)
		check(t, err)
		if n := stream.CachedInfo().State.Msgs; n != 300 || len(s.pending) != 0 {
			t.Errorf("the stream has %d messages when the snapshot is taken, and %d are in flight", n, len(s.pending))
		}
	})

	t.Run("the whole tuple, and a subject of its own", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		whole := numbered(t, 1, "x")
		s := beginWith(t, c, Encoded, 1)
		check(t, s.Execute(context.Background(), whole, nil))
		check(t, s.Finish(context.Background(), nil))
		has(t, js, c, string(whole.Encoded()))

		subject := c.Subject
		c.Subject = ""
		s = beginWith(t, c, func(t tuple.Tuple) Message { return Message{Subject: subject + t.String(0), Data: t.Bytes(0)} }, 2)
		publish(t, s, 2, ".y")
		if err := s.Execute(context.Background(), numbered(t, 3, " z"), nil); err == nil || !strings.Contains(err.Error(), "tuple fake.0>sink.0#3: nothing can be published") {
			t.Errorf("a subject with a space: %v", err)
		}
		check(t, s.Finish(context.Background(), nil))
		has(t, js, c, string(whole.Encoded()), ".y")
	})

	t.Run("a second run within the window is refused", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		s := begin(t, c, 1)
		publish(t, s, 1, "a")
		check(t, s.Finish(context.Background(), nil))

		factory := Bolt(c, Field("a"))
		s = factory().(*rowWriter)
		check(t, s.Prepare(taskContext(1)))
		publish(t, s, 1, "a")
		if _, err := s.Snapshot(); !errors.Is(err, bolt.ErrOutputExists) || !strings.Contains(err.Error(), "wait until its duplicate window") {
			t.Errorf("error %v, want %v", err, bolt.ErrOutputExists)
		}
		if err := factory().(*rowWriter).Prepare(taskContext(2)); !errors.Is(err, bolt.ErrOutputExists) {
			t.Errorf("the next incarnation: error %v, want %v", err, bolt.ErrOutputExists)
		}
	})

	t.Run("a full stream is waited for, and then named", func(t *testing.T) {
		c := newStream(t, nc, js, func(s *jetstream.StreamConfig) { s.MaxMsgs, s.Discard = 2, jetstream.DiscardNew })
		c.Timeout = 300 * time.Millisecond
		s := begin(t, c, 1)
		for i := range 3 {
			publish(t, s, i+1, fmt.Sprint(i))
		}
		_, err := s.Snapshot()
		var rejected *RejectedError
		if !errors.As(err, &rejected) || !strings.Contains(err.Error(), "fake.0>sink.0#3") || !strings.Contains(err.Error(), "raise its limits") {
			t.Fatalf("error %v, want one that names the tuple and the remedy", err)
		}
		publish(t, s, 4, "forgotten") // the task is about to be restored
		if _, again := s.Snapshot(); again == nil {
			t.Error("a snapshot after a failure is taken for complete")
		}

		s = begin(t, c, 2)
		s.Timeout = 10 * time.Second
		publish(t, s, 3, "2")
		time.AfterFunc(100*time.Millisecond, func() {
			stream, err := js.Stream(t.Context(), c.Stream)
			if err == nil {
				_ = stream.DeleteMsg(t.Context(), 1)
			}
		})
		check(t, s.Finish(context.Background(), nil))
		has(t, js, c, "1", "2")
	})

	t.Run("what is too large", func(t *testing.T) {
		c := newStream(t, nc, js, func(s *jetstream.StreamConfig) { s.MaxMsgSize = 1000 })
		s := begin(t, c, 1)
		if err := s.Execute(context.Background(), numbered(t, 1, strings.Repeat("x", 2<<20)), nil); !errors.Is(err, nats.ErrMaxPayload) {
			t.Errorf("for the server: error %v, want %v", err, nats.ErrMaxPayload)
		}
		publish(t, s, 2, strings.Repeat("x", 2000))
		if _, err := s.Snapshot(); err == nil || !strings.Contains(err.Error(), "#2") || !strings.Contains(err.Error(), "raise max_msg_size") {
			t.Errorf("for the stream: error %v", err)
		}
		c.InFlight = 1
		s = begin(t, c, 2)
		if err := s.Execute(context.Background(), numbered(t, 2, strings.Repeat("x", 2000)), nil); err == nil {
			t.Error("one in flight: want the tuple to fail")
		}
		publish(t, s, 3, "small")
		check(t, s.Finish(context.Background(), nil))
		has(t, js, c, "small")
	})

	t.Run("a subject that no stream has, and one that another has", func(t *testing.T) {
		c, other := newStream(t, nc, js, nil), newStream(t, nc, js, nil)
		c.Subject, c.Timeout = "", 300*time.Millisecond
		for subject, says := range map[string]string{"nobody": "add it to the stream's subjects", other.Subject: "another stream's"} {
			s := beginWith(t, c, func(tuple.Tuple) Message { return Message{Subject: subject} }, 1)
			publish(t, s, 1, "a")
			if _, err := s.Snapshot(); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: error %v, want one with %q", subject, err, says)
			}
		}
		has(t, js, other)
	})
}

func TestPrepareRefuses(t *testing.T) {
	nc, js := natstest.Start(t).Connect()
	good := newStream(t, nc, js, nil)
	short := newStream(t, nc, js, func(s *jetstream.StreamConfig) { s.Duplicates = time.Second })
	for says, edit := range map[string]func(*SinkConfig){
		"Conn is missing":                   func(c *SinkConfig) { c.Conn = nil },
		"is not the name of a stream":       func(c *SinkConfig) { c.Stream = "a.b" },
		"nothing can be published":          func(c *SinkConfig) { c.Subject = "words.*" },
		"may be negative":                   func(c *SinkConfig) { c.InFlight = -1 },
		"stream not found: create it first": func(c *SinkConfig) { c.Stream = "nothing" },
		"not one of its subjects":           func(c *SinkConfig) { c.Subject = "nobody" },
		"is stream " + short.Stream + "'s":  func(c *SinkConfig) { c.Subject = short.Subject },
		"duplicate window is 1s: raise it":  func(c *SinkConfig) { *c = short },
	} {
		c := good
		edit(&c)
		if err := Bolt(c, Encoded)().(*rowWriter).Prepare(taskContext(1)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one with %q", err, says)
		}
	}
	short.Window = time.Second
	begin(t, short, 1)
}

// The server is killed again and again while messages are in flight, and each is there once.
func TestServerKilled(t *testing.T) {
	for _, inFlight := range []int{1, 100} {
		t.Run(fmt.Sprint(inFlight), func(t *testing.T) {
			server := natstest.Start(t)
			nc, js := server.Connect()
			c := newStream(t, nc, js, nil)
			c.InFlight = inFlight
			s := begin(t, c, 1)
			const n = 2000
			var want []string
			for i := range n {
				if i%500 == 250 {
					server.Kill()
					again := make(chan struct{})
					go func() { defer close(again); time.Sleep(50 * time.Millisecond); server.Again() }()
					defer func() { <-again }()
				}
				want = append(want, fmt.Sprint(i))
				publish(t, s, i+1, want[i])
			}
			check(t, s.Finish(context.Background(), nil))
			got := messages(t, js, c)
			if inFlight > 1 { // around an outage they may be swapped
				slices.Sort(got)
				slices.Sort(want)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d messages are in the stream, want %d, each once, and in order if one is in flight", len(got), len(want))
			}
		})
	}
}

// A server that stays away is given up, and what was not acknowledged is not covered.
func TestServerGone(t *testing.T) {
	server := natstest.Start(t)
	nc, js := server.Connect()
	c := newStream(t, nc, js, nil)
	c.Timeout = 300 * time.Millisecond
	s := begin(t, c, 1)
	publish(t, s, 1, "a")
	check(t, s.flush(t.Context()))
	server.Kill()
	publish(t, s, 2, "b")
	start := time.Now()
	if _, err := s.Snapshot(); err == nil || !strings.Contains(err.Error(), "given up after 300ms") {
		t.Errorf("error %v, want one with \"given up\"", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	server.Again()
	s = begin(t, c, 2)
	publish(t, s, 2, "b")
	check(t, s.Finish(context.Background(), nil))
	has(t, js, c, "a", "b")
}

var streams int

// newStream makes a stream and returns the config of a sink that publishes its tuples' first field to it.
func newStream(t *testing.T, nc *nats.Conn, js jetstream.JetStream, edit func(*jetstream.StreamConfig)) SinkConfig {
	t.Helper()
	streams++
	name := fmt.Sprintf("s%d", streams)
	c := jetstream.StreamConfig{Name: name, Subjects: []string{name, name + ".>"}}
	if edit != nil {
		edit(&c)
	}
	_, err := js.CreateStream(t.Context(), c)
	check(t, err)
	return SinkConfig{Conn: nc, Stream: name, Subject: name}
}

// begin returns a sink that is prepared.
func begin(t *testing.T, c SinkConfig, incarnation msgid.Incarnation) *rowWriter {
	t.Helper()
	return beginWith(t, c, Field("a"), incarnation)
}

// beginWith is begin with another function that makes messages.
func beginWith(t *testing.T, c SinkConfig, message func(tuple.Tuple) Message, incarnation msgid.Incarnation) *rowWriter {
	t.Helper()
	s := Bolt(c, message)().(*rowWriter)
	check(t, s.Prepare(taskContext(incarnation)))
	return s
}

func taskContext(incarnation msgid.Incarnation) bolt.Context {
	ctx := bolttest.NewContext("sink", 0, 1)
	ctx.Who.Incarnation = incarnation
	return ctx
}

func publish(t *testing.T, s *rowWriter, seq int, value string) {
	t.Helper()
	check(t, s.Execute(context.Background(), numbered(t, seq, value), nil))
}

// numbered returns a tuple with a field a that came as number seq of a channel.
func numbered(t *testing.T, seq int, value string) tuple.Tuple {
	t.Helper()
	plain := bolttest.MustTuple("a", value)
	ch := msgid.Channel{Source: msgid.Alias{Operator: "fake"}, Target: msgid.Alias{Operator: "sink"}}
	var cursor tuple.Cursor
	cursor.Reset(plain.Encoded(), tuple.Origin{Channel: &ch, First: msgid.Seq(seq), Fields: plain.Fields()})
	_, err := cursor.Next()
	check(t, err)
	return cursor.Tuple()
}

// messages returns the payloads in the stream.
func messages(t *testing.T, js jetstream.JetStream, c SinkConfig) (payloads []string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), c.Stream)
	check(t, err)
	state := stream.CachedInfo().State
	for seq := max(state.FirstSeq, 1); seq <= state.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		check(t, err)
		payloads = append(payloads, string(m.Data))
	}
	return payloads
}

func has(t *testing.T, js jetstream.JetStream, c SinkConfig, want ...string) {
	t.Helper()
	if got := messages(t, js, c); !slices.Equal(got, want) {
		t.Errorf("the stream has %q, want %q", got, want)
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
