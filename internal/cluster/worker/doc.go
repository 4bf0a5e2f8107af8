// Package worker is one process of a cluster's topology: the user's own program, running the tasks that it is ordered
// to run.
//
// # The nouns
//
//   - A Launch is what the supervisor hands over at the start: who the worker is, how it reaches NATS, what the
//     topology is, and the first Order.
//   - A member is one task that the worker runs, with its executor.Executor.
//   - The line is the connection for what is not tuples: orders and requests in, heartbeats and events out. It is its own, so
//     that heartbeats are on time whatever the tasks do.
//
// # What it does
//
//	order  ──► loop ──► members: start what is wanted, end what is not
//	member ──► loop     has ended: FAILED, fenced, or as told
//	beat   ──► every 500 ms, how each member stands
//
// An Assignment says all that is wanted, not what to change; so a lost one does no harm, and one that comes twice neither.
// The revision that the heartbeats show is that of the last order that has been followed to its end.
//
// # How it ends
//
//   - It is told to stop, by an order or because its context ends: ExitDone. What its tasks have in hand is dropped; the
//     log and the sources make up for it.
//   - A task of its is fenced by one elsewhere, and no order says within two seconds that this is as it should be: the
//     worker has been given up while it was paused or cut off. It ends the others and itself: ExitFenced.
//   - The program is another than the one that was submitted: ExitRefused.
//
// A task that has FAILED ends nothing else. Without NATS, without nimbus and without its supervisor, the worker goes on
// with what it was last told.
//
// # Caveats
//
// A task whose operator does not return cannot be ended. Run leaves it behind after five seconds, since the process
// is about to end.
package worker
