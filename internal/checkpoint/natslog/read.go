package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

// Read implements checkpoint.Log. It asks for entries in batches, which any replica may serve; then, if there are
// several replicas, it asks the leader for those that the one that served may not have yet.
func (l *Log) Read(ctx context.Context, alias msgid.Alias, from, to checkpoint.Pos, yield func(checkpoint.Entry) error) error {
	err := l.read(ctx, l.subject(alias), max(uint64(from), 1), uint64(to), yield)
	if err == nil || errors.Is(err, checkpoint.ErrStop) {
		return nil
	}
	return err
}

func (l *Log) read(ctx context.Context, subject string, next, to uint64, yield func(checkpoint.Entry) error) error {
	direct, replicas := l.stream.get()
	take := func(e checkpoint.Entry) error {
		if uint64(e.Pos) > to {
			return checkpoint.ErrStop
		}
		next = uint64(e.Pos) + 1
		return yield(e)
	}
	for size, fruitless := firstBatch, 0; direct && next <= to; size = min(4*size, lastBatch) {
		before := next
		count := int(min(to-next, batchCount-1)) + 1
		more, err := l.readBatch(ctx, getRequest{Seq: next, NextFor: subject, Batch: count, MaxBytes: size}, take)
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if fruitless++; next != before {
			fruitless = 0
		}
		if fruitless == 3 {
			return l.readError(fmt.Errorf("%w: a batch was empty", checkpoint.ErrUnknown))
		}
	}
	for next <= to && (!direct || replicas > 1) {
		e, err := l.fromLeader(ctx, getRequest{Seq: next, NextFor: subject})
		if err != nil {
			return l.readError(err)
		}
		if e.Pos == 0 {
			break
		}
		if err := take(e); err != nil {
			return err
		}
	}
	return nil
}

// Last implements checkpoint.Log.
func (l *Log) Last(ctx context.Context, alias msgid.Alias) (checkpoint.Entry, error) {
	direct, replicas := l.stream.get()
	var e checkpoint.Entry
	var err error
	if direct && replicas == 1 {
		e, err = l.lastDirect(ctx, l.subject(alias))
	} else {
		e, err = l.fromLeader(ctx, getRequest{LastFor: l.subject(alias)})
	}
	if err != nil {
		return checkpoint.Entry{}, l.readError(err)
	}
	return e, nil
}

func (l *Log) readError(err error) error { return fmt.Errorf("natslog: read %s: %w", l.name, err) }

// getRequest asks for messages by JetStream's (direct) get.
type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// The first batch is small, since most readings are: a settled append, one snapshot. The last size stays well below the
// bounds of the client's subscription (64 MiB), which would drop messages beyond them.
const (
	firstBatch = 512 << 10
	lastBatch  = 16 << 20
	batchCount = 16 << 10
)

// readBatch asks for a batch of entries, and reports whether there may be more. It also ends, with more, when an
// entry of the batch was dropped on the way.
func (l *Log) readBatch(ctx context.Context, ask getRequest, take func(checkpoint.Entry) error) (more bool, err error) {
	ctx, cancel := l.limit(ctx)
	defer cancel()
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return false, l.readError(unanswered(err))
	}
	defer func() { _ = sub.Unsubscribe() }()
	req, _ := json.Marshal(ask)
	if err := l.nc.PublishRequest("$JS.API.DIRECT.GET."+l.name, inbox, req); err != nil {
		return false, l.readError(unanswered(err))
	}
	for last := uint64(0); ; {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return false, l.readError(l.unheard(ctx, err))
		}
		before, _ := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
		switch m.Header.Get("Status") {
		case "":
		case "204": // the batch ends
			pending := m.Header.Get("Nats-Num-Pending")
			return pending != "0" || before != last, nil
		case "404": // no such entry
			return false, nil
		default:
			return false, l.readError(refused(m))
		}
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil || seq < ask.Seq {
			return false, l.readError(fmt.Errorf("%w: unreadable answer", checkpoint.ErrUnknown))
		}
		if before != last {
			return true, nil // one between was dropped
		}
		if err := take(checkpoint.Entry{Pos: checkpoint.Pos(seq), Data: m.Data}); err != nil {
			return false, err
		}
		last = seq
	}
}

// lastDirect asks any server for the last entry of a subject.
func (l *Log) lastDirect(ctx context.Context, subject string) (checkpoint.Entry, error) {
	ctx, cancel := l.limit(ctx)
	defer cancel()
	m, err := l.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+l.name+"."+subject, nil)
	if err != nil {
		return checkpoint.Entry{}, l.unheard(ctx, err)
	}
	switch m.Header.Get("Status") {
	case "":
	case "404":
		return checkpoint.Entry{}, nil
	default:
		return checkpoint.Entry{}, refused(m)
	}
	seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
	if err != nil {
		return checkpoint.Entry{}, fmt.Errorf("%w: unreadable answer: %w", checkpoint.ErrUnknown, err)
	}
	return checkpoint.Entry{Pos: checkpoint.Pos(seq), Data: m.Data}, nil
}

// refused makes an error of a direct get's status.
func refused(m *nats.Msg) error {
	status, why := m.Header.Get("Status"), m.Header.Get("Description")
	if strings.HasPrefix(status, "5") {
		return fmt.Errorf("%w: status %s %s", checkpoint.ErrUnknown, status, why)
	}
	return fmt.Errorf("status %s %s", status, why)
}

// fromLeader asks the stream's leader for one entry. Its Pos is 0 if there is none.
func (l *Log) fromLeader(ctx context.Context, req getRequest) (checkpoint.Entry, error) {
	ctx, cancel := l.limit(ctx)
	defer cancel()
	body, _ := json.Marshal(req)
	m, err := l.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+l.name, body)
	if err != nil {
		return checkpoint.Entry{}, l.unheard(ctx, err)
	}
	var resp struct {
		Error   *apiError `json:"error"`
		Message struct {
			Seq  uint64 `json:"seq"`
			Data []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &resp); err != nil {
		return checkpoint.Entry{}, fmt.Errorf("%w: unreadable answer: %w", checkpoint.ErrUnknown, err)
	}
	switch {
	case resp.Error == nil:
		return checkpoint.Entry{Pos: checkpoint.Pos(resp.Message.Seq), Data: resp.Message.Data}, nil
	case resp.Error.ErrCode == codeMessageNotFound:
		return checkpoint.Entry{}, nil
	}
	return checkpoint.Entry{}, resp.Error.classify()
}

// unheard returns the error of a question without an answer.
func (l *Log) unheard(ctx context.Context, err error) error {
	if closed(err) {
		return err
	}
	return l.noAnswer(ctx, err)
}

// unanswered is unheard before the first question is sent.
func unanswered(err error) error {
	if closed(err) {
		return err
	}
	return fmt.Errorf("%w: %w", checkpoint.ErrUnknown, err)
}
