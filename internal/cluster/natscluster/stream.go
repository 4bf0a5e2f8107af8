package natscluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
)

// ErrNotSetUp occurs when a bucket or stream of the cluster does not exist. A nimbus makes them at its start: see Setup.
var ErrNotSetUp = errors.New("cluster: not set up")

// tryTimeout is how long one request to JetStream may take. A server that is killed answers none.
const tryTimeout = time.Second

// A message is one of a stream.
type message struct {
	subject  string
	revision uint64 // its sequence number
	header   nats.Header
	data     []byte
}

// A getRequest is a request for messages of a stream, by get or direct get.
type getRequest struct {
	Seq      uint64 `json:"seq,omitempty"`
	NextFor  string `json:"next_by_subj,omitempty"`
	LastFor  string `json:"last_by_subj,omitempty"`
	Batch    int    `json:"batch,omitempty"`
	MaxBytes int    `json:"max_bytes,omitempty"`
}

// A batch stays well below the bounds of the client's subscription, which drops messages beyond them.
const (
	batchCount = 1024
	batchBytes = 8 << 20
)

// readStream calls f for a stream's messages on a subject from a sequence number on, oldest first, as any replica has them.
// It returns the sequence number to go on with.
func readStream(ctx context.Context, nc *nats.Conn, stream, subject string, from uint64, f func(message) error) (next uint64, err error) {
	next = max(from, 1)
	take := func(m message) error {
		next = m.revision + 1
		return f(m)
	}
	for more := true; more && err == nil; {
		more, err = readBatch(ctx, nc, stream, getRequest{Seq: next, NextFor: subject, Batch: batchCount, MaxBytes: batchBytes}, take)
	}
	if err != nil {
		err = fmt.Errorf("cluster: read stream %s: %w", stream, err)
	}
	return next, err
}

// readBatch calls f for one batch, and reports whether there may be more.
func readBatch(ctx context.Context, nc *nats.Conn, stream string, ask getRequest, f func(message) error) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return false, err
	}
	defer func() { _ = sub.Unsubscribe() }()
	body, _ := json.Marshal(ask)
	if err := nc.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, body); err != nil {
		return false, err
	}
	for last := uint64(0); ; {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return false, noAnswer(err)
		}
		before, _ := strconv.ParseUint(m.Header.Get("Nats-Last-Sequence"), 10, 64)
		switch status := m.Header.Get("Status"); status {
		case "":
		case "204": // the batch ends
			return m.Header.Get("Nats-Num-Pending") != "0" || before != last, nil
		case "404": // no such message
			return false, nil
		default:
			return false, fmt.Errorf("%w: status %s %s", cluster.ErrUnknown, status, m.Header.Get("Description"))
		}
		seq, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 64)
		if err != nil || seq < ask.Seq {
			return false, fmt.Errorf("%w: unreadable answer", cluster.ErrUnknown)
		}
		if before != last {
			return true, nil // a message between was dropped on the way
		}
		if err := f(message{m.Header.Get("Nats-Subject"), seq, m.Header, m.Data}); err != nil {
			return false, err
		}
		last = seq
	}
}

// readLast reads the newest message on a subject from a stream's leader; its revision is 0 if there is none.
func readLast(ctx context.Context, nc *nats.Conn, stream, subject string) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	fail := func(err error) (message, error) {
		return message{}, fmt.Errorf("cluster: read stream %s: %w", stream, err)
	}
	body, _ := json.Marshal(getRequest{LastFor: subject})
	reply, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return fail(noAnswer(err))
	}
	var got struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject string `json:"subject"`
			Seq     uint64 `json:"seq"`
			Header  []byte `json:"hdrs"`
			Data    []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(reply.Data, &got); err != nil {
		return fail(fmt.Errorf("%w: unreadable answer: %w", cluster.ErrUnknown, err))
	}
	if got.Error != nil {
		if got.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return message{}, nil
		}
		return fail(apiError(got.Error))
	}
	m := message{subject: got.Message.Subject, revision: got.Message.Seq, data: got.Message.Data}
	if len(got.Message.Header) > 0 {
		if m.header, err = nats.DecodeHeadersMsg(got.Message.Header); err != nil {
			return fail(fmt.Errorf("%w: unreadable answer: %w", cluster.ErrUnknown, err))
		}
	}
	return m, nil
}

// errConflict occurs when the condition of a write does not hold, or another such write is under way.
var errConflict = errors.New("cluster: conflict")

// publish publishes to a stream and returns the message's sequence number.
func publish(ctx context.Context, nc *nats.Conn, m *nats.Msg) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	reply, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, noAnswer(err)
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
	}
	switch err := json.Unmarshal(reply.Data, &ack); {
	case err != nil:
		return 0, fmt.Errorf("%w: unreadable answer: %w", cluster.ErrUnknown, err)
	case ack.Error != nil:
		return 0, apiError(ack.Error)
	case ack.Seq == 0:
		return 0, fmt.Errorf("%w: an answer without a sequence number", cluster.ErrUnknown)
	}
	return ack.Seq, nil
}

// errMessageIDInProcess occurs while the first copy of a message is being stored.
const errMessageIDInProcess jetstream.ErrorCode = 10158

// apiError translates an error of JetStream.
func apiError(e *jetstream.APIError) error {
	switch {
	case e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence, e.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant:
		return fmt.Errorf("%w: %w", errConflict, e)
	case e.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return fmt.Errorf("%w: %w", ErrNotSetUp, e)
	case e.ErrorCode == errMessageIDInProcess, e.Code >= 500:
		return fmt.Errorf("%w: %w", cluster.ErrUnknown, e)
	}
	return e
}

// noAnswer translates the error of a request without an answer.
func noAnswer(err error) error {
	if closed(err) || errors.Is(err, nats.ErrMaxPayload) {
		return err
	}
	return fmt.Errorf("%w: %w", cluster.ErrUnknown, err)
}

// closed reports whether a connection will never answer again.
func closed(err error) bool {
	return errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionDraining) || errors.Is(err, nats.ErrInvalidConnection)
}

// inOrder returns the entries that are not deleted, oldest first.
func inOrder(entries map[string]entry) []entry {
	all := slices.SortedFunc(maps.Values(entries), func(a, b entry) int { return cmp.Compare(a.revision, b.revision) })
	return slices.DeleteFunc(all, func(e entry) bool { return e.gone })
}
