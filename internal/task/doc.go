// Package task holds the core of a task: the operator, the recovery machine that decides for it, and the loop that
// performs the machine's decisions. The goroutine that drives a core is package executor's; the simulator drives it in
// tests.
//
// The nouns:
//
//   - A Core is a task without its goroutine: one event in, actions performed in order.
//   - An Env performs actions beyond the task: it sends messages, and passes records and snapshots to the log.
//   - Outputs build the frames of a task's output tuples, and collect the sealed ones. They do not depend on the core.
//   - Determinants are the answers of clock, chance and routing that a call of the operator has drawn. A call that is
//     taken back and tried again is given the same.
//   - A capture is the snapshot under way.
//   - A LogWriter writes records of determinants and snapshots to the task log, one record at a time, and begins a new
//     era when the log was lost.
//   - A Seed is the state that a task begins with, out of another plan's log; package migrate reads it there.
//
// Strategy acker also follows the tuple trees that a task takes part in. Its machine brings a tracking.Tracker, which the
// core calls for each tuple; with other strategies there is none.
//
// # One event
//
//	Receive, Answered, Tick …         ──► queue ──► machine.Step ──► actions, performed in order
//	                                        ▲                           │
//	                                        └── Sealed …, Frozen ◄──────┘ of a Freeze
//
// The loop is not entered again while it runs (see handle). The operator is called by Work alone.
//
// # One snapshot
//
//	machine: Freeze ──► open frames are sealed; the operator's own state is encoded; keyed state is frozen ──► Frozen
//	Work            ──► some of the frozen state is encoded, between two frames
//	machine: Upload ──► once both are true, the parts go to Env.Store: core, machine, keyed state
//	Answered        ──► a sink commits; the machine reports the positions as stable to its sources
//
// # Failing operators
//
//	Execute returns an error   its emissions are taken back; it is retried as often as the operator declares; then the
//	                           tuple is dropped or emitted as a dead letter, if that is declared, or the task fails
//	Next, Tick or Finish does  the task fails
//	a panic                    the task fails; at the same tuple twice, for good
//
// # The caller's duties
//
// All methods of a Core are called from one goroutine, but for Calling, and none after an error. The functions in Config
// are called from that goroutine and must not block.
package task
