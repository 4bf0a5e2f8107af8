package natschan

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// Settings of the connections. A blocked publish holds its connection's lock, so it must time out before the
// pings do.
const (
	connectTimeout = 2 * time.Second
	joinTimeout    = 3 * time.Second
	writeTimeout   = 2 * time.Second
	pingInterval   = time.Second
	pingsOut       = 2
	reconnectWait  = 50 * time.Millisecond  // and up to
	reconnectSpray = 150 * time.Millisecond // more, so that workers do not all reconnect at once

	// The bound of one subscription's buffer, beyond which it drops the newest. Flow control keeps far below.
	pendingMessages = 512 << 10
	pendingBytes    = 64 << 20
)

// A Transport carries the messages of one topology over NATS. Make it with Dial. Its methods may be called from
// several goroutines.
type Transport struct {
	subjects string // "<prefix>.<topology>."
	onEvent  func(Event)
	stats    counters
	data     *link
	control  *link

	mu        sync.Mutex
	endpoints map[*endpoint]struct{}
	closed    bool
}

// A link is one connection.
type link struct {
	*nats.Conn
	closed chan struct{} // when its last handler has run
}

// Dial connects twice: for data, and for control and replay. Both must succeed now; later they are kept up for
// as long as it takes.
func Dial(cfg Config) (*Transport, error) {
	if err := cfg.normalize(); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	t := &Transport{
		subjects:  cfg.Prefix + "." + cfg.Topology + ".",
		onEvent:   cfg.OnEvent,
		endpoints: map[*endpoint]struct{}{},
	}
	var err error
	if t.data, err = t.connect(&cfg, "data"); err != nil {
		return nil, err
	}
	if t.control, err = t.connect(&cfg, "control"); err != nil {
		t.data.end()
		return nil, err
	}
	return t, nil
}

// connectOptions returns the options of a connection. Handlers come beside them.
func (c *Config) connectOptions(name string) []nats.Option {
	opts := []nats.Option{
		nats.Name(c.Name + "/" + name),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.FlusherTimeout(writeTimeout),
		nats.ReconnectOnFlusherError(),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectSpray, reconnectSpray),
		nats.IgnoreAuthErrorAbort(), // credentials that are refused now may be accepted again
		nats.ReconnectBufSize(-1),   // messages sent without a connection are lost, and asked for later
	}
	if c.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.InProcess))
	}
	opts = append(opts, c.Options...)
	// Dial reports at once that it cannot connect, and Close waits for the last handler.
	return append(opts, func(o *nats.Options) error {
		o.RetryOnFailedConnect, o.NoCallbacksAfterClientClose = false, false
		return nil
	})
}

// where returns the server's address for errors.
func (c *Config) where() string {
	if c.InProcess != nil {
		return "the server in this process"
	}
	return c.URL
}

func (t *Transport) connect(cfg *Config, name string) (*link, error) {
	l := &link{closed: make(chan struct{})}
	opts := append(cfg.connectOptions(name),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { t.event(Disconnected, name, err) }),
		nats.ReconnectHandler(func(*nats.Conn) {
			t.stats.reconnects.Add(1)
			t.event(Reconnected, name, nil)
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) { t.asyncError(name, sub, err) }),
		nats.ClosedHandler(func(c *nats.Conn) {
			t.event(Closed, name, c.LastError())
			close(l.closed)
		}),
	)
	var err error
	if l.Conn, err = nats.Connect(cfg.URL, opts...); err != nil {
		return nil, fmt.Errorf("%w: %s connection to %s: %w", ErrConnect, name, cfg.where(), err)
	}
	return l, nil
}

// Join implements channel.Transport. It fails if the server forbids a subscription, or if there is no connection.
func (t *Transport) Join(self msgid.Alias, deliver func(channel.Message)) (channel.Endpoint, error) {
	if err := check(self); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	e := &endpoint{t: t, self: self, cache: map[address]string{}}
	err := e.subscribe(deliver)
	if err == nil {
		err = t.add(e)
	}
	if err != nil {
		_ = e.Leave()
		if isClosed(err) {
			err = fmt.Errorf("%w: %w", channel.ErrClosed, err)
		}
		return nil, fmt.Errorf("join %s: %w", self, err)
	}
	return e, nil
}

