package jetstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/tuple"
)

// Bolt returns the factory of a sink that publishes tuples to a stream. The function makes the message of a tuple, and the
// same for the same tuple; its Data may be a view. If it reads the tuple wrongly, the tuple fails. See Encoded and Field for
// ready-made ones.
//
//	b.Bolt("out", jetstream.Bolt(jetstream.SinkConfig{Conn: nc, Stream: "WORDS", Subject: "words.counted"}, jetstream.Field("word"))).Shuffle("count")
//
// Make a new one for each run.
func Bolt(c SinkConfig, message func(t tuple.Tuple) Message) func() bolt.Bolt {
	run := &run{}
	return func() bolt.Bolt { return &rowWriter{sink: sink{SinkConfig: c, run: run}, message: message} }
}

// Encoded makes a message of a whole tuple, as msgpack.
func Encoded(t tuple.Tuple) Message { return Message{Data: t.Encoded()} }

// Field returns a function that makes a message of a string or binary field.
func Field(name string) func(t tuple.Tuple) Message {
	return func(t tuple.Tuple) Message { return Message{Data: t.Field(name).Bytes()} }
}

// Sink returns a typed sink that publishes values to a stream. The function makes the message of a value, and the same for the
// same value; its Data may be a view.
//
//	stream.To(orders, "out", jetstream.Sink(c, func(o Order) jetstream.Message {
//		return jetstream.Message{Subject: "orders." + o.Country, Data: o.JSON, ID: o.Number}
//	}))
//
// A message that has an ID of its own is dropped by the stream if it took one with that ID within its duplicate window,
// whoever sent it. For others the sink makes one of the value's message id, so it is an operator of its own.
//
// Make a new one for each run.
func Sink[T any](c SinkConfig, message func(v T) Message) stream.Sink[T] {
	return &typedSink[T]{SinkConfig: c, run: &run{}, message: message}
}

type typedSink[T any] struct {
	SinkConfig
	run     *run
	message func(v T) Message
}

// New returns the writer of one task.
func (s *typedSink[T]) New() stream.Writer[T] {
	return &writer[T]{sink: sink{SinkConfig: s.SinkConfig, run: s.run}, message: s.message}
}

// rowWriter is the bolt of one task.
type rowWriter struct {
	sink
	message func(t tuple.Tuple) Message
}

// Prepare checks that the stream is there and fit.
func (w *rowWriter) Prepare(ctx bolt.Context) error { return w.prepare(ctx, w.message != nil) }

// Verify refuses settings that cannot work, and a strategy under which messages would be dropped.
func (w *rowWriter) Verify(s bolt.Strategy) error { return w.verify(s, w.message != nil) }

// Identifies implements bolt.Identifier.
func (*rowWriter) Identifies() {}

// Execute publishes a tuple, and waits while too many messages are unacknowledged.
func (w *rowWriter) Execute(ctx context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	m := w.message(t)
	if err := t.Err(); err != nil {
		return err
	}
	return w.publish(ctx, t.ID(), m)
}

// writer is one task's part of a typed sink.
type writer[T any] struct {
	sink
	message func(v T) Message
	id      msgid.ID // of the value that comes next
}

// Prepare checks that the stream is there and fit.
func (w *writer[T]) Prepare(ctx bolt.Context) error { return w.prepare(ctx, w.message != nil) }

// Verify refuses settings that cannot work, and a strategy under which messages would be dropped.
func (w *writer[T]) Verify(s bolt.Strategy) error { return w.verify(s, w.message != nil) }

// Identify implements stream.Identifier.
func (w *writer[T]) Identify(id msgid.ID) { w.id = id }

// Write publishes a value, and waits while too much is without an acknowledgement.
func (w *writer[T]) Write(ctx context.Context, v T) error { return w.publish(ctx, w.id, w.message(v)) }

