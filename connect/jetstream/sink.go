package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// sink is the bolt of one task.
//
// Invariant: what was consumed and is not pending has been acknowledged.
type sink struct {
	SinkConfig
	run  *run
	task bolt.Task

	js      jetstream.JetStream
	pending []outgoing // in the order of their tuples
	heard   time.Time  // when the sink began to wait, or the last acknowledgement came: Patience counts from here

	// broken is why nothing can be published any more. From then on tuples are taken and forgotten: no snapshot covers
	// them, since Snapshot fails, and the restored task gets them again. An error from Execute would instead send
	// one that may be without fault to the dead letters.
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
		// The sinks bound what is in flight themselves; what they have given up is forgotten after a while.
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

// Prepare checks that the stream is there and fit.
func (s *sink) Prepare(ctx bolt.Context) (err error) {
	if err := s.normalize(); err != nil {
		return err
	}
	s.task = ctx.Task()
	if err := s.run.refusal(s.task.Alias); err != nil {
		return err
	}
	if s.js, err = s.run.publisher(s.Conn); err != nil {
		return fmt.Errorf("jetstream: stream %s: %w", s.Stream, err)
	}
	pause := minPause
	for end := time.Now().Add(s.Patience); ; pause = min(2*pause, maxPause) {
		err := s.check()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrStreamNotFound):
			return fmt.Errorf("jetstream: stream %s: %w: create it first", s.Stream, err)
		case errors.Is(err, ErrUnfit), errors.Is(err, nats.ErrConnectionClosed), time.Now().After(end):
			return fmt.Errorf("jetstream: stream %s: %w%s", s.Stream, err, remedy(err))
		}
		time.Sleep(pause)
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

// Execute publishes a tuple, and waits while too much is without an acknowledgement.
func (s *sink) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	subject, payload, err := s.message(t)
	if err != nil || s.broken != nil {
		return err
	}
	m := outgoing{id: t.ID(), Msg: &nats.Msg{Subject: subject, Data: slices.Clone(payload), Header: nats.Header{
		jetstream.ExpectedStreamHeader: []string{s.Stream},
	}}}
	if !s.AtLeastOnce {
		m.Header[jetstream.MsgIDHeader] = []string{s.messageID(m)}
	}
	s.send(&m)
	if m.unset != nil && !again(m.unset) && !errors.Is(m.unset, nats.ErrConnectionClosed) {
		return s.rejected(m, m.unset) // it is this tuple's fault, and nothing was sent
	}
	s.pending = append(s.pending, m)
	err = s.settle(s.InFlight - 1)
	if err != nil && s.InFlight == 1 {
		s.pending = s.pending[:0]
		return err
	}
	s.broken = err
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

// Finish waits for the last acknowledgements.
func (s *sink) Finish(context.Context, bolt.Emitter) error { return s.flush() }

// Snapshot waits until everything that it covers is acknowledged: that is not consumed again. It has nothing to keep.
func (s *sink) Snapshot() ([]byte, error) { return nil, s.flush() }

// Restore has nothing to restore.
func (s *sink) Restore([]byte) error { return nil }

func (s *sink) flush() error {
	if s.broken == nil {
		s.broken = s.settle(0)
	}
	return s.broken
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
// silence, has all that is pending sent again, after a pause.
func (s *sink) settle(most int) error {
	s.heard = time.Now()
	pause := minPause
	for len(s.pending) > 0 {
		acked, err := s.next(len(s.pending) > most)
		switch {
		case err == nil && !acked:
			return nil
		case err == nil:
			pause = minPause
			continue
		case !again(err) || errors.Is(err, bolt.ErrOutputExists):
			return s.rejected(s.pending[0], err)
		case time.Since(s.heard) > s.Patience:
			return s.rejected(s.pending[0], fmt.Errorf("given up after %v: %w", s.Patience, err))
		}
		time.Sleep(pause)
		pause = min(2*pause, maxPause)
		s.resend()
	}
	return nil
}

// next looks at the oldest message, and waits for its acknowledgement if it must.
func (s *sink) next(wait bool) (acked bool, err error) {
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
	timer := time.NewTimer(min(resendAfter, s.Patience))
	defer timer.Stop()
	select {
	case ack := <-m.ack:
		return true, s.acknowledged(ack)
	case err := <-m.fail:
		return false, err
	case <-timer.C:
		return false, nats.ErrTimeout
	}
}

// acknowledged takes the oldest message off. In the first incarnation nothing that is sent for the first time can
// be there.
func (s *sink) acknowledged(ack *jetstream.PubAck) error {
	if m := s.pending[0]; ack.Duplicate && !m.again && s.task.Incarnation == 1 {
		err := fmt.Errorf("%w: the stream has the same message of an earlier run of %s: wait until its duplicate window has passed, or choose another name",
			bolt.ErrOutputExists, s.task.Topology)
		s.run.refuse(s.task.Alias, s.rejected(m, err))
		return err
	}
	s.pending[0] = outgoing{}
	s.pending = s.pending[1:]
	s.heard = time.Now()
	return nil
}

// resend sends what is pending, in order, once the connection is there. One that is away would only gather it.
func (s *sink) resend() {
	for !s.Conn.IsConnected() && !s.Conn.IsClosed() && time.Since(s.heard) <= s.Patience {
		time.Sleep(minPause)
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
}

func (s *sink) rejected(m outgoing, err error) error {
	return &RejectedError{Stream: s.Stream, Subject: m.Subject, ID: m.id.String(), Err: err}
}
