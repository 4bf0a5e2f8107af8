// Package core holds the knowledge and the decisions of a leading nimbus. It has no goroutine, NATS, disk or clock:
// heartbeats, requests and the time come in, and records to be written come out.
//
// # The nouns
//
//   - A Core is the knowledge of one leader: the records and hosts as it has written them, and the heartbeats that it
//     has received.
//   - A Write is one record as it is to be from now on, or its end, with the events to publish with it.
//   - A slot is silent for the time since its last heartbeat, as far as nimbus was listening.
//
// # The caller's duties
//
//  1. Load the records, after winning the lease and before anything else.
//  2. Tell each heartbeat, with the moment at which it arrived.
//  3. Put each Write into the bucket, and only then call Stored. A Write that fails changes nothing; one whose outcome
//     is not known is settled by loading again.
//  4. Call Decide now and then and after each request, until it has nothing to write. See Core.Decide.
//  5. Say Listening when messages may have been missed: silence before does not count.
//
// All methods belong to one goroutine. Records that it gives are shared: they are replaced, never changed.
package core
