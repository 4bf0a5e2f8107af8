// Package natschan is the transport over NATS.
//
//	t, err := natschan.Dial(natschan.Config{URL: "nats://127.0.0.1:4222", Topology: "wordcount"})
//	if err != nil {
//		return err
//	}
//	defer t.Close()
//	e, err := t.Join(msgid.Alias{Operator: "count", Index: 3}, deliver)
//
// # Nouns
//
// A Transport is two connections: one for data, one for control and replay, so that recovery does not wait
// behind the data that it recovers, and a blocked publish on one does not silence the other. A message from
// split.1 to count.3 travels on
//
//	<prefix>.<topology>.data.split.1.count.3
//
// and likewise on ctl and replay; count.3 subscribes to <prefix>.<topology>.data.*.*.count.3. Source and target are both in
// the subject, so that the server's permissions can bind them: a worker that runs count.3 needs to publish to
// <prefix>.<topology>.*.count.3.*.* and to subscribe to <prefix>.<topology>.*.*.*.count.3. An Event is a change of a
// connection; Stats are counters.
//
// # Goroutines
//
// The client library reads each connection on one goroutine and calls deliver on one more for each kind and
// endpoint. Events come on one goroutine per connection, Foreign on that of the endpoint.
//
// # Caveats
//
// Core NATS loses messages without an error when a server dies or a connection breaks. Stats.Lost counts the losses that
// this package notices; most remain unknown. While there is no connection, messages are not buffered: they would arrive
// late and in bulk, and targets ask for the tuples anyway.
//
// Join is confirmed by the server that the transport is connected to. In a cluster of servers, the others learn
// of it a moment later.
//
// A dead connection is noticed after about 3 s of silence (a ping a second, two unanswered), or after 2 s of a
// blocked write, and is replaced for as long as it takes.
package natschan
