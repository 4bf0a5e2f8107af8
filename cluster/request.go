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

// requestTimeout is how long one try of a request may take.
const requestTimeout = 2 * time.Second

// Request sends a question and returns its answer. While nobody answers, it tries again until ctx ends (then the error
// is ErrNoNimbus): a new leader may be on its way. So what is asked must bear to be asked twice. An error that it was
// answered with is a RequestError.
func Request[Answer any](ctx context.Context, nc *nats.Conn, subject string, question any) (answer Answer, err error) {
	body, err := json.Marshal(question)
	if err != nil {
		return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
	}
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		var reply *nats.Msg
		one, cancel := context.WithTimeout(ctx, requestTimeout)
		reply, err = nc.RequestWithContext(one, subject, body)
		cancel()
		if err == nil {
			err = refusal(reply)
			if refused := (*RequestError)(nil); !errors.As(err, &refused) || refused.Code != CodeUnavailable {
				if err == nil {
					err = json.Unmarshal(reply.Data, &answer)
				}
				return answer, err
			}
		}
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrMaxPayload) {
			return answer, fmt.Errorf("cluster: request %s: %w", subject, err)
		}
		select {
		case <-ctx.Done():
			if refused := (*RequestError)(nil); errors.As(err, &refused) {
				return answer, err
			}
			return answer, fmt.Errorf("%w on %s: %w", ErrNoNimbus, subject, err)
		case <-time.After(pause):
		}
	}
}

// refusal returns the error that an answer says.
func refusal(m *nats.Msg) error {
	text := m.Header.Get(micro.ErrorHeader)
	if text == "" {
		return nil
	}
	return &RequestError{Code: ErrCode(m.Header.Get(micro.ErrorCodeHeader)), Text: text}
}
