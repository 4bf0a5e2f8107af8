package jetstream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

// A SinkConfig says where messages go and what they hold. New's factory validates it when a task begins.
type SinkConfig struct {
	// Conn is the caller's connection: it outlives the topology, and reconnects (nats.MaxReconnects(-1)). Required.
	Conn *nats.Conn
	// Stream takes the messages. It must exist. Required.
	Stream string
	// Subject is that of all messages. Required unless Message is given.
	Subject string
	// Field is the string or binary field that is a message's payload. Default: the whole tuple, as msgpack.
	Field string
	// Message gives the subject and the payload instead, and must give the same for the same tuple. What it finds
	// wrong with the values it reads is the tuple's error.
	Message func(t tuple.Tuple) (subject string, payload []byte)
	// InFlight is how many messages may be without an acknowledgement. Default 512. See the package's comment on 1.
	InFlight int
	// Patience is how long the sink goes without any acknowledgement, trying again, until the task gives up and begins
	// again. The task does nothing else meanwhile. Default 10 s.
	Patience time.Duration
	// Window is the shortest duplicate window that the stream may have. Default 2 min, which is JetStream's default too.
	Window time.Duration
	// AtLeastOnce publishes without ids, and one message at a time. It is for strategies that take no snapshots; see
	// the package's comment.
	AtLeastOnce bool
}

// New returns the factory of a sink that publishes tuples to a stream:
//
//	b.Bolt("out", jetstream.Bolt(jetstream.SinkConfig{Conn: nc, Stream: "WORDS", Subject: "words.counted"})).Shuffle("count")
//
// Make a new one for each run.
func Bolt(c SinkConfig) func() bolt.Bolt {
	run := &run{}
	return func() bolt.Bolt { return &sink{SinkConfig: c, run: run} }
}

// normalize applies the defaults and validates.
func (c *SinkConfig) normalize() error {
	if c.InFlight == 0 {
		c.InFlight = 512
	}
	if c.AtLeastOnce {
		c.InFlight = 1
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.Window == 0 {
		c.Window = 2 * time.Minute
	}
	switch {
	case c.Conn == nil:
		return errors.New("jetstream: SinkConfig.Conn is missing: give it a connection of nats.Connect")
	case c.Stream == "" || strings.ContainsAny(c.Stream, " .*>/\\\t\r\n"):
		return fmt.Errorf("jetstream: SinkConfig.Stream: %.80q is not the name of a stream", c.Stream)
	case c.Message == nil && c.Subject == "":
		return fmt.Errorf("jetstream: stream %s: SinkConfig.Subject and SinkConfig.Message are missing: give one", c.Stream)
	case c.Message != nil && (c.Subject != "" || c.Field != ""):
		return fmt.Errorf("jetstream: stream %s: SinkConfig.Message is given, and Subject or Field too: choose one", c.Stream)
	case strings.ContainsAny(c.Subject, "*> \t\r\n"):
		return fmt.Errorf("jetstream: stream %s: SinkConfig.Subject: nothing can be published to %.80q", c.Stream, c.Subject)
	case c.InFlight < 0 || c.Patience < 0 || c.Window < 0:
		return fmt.Errorf("jetstream: stream %s: InFlight %d, Patience %v, Window %v: none may be negative", c.Stream, c.InFlight, c.Patience, c.Window)
	}
	return nil
}

// message returns what is published of a tuple.
func (c *SinkConfig) message(t tuple.Tuple) (subject string, payload []byte, err error) {
	switch {
	case c.Message != nil:
		subject, payload = c.Message(t)
	case c.Field == "":
		subject, payload = c.Subject, t.Encoded()
	default:
		i := t.Fields().Index(c.Field)
		if i < 0 {
			return "", nil, fmt.Errorf("jetstream: stream %s: the payload is field %q, and there is none in (%v)", c.Stream, c.Field, t.Fields())
		}
		subject, payload = c.Subject, t.Bytes(i)
	}
	if err := t.Err(); err != nil {
		return "", nil, err
	}
	if subject == "" || strings.ContainsAny(subject, "*> \t\r\n") {
		return "", nil, fmt.Errorf("jetstream: stream %s: tuple %v: nothing can be published to %.80q", c.Stream, t.ID(), subject)
	}
	return subject, payload, nil
}
