package jetstream

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrUnfit occurs when a task begins and the stream's settings do not suit it: a source would lose messages that may
	// have to be read again, a sink's replay would be stored twice, or its subject is not one of the stream's.
	ErrUnfit = errors.New("jetstream: stream is unfit")
	// ErrChanged occurs in Next when the stream is not the one that the position was made for, or has gone back.
	ErrChanged = errors.New("jetstream: stream has changed")
)

// A MissingError occurs in Next when the stream no longer holds messages that were not read yet, or must be read
// again.
type MissingError struct {
	Stream   string
	From, To uint64 // sequence numbers, both included
}

// Error names the stream, the messages and the remedy.
func (e *MissingError) Error() string {
	return fmt.Sprintf("jetstream: stream %s no longer holds messages %d to %d, which must be read; raise its limits (max_age, max_bytes, max_msgs), "+
		"or begin the topology anew without its log", e.Stream, e.From, e.To)
}

// A RejectedError names the message that the stream does not take.
type RejectedError struct {
	Stream, Subject string
	ID              string // "tuple" and its message id
	Err             error
}

// Error names the stream, the tuple and, where there is one, the remedy.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("jetstream: stream %s does not take %s on subject %s: %v%s", e.Stream, e.ID, e.Subject, e.Err, remedy(e.Err))
}

// Unwrap returns the error of the server or the client.
func (e *RejectedError) Unwrap() error { return e.Err }

// Codes of the server's errors that the client library has no name for.
const (
	codeWrongStream = 10060
	codeStoreFailed = 10077 // a full stream that discards new messages, among others
	codeInProcess   = 10158 // an earlier try of the same message is being stored
)

func remedy(err error) string {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return ": no stream has the subject, or its server is away; add it to the stream's subjects"
	case errors.Is(err, nats.ErrConnectionClosed):
		return ": the connection must outlive the topology, and reconnect (nats.MaxReconnects(-1))"
	case !errors.As(err, &api):
		return ""
	case api.ErrorCode == codeWrongStream:
		return ": the subject is another stream's"
	case api.ErrorCode == codeStoreFailed:
		return ": if it is full, raise its limits (max_msgs, max_bytes), or let it discard old messages"
	case api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return ": raise max_msg_size"
	}
	return ""
}

// again reports whether to try the same message again: no answer has come, or one that may change. A full stream
// is such: its readers may make room.
func again(err error) bool {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrMaxPayload), errors.Is(err, nats.ErrBadSubject):
		return false
	case errors.As(err, &api):
		return api.Code >= 500 || api.ErrorCode == codeInProcess
	}
	return true
}
