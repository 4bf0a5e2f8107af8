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

	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// A Column is a field of the tuples.
type Column byte

// The columns.
const (
	Subject Column = iota + 1 // the subject, a string
	Data                      // the message's data, or one line of it
	Seq                       // the sequence number in the stream, an integer
	Time                      // when the stream took the message
)

// A Source reads a JetStream stream. Make one with Stream, set it up by its chained methods, and do not change it
// once a topology runs.
type Source struct {
	nc       *nats.Conn
	stream   string
	subjects []string
	from     uint64    // 0: not given
	since    time.Time // zero: not given
	ends     bool

	bySubject, lines bool
	columns          []Column

	mu   sync.Mutex
	span *span // decided once: all tasks, and all incarnations in this process, share it
}

// A span says which part of which stream is read.
type span struct {
	created    time.Time // of the stream; another of the same name is not the same
	start, end uint64    // sequence numbers, both included; end matters only with Ends
}

// Stream returns a source that reads a stream from its first message on, and follows it for ever. Its tuples have
// the four columns subject, data, sequence number and time.
func Spout(nc *nats.Conn, name string) *Source {
	return &Source{nc: nc, stream: name, columns: []Column{Subject, Data, Seq, Time}}
}

// Subjects restricts what is read to some subjects, in which "*" stands for a token and a final ">" for the rest.
// They must not overlap.
func (s *Source) Subjects(filters ...string) *Source { s.subjects = slices.Clone(filters); return s }

// From begins with a sequence number.
func (s *Source) From(seq uint64) *Source { s.from = seq; return s }

// Since begins with the first message that the stream took at t or later.
func (s *Source) Since(t time.Time) *Source { s.since = t; return s }

// Ends ends the input with the last message that there is when the first task opens.
func (s *Source) Ends() *Source { s.ends = true; return s }

// BySubject gives all messages of a subject to one task. The default spreads them evenly.
func (s *Source) BySubject() *Source { s.bySubject = true; return s }

// Lines emits a tuple for each line of a message's data, without its line feed. Empty lines are skipped. The default
// is a tuple for each message.
func (s *Source) Lines() *Source { s.lines = true; return s }

// Take sets the tuples' columns, in this order.
func (s *Source) Take(columns ...Column) *Source { s.columns = slices.Clone(columns); return s }

// New returns the spout of one task.
func (s *Source) New() spout.Spout { return &task{Source: s} }

// openTimeout limits what Open asks of the server.
const openTimeout = 5 * time.Second

// open decides what is read, once. An error is not kept: the next incarnation tries again.
func (s *Source) open() (span, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.span != nil {
		return *s.span, nil
	}
	if err := s.check(); err != nil {
		return span{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	decided, err := s.decide(ctx)
	if err != nil {
		return span{}, fmt.Errorf("jetstream: open stream %s: %w", s.stream, err)
	}
	s.span = &decided
	return decided, nil
}

// check finds settings that cannot work.
func (s *Source) check() error {
	if s.nc == nil {
		return errors.New("jetstream: no connection: give Stream one of nats.Connect")
	}
	if s.stream == "" || strings.ContainsAny(s.stream, " .*>/\\\t\r\n") {
		return fmt.Errorf("jetstream: %.80q is not the name of a stream", s.stream)
	}
	if s.from > 0 && !s.since.IsZero() {
		return errors.New("jetstream: From and Since are both given: choose one")
	}
	for _, filter := range s.subjects {
		if !validFilter(filter) {
			return fmt.Errorf("jetstream: subject %.80q: want tokens between dots, * for one, > for the rest", filter)
		}
	}
	if len(s.columns) == 0 {
		return errors.New("jetstream: Take needs a column at least")
	}
	for _, c := range s.columns {
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
func (s *Source) decide(ctx context.Context) (span, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return span{}, err
	}
	stream, err := js.Stream(ctx, s.stream)
	if err != nil {
		return span{}, err
	}
	info := stream.CachedInfo()
	if err := fit(info.Config); err != nil {
		return span{}, err
	}
	d := span{created: info.Created, start: max(info.State.FirstSeq, 1)}
	switch {
	case s.from > 0:
		d.start = s.from
	case !s.since.IsZero():
		if d.start, err = firstSince(ctx, stream, s.since); err != nil {
			return span{}, err
		}
	}
	if s.ends {
		d.end, err = s.last(ctx, stream)
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
func (s *Source) last(ctx context.Context, stream jetstream.Stream) (end uint64, err error) {
	filters := s.subjects
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
func (s *Source) mine(m *message, index, parallel int) bool {
	if parallel == 1 {
		return true
	}
	if s.bySubject {
		return tuple.Hash([]byte(m.subject))%uint64(parallel) == uint64(index)
	}
	return m.seq%uint64(parallel) == uint64(index)
}
