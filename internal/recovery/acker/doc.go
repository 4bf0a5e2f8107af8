// Package acker is Storm's strategy: tuple trees, at least once. A tuple that does not get to its end in time is emitted again
// by its spout.
//
// The nouns:
//
//   - A root is a tuple that a spout emits, and the number that it gets.
//   - Its tree is the root and all tuples emitted because of it, down to the sinks. The outputs of a bolt are anchored to
//     the tuple that it executes; those of Tick and Finish are anchored to none, and belong to no tree.
//   - An edge is a tuple on its way to one task. It has a random-looking number of 64 bits that both of its ends compute:
//     a mixture of channel, incarnation and sequence number. So roots travel with the tuples, and edges do not.
//   - The ledger (package ledger) is a bolt that every task reports to: a root, and the XOR of the edges that the task
//     consumed and emitted. Each edge comes into the ledger twice, once from either end, so the entry of a root is zero
//     when its whole tree is processed. The ledger then reports the root to the spout. A spout without that report in time
//     emits the root again, as another one.
//
// Reports are batched: a task makes one for each root in a frame that it consumes, and these travel in frames like any
// other tuple.
//
// # Failures
//
// A tuple whose tree has lost any part, for any reason, is emitted again by its spout after Config.MessageTimeout, as a new
// root: each tree is fully processed at least once. A restarted bolt begins with empty state, as a plain bolt of Storm's
// does: the effects of completed trees on its state are lost. A restarted ledger has lost its entries, whose roots time
// out. A restarted spout continues from the position before the oldest unprocessed root, which it keeps in a log. A tuple
// given up to the dead letters counts as processed.
//
// # Cost
//
// At most Config.MaxPending tuples of a spout task are on their way; then it is not polled. They are kept until they are
// processed. No other tuple is retained, and tasks acknowledge to each other only for credit.
//
// MessageTimeout must be longer than the slowest tree, including retries of Execute and time in queues. If it is not,
// tuples are emitted again while their first trees still wait, which makes all others wait longer.
//
// # The machine
//
// Frames travel as those of another machine do, usually that of package none, which counts lost tuples and passes over
// them. This one adds when a spout stores its position, and has a tracker (package tracking), which the task's core calls
// for each tuple: it anchors, reports, and keeps the tuples that a spout may have to emit again.
package acker
