package recovery

import (
	"strings"
	"unicode/utf8"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// An EventKind says which fields of an Event count.
type EventKind uint8

const (
	Started    EventKind = iota + 1 // the task has joined the transport
	Ticked                          // Now
	Received                        // Port (input), Frame, Replay: a frame came in
	Heard                           // Port (input for Mark and Refuse, else output), Signal, InBand
	Ready                           // the task could run its operator
	Sealed                          // Port (output), Frame: a frame is complete
	Chose                           // Choice, Value, Reason: the operator wants the time, chance, …
	EndOfInput                      // Port (input): its end mark was consumed; -1: a spout's own input has ended, and all of it is processed
	Consumed                        // what Deliver, Poll, Fire or Finish asked for is done
	Due                             // Value: a timer is due, at that time (Unix ns)
	Ended                           // the spout's input has ended, or Finish is done; the end marks are sealed
	Idle                            // nothing left to do, nothing open
	Appended                        // the last Append is durable
	Frozen                          // the operator's state is frozen as a Snapshot asked; Capture may come later
	Stored                          // the last Snapshot is durable
	StoreLost                       // the log has vanished or gone back; this incarnation has begun in it again
)

// An Event is something that happened to a task. It is a plain struct, not an interface, so that reporting one
// allocates nothing.
type Event struct {
	Kind   EventKind
	Replay bool // the frame came on the replay subject
	InBand bool // the signal came in order with the data
	Choice Choice
	Port   int
	Now    Tick
	Value  uint64
	Reason string // of ChoiceGivenUp: why; see Reason. Empty if the operator declares that such tuples are dropped
	Frame  channel.Frame
	Signal channel.Signal
}

// A Choice is something that replay could not repeat by itself, so it is recorded.
type Choice uint8

const (
	ChoiceTime    Choice = iota + 1 // ctx.Now: Unix ns
	ChoiceRand                      // ctx.Rand
	ChoiceGivenUp                   // a tuple is given up, as a dead letter or dropped: its sequence number on the port
	ChoiceLocal                     // which targets of a local-or-shuffle edge are local: see package task
)

// MaxReason is the most bytes that the reason of a ChoiceGivenUp may have.
const MaxReason = 1 << 10

// Reason makes the reason of a ChoiceGivenUp out of an error's text: valid UTF-8 of at most MaxReason bytes. The caller
// uses nothing but the result, or a replay, which gets the recorded reason, would differ.
func Reason(text string) string {
	if text = strings.ToValidUTF8(text, "\ufffd"); len(text) <= MaxReason {
		return text
	}
	cut := MaxReason
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut]
}

// An ActionKind says which fields of an Action count.
type ActionKind uint8

const (
	Deliver  ActionKind = iota + 1 // Port (input), Frame, GivenUp: run the operator over the frame's tuples
	Poll                           // call the spout
	Fire                           // Value: run the operator's timer at that time
	Finish                         // all inputs have ended: run the operator's Finish
	Chosen                         // Value: the answer to Chose
	Publish                        // Port (output), Frame: send on the data subject
	Resend                         // Port (output), Frame: send on the replay subject
	Signal                         // Port, Signal, InBand: send on the control subject, or in order with the data
	Free                           // Port (output), Frame: nobody needs the frame any more; its buffer may be used again
	Append                         // Data: append to the log
	Snapshot                       // Value: freeze the operator's state for a snapshot; 1: a full one
	Store                          // store what was frozen, with what Capture gives; Value: 1: a sink commits it on Commit, not when it is durable
	Commit                         // a sink makes visible what the last stored snapshot closed
	Done                           // everything emitted is safe with its targets: the task may leave
	Fail                           // Err: stop for good
)

// An Action is something that a task must do.
type Action struct {
	Kind    ActionKind
	InBand  bool
	Port    int
	Value   uint64
	Frame   channel.Frame
	Signal  channel.Signal
	Data    []byte
	GivenUp []GivenUp // tuples of Frame that were given up when they were consumed first; they are not to be executed again
	Err     error
}

// A GivenUp is a tuple that was given up, and the reason that was recorded with it.
type GivenUp struct {
	Seq    msgid.Seq
	Reason string
}

// Actions is a list of actions, reused from step to step.
type Actions struct{ List []Action }

// Add appends one action.
func (a *Actions) Add(x Action) { a.List = append(a.List, x) }

// Reset empties the list and forgets what it refers to.
func (a *Actions) Reset() {
	clear(a.List)
	a.List = a.List[:0]
}
