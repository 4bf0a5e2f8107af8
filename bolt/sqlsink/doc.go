// Package sqlsink is a sink that writes each tuple as a row of a table, exactly once, through database/sql.
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
// # A complete example
//
//	open := func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("DSN")) }
//	b.Bolt("out", sqlsink.New(sqlsink.Config{
//		Open:    open,
//		Table:   "words",
//		Columns: sqlsink.Columns("word", "n"),
//		Key:     []string{"word"}, // a word that is there is updated
//	})).Fields("count", "word").Tick(100 * time.Millisecond)
//
// The statements are PostgreSQL's dialect. The driver is the caller's; it must pass on SQLSTATE by a method SQLState, as pgx
// does.
//
// # What is guaranteed
//
// Every tuple is one row (or one update), whatever process is killed when, the database's included, as long as the
// same message id means the same tuple. That is so under the strategy backtrack, and under any strategy when all operators
// before the sink are deterministic and have one input each. Where a restored task may merge its inputs in another
// order, as under a global rollback, it is not, and a sink that holds its output until the snapshot is durable must be used,
// such as bolt.File.
//
// A commit must be durable when it is answered: leave synchronous_commit on. If the database is put back to an
// older state, the restored task says ErrLost.
//
// Only the newest incarnation of a task writes. An earlier one, paused and back, finds that the position is not its own
// any more and gets ErrFenced; its transaction is rolled back.
//
// With a strategy that takes no snapshots, a tuple counts as done when Execute returns. Set Batch to 1 there.
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
// # The caller's duties
//
// Make the table. Give each topology that writes to one database a name of its own. A run that begins afresh, without the
// log of the last, finds the old positions and refuses with bolt.ErrOutputExists: delete them, together with the rows
// (DELETE FROM askback_positions WHERE topology = '…').
//
// # Caveats
//
// The check for an earlier run is made by the first incarnation of a task. If that one dies before it has reached the
// database, its successor takes the old position for its own.
//
// A change of parallelism is a new run.
package sqlsink
