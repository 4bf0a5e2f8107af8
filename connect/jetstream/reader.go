package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/retry"
)

// A message is one of the stream's.
type message struct {
	subject string
	data    []byte
	header  nats.Header
	seq     uint64
	time    time.Time
}

// A batch is what the reader has read since the last one. After a batch with an error comes nothing more.
type batch struct {
	messages []message
	upTo     uint64 // everything up to here has been read, including what is not for us
	err      error
}

// Bounds of what lies between the server and the task. At most there is one pull on its way, one batch in the
// channel and one on each side of it.
const (
	pullMessages = 2048
	pullBytes    = 1 << 20 // grows when a message is larger
	handBytes    = 256 << 10
)

// Delays.
const (
	pullExpires = 2 * time.Second        // an idle reader looks this often how far the stream is
	heartbeat   = 500 * time.Millisecond // an idle server sends one
	unheard     = 3 * heartbeat          // the server is silent: ask it anew
	askTimeout  = 2 * time.Second
	minPause    = 10 * time.Millisecond // between tries while the server is away
	maxPause    = 500 * time.Millisecond
)

// A reader reads messages ahead of its task, in the order of their sequence numbers. Its goroutine, run, ends with
// close.
//
// It pulls from an ordinary ephemeral consumer, and makes another that begins at next whenever something is odd:
// silence, a hole in the consumer's own numbers, a server that has forgotten it. So nothing is missed or repeated.
// The client library's ordered consumer does likewise, but starts a goroutine and a large buffer for each pull.
type reader struct {
	*input
	span    span
	next    uint64 // everything before has been handed over
	bytes   int    // the most that one pull asks for
	batches chan batch

	js   jetstream.JetStream
	stop context.CancelFunc
	done chan struct{}
}

func startReader(in *input, sp span, next uint64) *reader {
	ctx, stop := context.WithCancel(context.Background())
	r := &reader{
		input: in, span: sp, next: next, bytes: pullBytes,
		batches: make(chan batch, 1), stop: stop, done: make(chan struct{}),
	}
	go r.run(ctx)
	return r
}

// close ends the reader and waits for it.
func (r *reader) close() {
	r.stop()
	<-r.done
}

// errEnded ends a reader that has handed over the last message.
var errEnded = errors.New("jetstream: ended")

func (r *reader) run(ctx context.Context) {
	defer close(r.done)
	for pauses := newPauses(); ctx.Err() == nil; _ = pauses.Wait(ctx) {
		before := r.next
		err := r.read(ctx)
		switch {
		case errors.Is(err, errEnded):
			return
		case final(err):
			_ = r.hand(ctx, batch{err: err})
			return
		case r.next > before:
			pauses.Reset()
		}
	}
}

func newPauses() retry.Backoff { return retry.Backoff{Min: minPause, Max: maxPause} }

// final reports whether asking again would not help. A connection that is away, a server without a leader or a
// consumer that is forgotten are only a pause.
func final(err error) bool {
	var missing *MissingError
	var api *jetstream.APIError
	switch {
	case errors.As(err, &missing), errors.Is(err, ErrChanged), errors.Is(err, ErrUnfit), errors.Is(err, nats.ErrConnectionClosed):
		return true
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		return false
	case errors.As(err, &api):
		return api.Code >= 400 && api.Code < 500
	}
	return false
}

