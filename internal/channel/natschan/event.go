package natschan

import (
	"fmt"
	"sync/atomic"

	"github.com/askback/askback/internal/channel"
)

// An EventKind is the kind of an event.
type EventKind uint8

// The kinds of event.
const (
	// Disconnected: the connection broke, for the reason in Err. It is being replaced.
	Disconnected EventKind = iota + 1
	// Reconnected: the connection has been replaced. Messages were lost in between.
	Reconnected
	// SlowConsumer: a task did not take its messages, and the newest were dropped. Flow control should prevent it.
	SlowConsumer
	// Denied: the server's permissions forbid a subject, named in Err. Messages sent to it are lost. Reported for the
	// 1st, 2nd, 4th, 8th … time only, as is Foreign.
	Denied
	// Foreign: a message came on a subject that no task publishes on, named in Err, or has headers, which tasks do not
	// send. It is dropped.
	Foreign
	// Failed: any other error that the client library or the server reports.
	Failed
	// Closed: the connection has ended for good, by Close or by an error that a new connection would not cure.
	Closed
)

var eventNames = [...]string{
	Disconnected: "disconnected", Reconnected: "reconnected", SlowConsumer: "slow consumer", Denied: "denied",
	Foreign: "foreign message", Failed: "failed", Closed: "closed",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if k < Disconnected || k > Closed {
		return fmt.Sprintf("event(%d)", uint8(k))
	}
	return eventNames[k]
}

// An Event is a change of one of the connections.
type Event struct {
	Kind EventKind
	Conn string // "data" or "control"
	Err  error  // may be nil
}

// String returns the event as a line for logs.
func (e Event) String() string {
	if e.Err == nil {
		return e.Conn + ": " + e.Kind.String()
	}
	return fmt.Sprintf("%s: %s: %v", e.Conn, e.Kind, e.Err)
}

// Traffic counts the messages of one kind and their payloads' bytes.
type Traffic struct{ Sent, SentBytes, Received, ReceivedBytes uint64 }

// Stats are counters since Dial.
type Stats struct {
	Kinds      [channel.Kinds]Traffic // by channel.Kind
	Lost       uint64                 // sends known to be lost: there was no connection, or writing to it failed
	Dropped    uint64                 // received and dropped since a task did not take them; see SlowConsumer
	Denied     uint64                 // permission errors that the server reported
	Foreign    uint64                 // received, and not sent by a task
	Reconnects uint64                 // of both connections
}

// counters are the Stats as they are counted.
type counters struct {
	kinds                                      [channel.Kinds]struct{ sent, sentBytes, received, receivedBytes atomic.Uint64 }
	lost, dropped, denied, foreign, reconnects atomic.Uint64
}