func (t *Transport) add(e *endpoint) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return channel.ErrClosed
	}
	t.endpoints[e] = struct{}{}
	return nil
}

// MaxPayload implements channel.Transport: it is the server's max_payload.
func (t *Transport) MaxPayload() int { return int(min(t.data.MaxPayload(), t.control.MaxPayload())) }

// Control returns the connection for control and replay, for use by others in the same process. They must not close it.
func (t *Transport) Control() *nats.Conn { return t.control.Conn }

// Reconnect drops both connections and makes them anew: permissions are those that a user had when it connected.
// Messages on their way are lost, as with any broken connection.
func (t *Transport) Reconnect() error {
	return errors.Join(t.data.ForceReconnect(), t.control.ForceReconnect())
}

// Stats returns the counters so far.
func (t *Transport) Stats() Stats {
	c := &t.stats
	s := Stats{
		Lost:       c.lost.Load(),
		Dropped:    c.dropped.Load(),
		Denied:     c.denied.Load(),
		Foreign:    c.foreign.Load(),
		Reconnects: c.reconnects.Load(),
	}
	for k := range s.Kinds {
		n := &c.kinds[k]
		s.Kinds[k] = Traffic{n.sent.Load(), n.sentBytes.Load(), n.received.Load(), n.receivedBytes.Load()}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for e := range t.endpoints {
		s.Dropped += e.dropped()
	}
	return s
}

// Close implements channel.Transport. It returns when no handler and no deliver function is called any more.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	var left []*endpoint
	for e := range t.endpoints {
		left = append(left, e)
	}
	t.mu.Unlock()
	for _, e := range left {
		_ = e.Leave()
	}
	t.data.end()
	t.control.end()
	return nil
}

// confirm returns when the server has processed all that was sent before. The client library reports a flush that a
// reconnect interrupts as if the connection were closed; it is repeated on the next connection, to which the client sends
// its subscriptions again.
func (l *link) confirm(timeout time.Duration) error {
	for until := time.Now().Add(timeout); ; {
		err := l.FlushTimeout(max(time.Millisecond, time.Until(until)))
		if err == nil || !isClosed(err) || l.IsClosed() || time.Now().After(until) {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// end closes the connection and waits for its last handler.
func (l *link) end() {
	l.Conn.Close()
	<-l.closed
}

func (t *Transport) link(kind channel.Kind) *link {
	if kind == channel.Data {
		return t.data
	}
	return t.control
}

// publish sends, and returns lasting errors only: the rest is loss.
func (t *Transport) publish(kind channel.Kind, subject string, payload []byte) error {
	l, n := t.link(kind), &t.stats.kinds[kind]
	err := l.Publish(subject, payload)
	switch {
	case err == nil:
		n.sent.Add(1)
		n.sentBytes.Add(uint64(len(payload)))
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %d bytes, at most %d", channel.ErrTooLarge, len(payload), l.MaxPayload())
	case isClosed(err):
		return fmt.Errorf("%w: %w", channel.ErrClosed, err)
	}
	t.stats.lost.Add(1)
	if timeout := net.Error(nil); errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout() {
		// The server has not read for writeTimeout. Waiting for pings, which queue behind this very lock, would block every
		// further publish as long again.
		_ = l.ForceReconnect()
	}
	return nil
}

func isClosed(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining)
}

func (t *Transport) asyncError(conn string, sub *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		if sub != nil {
			err = fmt.Errorf("%s: %w", sub.Subject, err)
		}
		t.event(SlowConsumer, conn, err)
	case errors.Is(err, nats.ErrPermissionViolation):
		t.eventRarely(&t.stats.denied, Denied, conn, err)
	default:
		t.event(Failed, conn, err)
	}
}

// eventRarely counts, and reports the 1st, 2nd, 4th, 8th … only: these events come as often as messages do.
func (t *Transport) eventRarely(count *atomic.Uint64, kind EventKind, conn string, err error) {
	if n := count.Add(1); n&(n-1) == 0 {
		t.event(kind, conn, err)
	}
}

func (t *Transport) event(kind EventKind, conn string, err error) {
	if t.onEvent != nil {
		t.onEvent(Event{Kind: kind, Conn: conn, Err: err})
	}
}
