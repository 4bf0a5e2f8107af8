package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/msgid"
)

// Errors of writing.
var (
	// ErrFull occurs when the stream, the account or the disk has no room. The message was not written.
	ErrFull = errors.New("journal: stream is full")
	// ErrBusy occurs when more than MaxPending bytes are on their way. The message was not written.
	ErrBusy = errors.New("journal: too much is on its way")
	// ErrUnknown occurs when JetStream cannot be reached or did not answer. It may have written or not.
	ErrUnknown = errors.New("journal: JetStream did not acknowledge")
	// ErrClosed occurs after Close.
	ErrClosed = errors.New("journal: closed")
)

// Options of Open.
type Options struct {
	// Stream is the stream's name, 1 to 64 of A-Z a-z 0-9 _ -. Its subjects are journal.STREAM.>.
	Stream string
	// MaxBytes bounds the stream; when it is full, writing fails with ErrFull until old messages have gone. Default 1
	// GiB. Given, it also changes a stream that exists.
	MaxBytes int64
	// MaxAge is how long a line is kept, read or not; default 7 days. Given, it also changes a stream that exists.
	MaxAge time.Duration
	// Window is how long an Idempotency-Key is remembered; default 10 minutes. The server holds the keys in memory.
	Window time.Duration
	// Replicas of the stream when it is made; default 1.
	Replicas int
	// MaxBody bounds one request in bytes; default 512 KiB. It must fit the server's max_payload.
	MaxBody int
	// MaxPending bounds the messages on their way, in bytes: bodies that are being read, and messages that JetStream
	// has not acknowledged. Default 16 MiB.
	MaxPending int64
	// Timeout is how long JetStream may take to acknowledge; default 5 s.
	Timeout time.Duration
}

// headroom is the headers' share of the server's max_payload, generously.
const headroom = 1 << 10

func (o *Options) check(maxPayload int64) error {
	if o.Window <= 0 {
		o.Window = 10 * time.Minute
	}
	if o.MaxBody == 0 {
		o.MaxBody = int(min(512<<10, max(maxPayload-headroom, 1)))
	}
	if o.MaxPending == 0 {
		o.MaxPending = 16 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	o.Replicas = max(o.Replicas, 1)
	switch {
	case !msgid.ValidName(o.Stream):
		return fmt.Errorf("journal: stream %.80q: want 1 to %d of A-Z a-z 0-9 _ -", o.Stream, msgid.MaxName)
	case o.MaxBody < 0 || int64(o.MaxBody) > maxPayload-headroom:
		return fmt.Errorf("journal: MaxBody of %d bytes: want at most %d, or raise the server's max_payload", o.MaxBody, maxPayload-headroom)
	case o.MaxPending < int64(o.MaxBody):
		return fmt.Errorf("journal: MaxPending of %d bytes is less than MaxBody of %d", o.MaxPending, o.MaxBody)
	case o.MaxBytes < 0 || o.MaxAge < 0:
		return fmt.Errorf("journal: MaxBytes %d and MaxAge %v: want 0 (the default) or more", o.MaxBytes, o.MaxAge)
	case o.MaxAge > 0 && o.MaxAge < o.Window:
		return fmt.Errorf("journal: MaxAge of %v is less than Window of %v: JetStream does not allow that", o.MaxAge, o.Window)
	}
	return nil
}

// A Journal writes pushed messages to a stream. Its goroutines are the client library's, which call back with answers
// and messages, and one that times out unanswered messages; Close ends them.
type Journal struct {
	opt    Options
	nc     *nats.Conn
	writer *writer
	stats  stats

	mu        sync.Mutex
	listeners []*nats.Subscription
	closed    bool
}

// stats are the counters behind Stats.
type stats struct {
	written, bytes, duplicates, refused, failed, unanswerable atomic.Uint64
}

// Stats counts events since Open.
type Stats struct {
	Written    uint64 // messages that are durable: HTTP requests, and messages of subjects
	Bytes      uint64 // in them
	Duplicates uint64 // of them, those that had been written before
	Refused    uint64 // requests refused as invalid: 4xx, except for 429
	Failed     uint64 // not written, or perhaps: 429, 503, 507, "-ERR"
	// Lost are messages of plain subjects that are not in the stream and whose senders do not know: they named no
	// reply subject, or the client library dropped them because too many were waiting.
	Lost uint64
}

// Open opens a journal. It makes its stream if there is none, and otherwise checks that the stream would neither
// lose nor refuse lines unnoticed.
func Open(ctx context.Context, nc *nats.Conn, opt Options) (*Journal, error) {
	if err := opt.check(nc.MaxPayload()); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, opt.Timeout)
		defer cancel()
	}
	if err := openStream(ctx, js, &opt); err != nil {
		return nil, err
	}
	j := &Journal{opt: opt, nc: nc}
	j.writer, err = newWriter(nc, opt.Stream, opt.MaxPending, opt.Timeout, &j.stats)
	if err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	return j, nil
}

// Stream returns the stream's name.
func (j *Journal) Stream() string { return j.opt.Stream }

// Stats returns the counts.
func (j *Journal) Stats() Stats {
	s := Stats{
		Written: j.stats.written.Load(), Bytes: j.stats.bytes.Load(), Duplicates: j.stats.duplicates.Load(),
		Refused: j.stats.refused.Load(), Failed: j.stats.failed.Load(), Lost: j.stats.unanswerable.Load(),
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, sub := range j.listeners {
		if n, err := sub.Dropped(); err == nil {
			s.Lost += uint64(n)
		}
	}
	return s
}

// Close stops listening, writes the messages that have arrived, and waits for their acknowledgements, at most Timeout
// for each of the three. Later messages are refused with ErrClosed. Closing twice is allowed.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	var errs []error
	for _, sub := range j.listeners {
		errs = append(errs, drain(sub, j.opt.Timeout))
	}
	errs = append(errs, j.writer.close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}
