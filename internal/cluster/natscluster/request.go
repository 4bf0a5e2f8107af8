package natscluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/askback/askback/internal/cluster"
)

// A request without an answer is repeated: its receiver may be a leader that is paused or dead, and its successor has not
// received it. Or the answer takes long, so the pauses grow.
const (
	minReplyTimeout = 500 * time.Millisecond
	maxReplyTimeout = 4 * time.Second
)

// Request sends a request and returns its answer. Without an answer it sends again until ctx ends (then the error is
// cluster.ErrNoNimbus): a new leader may be on its way. So requests must be idempotent; the first answer counts. A refusal
// is a cluster.RequestError; one of CodeUnavailable is repeated too.
func Request[Answer any](ctx context.Context, nc *nats.Conn, subject string, question any) (answer Answer, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
	}
	inbox := nc.NewInbox()
	answers, err := nc.SubscribeSync(inbox)
	if err != nil {
		return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
	}
	defer func() { _ = answers.Unsubscribe() }()
	timeout := minReplyTimeout
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, minReplyTimeout) {
		err = nc.PublishRequest(subject, inbox, body)
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload) {
			return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
		}
		next := time.Now().Add(pause)
		if err == nil {
			var reply *nats.Msg
			if reply, err = awaitReply(ctx, answers, timeout); errors.Is(err, context.DeadlineExceeded) {
				timeout = min(2*timeout, maxReplyTimeout)
			} else if err == nil {
				if err = ReplyError(reply); err == nil {
					data, err := unpack(reply)
					if err != nil {
						return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
					}
					return answer, json.Unmarshal(data, &answer)
				}
				if refused := (*cluster.RequestError)(nil); errors.As(err, &refused) && refused.Code != cluster.CodeUnavailable {
					return answer, err
				}
			}
		}
		select {
		case <-ctx.Done():
			if refused := (*cluster.RequestError)(nil); errors.As(err, &refused) {
				return answer, err
			}
			return answer, fmt.Errorf("%w on %s: %w", cluster.ErrNoNimbus, subject, err)
		case <-time.After(time.Until(next)):
		}
	}
}

// awaitReply waits for an answer. If there is no subscriber, the server answers so.
func awaitReply(ctx context.Context, answers *nats.Subscription, limit time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m, err := answers.NextMsgWithContext(ctx)
	if err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		err = nats.ErrNoResponders
	}
	return m, err
}

// ReplyError returns the *cluster.RequestError that an answer holds, or nil.
func ReplyError(m *nats.Msg) error {
	text := m.Header.Get(micro.ErrorHeader)
	if text == "" {
		return nil
	}
	return &cluster.RequestError{Code: cluster.ErrCode(m.Header.Get(micro.ErrorCodeHeader)), Text: text}
}