// sink publishes the messages of one task. It is the core of both forms.
//
// Invariant: a message that was taken and is not pending has been acknowledged.
type sink struct {
	SinkConfig
	run  *run
	task bolt.Task

	js      jetstream.JetStream
	pending []outgoing // in the order of their tuples
	heard   time.Time  // when the sink began to wait, or the last acknowledgement came: Timeout counts from here

	// broken is why nothing can be published any more, through no fault of the tuple at hand. From then on tuples are taken and
	// forgotten: no snapshot covers them, since Snapshot fails, and the restored task gets them again.
	broken error
}

// An outgoing message waits for its acknowledgement.
type outgoing struct {
	*nats.Msg
	id    msgid.ID
	ack   <-chan *jetstream.PubAck
	fail  <-chan error
	unset error // why it could not even be sent
	again bool  // it was sent before, so it may be there
	given bool  // its message id is not the sink's
}

// A run is what the tasks of one factory, and all their incarnations in this process, share.
type run struct {
	mu sync.Mutex
	// js has a goroutine, which ends with the connection. The client library's way to end it sooner
	// (CleanupPublisher) may leave it behind for ever if it comes soon after the first message.
	js jetstream.JetStream
	// refused are the tasks that have found the output of an earlier run. Their next incarnation could not tell that
	// from its own.
	refused map[msgid.Alias]error
}

func (r *run) publisher(nc *nats.Conn) (js jetstream.JetStream, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.js == nil {
		// The sinks bound what is in flight themselves; the client forgets a message some time after a sink has given
		// it up.
		r.js, err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(1<<30), jetstream.WithPublishAsyncTimeout(2*resendAfter))
	}
	return r.js, err
}

func (r *run) refusal(a msgid.Alias) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[a]
}

func (r *run) refuse(a msgid.Alias, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == nil {
		r.refused = make(map[msgid.Alias]error)
	}
	r.refused[a] = err
}

// Delays.
const (
	resendAfter = 2 * time.Second // an acknowledgement that has not come by then may be lost
)

var errMessage = errors.New("jetstream: the function that makes messages is nil: give one")

// verify is for Verify; made reports whether there is a function that makes messages.
func (s *sink) verify(of bolt.Strategy, made bool) error {
	if !made {
		return errMessage
	}
	return s.SinkConfig.verify(of)
}

// prepare checks that the stream is there and fit.
func (s *sink) prepare(ctx bolt.Context, made bool) (err error) {
	if !made {
		return bolt.Permanent(errMessage)
	}
	if err := s.normalize(); err != nil {
		return bolt.Permanent(err)
	}
	s.task = ctx.Task()
	if err := s.run.refusal(s.task.Alias); err != nil {
		return err
	}
	if s.js, err = s.run.publisher(s.Conn); err != nil {
		return fmt.Errorf("jetstream: stream %s: %w", s.Stream, err)
	}
	permanent := func(err error) bool {
		return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, ErrUnfit) || errors.Is(err, nats.ErrConnectionClosed)
	}
	policy := retry.Policy{Min: minPause, Max: maxPause, For: s.Timeout, Again: func(err error) bool { return !permanent(err) }}
	switch err := retry.Do(context.Background(), policy, s.check); {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return bolt.Permanent(fmt.Errorf("jetstream: stream %s: %w: create it first", s.Stream, err))
	case permanent(err):
		return bolt.Permanent(fmt.Errorf("jetstream: stream %s: %w%s", s.Stream, err, remedy(err)))
	default:
		return bolt.Outage(fmt.Errorf("jetstream: stream %s: %w%s", s.Stream, err, remedy(err)))
	}
}

