// Package postgres is a sink that writes each tuple as a row of a table, exactly once, through database/sql.
//
// # The nouns
//
// A position is what has been written: the last sequence number of each virtual channel into a task, as text
// ("split.0>out.1#1-4711"). It stands in a table of its own, one row for each task, and is moved in the transaction
// that inserts the rows. So the database itself says which tuples it has: a restored task, which gets again what came after
// its snapshot, skips what is at or below the position.
//
// A batch is the tuples of one transaction. It is written when it is full, at each tick of the operator, and
// before each snapshot: a row is to be seen about a second after its tuple at the latest, without waiting for the snapshot.
//
// With Config.Hold a batch is what comes between two snapshots. It is held in a table beside the target, and moved when
// its snapshot counts; the position is the number of the last batch that was moved, and goes up in the same transaction.
//
//	Execute   "words_held": rows of batch 8, a transaction for each Config.Batch of them
//	Snapshot  the rest of batch 8; what comes from now on is of batch 9
//	Commit    one transaction: position 7 becomes 8, batch 8 goes from "words_held" to "words"
//
// # A complete example
//
//	open := func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("DSN")) }
//	b.Bolt("out", postgres.Bolt(postgres.Config{
//		Open:    open,
//		Table:   "words",
//		Columns: postgres.Columns("word", "n"),
//		Key:     []string{"word"}, // a word that is there is updated
//	})).GroupBy("count", "word").Tick(100 * time.Millisecond)
//
// The statements are PostgreSQL's dialect. The driver is the caller's; it must pass on SQLSTATE by a method SQLState, as pgx
// does.
//
// # What is guaranteed
//
// Every tuple is one row (or one update), whatever process is killed when, the database's included. Which of the two ways
// it takes depends on what a restored task gets again:
//
//   - The same tuples with the same message ids: no Hold. That is so under the strategy backtrack, and a row is there at
//     once.
//   - Perhaps others, or in another order, because all tasks go back together and merge their inputs anew: Hold. That is so
//     under the strategy barrier. A row is there when the checkpoint is committed, all rows of a task in an interval together.
//     Hold is right under backtrack too, and only later.
//
// Without Hold, under barrier, rows are lost and others doubled after a failure, and nothing says so: a sink is not told the
// strategy. With Hold, under a strategy that takes no snapshots of bolts (none, acker), no row ever leaves the table beside.
//
// A commit must be durable when it is answered: leave synchronous_commit on. If the database is put back to an
// older state, the restored task says ErrLost.
//
// Only the newest incarnation of a task writes. An earlier one, paused and back, finds that the position is not its own
// any more and gets ErrFenced; its transaction is rolled back. With Hold that goes for the rows that it holds, too.
//
// With a strategy that takes no snapshots of bolts, a tuple counts as done when Execute returns. Set Batch to 1 there.
//
// # Failures
//
// A connection that is lost, a server that restarts, a deadlock or a serialization failure: the transaction is tried
// again, with growing pauses, for as long as Config.Patience. Then the task fails and begins again. Nothing is lost and nothing
// is given up meanwhile; the operator's retry policy has no part in it.
//
// A tuple that has no such field, or a value that cannot be read, fails by itself: it goes to the dead letters.
//
// A row that the database refuses is found out, and the error names the table and the tuple. In a batch it comes too late for
// the tuple alone to fail, so the task does, and after some tries the run: nothing is skipped. With a Batch of 1 the
// tuple itself fails, and the operator's retries and dead letters take care of it.
//
// With Hold that is true of types, NOT NULL and CHECK, which the table of held rows takes over when it is created. What
// only the target can refuse (a unique index that is not Key, a foreign key, a trigger) is found out by Commit. Then
// the checkpoint counts already, and the task fails until somebody has put right what is in the way; the error
// says where the rows are.
//
// # The caller's duties
//
// Make the table. Give each topology that writes to one database a name of its own. A run that begins afresh, without the
// log of the last, finds the old positions and refuses with bolt.ErrOutputExists: delete them, together with the rows
// (DELETE FROM askback_positions WHERE topology = '…'). Rows that are held need no care.
//
// When the columns of a table with Hold are changed, drop the table of held rows between two runs that have ended: it
// is made again.
//
// # Caveats
//
// The check for an earlier run is made by the first incarnation of a task. If that one dies before it has reached the
// database, its successor takes the old position for its own; with Hold it does not.
//
// With Hold, what comes between two snapshots is moved by one transaction, and Config.Patience must be longer than that takes.
//
// A change of parallelism is a new run.
package postgres
