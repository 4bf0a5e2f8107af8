// Package acker is Storm's strategy: tuple trees, at least once. A tuple that does not get to its end in time is emitted again
// by its spout.
//
// The nouns:
//
//   - A root is a tuple that a spout emits, and the number that it gets.
//   - Its tree is the root and all that is emitted because of it, down to the sinks. A bolt's emissions are anchored to
//     the tuple that it executes; those of Tick and Finish are anchored to none, and belong to no tree.
//   - An edge is a tuple on its way to one task. It has a random-looking number of 64 bits that both of its ends compute:
//     a mixture of channel, incarnation and sequence number. So roots travel with the tuples, and edges do not.
//   - The ledger (package ledger) is a bolt that every task reports to: which root, and the XOR of the edges that it
//     consumed and emitted. Each edge comes into the ledger twice, once from either end, so the entry of a root is zero
//     when its whole tree is processed. The ledger then tells the spout. If it is not told in time, it emits the root
//     again, as another one.
//
// Reports are batched: a task makes one for each root in a frame that it consumes, and these travel in frames like any
// other tuple.
//
// # What it survives
//
// A tuple of which anything is lost, for any reason, is emitted again by its spout after Config.MessageTimeout, as a new
// root: each tree is fully processed at least once. A restarted bolt begins with the state that it has on its first
// day, as a plain bolt of Storm's does: what its state told of completed trees is gone. A restarted ledger has forgotten
// its entries, whose roots time out. A restarted spout goes on from the position before the oldest root that was not
// processed, of which it keeps a log. A tuple given up to the dead letters counts as processed.
//
// # What it costs
//
// At most Config.MaxPending tuples of a spout task are on their way; then it is not polled. They are kept until they
// are processed. Nothing else is kept, and nothing is acknowledged from task to task but credit.
//
// MessageTimeout must be longer than a tuple takes at the worst, retries of Execute and all that waits before it
// included. If it is not, the same is emitted again while the first still waits, which makes all the others wait longer.
//
// # The machine
//
// Frames travel as those of another machine do, usually that of package none, which counts what is lost and passes over
// it. This one adds when a spout stores its position, and has a tracker (package tracking), which the task's core calls
// for each tuple: it anchors, reports, and keeps the tuples that a spout may have to emit again.
package acker
