// Package jetspout is a spout that reads a JetStream stream, from the sequence number in its snapshot.
//
// # The nouns
//
// A Source names a stream and says what is read of it: which subjects, from where, until where, and which Columns a
// tuple has. It makes the spout of each task.
//
// The position is the sequence number of the message that comes next, together with the end, if there is one.
//
// # A complete example
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222")
//	…
//	b := topology.New("orders")
//	b.Spout("orders", jetspout.Stream(nc, "ORDERS").Subjects("orders.eu.>", "orders.us.>").Take(jetspout.Data)).Fields("order")
//
// What package journal has written is read line by line:
//
//	b.Spout("clicks", jetspout.Stream(nc, "clicks").Lines().Take(jetspout.Data)).Fields("click")
//
// # The end
//
// A source follows its stream for ever, unless Ends is given: then its input ends with the last message that there
// was when the first task opened. That end is decided once. It is part of the position, so a task that is restored,
// in this process or another, ends at the same place, whatever has been written meanwhile.
//
// # Several tasks
//
// Of n tasks, task i takes the messages whose sequence number leaves the remainder i when divided by n. With
// BySubject a subject's messages all go to one task, and keep their order. Either way each task is sent the whole
// of the stream and drops what belongs to others: more tasks spread the work of emitting, not of reading.
//
// # What is read again
//
// A restored task must emit the same tuples again, so the stream must still hold what came after its snapshot. If
// its limits (max_age, max_bytes, max_msgs) or a purge have taken messages that have not been read yet, the task
// fails with a MissingError; it never skips them silently. A stream that loses messages by design (a work queue,
// interest retention, max_msgs_per_subject) is refused with ErrUnfit. So is one that was deleted and made again, or
// went back: ErrChanged.
//
// # The caller's duties
//
// The connection is the caller's: it outlives the topology, and reconnects (nats.MaxReconnects(-1)), so that a
// server which restarts is only a pause. Make a new Source for each run.
//
// # Caveats
//
// A message deleted from the middle of the stream between a task's death and its restoration is noticed by the
// receiving tasks only, as a divergence. With subjects given, "missing" is judged by the stream's first sequence
// number, since nobody can tell which subject a message had that is gone. A process that dies before its tasks'
// first snapshots decides the start and the end again.
package jetspout