// check asks the server about the stream.
func (s *sink) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	stream, err := s.js.Stream(ctx, s.Stream)
	if err != nil {
		return err
	}
	if has := stream.CachedInfo().Config.Duplicates; has < s.Window && !s.AtLeastOnce {
		return fmt.Errorf("%w: its duplicate window is %v: raise it (duplicate_window) to %v, or lower SinkConfig.Window if a recovery never takes that long",
			ErrUnfit, has, s.Window)
	}
	if s.Subject == "" {
		return nil
	}
	name, err := s.js.StreamNameBySubject(ctx, s.Subject)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("%w: subject %s is not one of its subjects %q: add it", ErrUnfit, s.Subject, stream.CachedInfo().Config.Subjects)
	} else if err == nil && name != s.Stream {
		return fmt.Errorf("%w: subject %s is stream %s's", ErrUnfit, s.Subject, name)
	}
	return err
}

// publish publishes the message of a tuple, and waits while too much is without an acknowledgement.
func (s *sink) publish(ctx context.Context, id msgid.ID, msg Message) error {
	if msg.Subject == "" {
		msg.Subject = s.Subject
	}
	if !publishable(msg.Subject) { // first, so that a bad tuple is one on a replay too
		return fmt.Errorf("jetstream: stream %s: tuple %v: nothing can be published to subject %.80q", s.Stream, id, msg.Subject)
	}
	if s.broken != nil {
		return nil
	}
	m := outgoing{id: id, given: msg.ID != "", Msg: &nats.Msg{Subject: msg.Subject, Data: slices.Clone(msg.Data), Header: maps.Clone(msg.Header)}}
	if m.Header == nil {
		m.Header = nats.Header{}
	}
	m.Header[jetstream.ExpectedStreamHeader] = []string{s.Stream}
	switch {
	case m.given:
		m.Header[jetstream.MsgIDHeader] = []string{msg.ID}
	case s.AtLeastOnce:
		delete(m.Header, jetstream.MsgIDHeader)
	default:
		m.Header[jetstream.MsgIDHeader] = []string{s.messageID(m)}
	}
	s.send(&m)
	if m.unset != nil && !again(m.unset) && !errors.Is(m.unset, nats.ErrConnectionClosed) {
		return s.rejected(m, m.unset) // it is this tuple's fault, and nothing was sent
	}
	s.pending = append(s.pending, m)
	err := s.settle(ctx, s.InFlight-1)
	switch {
	case err == nil || bolt.IsOutage(err) || bolt.IsPermanent(err) || ctx.Err() != nil:
		return err
	case s.InFlight == 1:
		s.pending = s.pending[:0]
		return err
	}
	s.broken = bolt.Permanent(err)
	return nil
}

// messageID is the message id of a tuple, as the stream is to know it. With the content's hash in it two different
// tuples are never taken for one, even if a rollback has given both the same id; see the package's comment.
func (s *sink) messageID(m outgoing) string {
	b := append(make([]byte, 0, 96), s.task.Topology...)
	b = append(b, '/')
	b = append(b, m.id.String()...)
	b = append(b, '/')
	b = strconv.AppendUint(b, tuple.Hash([]byte(m.Subject)), 36)
	b = append(b, '.')
	return string(strconv.AppendUint(b, tuple.Hash(m.Data), 36))
}

// Snapshot waits until everything that it covers is acknowledged: that is not consumed again. It has nothing to keep.
func (s *sink) Snapshot() ([]byte, error) { return nil, s.flush(context.Background()) }

// Restore has nothing to restore.
func (s *sink) Restore([]byte) error { return nil }

// Finish waits for the last acknowledgements.
func (s *sink) Finish(ctx context.Context, _ bolt.Emitter) error { return s.flush(ctx) }

// flush waits until nothing is pending. A message that the stream refuses is found too late for its tuple alone to fail.
func (s *sink) flush(ctx context.Context) error {
	if s.broken != nil {
		return s.broken
	}
	err := s.settle(ctx, 0)
	if err != nil && !bolt.IsOutage(err) && ctx.Err() == nil {
		s.broken = bolt.Permanent(err)
		return s.broken
	}
	return err
}

// once leaves the tries to the sink, which keeps the order.
var once = jetstream.WithRetryAttempts(0)

