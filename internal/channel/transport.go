package channel

import (
	"errors"
	"fmt"

	"github.com/askback/askback/msgid"
)

// Errors of transports.
var (
	// ErrTooLarge: Send was given a payload longer than MaxPayload. Make frames smaller or the server's
	// max_payload larger.
	ErrTooLarge = errors.New("channel: message is larger than the transport carries")
	// ErrClosed: the transport was closed, or the endpoint has left.
	ErrClosed = errors.New("channel: closed")
	// ErrAddress: an alias, topology or prefix that cannot be an address.
	ErrAddress = errors.New("channel: bad address")
)

// A Kind is one of the three ways that a message travels. Only messages of the same kind are in order.
type Kind uint8

// The kinds of message. Control and Replay are the paper's designated channel: recovery on them does not disturb
// the order on Data.
const (
	// Data carries frames, and high-water marks between them: a mark on Data proves that frames before it were lost.
	Data Kind = iota
	// Control carries signals.
	Control
	// Replay carries frames that were asked for.
	Replay
	// Kinds is how many kinds there are.
	Kinds = iota
)

var kinds = [Kinds]string{"data", "ctl", "replay"}

// String returns the kind's name in subjects: data, ctl, replay.
func (k Kind) String() string {
	if k >= Kinds {
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
	return kinds[k]
}

// A Message is a received message. Payload belongs to the receiver.
type Message struct {
	Kind    Kind
	From    msgid.Alias // as the transport knows it; permissions can bind it to the sender
	Payload []byte
}

// A Transport carries messages between the tasks of one topology, in any processes. Its methods may be called from
// several goroutines.
type Transport interface {
	// Join attaches a task. Messages addressed to it go to deliver, which is called from the transport's goroutines: for
	// each kind one call at a time, in order; for different kinds perhaps at once. It must not block for long and must not
	// call Leave. When Join returns, every message sent to self from then on arrives (unless it is lost). Several endpoints
	// may join under one alias, such as a paused old incarnation and its successor; each gets every message.
	Join(self msgid.Alias, deliver func(Message)) (Endpoint, error)
	// MaxPayload returns the length of the longest message in bytes.
	MaxPayload() int
	// Close ends the transport and every endpoint. Messages on their way are lost.
	Close() error
}

// An Endpoint is a task's place in a transport.
type Endpoint interface {
	// Send sends payload and does not retain it. An error means that this message can never be sent: it is too large, the
	// address is bad, or the endpoint has left. A message that is lost on its way, or because there is no connection at the
	// moment, is not an error: most losses are unknown to the sender, and the receiver asks for missing tuples. Order is
	// kept from one sender to one receiver on Data as long as no message is lost. Send may be called from several
	// goroutines, but order is that of the calls.
	Send(kind Kind, to msgid.Alias, payload []byte) error
	// Leave ends delivery. Deliver is not called any more after it returned. Leaving twice is allowed.
	Leave() error
}
