package recovery

import (
	"strings"
	"unicode/utf8"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// An Input numbers the inputs of a task, from 0, in the order of Config.Inputs.
type Input int

// An Output numbers the outputs of a task, from 0, in the order of Config.Outputs.
type Output int

// No port.
const (
	NoInput  Input  = -1
	NoOutput Output = -1
)

// An EventKind selects the fields of an Event that count.
type EventKind uint8

const (
	Started              EventKind = iota + 1 // the task has joined the transport
	Ticked                                    // Now
	FrameReceived                             // Input, Frame, Replay
	SignalReceived                            // Input, of a signal that FromSource, else Output; Signal, InBand
	Ready                                     // the task could run its operator
	Sealed                                    // Output, Frame: a frame is complete
	DeterminantRequested                      // Determinant, Value, and Input and Reason of a tuple given up: the operator needs the time, chance, …
	EndOfInput                                // Input: its end mark was consumed
	Consumed                                  // the operator has returned from Deliver, Poll, RunTimer or Finish
	TimerDue                                  // Value: a timer is due, at that time (Unix ns)
	Ended                                     // the spout's input has ended, or Finish is done; the end marks are sealed
	Idle                                      // no work left, no frame open
	Appended                                  // the record of the last Append is durable
	Frozen                                    // the operator's state is frozen as a Freeze asked; Capture may come later
	Uploaded                                  // the snapshot of the last Upload is durable
	LogLost                                   // the log has vanished or gone back; this incarnation has begun in it again
)

// An Event is something that happened to a task. It is a plain struct, not an interface, so that reporting one
// allocates nothing.
type Event struct {
	Kind        EventKind
	Replay      bool // the frame came on the replay subject
	InBand      bool // the signal came in order with the data
	Determinant Determinant
	Input       Input
	Output      Output
	Now         Tick
	Value       uint64
	Reason      string // of DeterminantGivenUp; see Reason. Empty if the operator declares that such tuples are dropped
	Frame       channel.Frame
	Signal      channel.Signal
}

// FromSource reports whether signals of a kind go from the source of a channel to its target, as data do. All others go
// from the target to the source.
func FromSource(k channel.SignalKind) bool { return k == channel.Mark || k == channel.Refuse }

// A Determinant is the kind of an outcome that a replay could not repeat by itself, so the outcome is recorded.
type Determinant uint8

const (
	DeterminantTime    Determinant = iota + 1 // ctx.Now: Unix ns
	DeterminantRand                           // ctx.Rand
	DeterminantGivenUp                        // a tuple is given up, as a dead letter or dropped: its sequence number on the input
	DeterminantLocal                          // which targets of a local-or-shuffle edge are local: see package task
)

// MaxReason is the most bytes that the reason of a DeterminantGivenUp may have.
const MaxReason = 1 << 10

// Reason makes the reason of a DeterminantGivenUp out of an error's text: valid UTF-8 of at most MaxReason bytes. The
// caller uses only the result; otherwise a replay, which gets the recorded reason, would differ.
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

// An ActionKind selects the fields of an Action that count.
type ActionKind uint8

const (
	Deliver           ActionKind = iota + 1 // Input, Frame, GivenUp: run the operator over the frame's tuples
	Poll                                    // call the spout
	RunTimer                                // Value: run the operator's timer at that time
	Finish                                  // all inputs have ended: run the operator's Finish
	ReturnDeterminant                       // Value: the answer to DeterminantRequested
	Publish                                 // Output, Frame: send on the data subject
	Resend                                  // Output, Frame: send on the replay subject
	Signal                                  // Output, of a signal that FromSource, else Input; Signal, InBand: send on the control subject, or in order with the data
	Free                                    // Output, Frame: the frame is no longer needed; its buffer may be used again
	Append                                  // Data: append to the log
	Freeze                                  // Full: freeze the operator's state for a snapshot
	Upload                                  // Tentative: write the frozen state, with the result of Capture, to the log
	Commit                                  // a sink makes the output visible that the last uploaded snapshot closed
	Done                                    // all outputs are safe with their targets: the task may leave
	Fail                                    // Err: stop for good
)

// An Action is something that a task must do.
type Action struct {
	Kind      ActionKind
	InBand    bool
	Full      bool // the snapshot must not be an increment
	Tentative bool // the snapshot may be rolled back: a sink makes it visible on Commit, not when it is durable
	Input     Input
	Output    Output
	Value     uint64
	Frame     channel.Frame
	Signal    channel.Signal
	Data      []byte
	GivenUp   []GivenUp // tuples of Frame that were given up when they were consumed first; they are not to be executed again
	Err       error
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

// Reset empties the list and drops its references.
func (a *Actions) Reset() {
	clear(a.List)
	a.List = a.List[:0]
}
