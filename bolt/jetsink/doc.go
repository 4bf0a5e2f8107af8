// Package jetsink is a sink that publishes each tuple to a JetStream stream, exactly once within the stream's duplicate
// window.
//
// # The nouns
//
// A message is published as soon as its tuple comes, and is in flight until the stream has acknowledged it. A snapshot
// waits until nothing is in flight, so what a snapshot covers is in the stream, and what is not is published again when
// the task is restored.
//
// Its message id (the header Nats-Msg-Id) is made of the topology's name, the tuple's id and a hash of the content
// ("words/split.0>out.1#42/…"). A stream drops a message whose id it took within its duplicate window. So a replay leaves
// no trace.
//
// # A complete example
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
//	…
//	b.Bolt("out", jetsink.New(jetsink.Config{
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
// the time a recovery takes, outages included. The default is two minutes; a stream with less than Config.Window is
// refused with ErrUnfit. And the same message id must mean the same tuple. That is so under the strategy backtrack, and under
// any strategy with snapshots if all operators before the sink are deterministic and have one input each.
//
// Where a restored task may merge its inputs in another order, as under a global rollback (barrier), the same id may
// come with another tuple. The stream does not take the two for one, since the id has the content's hash in it: nothing
// is lost, but what was published and not covered may be there twice.
//
// Strategies without snapshots (acker, none) begin again with the first message id when a task restarts, so an id proves nothing.
// Set Config.AtLeastOnce there: no ids are sent, and Execute returns when its message is acknowledged.
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
// with growing pauses, until Config.Patience has passed without an acknowledgement. Then the task fails and begins
// again. A full stream whose readers make room is thus only slow.
//
// A tuple without the field, with a subject that is none, or larger than the server's max_payload fails by itself: it
// goes to the dead letters. What the stream refuses, such as a message above its max_msg_size, is found out when the answer
// comes, which is too late for the tuple alone to fail: the task does, with a RejectedError, and after some tries the
// run. Nothing is skipped. With an InFlight of 1 the tuple itself fails, after an outage longer than Patience too.
//
// # The caller's duties
//
// Make the stream, and close the connection after the run. Give each topology that writes to it a name of its own. Message must be deterministic.
//
// Let the duplicate window pass between two runs that begin afresh under one name. A first incarnation that finds its
// message there already refuses with bolt.ErrOutputExists.
//
// # Caveats
//
// If the first incarnation dies before it has found that, its successor takes equal messages of the earlier run for its
// own.
//
// The stream is checked when a task begins, not when somebody changes it.
package jetsink