// send publishes a message.
func (s *sink) send(m *outgoing) {
	m.ack, m.fail = nil, nil
	future, err := s.js.PublishMsgAsync(m.Msg, once)
	if m.unset = err; err == nil {
		m.ack, m.fail = future.Ok(), future.Err()
	}
}

// settle takes acknowledgements, in order, and waits until at most so many messages are without. A failure, or
// silence, has all that is pending sent again, after a pause. It returns an outage when Timeout has passed, and ctx's error
// when that has ended.
func (s *sink) settle(ctx context.Context, most int) error {
	s.heard = time.Now()
	pauses := newPauses()
	for len(s.pending) > 0 {
		acked, err := s.next(ctx, len(s.pending) > most)
		switch {
		case err == nil && !acked:
			return nil
		case err == nil:
			pauses.Reset()
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, bolt.ErrOutputExists), errors.Is(err, nats.ErrConnectionClosed):
			return bolt.Permanent(s.rejected(s.pending[0], err))
		case !again(err):
			return s.rejected(s.pending[0], err)
		case time.Since(s.heard) > s.Timeout:
			return bolt.Outage(s.rejected(s.pending[0], fmt.Errorf("given up after %v: %w", s.Timeout, err)))
		}
		if err := pauses.Wait(ctx); err != nil {
			return err
		}
		if err := s.resend(ctx); err != nil {
			return err
		}
	}
	return nil
}

// next looks at the oldest message, and waits for its acknowledgement if it must.
func (s *sink) next(ctx context.Context, wait bool) (acked bool, err error) {
	m := &s.pending[0]
	if m.unset != nil {
		return false, m.unset
	}
	select {
	case ack := <-m.ack:
		return true, s.acknowledged(ack)
	case err := <-m.fail:
		return false, err
	default:
	}
	if !wait {
		return false, nil
	}
	timer := time.NewTimer(min(resendAfter, s.Timeout))
	defer timer.Stop()
	select {
	case ack := <-m.ack:
		return true, s.acknowledged(ack)
	case err := <-m.fail:
		return false, err
	case <-timer.C:
		return false, nats.ErrTimeout
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// acknowledged takes the oldest message off. In the first incarnation nothing that is sent for the first time can
// be there.
func (s *sink) acknowledged(ack *jetstream.PubAck) error {
	if m := s.pending[0]; ack.Duplicate && !m.again && !m.given && s.task.Incarnation == 1 {
		err := fmt.Errorf("%w: the stream has the same message of an earlier run of %s: wait until its duplicate window has passed, or choose another name",
			bolt.ErrOutputExists, s.task.Topology)
		s.run.refuse(s.task.Alias, bolt.Permanent(s.rejected(m, err)))
		return err
	}
	s.pending[0] = outgoing{}
	s.pending = s.pending[1:]
	s.heard = time.Now()
	return nil
}

// resend sends what is pending, in order, once the connection is there. One that is away would only gather it.
func (s *sink) resend(ctx context.Context) error {
	for !s.Conn.IsConnected() && !s.Conn.IsClosed() && time.Since(s.heard) <= s.Timeout {
		if err := retry.Sleep(ctx, minPause); err != nil {
			return err
		}
	}
	var failed error
	for i := range s.pending {
		m := &s.pending[i]
		m.again = true
		if failed == nil {
			s.send(m)
			failed = m.unset
		} else {
			m.ack, m.fail, m.unset = nil, nil, failed // not before those that come first
		}
	}
	return nil
}

func (s *sink) rejected(m outgoing, err error) error {
	return &RejectedError{Stream: s.Stream, Subject: m.Subject, ID: fmt.Sprintf("tuple %v", m.id), Err: err}
}

var (
	_ bolt.Snapshotter = (*writer[int])(nil)
	_ bolt.Finisher    = (*writer[int])(nil)
	_ bolt.Verifier    = (*writer[int])(nil)

	_ stream.Identifier = (*writer[int])(nil)
)
