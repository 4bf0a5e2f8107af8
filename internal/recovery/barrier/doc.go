// Package barrier is the recovery strategy of Apache Flink: consistent snapshots of the whole topology, by barriers
// that flow with the tuples, and after a failure of any task a rollback of all. Each tuple takes effect once.
//
// It is the algorithm of Carbone, Ewen, Fóra, Haridi, Richter and Tzoumas, "State Management in Apache Flink" (VLDB
// 2017), after Chandy and Lamport, on the runtime that all strategies share. New is a recovery.Factory: it makes one
// state machine per task, and that of the coordinator, a task of an operator of its own that package strategy adds.
//
// # The nouns
//
//   - A barrier stands between two tuples of a channel. The tuples before it belong to a checkpoint, those behind it
//     do not.
//   - A checkpoint is one snapshot of every task, all cut by the same barrier. It counts when it is committed.
//   - The coordinator begins checkpoints and commits them. Its decisions are in its log, and nowhere else.
//   - An epoch is the time between two rollbacks. In an epoch a task has one incarnation, and all tasks have begun
//     at the same checkpoint.
//   - A wave is the name of a barrier and its checkpoint: epoch and number.
//   - A task is fresh when it has been restored, and has not joined an epoch yet.
//
// # A checkpoint
//
//	coordinator  begin 4 ─►spouts                        all stored ─► log: 4 ─► committed 4 ─► all
//	spout        … 7 8 ┃4 9 10 …    snapshot ─► stored 4
//	bolt   in a  … 5 ┃4 6 7         waits here …
//	       in b  … 3 4 5 ┃4         … until it stands on both: snapshot, barrier to all outputs, on
//
// The snapshot is frozen at once and stored beside the work. It holds positions and state, and no tuple: what is
// under way between two tasks when the barrier passes is consumed before it by the target.
//
// # The rules
//
// Barriers (snapshot.go, input.go):
//
//   - B1: a spout lets a barrier through when the coordinator begins a checkpoint.
//   - B2: any other task, when it stands before all its inputs (alignment). An input on which it has come waits,
//     within its credit.
//   - B3: a barrier is not a message, which could be lost or overtaken. Each frame says behind which barrier it was
//     emitted, so a target knows it before it consumes anything behind it; the mark on the channel says where the
//     newest one stands, for channels on which no frame follows, and is repeated until it is known.
//
// Checkpoints (coordinator.go, task.go):
//
//   - B4: there is one at a time. The next begins when every task knows that the last one is committed.
//   - B5: it is committed when every task has reported its snapshot durable, and the decision is in the
//     coordinator's log before anyone hears of it.
//   - B6: sinks make their effects visible (bolt.Committer) when they hear that, not when their own snapshot is
//     durable: that one may yet be rolled back.
//   - B7: the last checkpoint is the one that all tasks have taken after their ends. No task is done before: until
//     then a finished one may have to run again.
//
// Epochs:
//
//   - E1: when a task of the running epoch starts again, or the coordinator itself, the coordinator opens the next
//     epoch, in its log first, and every task that is in an older one fails with a recovery.RollbackError. It is
//     restored from the committed checkpoint (Base), though its log may hold a newer snapshot.
//   - E2: the epoch runs when every task has reported, fresh, from that checkpoint. A task joins one epoch in its
//     life.
//   - E3: signals carry their epoch and frames their incarnation, and a channel is opened by signals from both ends.
//     So nothing crosses from one epoch to another, and a paused task that comes back finds no one to talk to.
//
// Channels: within an epoch, what is lost is asked for and resent. The source keeps what its target has not
// consumed; no longer, since what a target loses with its state comes again from the checkpoint.
//
// # Why it is right
//
// A committed checkpoint is a consistent cut: each task's snapshot holds exactly what is before the barrier on all
// its inputs (B2, B3), and its sources' snapshots exactly what they emitted before it (B1). All tasks of an epoch
// have begun at one and the same checkpoint (E2) and listen to no other epoch (E3), so what they do follows from the
// cut, as if nothing had been done after it; and outside nothing has (B6). One record in one log decides which cut
// counts (B5). The races:
//
//   - A task crashes after it has reported, before the commit. The checkpoint may be committed or not: the task, and
//     all others, restore what the coordinator's log says. A task that has read it a moment too early is told to
//     begin again.
//   - The coordinator crashes between the record and the word. The next one finds the record; sinks commit when they
//     are restored from the checkpoint.
//   - A task crashes during a rollback: it is fresh before and after, and the epoch waits for it.
//   - An old coordinator comes back: its log is fenced, so it decides nothing; its word is of an old epoch.
//
// # Output
//
// A sink with effects outside has two ways to do each once. Held: it stages what it gets, closes it in Snapshot, and
// makes it visible in Commit; readers see the output of a checkpoint at once, an interval late. Transactional
// fingerprint: Commit writes the effects together with the number of what Snapshot closed in one transaction, so
// that a repeated Commit is recognised.
//
// A message id is no fingerprint here. After a rollback the inputs of a task may merge in another order, and another
// tuple may get the id of one that was emitted before. An effect that is made visible in Execute may be made again.
//
// # Flow control
//
// A source sends no more than a window beyond what its target has consumed, and takes no input while it may not
// send. An input that waits for alignment fills its window, and its source stops; the barrier it waits for is before
// all that on every way from that source, so it comes.
//
// # Settings
//
// recovery.Config: SnapshotEvery is the time from one checkpoint's commit to the next one's begin; Window and
// HardBound are bounds; RetryEvery and MarkEvery delay repetitions. There is no timeout: a barrier is repeated until
// it is known, so a checkpoint ends with success or with the epoch, and giving one up would help nobody.
//
// # Caveats
//
// The failure of one task makes all tasks go back, and do again what was done since the last checkpoint. Snapshots
// are always full, since the newest may have to be passed over. Time and chance need not come from the context:
// nothing is replayed. A log that has lost what it acknowledged is found out when a task is restored, not before.
package barrier
