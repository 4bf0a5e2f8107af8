// Package tracking is a task's part in strategy acker: it follows the tuple trees that the task takes part in. The nouns
// are those of package acker: root, tree, edge, ledger.
//
//   - A Tracker is the part of one task: the root of its current outputs, and the edges of that root that it has not
//     reported to the ledger yet.
//   - A Pending is added for a spout task: the tuples that are not known to be processed, so that it can emit them again,
//     and the position from which the spout continues after a restart.
//
// A tracker belongs to the machine of its task (see Machine), which stores the position of Pending and reports its
// bytes; the task's core calls it:
//
//	Deliver, Turn, Executed     a frame is consumed: it comes, its tuples come of another root, a tuple is done
//	Root, Anchored, TakenBack   a tuple is emitted: which root it comes of; it is on a channel; the call is void
//	Begin, Emitted              a spout emits the root of a tree
//	Pending                     a spout is polled: again, wait, or end? a root is complete
//
// The core of a task whose strategy follows no tuples has no tracker, and pays one branch for each tuple. Otherwise the
// core holds the tracker by its type and not by an interface, since most of these calls come once for each tuple.
package tracking
