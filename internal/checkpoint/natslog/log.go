package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

// A Log is one topology's task log in a JetStream stream. It is safe for concurrent use, and has no goroutine of its own;
// the connection remains the caller's.
type Log struct {
	nc   *nats.Conn
	js   jetstream.JetStream
	opt  Options
	name string // of the stream

	stream streamFacts
	sync   syncMarks
}

var _ checkpoint.Log = (*Log)(nil)

// Open returns the log of a topology. It makes the stream if it does not exist (but see Options.Attach), and otherwise
// checks that the stream can serve as a log: see ConfigError.
func Open(ctx context.Context, nc *nats.Conn, opt Options) (*Log, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("natslog: open: %w", err)
	}
	l := &Log{nc: nc, js: js, opt: opt, name: StreamName(opt.Prefix, opt.Topology)}
	l.sync.init(nc, opt)
	return l, l.Reopen(ctx)
}

// Stream returns the name of the JetStream stream.
func (l *Log) Stream() string { return l.name }

// expectHeader makes an append a compare-and-set on the last sequence number of its subject.
const expectHeader = "Nats-Expected-Last-Subject-Sequence"

// headroom is the part of the server's max_payload that is left for the header, generously.
const headroom = 256

// MaxEntry implements checkpoint.Log: the server's max_payload, less the header.
func (l *Log) MaxEntry() int { return max(int(l.nc.MaxPayload())-headroom, 0) }

// Append implements checkpoint.Log. It is one request and its reply.
func (l *Log) Append(ctx context.Context, alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	fail := func(err error) (checkpoint.Pos, error) {
		return 0, fmt.Errorf("natslog: append to %s: %w", l.name, err)
	}
	if most := l.MaxEntry(); len(data) > most {
		return fail(fmt.Errorf("%w: %d bytes, at most %d; raise the server's max_payload", checkpoint.ErrTooLarge, len(data), most))
	}
	ctx, cancel := l.limit(ctx)
	defer cancel()
	seen := l.sync.newest()
	m := nats.Msg{
		Subject: l.subject(alias),
		Header:  nats.Header{expectHeader: {strconv.FormatUint(uint64(expect), 10)}},
		Data:    data,
	}
	reply, err := l.nc.RequestMsgWithContext(ctx, &m)
	if err != nil {
		return fail(l.noAnswer(ctx, err))
	}
	var ack struct {
		Error  *apiError `json:"error"`
		Stream string    `json:"stream"`
		Seq    uint64    `json:"seq"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return fail(fmt.Errorf("%w: unreadable answer: %w", checkpoint.ErrUnknown, err))
	}
	switch {
	case ack.Error != nil:
		return fail(ack.Error.classify())
	case ack.Stream != l.name:
		return fail(fmt.Errorf("stream %q listens to the log's subject %s; delete it", ack.Stream, m.Subject))
	}
	pos := checkpoint.Pos(ack.Seq)
	l.sync.note(seen, pos)
	return pos, nil
}

// Purge implements checkpoint.Log.
func (l *Log) Purge(ctx context.Context, alias msgid.Alias, below checkpoint.Pos) error {
	if below <= 1 {
		below = 1 // to JetStream 0 means the whole stream
	}
	ctx, cancel := l.limit(ctx)
	defer cancel()
	body, _ := json.Marshal(map[string]any{"filter": l.subject(alias), "seq": uint64(below)})
	reply, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+l.name, body)
	if err != nil {
		return fmt.Errorf("natslog: purge %s: %w", l.name, l.noAnswer(ctx, err))
	}
	var resp struct {
		Error *apiError `json:"error"`
	}
	if err := json.Unmarshal(reply.Data, &resp); err != nil {
		return fmt.Errorf("natslog: purge %s: %w: unreadable answer: %w", l.name, checkpoint.ErrUnknown, err)
	}
	if resp.Error != nil {
		return fmt.Errorf("natslog: purge %s: %w", l.name, resp.Error.classify())
	}
	return nil
}

// subject returns where alias's entries are: "askback.wordcount.log.count.3".
func (l *Log) subject(alias msgid.Alias) string {
	return l.opt.Prefix + "." + l.opt.Topology + ".log." + alias.String()
}

// limit gives an operation the default time limit, unless ctx has its own, and ends it when the connection breaks: requests
// under way then will not be answered. Waiting for the time limit would stop the task's output for seconds.
func (l *Log) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	most := l.opt.Timeout
	if until, ok := ctx.Deadline(); ok {
		most = time.Until(until)
	}
	limited, cancel := context.WithTimeout(ctx, most)
	broken := l.nc.StatusChanged(nats.RECONNECTING, nats.DISCONNECTED)
	go func() {
		select {
		case <-broken:
			cancel()
		case <-limited.Done():
		}
		l.nc.RemoveStatusListener(broken)
	}()
	return limited, cancel
}

// noAnswer returns the error of a request without an answer.
func (l *Log) noAnswer(ctx context.Context, err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", checkpoint.ErrTooLarge, err)
	}
	l.sync.doubt()
	if errors.Is(err, nats.ErrNoResponders) && l.isGone(ctx) {
		return fmt.Errorf("%w: stream %s does not exist", checkpoint.ErrGone, l.name)
	}
	return fmt.Errorf("%w: %w", checkpoint.ErrUnknown, err)
}

// isGone reports whether the stream does not exist, and not only has no listener because the server has yet to load it.
func (l *Log) isGone(ctx context.Context) bool {
	_, err := l.js.Stream(ctx, l.name)
	return errors.Is(err, jetstream.ErrStreamNotFound)
}

// closed reports whether the connection will never answer again.
func closed(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) || errors.Is(err, nats.ErrInvalidConnection)
}

// An apiError is JetStream's.
type apiError struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("JetStream error %d: %s", e.ErrCode, e.Description)
}

// JetStream's error codes with a meaning for a log.
const (
	codeMessageNotFound     = 10037
	codeStreamNotFound      = 10059
	codeWrongLastSequence   = 10071
	codeWrongLastSequenceIn = 10164 // another append to the subject is being made
	codeMessageTooLarge     = 10054
)

// full are the codes that mean that there is no room: the account's or the server's limits, or the disk.
var full = map[int]string{
	10002: "raise the account's limits", 10023: "raise the server's limits (max_file_store)",
	10028: "raise the server's limits (max_mem_store)", 10047: "raise the server's limits (max_file_store)",
	10077: "raise the stream's max_bytes; if the disk is full, free space and restart the server",
}

// classify turns e into an error of package checkpoint.
func (e *apiError) classify() error {
	if remedy, ok := full[e.ErrCode]; ok {
		return fmt.Errorf("%w: %w; %s", checkpoint.ErrFull, e, remedy)
	}
	switch e.ErrCode {
	case codeWrongLastSequence, codeWrongLastSequenceIn:
		return fmt.Errorf("%w: %w", checkpoint.ErrConflict, e)
	case codeStreamNotFound:
		return fmt.Errorf("%w: %w", checkpoint.ErrGone, e)
	case codeMessageTooLarge:
		return fmt.Errorf("%w: %w; raise the stream's max_msg_size", checkpoint.ErrTooLarge, e)
	}
	if e.Code == 503 || e.Code == 500 { // no leader yet, or a similar error: the stream may exist, or not
		return fmt.Errorf("%w: %w", checkpoint.ErrUnknown, e)
	}
	return e
}

// defaultTimeout limits an operation whose context has no deadline.
const defaultTimeout = 5 * time.Second
