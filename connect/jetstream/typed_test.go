package jetstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
)

// TestMessages reads a stream with the typed source: the fields of a message, and where a restored task goes on.
func TestMessages(t *testing.T) {
	nc, js := natstest.Start(t).Connect()
	c := newStream(t, nc, js, nil)
	before := time.Now().Add(-time.Minute)
	for i := range 10 {
		m := &nats.Msg{Subject: c.Subject + ".x", Data: fmt.Appendf(nil, "%d\n\n%d", 2*i, 2*i+1)}
		if i == 0 {
			m.Header = nats.Header{"Kind": {"first"}, nats.MsgIdHdr: {"id-0"}}
		}
		_, err := js.PublishMsg(t.Context(), m)
		check(t, err)
	}

	var got []Message
	r := begun(t, Messages(nc, c.Stream).Ends())
	check(t, untilEnd(t, r, func(m Message) {
		m.Data = slices.Clone(m.Data)
		got = append(got, m)
	}))
	first, last := got[0], got[len(got)-1]
	if len(got) != 10 || string(first.Data) != "0\n\n1" || first.Subject != c.Subject+".x" || first.Seq != 1 || last.Seq != 10 ||
		first.ID != "id-0" || first.Header.Get("Kind") != "first" || last.ID != "" || last.Header != nil || first.Time.Before(before) {
		t.Errorf("%d messages, from %+v to %+v", len(got), first, last)
	}

	// By lines, a few at a time, each by another incarnation.
	source := func() *Source[stream.Reader[Message]] { return Messages(nc, c.Stream).Ends().Lines() }
	var lines []string
	r = begun(t, source())
	for ended := false; !ended; {
		position := r.Position(nil)
		check(t, r.(io.Closer).Close())
		r = begun(t, source())
		check(t, r.Seek(position))
		inner := taskOf(r)
		inner.begin()
		inner.room = 1
		for !ended && !inner.scan() {
			ended = errors.Is(inner.why, io.EOF)
			if !ended && inner.why != nil && !errors.Is(inner.why, spout.ErrIdle) {
				t.Fatal(inner.why)
			}
			time.Sleep(time.Millisecond)
			inner.begin()
			inner.room = 1
		}
		if !ended {
			lines = append(lines, string(inner.text))
			inner.take()
		}
	}
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the lines are %q", lines)
	}
}

// TestTypedSink runs the cases of one typed sink on one server.
func TestTypedSink(t *testing.T) {
	nc, js := natstest.Start(t).Connect()
	type order struct{ id, text string }
	begin := func(t *testing.T, c SinkConfig, incarnation msgid.Incarnation) *writer[order] {
		t.Helper()
		s := Sink(c, func(o order) Message { return Message{Data: []byte(o.text), ID: o.id} }).New().(*writer[order])
		check(t, s.Prepare(taskContext(incarnation)))
		return s
	}
	// write writes texts whose message ids are numbered from one on.
	write := func(t *testing.T, s *writer[order], from int, texts ...string) {
		t.Helper()
		for i, text := range texts {
			s.Identify(numbered(t, from+i, "x").ID())
			check(t, s.Write(context.Background(), order{text: text}))
		}
	}

	t.Run("a replay leaves no trace, equal values do", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		one := begin(t, c, 1)
		write(t, one, 1, "to", "be")
		data, err := one.Snapshot()
		check(t, err)
		write(t, one, 3, "or", "not", "to") // published, but no snapshot covers them
		check(t, one.settle(t.Context(), 0))
		two := begin(t, c, 2)
		check(t, two.Restore(data))
		write(t, two, 3, "or", "not", "to", "be")
		check(t, two.Finish(context.Background(), nil))
		has(t, js, c, "to", "be", "or", "not", "to", "be")
	})

	t.Run("values of two inputs come again in another order", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		other := numbered(t, 1, "x").ID()
		other.Channel.Source.Operator = "other"
		merged := func(s *writer[order]) {
			s.Identify(other)
			check(t, s.Write(context.Background(), order{text: "be"}))
		}
		one := begin(t, c, 1)
		write(t, one, 1, "to")
		merged(one)
		check(t, one.settle(t.Context(), 0)) // no snapshot covers them
		two := begin(t, c, 2)
		merged(two)
		write(t, two, 1, "to", "or")
		check(t, two.Finish(context.Background(), nil))
		has(t, js, c, "to", "be", "or")
	})

	t.Run("an id of its own", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		c.AtLeastOnce = true
		s := begin(t, c, 1)
		for _, o := range []order{{"1", "tea"}, {"2", "bread"}, {"1", "tea again"}, {"", "x"}, {"", "x"}} {
			check(t, s.Write(context.Background(), o))
		}
		check(t, s.Finish(context.Background(), nil))
		has(t, js, c, "tea", "bread", "x", "x")
	})

	t.Run("a value that is too large fails by itself, and is named by its id", func(t *testing.T) {
		c := newStream(t, nc, js, nil)
		s := begin(t, c, 1)
		write(t, s, 1, "a")
		s.Identify(numbered(t, 2, "x").ID())
		err := s.Write(context.Background(), order{text: strings.Repeat("x", 2<<20)})
		if !errors.Is(err, nats.ErrMaxPayload) || !strings.Contains(err.Error(), "does not take tuple fake.0>sink.0#2") {
			t.Errorf("error %v, want %v", err, nats.ErrMaxPayload)
		}
		write(t, s, 3, "b")
		check(t, s.Finish(context.Background(), nil))
		has(t, js, c, "a", "b")
	})
}

