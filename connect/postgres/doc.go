// Package postgres is a sink that writes tuples or values as rows of a PostgreSQL table, each exactly once, through
// database/sql.
//
// # The nouns
//
// A position is the last row of each input of a task that the table has, as text ("split.0>out.1#1-4711"). It stands in a
// table of its own, one row for each task, and is moved in the transaction that inserts the rows. So the database itself
// knows which tuples it has: a restored task, which gets those again that came after its snapshot, skips the ones at or below
// the position.
//
// A batch is the tuples of one transaction. It is written when it is full, at each tick of the operator, and
// before each snapshot: with a tick of a second a row is visible a second after its tuple, without waiting for the snapshot.
// A typed sink is ticked every second by default, and a bolt as its topology declares.
//
// With Config.Hold a batch is the tuples between two snapshots. It is held in a table beside the target, and moved when
// its snapshot counts; the position is the number of the last batch that was moved, and goes up in the same transaction.
//
//	Execute   "words_held": rows of batch 8, a transaction for each Config.Batch of them
//	Snapshot  the rest of batch 8; the rows from now on are of batch 9
//	Commit    one transaction: position 7 becomes 8, batch 8 goes from "words_held" to "words"
//
// Bolt makes the sink for a topology of rows, Sink the typed one for package stream. Both write alike.
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
// The same with types, where the columns follow from the struct:
//
//	stream.To(totals, "out", postgres.Sink[Total](postgres.Config{Open: open, Table: "words", Key: []string{"word"}, Hold: true}))
//
// The statements are PostgreSQL's dialect. The driver is the caller's; it must pass on SQLSTATE by a method SQLState, as pgx
// does.
//
// # What is guaranteed
//
// Every tuple is one row (or one update), whatever process is killed when, the database's included. The right way of
// the two depends on what a restored task gets again:
//
//   - The same tuples in the same order with the same message ids: no Hold. The strategy backtrack gives these, and a
//     row is visible at once.
//   - Perhaps others, or in another order, because all tasks go back together and merge their inputs anew: Hold. The
//     strategy barrier gives these. A row is visible when the checkpoint is committed, all rows of a task in an
//     interval together. Hold is right under backtrack too, and only later.
//
// A topology whose strategy does not fit is refused when it is built. So is one whose strategy takes no snapshots of bolts
// (none, acker).
//
// A commit must be durable when it is answered: leave synchronous_commit on. If the database is put back to an
// older state, the restored task fails with ErrLost.
//
// Only the newest incarnation of a task writes. An earlier one, paused and back, finds that the position is not its own
// any more and gets ErrFenced; its transaction is rolled back. With Hold that goes for the rows that it holds, too.
//
// # Failures
//
// A connection that is lost, a server that restarts, a deadlock or a serialization failure: the transaction is tried
// again, with growing pauses, for as long as Config.Timeout. Then, and when a permission is missing, the error is an outage
// (bolt.Outage): the task is restarted until the outage is over, and no tuple is given up.
//
// A table, a column or a key's index that does not exist fails the topology when the task begins.
//
// A tuple that has no such field, or a value that cannot be read, fails by itself: the operator's retries and its error
// policy decide.
//
// A row that the database refuses is a RejectedError, which names the table, the tuple and the row. In a batch it is found
// too late for the tuple alone to fail, so the topology does, and nothing is skipped. With a Batch of 1 the tuple itself
// fails, and the operator's retries and its error policy decide.
//
// With Hold the same holds for types, NOT NULL and CHECK, which the table of held rows has from the target. Refusals
// that only the target can make (a unique index that is not Key, a foreign key, a trigger) come from Commit. Then the
// checkpoint counts already, and the topology fails until the row in the way is corrected by hand; the error names the
// place of the rows.
//
// # The caller's duties
//
// Make the table. Give each topology that writes to one database a name of its own. A run that begins afresh, without the
// log of the last, finds the old positions and is refused with bolt.ErrOutputExists, however often it is started: delete them,
// together with the rows (DELETE FROM askback_positions WHERE topology = '…'). Rows that are held need no care.
//
// When the columns of a table with Hold are changed, drop the table of held rows between two runs that have ended: it
// is made again.
//
// # Caveats
//
// The check for an earlier run is made by the first incarnation of a task, which marks the position that it refuses. If it
// dies before it has reached the database, its successor takes the old position for its own; with Hold it does not. A run
// that is still going on when another begins under its name goes on, but a task of it that is restarted before its
// first snapshot is refused too.
//
// With Hold, all rows between two snapshots are moved by one transaction, and Config.Timeout must be longer than that takes.
//
// A change of parallelism is a new run.
package postgres
