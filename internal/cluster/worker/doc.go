// Package worker is one process of a cluster's topology: the user's own program, running the tasks that it is ordered
// to run.
//
// # The nouns
//
//   - A Launch is the supervisor's input at the start: the worker's slot, the NATS connection, the topology, and the
//     first Assignment.
//   - A member is one task that the worker runs, with its executor.Executor.
//   - The line is the connection for everything but tuples: orders and requests in, heartbeats and events out. It is a
//     connection of its own, so that the tasks' traffic does not delay heartbeats.
//
// # What it does
//
//	order  ──► loop ──► members: start what is wanted, end what is not
//	member ──► loop     has ended: FAILED, fenced, or as told
//	beat   ──► every 500 ms, how each member stands
//
// An Assignment is the whole desired state, not a change; so a lost one does no harm, and one that comes twice neither.
// The revision in the heartbeats is that of the last assignment that has been followed to its end.
//
// # How it ends
//
//   - It is ordered to stop, by an assignment or because its context ends: ExitDone. Tuples that its tasks have in hand
//     are dropped; the log and the sources make up for them.
//   - A task of its is fenced by one elsewhere, and no assignment takes it away within two seconds: the worker has been
//     given up while it was paused or cut off. It ends the others and itself: ExitFenced.
//   - The program is another than the one that was submitted: ExitRefused.
//
// A task that has FAILED ends nothing else. Without NATS, without nimbus and without its supervisor, the worker goes on
// with its last assignment.
//
// # Caveats
//
// A task whose operator does not return cannot be ended. Run leaves it behind after five seconds, since the process
// is about to end.
package worker
