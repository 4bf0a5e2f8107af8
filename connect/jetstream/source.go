package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/tuple"
)

// A Message is one message of a stream: read by a source, or to be published by a sink.
type Message struct {
	Subject string
	// Data is the payload, or one line of it with Lines. A sink copies it.
	Data   []byte
	Header nats.Header // nil if it has none; not to be changed
	// ID is the message's id, the header Nats-Msg-Id: a stream drops a message whose id it took within its duplicate window.
	// A sink makes one if it is empty; see the package's comment.
	ID   string
	Seq  uint64    // the number of the message in its stream; a sink ignores it
	Time time.Time // when the stream took the message; a sink ignores it
}

// A Column is a field of the tuples that Spout emits.
type Column byte

// The columns.
const (
	Subject Column = iota + 1 // the subject, a string
	Data                      // the message's data, or one line of it
	Seq                       // the sequence number in the stream, an integer
	Time                      // when the stream took the message
)

// A Source reads a JetStream stream. Messages and Spout make one, its chained methods set it up, and it is not to be changed
// once a topology runs. The type parameter is what New returns: a stream.Reader[Message], or a spout.Spout.
type Source[R any] struct {
	input
	task func(*input) R
}

// Messages returns a typed source that reads a stream from its first message on, and follows it for ever:
//
//	orders := stream.From(t, "orders", jetstream.Messages(nc, "ORDERS").Subjects("orders.eu.>"))
func Messages(nc *nats.Conn, name string) *Source[stream.Reader[Message]] {
	return &Source[stream.Reader[Message]]{
		input: input{nc: nc, stream: name},
		task:  func(in *input) stream.Reader[Message] { return &messageReader{task{input: in}} },
	}
}

// Spout returns the same source for a topology of rows. Its tuples have these columns in this order; without any they have
// all four: subject, data, sequence number and time.
//
//	b.Spout("orders", jetstream.Spout(nc, "ORDERS", jetstream.Data).Subjects("orders.eu.>")).Fields("order")
func Spout(nc *nats.Conn, name string, columns ...Column) *Source[spout.Spout] {
	columns = slices.Clone(columns)
	if len(columns) == 0 {
		columns = []Column{Subject, Data, Seq, Time}
	}
	return &Source[spout.Spout]{
		input: input{nc: nc, stream: name, columns: columns},
		task:  func(in *input) spout.Spout { return &rowReader{task{input: in}} },
	}
}

// Subjects restricts what is read to some subjects, in which "*" stands for a token and a final ">" for the rest.
// They must not overlap.
func (s *Source[R]) Subjects(filters ...string) *Source[R] {
	s.subjects = slices.Clone(filters)
	return s
}

// From begins with a sequence number.
func (s *Source[R]) From(seq uint64) *Source[R] { s.from = seq; return s }

// Since begins with the first message that the stream took at t or later.
func (s *Source[R]) Since(t time.Time) *Source[R] { s.since = t; return s }

// Ends ends the input with the last message that there is when the first task opens.
func (s *Source[R]) Ends() *Source[R] { s.ends = true; return s }

// BySubject gives all messages of a subject to one task. The default spreads them evenly.
func (s *Source[R]) BySubject() *Source[R] { s.bySubject = true; return s }

// Lines emits a message, or a tuple, for each line of a message's data, without its line feed. Empty lines are skipped. The
// default is one for each message.
func (s *Source[R]) Lines() *Source[R] { s.lines = true; return s }

// New returns the reader of one task.
func (s *Source[R]) New() R { return s.task(&s.input) }

// input is what the tasks of a source share.
type input struct {
	nc       *nats.Conn
	stream   string
	subjects []string
	from     uint64    // 0: not given
	since    time.Time // zero: not given
	ends     bool

	bySubject, lines bool
	columns          []Column // of rows

	mu   sync.Mutex
	span *span // decided once: all tasks, and all incarnations in this process, share it
}

// A span is the part of a stream that is read.
type span struct {
	created    time.Time // of the stream; another of the same name is not the same
	start, end uint64    // sequence numbers, both included; end matters only with Ends
}

// openTimeout limits what Open asks of the server.
const openTimeout = 5 * time.Second