// read makes a consumer and pulls from it until something is odd.
func (r *reader) read(ctx context.Context) (err error) {
	if r.js == nil {
		if r.js, err = jetstream.New(r.nc); err != nil {
			return err
		}
	}
	c, err := r.consume(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	for {
		if err := c.pull(ctx); err != nil {
			return err
		}
	}
}

// hand gives a batch to the task, which may take its time. It is an error when the reader is closed meanwhile.
func (r *reader) hand(ctx context.Context, b batch) error {
	select {
	case r.batches <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A consumer is JetStream's, together with the subscription to which it delivers.
type consumer struct {
	*reader
	handle jetstream.Stream
	name   string
	sub    *nats.Subscription
	inbox  chan *nats.Msg
	count  uint64 // messages that it has delivered

	seen     uint64 // everything up to here has been read
	gathered []message
	size     int    // of what is gathered
	hole     uint64 // the first sequence number that is not among what is gathered though later ones are; 0: none
}

// consume makes a consumer that begins at next. The stream must still be the one that is meant, and hold that.
func (r *reader) consume(ctx context.Context) (*consumer, error) {
	if !r.nc.IsConnected() && !r.nc.IsClosed() {
		return nil, errAway
	}
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	handle, err := r.js.Stream(ask, r.stream)
	if err != nil {
		return nil, fmt.Errorf("jetstream: read stream %s: %w", r.stream, err)
	}
	info := handle.CachedInfo()
	if err := r.compare(info); err != nil {
		return nil, err
	}
	config := jetstream.ConsumerConfig{
		Description:   "Askback: a spout reads",
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.next,
		AckPolicy: jetstream.AckNonePolicy, FilterSubjects: r.subjects,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
	}
	made, err := handle.CreateConsumer(ask, config)
	if err != nil {
		return nil, fmt.Errorf("jetstream: read stream %s: %w", r.stream, err)
	}
	c := &consumer{
		reader: r, handle: handle, name: made.CachedInfo().Name, seen: r.next - 1,
		inbox: make(chan *nats.Msg, pullMessages+64), // a whole pull, and its statuses: never full
	}
	c.sub, err = r.nc.ChanSubscribe(r.nc.NewInbox(), c.inbox)
	if err != nil {
		c.remove()
		return nil, fmt.Errorf("jetstream: read stream %s: %w", r.stream, err)
	}
	return c, nil
}

// compare compares the stream with what has been read of it.
func (r *reader) compare(info *jetstream.StreamInfo) error {
	first, last := info.State.FirstSeq, info.State.LastSeq
	switch {
	case !info.Created.Equal(r.span.created):
		return fmt.Errorf("%w: stream %s was made on %v, and the one that was read before on %v; begin the topology anew without its log",
			ErrChanged, r.stream, info.Created, r.span.created.UTC())
	case r.next > last+1 && r.next > r.span.start:
		return fmt.Errorf("%w: stream %s ends with message %d, and %d had been read: its store went back",
			ErrChanged, r.stream, last, r.next-1)
	case first > r.next:
		return &MissingError{Stream: r.stream, From: r.next, To: first - 1}
	}
	if err := fit(info.Config); err != nil {
		return fmt.Errorf("stream %s: %w", r.stream, err)
	}
	return nil
}

// close ends the subscription and removes the consumer.
func (c *consumer) close() {
	_ = c.sub.Unsubscribe()
	c.remove()
}

// remove is a courtesy: the server forgets an unused consumer by itself, a little later.
func (c *consumer) remove() {
	if !c.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_ = c.handle.DeleteConsumer(ctx, c.name)
}

// Errors that require another consumer.
var (
	errAway   = errors.New("jetstream: not connected")
	errSilent = errors.New("jetstream: the server is silent")
	errHole   = errors.New("jetstream: a message was lost on its way")
	errStatus = errors.New("jetstream: the pull was refused")
)

// pull requests messages and gathers them. It hands gathered messages over as soon as the task wants them.
func (c *consumer) pull(ctx context.Context) error {
	request, _ := json.Marshal(map[string]any{
		"batch": pullMessages, "max_bytes": c.bytes, "expires": pullExpires, "idle_heartbeat": heartbeat,
	})
	if err := c.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.stream+"."+c.name, c.sub.Subject, request); err != nil {
		return err
	}
	silence := time.NewTimer(unheard)
	defer silence.Stop()
	for got := 0; got < pullMessages; {
		m, err := c.receive(ctx, silence)
		if err != nil {
			return err
		}
		if strings.HasPrefix(m.Reply, "$JS.ACK.") {
			if err := c.take(ctx, m); err != nil {
				return err
			}
			got++
			continue
		}
		switch status, why := m.Header.Get("Status"), m.Header.Get("Description"); {
		case status == "100": // heartbeat
		case status == "404" || status == "408": // no more messages for now
			return c.idle(ctx)
		case status == "409" && strings.Contains(why, "Batch Completed"):
			if got > 0 {
				return nil
			} // otherwise it ends the pull before, which was known to be complete
		case status == "409" && strings.Contains(why, "MaxBytes"):
			if got == 0 {
				c.bytes *= 2
			}
			return nil
		default:
			return fmt.Errorf("%w: %s %s", errStatus, status, why)
		}
	}
	return nil
}

// receive returns the next message. While there is none it offers the task what is gathered; the longer the task
// is busy, the more that is.
func (c *consumer) receive(ctx context.Context, silence *time.Timer) (*nats.Msg, error) {
	for {
		select {
		case m := <-c.inbox:
			return m, nil
		default:
		}
		var offer chan<- batch
		if c.seen >= c.next {
			if err := c.explain(ctx); err != nil {
				return nil, err
			}
			offer = c.batches
		}
		silence.Reset(unheard)
		select {
		case m := <-c.inbox:
			return m, nil
		case offer <- batch{messages: c.gathered, upTo: c.seen}:
			c.handed()
		case <-silence.C:
			return nil, errSilent
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take gathers a message.
func (c *consumer) take(ctx context.Context, m *nats.Msg) error {
	about, err := m.Metadata()
	if err != nil {
		return err
	}
	c.count++
	seq := about.Sequence.Stream
	switch {
	case about.Sequence.Consumer != c.count:
		return errHole
	case seq <= c.seen:
		return fmt.Errorf("%w: stream %s delivered message %d after %d", ErrChanged, c.stream, seq, c.seen)
	case seq > c.seen+1 && c.hole == 0:
		c.hole = c.seen + 1
	}
	c.seen = seq
	if !c.ends || seq <= c.span.end {
		c.gathered = append(c.gathered, message{subject: m.Subject, data: m.Data, header: m.Header, seq: seq, time: about.Timestamp})
		c.size += len(m.Data) + len(m.Subject) + 64
	}
	if c.size >= handBytes || c.ends && seq >= c.span.end {
		return c.flush(ctx)
	}
	return nil
}

// flush waits until the task takes what is gathered.
func (c *consumer) flush(ctx context.Context) error {
	if err := c.explain(ctx); err != nil {
		return err
	}
	if err := c.hand(ctx, batch{messages: c.gathered, upTo: c.seen}); err != nil {
		return err
	}
	c.handed()
	if c.ends && c.seen >= c.span.end {
		return errEnded
	}
	return nil
}

// handed begins anew after what was gathered.
func (c *consumer) handed() { c.next, c.gathered, c.size = c.seen+1, nil, 0 }

// explain finds out whether sequence numbers are missing because no filter selects them, which is as it should be, or
// because the stream has dropped them before they were read.
func (c *consumer) explain(ctx context.Context) error {
	if c.hole == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := c.handle.Info(ctx)
	if err != nil {
		return err
	}
	if first := info.State.FirstSeq; first > c.hole {
		return &MissingError{Stream: c.stream, From: c.hole, To: first - 1}
	}
	c.hole = 0
	return nil
}

// idle moves on to the end of the stream when nothing that is wanted lies before it. Otherwise a position would stay
// behind at the last message that was wanted, long after the stream has rightly dropped it.
func (c *consumer) idle(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	info, err := c.handle.Info(ask)
	if err != nil {
		return err
	}
	last := info.State.LastSeq // before the consumer is asked: messages that come in between are the consumer's to report
	if last <= c.seen {
		return nil
	}
	consumer, err := c.handle.Consumer(ask, c.name)
	if err != nil {
		return err
	}
	if state := consumer.CachedInfo(); state.NumPending > 0 || state.Delivered.Consumer != c.count {
		return nil
	}
	c.seen = last
	if c.ends && c.seen >= c.span.end {
		return c.flush(ctx)
	}
	return nil
}
