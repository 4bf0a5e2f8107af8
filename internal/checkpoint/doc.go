// Package checkpoint is the task log: the durable history of a task, from which its next incarnation is restored.
//
// The nouns:
//
//   - A Log is one topology's sequence of entries, each of which belongs to one task alias. It offers compare-and-set:
//     an entry is added only behind the alias's last one that the caller knows. Package natslog keeps it in NATS
//     JetStream, package memlog in memory.
//   - A Writer is one incarnation of an alias. It begins with a begin record; from then on no earlier incarnation can
//     append: it is fenced.
//   - A determinant record holds outcomes that a replay could not repeat: from which channel a task consumed, which time it
//     read. This package does not interpret it.
//   - A snapshot is uploaded in chunks, and counts when its commit record is in the log. It is full, or an increment
//     on the snapshot before: a full one and the increments on it are a chain.
//   - A History is the part of the log that a new incarnation restores: the newest chain, and the determinant records
//     behind it.
//
// A task's life:
//
//	w, h, err := checkpoint.Open(ctx, log, alias, checkpoint.Options{})
//	restore(h.Chain)                             // then consume again in the order of h.Determinants
//	err = w.Append(ctx, determinants)             // now what followed from it may be released
//	up := w.Begin(snapshot, true).Covers(w.Mark())
//	for done := false; !done; {
//		done, err = up.Step(ctx)             // w.Append may come between
//	}
//	err = w.Purge(ctx)
//
// # Lost answers
//
// An append whose answer is lost is looked up in the log, by its writer's random id and its number. If it is there, it was
// appended; if a record of a higher incarnation is, this one is fenced; if the writer's own last record is no longer there,
// the log went back; if there is no new record, the same one is tried again, and should the first try still arrive,
// compare-and-set makes only one count.
//
// # The caller's duties
//
//   - One goroutine at a time uses a Writer. All calls block; there is no goroutine and no clock in this package, so pauses
//     between tries come from Options.Pause, and limits from ctx.
//   - After ErrFenced, stop. After ErrWentBack or ErrGone, a live task calls Rebegin and uploads a full snapshot.
//   - After ErrUnknown the record may be in the log, now or later. The next append takes it into account, but a determinant
//     record given to Append again is then there twice: determinant records carry numbers of their own, by which their
//     reader drops duplicates.
//   - Snapshots are captured one after another, and all determinants that led to a captured state are appended before its
//     upload's last step; see Writer.Begin.
//
// # Damage
//
// Every record has checksums, the number of determinant records before it, and each snapshot names those that it needs. So
// a flipped bit, an entry that the store has lost and a stray record of a paused incarnation are all noticed. A damaged
// snapshot is passed over for the one before. A damaged or missing determinant record that no later snapshot covers cannot
// be replaced: Open fails with ErrDamaged rather than restore a state that no task ever had. Only the loss of an alias's
// newest entries, as after a power cut, leaves no trace: then the history is complete but earlier.
//
// Caveats: History holds the chain in memory, once. A task that has called Rebegin cannot be restored until its next
// full snapshot is committed.
package checkpoint
