package natschan

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// ErrConnect: Dial got no connection. The server is not there, or refuses the credentials.
var ErrConnect = errors.New("natschan: cannot connect to NATS")

// Config holds the server's address and the subjects.
type Config struct {
	// URL of the server or servers, "nats://host:4222", separated by commas. Default nats://127.0.0.1:4222.
	URL string
	// InProcess connects to a server in this process, without a socket, in place of URL; see package embed.
	InProcess nats.InProcessConnProvider
	// Prefix of all subjects: names separated by dots. Default "askback".
	Prefix string
	// Topology is the name of the topology. Required.
	Topology string
	// Name is the name of the connections at the server, with "/data" and "/control" added. Default "askback <topology>".
	Name string
	// Options are more options of the client, such as credentials and TLS. They may change the timeouts that
	// package doc names, but not the handlers.
	Options []nats.Option
	// OnEvent is called with events of the connections, on the client library's goroutines, perhaps on several at once;
	// it must not block for long and must not call Close. May be nil.
	OnEvent func(Event)
}

// normalize applies the defaults and validates.
func (c *Config) normalize() error {
	if c.URL == "" {
		c.URL = nats.DefaultURL
	}
	if c.Prefix == "" {
		c.Prefix = "askback"
	}
	if c.Name == "" {
		c.Name = "askback " + c.Topology
	}
	if !msgid.ValidName(c.Topology) {
		return fmt.Errorf("%w: topology %.80q: want 1 to %d of A-Z a-z 0-9 _ -", channel.ErrAddress, c.Topology, msgid.MaxName)
	}
	for name := range strings.SplitSeq(c.Prefix, ".") {
		if !msgid.ValidName(name) || len(c.Prefix) > maxPrefix {
			return fmt.Errorf("%w: prefix %.80q: want names of A-Z a-z 0-9 _ - separated by dots, at most %d bytes", channel.ErrAddress, c.Prefix, maxPrefix)
		}
	}
	return nil
}

// maxPrefix is the longest prefix in bytes. The server's control line has 4 KiB for subject and all.
const maxPrefix = 256
