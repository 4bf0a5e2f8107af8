package jetstream

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/bolt"
)

// A SinkConfig describes where messages go. It is validated when the topology is built, and when a task begins.
type SinkConfig struct {
	// Conn is the caller's connection: it outlives the topology, and reconnects (nats.MaxReconnects(-1)). Required.
	Conn *nats.Conn
	// Stream takes the messages. It must exist. Required.
	Stream string
	// Subject is that of each message that names none itself.
	Subject string
	// InFlight is how many messages may be without an acknowledgement. Default 512. See the package's comment on 1.
	InFlight int
	// Timeout is how long the sink goes without any acknowledgement, trying again, until the task gives up and begins
	// again. The task does nothing else meanwhile. Default 10 s.
	Timeout time.Duration
	// Window is the shortest duplicate window that the stream may have. Default 2 min, which is JetStream's default too.
	Window time.Duration
	// AtLeastOnce publishes one message at a time, with no id but its own. It is for strategies that take no snapshots; see
	// the package's comment.
	AtLeastOnce bool
}

// normalize applies the defaults and validates.
func (c *SinkConfig) normalize() error {
	if c.InFlight == 0 {
		c.InFlight = 512
	}
	if c.AtLeastOnce {
		c.InFlight = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Window == 0 {
		c.Window = 2 * time.Minute
	}
	switch {
	case c.Conn == nil:
		return errors.New("jetstream: SinkConfig.Conn is missing: give it a connection of nats.Connect")
	case c.Stream == "" || strings.ContainsAny(c.Stream, " .*>/\\\t\r\n"):
		return fmt.Errorf("jetstream: SinkConfig.Stream: %.80q is not the name of a stream", c.Stream)
	case !publishable(c.Subject) && c.Subject != "":
		return fmt.Errorf("jetstream: stream %s: SinkConfig.Subject: nothing can be published to %.80q", c.Stream, c.Subject)
	case c.InFlight < 0 || c.Timeout < 0 || c.Window < 0:
		return fmt.Errorf("jetstream: stream %s: InFlight %d, Timeout %v, Window %v: none may be negative", c.Stream, c.InFlight, c.Timeout, c.Window)
	}
	return nil
}

// verify refuses settings that cannot work, and a strategy under which a message's id may be another's.
func (c SinkConfig) verify(s bolt.Strategy) error {
	if err := c.normalize(); err != nil {
		return err
	}
	if !s.Snapshots && !c.AtLeastOnce {
		return fmt.Errorf("jetstream: stream %s: under strategy %q a restarted task begins again with the first message id, so the stream would drop its messages: "+
			"set SinkConfig.AtLeastOnce, or choose another strategy", c.Stream, s.Name)
	}
	return nil
}

// publishable reports whether messages can be published to a subject.
func publishable(subject string) bool {
	return subject != "" && !strings.ContainsAny(subject, "*> \t\r\n")
}
