// Package barrier is the recovery strategy of Apache Flink: consistent snapshots of the whole topology, by barriers
// that flow with the tuples, and after a failure of any task a rollback of all. Each tuple takes effect once.
//
// It is the algorithm of Carbone, Ewen, Fóra, Haridi, Richter and Tzoumas, "State Management in Apache Flink" (VLDB 2017),
// after Chandy and Lamport, on the runtime that all strategies share. New is a recovery.Factory: it makes one state machine
// per task, and that of the coordinator, a task of an operator of its own that package strategies adds.
//
// # The nouns
//
//   - A barrier is a position between two tuples of a channel. The tuples before it belong to a checkpoint, those behind it
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
// The snapshot is frozen at once and stored beside the work. It holds positions and state, and no tuple: the target
// consumes all tuples that are before the barrier on a channel before it takes its own snapshot.
//
// # The rules
//
// Barriers (snapshot.go, input.go):
//
//   - B1: a spout lets a barrier through when the coordinator begins a checkpoint.
//   - B2: any other task, when it is next on all its inputs (alignment). An input at its barrier waits, within its credit.
//   - B3: a barrier is not a message, which could be lost or overtaken. Each frame names the barrier behind which it was
//     emitted, so a target knows the barrier before it consumes a tuple behind it. The mark on the channel holds the
//     position of the newest barrier, for channels on which no frame follows, and is repeated until the target confirms it.
//
// Checkpoints (coordinator.go, task.go):
//
//   - B4: there is one at a time. The next begins when every task has confirmed that the last one is committed.
//   - B5: it is committed when every task has reported its snapshot durable, and the decision is in the coordinator's log
//     before any task is notified.
//   - B6: sinks make their effects visible (bolt.Committer) when they are notified of the commit, not when their own
//     snapshot is durable: that one may yet be rolled back.
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
//   - E3: signals carry their epoch and frames their incarnation, and a channel is opened by signals from both ends. So no
//     message counts in another epoch than its own, and peers reject those of a paused task that resumes.
//
// Channels: within an epoch, lost tuples are asked for and resent. The source retains a frame until its target has consumed
// it; no longer, since tuples that a target loses with its state come again from the checkpoint.
//
// # Why it is right
//
// A committed checkpoint is a consistent cut: each task's snapshot covers exactly the tuples before the barrier on all its
// inputs (B2, B3), and its sources' snapshots exactly those that they emitted before it (B1). All tasks of an epoch have
// begun at one and the same checkpoint (E2) and accept messages of no other epoch (E3), so their work follows from the cut,
// as if none had been done after it; and no effect of that work was visible outside (B6). One record in one log decides
// which cut counts (B5). The races:
//
//   - A task crashes after it has reported, before the commit. The checkpoint may be committed or not: the task, and all
//     others, restore the checkpoint that the coordinator's log names. A task that has read the log a moment too early has
//     to begin again.
//   - The coordinator crashes between the record and the notices. The next one finds the record; sinks commit when they are
//     restored from the checkpoint.
//   - A task crashes during a rollback: it is fresh before and after, and the epoch waits for it.
//   - An old coordinator resumes: its log is fenced, so it cannot decide; its notices are of an old epoch.
//
// # Output
//
// A sink with effects outside has two ways to do each once. Held: it stages its input, closes the stage in Snapshot, and
// makes it visible in Commit; readers see the whole output of a checkpoint together, an interval late. Transactional
// fingerprint: Commit writes the effects and the number of the closed stage in one transaction, so that a repeated Commit
// is recognised.
//
// A message id is no fingerprint here. After a rollback the inputs of a task may merge in another order, and another
// tuple may get the id of one that was emitted before. An effect that is made visible in Execute may be made again.
//
// # Flow control
//
// A source sends no more than a window beyond its target's consumed position, and takes no input while it may not send. An
// input that waits for alignment fills its window, and its source stops; the barrier that it waits for is before those
// frames on every path from that source, so it arrives.
//
// # Settings
//
// recovery.Config: SnapshotEvery is the time from one checkpoint's commit to the next one's begin; Window and HardBound are
// bounds; RetryEvery and MarkEvery delay repetitions. There is no timeout: a barrier is repeated until it is confirmed, so
// a checkpoint ends with success or with the epoch, and giving one up would not help.
//
// # Caveats
//
// The failure of one task makes all tasks go back, and repeat the work since the last checkpoint. Snapshots are always
// full, since the newest may have to be passed over. Time and chance need not come from the context: no work has to be
// repeated exactly. A log that has lost acknowledged records is detected only when a task is restored.
package barrier