// An outage costs no tuple: the sink goes on trying, and then its task is restarted.
func TestOutage(t *testing.T) {
	server := natstest.Start(t)
	nc, js := server.Connect()
	c := newStream(t, nc, js, nil)
	c.Timeout, c.InFlight = 200*time.Millisecond, 1
	s := begin(t, c, 1)
	publish(t, s, 1, "a")
	server.Kill()
	if err := s.Execute(context.Background(), numbered(t, 2, "b"), nil); !bolt.IsOutage(err) {
		t.Errorf("a tuple while the server is away: error %v, want an outage", err)
	}
	if err := Bolt(c, Field("a"))().(*rowWriter).Prepare(taskContext(2)); !bolt.IsOutage(err) {
		t.Errorf("Prepare while the server is away: error %v, want an outage", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := s.Execute(ctx, numbered(t, 3, "c"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a task that is stopped meanwhile: error %v", err)
	}
	in := Messages(nc, c.Stream).New().(*messageReader)
	if err := in.Open(bolttest.NewContext("in", 0, 1)); !bolt.IsOutage(err) {
		t.Errorf("Open while the server is away: error %v, want an outage", err)
	}
	server.Again()
	if err := Messages(nc, "nothing").New().(*messageReader).Open(bolttest.NewContext("in", 0, 1)); !bolt.IsPermanent(err) || !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("a stream that is not there: error %v", err)
	}
}

func TestVerify(t *testing.T) {
	nc, js := natstest.Start(t).Connect()
	c := newStream(t, nc, js, nil)
	refused := func(v any, s bolt.Strategy, says string) {
		t.Helper()
		if err := v.(bolt.Verifier).Verify(s); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one with %s", err, says)
		}
	}
	kept, none := bolt.Strategy{Name: "backtrack", Snapshots: true}, bolt.Strategy{Name: "none"}
	message := func(string) Message { return Message{} }
	refused(Bolt(c, nil)(), kept, "give one")
	refused(Sink[string](c, nil).New(), kept, "give one")
	refused(Bolt(SinkConfig{}, Encoded)(), kept, "Conn is missing")
	refused(Bolt(c, Encoded)(), none, "set SinkConfig.AtLeastOnce")
	refused(Sink(c, message).New(), none, "set SinkConfig.AtLeastOnce")
	check(t, Sink(c, message).New().(bolt.Verifier).Verify(kept))
	c.AtLeastOnce = true
	check(t, Bolt(c, Encoded)().(bolt.Verifier).Verify(none))
}

func begun(t *testing.T, s *Source[stream.Reader[Message]]) stream.Reader[Message] {
	t.Helper()
	r := s.New()
	t.Cleanup(func() { _ = r.(io.Closer).Close() })
	check(t, r.(spout.Opener).Open(bolttest.NewContext("in", 0, 1)))
	return r
}

func taskOf(r stream.Reader[Message]) *task { return &r.(*messageReader).task }

// untilEnd reads until the end of the input.
func untilEnd(t *testing.T, r stream.Reader[Message], out func(Message)) error {
	t.Helper()
	for {
		switch err := r.Next(t.Context(), out); {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, spout.ErrIdle):
			time.Sleep(time.Millisecond)
		case err != nil:
			return err
		}
	}
}