// open decides what is read, once. An error is not kept: the next incarnation tries again.
func (in *input) open() (span, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.span != nil {
		return *in.span, nil
	}
	if err := in.check(); err != nil {
		return span{}, bolt.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	decided, err := in.decide(ctx)
	if err != nil {
		err = fmt.Errorf("jetstream: open stream %s: %w", in.stream, err)
		if again(err) && !errors.Is(err, ErrUnfit) {
			return span{}, bolt.Outage(err)
		}
		return span{}, bolt.Permanent(err)
	}
	in.span = &decided
	return decided, nil
}

// check finds settings that cannot work.
func (in *input) check() error {
	if in.nc == nil {
		return errors.New("jetstream: no connection: give one of nats.Connect")
	}
	if in.stream == "" || strings.ContainsAny(in.stream, " .*>/\\\t\r\n") {
		return fmt.Errorf("jetstream: %.80q is not the name of a stream", in.stream)
	}
	if in.from > 0 && !in.since.IsZero() {
		return errors.New("jetstream: From and Since are both given: choose one")
	}
	for _, filter := range in.subjects {
		if !validFilter(filter) {
			return fmt.Errorf("jetstream: subject %.80q: want tokens between dots, * for one, > for the rest", filter)
		}
	}
	for _, c := range in.columns {
		if c < Subject || c > Time {
			return fmt.Errorf("jetstream: there is no column %d", c)
		}
	}
	return nil
}

func validFilter(filter string) bool {
	tokens := strings.Split(filter, ".")
	for i, token := range tokens {
		switch {
		case token == "" || strings.ContainsAny(token, " \t\r\n"):
			return false
		case token == ">" && i < len(tokens)-1:
			return false
		}
	}
	return true
}

// decide asks the stream where the reading begins and ends.
func (in *input) decide(ctx context.Context) (span, error) {
	js, err := jetstream.New(in.nc)
	if err != nil {
		return span{}, err
	}
	stream, err := js.Stream(ctx, in.stream)
	if err != nil {
		return span{}, err
	}
	info := stream.CachedInfo()
	if err := fit(info.Config); err != nil {
		return span{}, err
	}
	d := span{created: info.Created, start: max(info.State.FirstSeq, 1)}
	switch {
	case in.from > 0:
		d.start = in.from
	case !in.since.IsZero():
		if d.start, err = firstSince(ctx, stream, in.since); err != nil {
			return span{}, err
		}
	}
	if in.ends {
		d.end, err = in.last(ctx, stream)
	}
	return d, err
}

// fit refuses a stream that forgets messages for other reasons than its age and size.
func fit(c jetstream.StreamConfig) error {
	switch {
	case c.Retention != jetstream.LimitsPolicy:
		return fmt.Errorf("%w: its retention is %s, so messages vanish when others have read them; want limits", ErrUnfit, c.Retention)
	case c.MaxMsgsPerSubject > 0:
		return fmt.Errorf("%w: max_msgs_per_subject is %d, so newer messages remove older ones; want no limit", ErrUnfit, c.MaxMsgsPerSubject)
	}
	return nil
}

// firstSince finds the first message of a time or later. A consumer that begins there knows it; there is no
// question for just that which older servers answer.
func firstSince(ctx context.Context, stream jetstream.Stream, t time.Time) (uint64, error) {
	c, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &t, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, InactiveThreshold: openTimeout,
	})
	if err != nil {
		return 0, err
	}
	first := c.CachedInfo().Delivered.Stream + 1
	return first, stream.DeleteConsumer(ctx, c.CachedInfo().Name)
}

// last finds the last message that will be read: one that exists, so that reading it proves that the end is reached.
func (in *input) last(ctx context.Context, stream jetstream.Stream) (end uint64, err error) {
	filters := in.subjects
	if len(filters) == 0 {
		filters = []string{">"}
	}
	for _, filter := range filters {
		m, err := stream.GetLastMsgForSubject(ctx, filter)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, err
		}
		end = max(end, m.Sequence)
	}
	return end, nil
}

// mine reports whether a message belongs to one of several tasks. A restored task must decide alike, so the hash is
// tuple's, which is the same for ever.
func (in *input) mine(m *message, index, parallel int) bool {
	if parallel == 1 {
		return true
	}
	if in.bySubject {
		return tuple.Hash([]byte(m.subject))%uint64(parallel) == uint64(index)
	}
	return m.seq%uint64(parallel) == uint64(index)
}
