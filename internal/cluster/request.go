package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// A question that nobody has answered is repeated: who heard it may be a leader that is paused or dead, and its successor
// does not know of it. Or it takes long to answer, so the pauses grow.
const (
	minReplyTimeout = 500 * time.Millisecond
	maxReplyTimeout = 4 * time.Second
)

// Request sends a question and returns its answer. While nobody answers, it asks again until ctx ends (then the error
// is ErrNoNimbus): a new leader may be on its way. So what is asked must bear to be asked twice; the first answer counts,
// whichever question it is to. An error that it was answered with is a RequestError.
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
	patience := minReplyTimeout
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, minReplyTimeout) {
		err = nc.PublishRequest(subject, inbox, body)
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload) {
			return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
		}
		next := time.Now().Add(pause)
		if err == nil {
			var reply *nats.Msg
			if reply, err = awaitReply(ctx, answers, patience); errors.Is(err, context.DeadlineExceeded) {
				patience = min(2*patience, maxReplyTimeout)
			} else if err == nil {
				if err = replyError(reply); err == nil {
					data, err := unpack(reply)
					if err != nil {
						return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
					}
					return answer, json.Unmarshal(data, &answer)
				}
				if refused := (*RequestError)(nil); errors.As(err, &refused) && refused.Code != CodeUnavailable {
					return answer, err
				}
			}
		}
		select {
		case <-ctx.Done():
			if refused := (*RequestError)(nil); errors.As(err, &refused) {
				return answer, err
			}
			return answer, fmt.Errorf("%w on %s: %w", ErrNoNimbus, subject, err)
		case <-time.After(time.Until(next)):
		}
	}
}

// awaitReply waits for an answer. That nobody listens is what the server answers.
func awaitReply(ctx context.Context, answers *nats.Subscription, limit time.Duration) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m, err := answers.NextMsgWithContext(ctx)
	if err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503" {
		err = nats.ErrNoResponders
	}
	return m, err
}

// replyError returns the error that an answer says.
func replyError(m *nats.Msg) error {
	text := m.Header.Get(micro.ErrorHeader)
	if text == "" {
		return nil
	}
	return &RequestError{Code: ErrCode(m.Header.Get(micro.ErrorCodeHeader)), Text: text}
}
