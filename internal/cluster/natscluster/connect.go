package natscluster

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// Errors of connecting.
var (
	// ErrInsecure occurs for a server outside loopback without TLS and credentials: "askback auth init" makes both.
	ErrInsecure = errors.New("cluster: outside loopback TLS and credentials are required")
	// ErrCredentials occurs when the credentials cannot be read or used.
	ErrCredentials = errors.New("cluster: bad credentials")
)

// A Connection holds the settings of a connection to NATS.
type Connection struct {
	Servers string // URLs, separated by commas; default nats://127.0.0.1:4222
	Prefix  string // of all subjects, streams and buckets; default DefaultPrefix
	CA      string // PEM file of the authority that the servers' certificates are checked against; default: the system's
	Creds   string // file with a user's JWT and the seed of its key, as "askback auth init" makes it; default: none

	// CAPEM and Login replace CA and Creds when these are empty.
	CAPEM []byte
	Login cluster.Login
}

// A User is the identity of a connection. Its JWT may be replaced at any time, and takes effect with the next connection.
// The zero User is anonymous. Its methods may be called from any goroutine.
type User struct {
	jwt  atomic.Pointer[string]
	seed []byte
	key  string
}

// NewUser returns the user of a login; an empty login is anonymous.
func NewUser(l cluster.Login) (*User, error) {
	u := &User{}
	if l.Seed == "" {
		return u, nil
	}
	pair, err := nkeys.FromSeed([]byte(l.Seed))
	if err != nil {
		return nil, fmt.Errorf("%w: the key's seed: %w", ErrCredentials, err)
	}
	defer pair.Wipe()
	if u.key, err = pair.PublicKey(); err != nil {
		return nil, fmt.Errorf("%w: the key's seed: %w", ErrCredentials, err)
	}
	u.seed = []byte(l.Seed)
	u.SetJWT(l.JWT)
	return u, nil
}

// Key returns the public key; "" if the user is anonymous.
func (u *User) Key() string { return u.key }

// JWT returns the present JWT.
func (u *User) JWT() string {
	if t := u.jwt.Load(); t != nil {
		return *t
	}
	return ""
}

// SetJWT replaces the JWT.
func (u *User) SetJWT(token string) { u.jwt.Store(&token) }

// Expires returns when the JWT expires; zero is never.
func (u *User) Expires() time.Time {
	c, err := jwt.DecodeUserClaims(u.JWT())
	if err != nil || c.Expires == 0 {
		return time.Time{}
	}
	return time.Unix(c.Expires, 0)
}

// Sign signs with the user's key.
func (u *User) Sign(data []byte) ([]byte, error) {
	pair, err := nkeys.FromSeed(u.seed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	defer pair.Wipe()
	return pair.Sign(data)
}

// String returns the public key: the seed is kept out of logs and errors.
func (u *User) String() string {
	if u.key == "" {
		return "anonymous"
	}
	return u.key
}

// GoString is String.
func (u *User) GoString() string { return u.String() }

// User reads the credentials and returns their user.
func (c *Connection) User() (*User, error) {
	if c.Creds == "" {
		return NewUser(c.Login)
	}
	text, err := os.ReadFile(c.Creds)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	var l cluster.Login
	if l.JWT, err = nkeys.ParseDecoratedJWT(text); err != nil {
		return nil, fmt.Errorf("%w: %s has no JWT: %w", ErrCredentials, c.Creds, err)
	}
	pair, err := nkeys.ParseDecoratedUserNKey(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s has no user's key: %w", ErrCredentials, c.Creds, err)
	}
	defer pair.Wipe()
	seed, err := pair.Seed()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCredentials, c.Creds, err)
	}
	l.Seed = string(seed)
	return NewUser(l)
}

// Subjects returns the cluster's subjects.
func (c *Connection) Subjects() Subjects {
	if c.Prefix == "" {
		return DefaultPrefix
	}
	return Subjects(c.Prefix)
}

// Options returns the options by which a NATS client connects as a user, or ErrInsecure.
func (c *Connection) Options(u *User) ([]nats.Option, error) {
	if err := cluster.CheckName("prefix", string(c.Subjects()), msgid.MaxName); err != nil {
		return nil, err
	}
	pem, err := c.authority()
	if err != nil {
		return nil, err
	}
	open, secure := true, len(pem) > 0
	for server := range strings.SplitSeq(c.servers(), ",") {
		at, err := url.Parse(strings.TrimSpace(server))
		if err != nil || at.Host == "" {
			return nil, fmt.Errorf("cluster: server %.200q: want nats://host:port or tls://host:port", server)
		}
		if at.User != nil {
			return nil, fmt.Errorf("cluster: server %s: secrets do not belong into addresses; use a credentials file", at.Redacted())
		}
		secure = secure || at.Scheme == "tls"
		if !Loopback(at.Hostname()) {
			open = false
		}
	}
	if !open && (!secure || u.Key() == "") {
		return nil, fmt.Errorf("%w: %s", ErrInsecure, c.servers())
	}
	var options []nats.Option
	if secure {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if len(pem) > 0 {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%w: %s holds no certificate", ErrCredentials, c.CA)
			}
		}
		options = append(options, nats.Secure(config))
	}
	if u.Key() != "" {
		options = append(options,
			nats.UserJWT(func() (string, error) { return u.JWT(), nil }, u.Sign),
			nats.CustomInboxPrefix(InboxPrefix(u.Key())))
	}
	return options, nil
}

// InboxPrefix is the prefix of a user's inboxes. No other user may subscribe there. The key is a token of its own, so that
// permission to answer any user differs from permission to publish anywhere.
func InboxPrefix(key string) string { return "_INBOX." + key }

// ValidReply reports whether a request's reply subject is a user's inbox, or one that the server made for a request of a
// worker, which comes from another account. NATS does not check whether a requester may publish to its reply subject.
// So a service with more rights must not answer elsewhere: its answer would be a message that the requester forged.
func ValidReply(reply string) bool {
	return strings.HasPrefix(reply, "_INBOX.") || strings.HasPrefix(reply, "_R_.")
}

// FromStream reports whether JetStream has read a message from a stream, rather than a client published it. A worker may
// read its own log, and have the answer sent to a subject to which it may not publish: receivers of assignments, requests
// and heartbeats drop such messages.
func FromStream(m *nats.Msg) bool { return m.Header.Get("Nats-Stream") != "" }

// Loopback reports whether a host name or address is this machine's loopback.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Connection) servers() string {
	if c.Servers == "" {
		return nats.DefaultURL
	}
	return c.Servers
}

func (c *Connection) authority() ([]byte, error) {
	if c.CA == "" {
		return c.CAPEM, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("%w: the authority's certificate: %w", ErrCredentials, err)
	}
	return pem, nil
}

// Connect connects to NATS for control messages. A lost connection is restored for as long as it takes; if the first
// attempt fails, the error names the servers.
func (c *Connection) Connect(name string, u *User, more ...nats.Option) (*nats.Conn, error) {
	options, err := c.Options(u)
	if err != nil {
		return nil, err
	}
	options = append([]nats.Option{
		nats.Name(name),
		nats.Timeout(2 * time.Second),
		nats.PingInterval(time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(2 * time.Second),
		nats.ReconnectOnFlusherError(),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond),
		nats.ReconnectJitter(150*time.Millisecond, 150*time.Millisecond),
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // a message that cannot be sent is an error, and its sender tries again
	}, options...)
	nc, err := nats.Connect(c.servers(), append(options, more...)...)
	if err != nil {
		return nil, fmt.Errorf("cluster: connect to %s: %w", c.servers(), err)
	}
	return nc, nil
}
