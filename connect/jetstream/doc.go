// Package jetstream reads JetStream streams, from the sequence number in a snapshot, and publishes each tuple to one, exactly
// once within the stream's duplicate window.
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
//	b.Spout("orders", jetstream.Spout(nc, "ORDERS").Subjects("orders.eu.>", "orders.us.>").Take(jetstream.Data)).Fields("order")
//
// What package journal has written is read line by line:
//
//	b.Spout("clicks", jetstream.Spout(nc, "clicks").Lines().Take(jetstream.Data)).Fields("click")
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
//
// # The sink
//
// A message is published as soon as its tuple comes, and is in flight until the stream has acknowledged it. A snapshot
// waits until nothing is in flight, so what a snapshot covers is in the stream, and what is not is published again when
// the task is restored.
//
// Its message id (the header Nats-Msg-Id) is made of the topology's name, the tuple's id and a hash of the content
// ("words/split.0>out.1#42/…"). A stream drops a message whose id it took within its duplicate window. So a replay leaves
// no trace.
//
// # A complete sink
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
//	…
//	b.Bolt("out", jetstream.Bolt(jetstream.SinkConfig{
//		Conn:    nc,
//		Stream:  "WORDS",
//		Subject: "words.counted",
//		Field:   "word", // the payload; by default the whole tuple, as msgpack
//	})).Shuffle("count")
//
// # What is guaranteed
//
// Nothing is lost: a task's snapshot never covers what the stream has not acknowledged.
//
// Nothing is twice in the stream, whatever process is killed when, the server included, on two conditions. From a
// message's first publishing to its last, the duplicate window must not pass: that is the time between two snapshots plus
// the time a recovery takes, outages included. The default is two minutes; a stream with less than SinkConfig.Window is
// refused with ErrUnfit. And the same message id must mean the same tuple. That is so under the strategy backtrack, and under
// any strategy with snapshots if all operators before the sink are deterministic and have one input each.
//
// Where a restored task may merge its inputs in another order, as under a global rollback (barrier), the same id may
// come with another tuple. The stream does not take the two for one, since the id has the content's hash in it: nothing
// is lost, but what was published and not covered may be there twice.
//
// Strategies without snapshots (acker, none) begin again with the first message id when a task restarts, so an id proves nothing.
// Set SinkConfig.AtLeastOnce there: no ids are sent, and Execute returns when its message is acknowledged.
//
// A stream must keep what it acknowledges. A server that syncs its disk late (sync_interval) and is not replicated may lose
// the last messages in a power cut; nobody publishes them again.
//
// # Order
//
// Messages of a task are published in the order of its tuples, and stored so while the connection lasts. When one
// fails, everything in flight is sent again in order, but later ones may have been stored already, in particular those
// that the client gathered while it reconnected: around an outage, messages that were in flight together may be swapped.
// With an InFlight of 1 they never are. A replay is in order too, and what it does not find in the stream comes behind
// what it finds.
//
// # Failures
//
// A connection that is lost, a server that restarts, a full stream: what is in flight is sent again with the same ids,
// with growing pauses, until SinkConfig.Patience has passed without an acknowledgement. Then the task fails and begins
// again. A full stream whose readers make room is thus only slow.
//
// A tuple without the field, with a subject that is none, or larger than the server's max_payload fails by itself: it
// goes to the dead letters. What the stream refuses, such as a message above its max_msg_size, is found out when the answer
// comes, which is too late for the tuple alone to fail: the task does, with a RejectedError, and after some tries the
// run. Nothing is skipped. With an InFlight of 1 the tuple itself fails, after an outage longer than Patience too.
//
// # The duties of a sink's caller
//
// Make the stream, and close the connection after the run. Give each topology that writes to it a name of its own. Message must be deterministic.
//
// Let the duplicate window pass between two runs that begin afresh under one name. A first incarnation that finds its
// message there already refuses with bolt.ErrOutputExists.
//
// # Caveats of the sink
//
// If the first incarnation dies before it has found that, its successor takes equal messages of the earlier run for its
// own.
//
// The stream is checked when a task begins, not when somebody changes it.
package jetstream
