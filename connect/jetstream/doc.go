// Package jetstream reads JetStream streams, each message exactly once by its sequence number, and publishes messages to one,
// exactly once within the stream's duplicate window.
//
// Beside the package of the same name in nats.go, one of the two is imported under another name:
//
//	natsjs "github.com/nats-io/nats.go/jetstream"
//
// # The nouns
//
// A Source names a stream and the part of it that is read: which subjects, from where, until where. Messages makes a typed
// one, for package stream, and Spout one of rows, for package topology; both read alike.
//
// A position is the sequence number of the message that comes next, together with the end, if there is one.
//
// A sink publishes a Message for each value or tuple. Sink makes a typed one, and Bolt one of rows; both publish alike. A
// message is published as soon as its tuple comes, and is in flight until the stream has acknowledged it. A snapshot
// waits until nothing is in flight, so messages that a snapshot covers are in the stream, and others are published again when
// the task is restored.
//
// The message id (the header Nats-Msg-Id) is made of the topology's name, the tuple's id and a hash of the content
// ("words/split.0>out.1#42/…"). A stream drops a message whose id it took within its duplicate window. So a replay leaves
// no trace. A message of a typed sink may have an ID of its own.
//
// # A complete example
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
//	…
//	t := stream.New("orders")
//	orders := stream.From(t, "orders", jetstream.Messages(nc, "ORDERS").Subjects("orders.eu.>", "orders.us.>"))
//	large := stream.Filter(orders, "large", func(m jetstream.Message) bool { return len(m.Data) > 1000 })
//	stream.To(large, "out", jetstream.Sink(jetstream.SinkConfig{Conn: nc, Stream: "LARGE", Subject: "large"},
//		func(m jetstream.Message) jetstream.Message { return jetstream.Message{Data: m.Data} }))
//
// The same in rows:
//
//	b := topology.New("orders")
//	b.Spout("orders", jetstream.Spout(nc, "ORDERS", jetstream.Data).Subjects("orders.eu.>", "orders.us.>")).Fields("order")
//	b.Bolt("large", bolt.Func(large)).Shuffle("orders").Fields("order")
//	b.Bolt("out", jetstream.Bolt(jetstream.SinkConfig{Conn: nc, Stream: "LARGE", Subject: "large"}, jetstream.Field("order"))).Shuffle("large")
//
// Lines that package connect/journal has written are read one by one:
//
//	b.Spout("clicks", jetstream.Spout(nc, "clicks", jetstream.Data).Lines()).Fields("click")
//
// # Reading: the end
//
// A source follows its stream for ever, unless Ends is given: then its input ends with the last message that there was
// when the first task opened. The end is decided once. It is part of the position, so a task that is restored, in this
// process or another, ends at the same place, whatever has been written meanwhile.
//
// # Reading: several tasks
//
// With n tasks, task i takes the messages whose sequence number leaves the remainder i when divided by n. With
// BySubject a subject's messages all go to one task, and keep their order. Either way each task is sent the whole of
// the stream and drops the messages of others: more tasks spread the work of emitting, not of reading.
//
// # Reading: messages that come again
//
// A restored task must emit the same messages again, so the stream must still hold those that came after its snapshot. If
// its limits (max_age, max_bytes, max_msgs) or a purge have taken messages that have not been read yet, the topology
// fails with a MissingError; a source never skips them silently. A stream that loses messages by design (a work queue,
// interest retention, max_msgs_per_subject) is refused with ErrUnfit. So is one that was deleted and made again, or
// went back: ErrChanged.
//
// # Publishing: the guarantee
//
// Nothing is lost: a task's snapshot never covers a message that the stream has not acknowledged.
//
// Nothing is twice in the stream, whatever process is killed when, the server included, on two conditions. From a
// message's first publishing to its last, the duplicate window must not pass: that is the time between two snapshots
// plus the time a recovery takes, outages included. The default is two minutes; a stream with less than
// SinkConfig.Window is refused with ErrUnfit. And the same message id must mean the same tuple. An ID that the message
// itself has meets that, under the strategy backtrack, and under any strategy with snapshots if all operators before
// the sink are deterministic and have one input each.
//
// Where a restored task may merge its inputs in another order, as under a global rollback (barrier), the same id may
// come with another tuple. The stream does not take the two for one, since the id has the content's hash in it: nothing
// is lost, but a message that was published and not covered may be there twice.
//
// Strategies without snapshots (acker, none) begin again with the first message id when a task restarts, so an id proves nothing.
// They are refused when the topology is built, unless SinkConfig.AtLeastOnce is set: then the sink makes no ids, and a call
// returns when its message is acknowledged.
//
// A stream must keep the messages that it acknowledges. A server that syncs its disk late (sync_interval) and is not
// replicated may lose the last messages in a power cut; they are not published again.
//
// # Publishing: order
//
// Messages of a task are published in the order of its tuples, and stored so while the connection lasts. When one
// fails, everything in flight is sent again in order, but later ones may have been stored already, in particular those
// that the client gathered while it reconnected: around an outage, messages that were in flight together may be swapped.
// With an InFlight of 1 they never are. A replay is in order too, and messages that it does not find in the stream come behind
// those that it finds.
//
// # Failures
//
// A source waits for a server that is away. A sink sends again, with the same ids and growing pauses, until
// SinkConfig.Timeout has passed without an acknowledgement, as it does when the stream is full. Then the error is an
// outage (bolt.Outage): the task is restarted until the outage is over, and no tuple is given up. A full stream whose
// readers make room is thus only slow.
//
// A tuple without the field, with a subject that is none, or larger than the server's max_payload fails by itself: the
// operator's retries and its error policy decide. A message that the stream refuses, such as one above its max_msg_size, is
// found when the answer comes, which is too late for the tuple alone to fail: the topology does, with a
// RejectedError. Nothing is skipped. With an InFlight of 1 the tuple itself fails.
//
// # The caller's duties
//
// Make the stream. The connection is the caller's: it outlives the topology, and reconnects (nats.MaxReconnects(-1)), so that a
// server which restarts is only a pause. Make a new Source or sink for each run. Give each topology that writes to a stream a
// name of its own.
//
// Let the duplicate window pass between two runs that begin afresh under one name. A first incarnation that finds its
// message there already fails with bolt.ErrOutputExists. Messages that have an ID of their own are not concerned.
//
// # Caveats
//
// A message deleted from the middle of the stream between a task's death and its restoration is noticed by the
// receiving tasks only, as a divergence. With subjects given, "missing" is judged by the stream's first sequence
// number, since the subject of a message that is gone is unknown. A process that dies before its tasks'
// first snapshots decides the start and the end again.
//
// If the first incarnation of a sink dies before it has found the messages of an earlier run, its successor takes equal ones
// for its own.
//
// The stream is checked when a task begins, not when somebody changes it.
package jetstream
