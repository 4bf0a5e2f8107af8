// Package journal makes a source that cannot be read again one that can: it writes each message that is pushed over
// HTTP or arrives on a plain NATS subject to a JetStream stream before it acknowledges it, and a topology reads it from
// there (package connect/jetstream). Spark Streaming calls this a write-ahead log.
//
// # The nouns
//
// A Journal is a stream together with its writers. It is safe for concurrent use.
//
// A request is an HTTP POST of JSON lines: one JSON value on each line, as many lines as one likes. It becomes one
// message of the stream, so it is there whole or not at all.
//
// A Server is an HTTP server for a journal.
//
// # A complete example
//
//	nc, err := nats.Connect("nats://127.0.0.1:4222", nats.MaxReconnects(-1))
//	…
//	j, err := journal.Open(ctx, nc, journal.Options{Stream: "clicks"})
//	…
//	defer j.Close()
//	server, err := journal.NewServer(j, journal.ServerOptions{Addr: "127.0.0.1:8080"})
//	…
//	go server.Serve(ctx)
//	err = j.Listen("clicks.raw.>")
//
//	b.Spout("clicks", jetstream.Spout(nc, "clicks", jetstream.Data).Lines()).Fields("click")
//
// From a shell:
//
//	printf '{"user":1}\n{"user":2}\n' | curl --data-binary @- http://127.0.0.1:8080/
//	{"lines":2,"seq":1}
//
// # HTTP
//
// POST / writes to the subject journal.STREAM.http, POST /TOPIC to journal.STREAM.http.TOPIC.
//
//	200  durable. "seq" is where; "duplicate" says that an earlier request with the same key and lines had brought it
//	400  a line is not one JSON value in UTF-8 (its number is told), there is no line, or a bad key
//	401  the token is missing or wrong
//	403  from a web page: browsers have no business here
//	404  the path is not a topic, which has 1 to 64 of A-Z a-z 0-9 _ -
//	405  not a POST
//	413  the body is larger than MaxBody, which is told
//	415  the body is compressed
//	429  more than MaxPending bytes are on their way; Retry-After says when to come again
//	503  JetStream cannot be reached or did not answer in time; Retry-After
//	507  the stream or the server's disk is full
//
// A request that is answered by 4xx or 507 has no effect on the stream. One that is answered by 503, or not at all, may
// have been written or not. Sent again it may be there twice, unless both carry the same header Idempotency-Key within
// Options.Window. The key counts together with the lines: a key that is used again for other lines, by mistake, loses
// nothing.
//
// # Plain NATS
//
// Listen writes each message that arrives on a subject, with any bytes, to journal.STREAM.nats.SUBJECT. A message that
// names a reply subject is answered by "+OK" when it is durable, and by "-ERR" and the reason when it is not. One that
// names none is lost without a trace for its sender if the journal is away or the stream is full; it is counted in
// Stats. A message's header Nats-Msg-Id works as Idempotency-Key does; other headers are not kept. Several journals may
// listen to a subject: each message goes to one.
//
// # What it survives
//
// An acknowledged request survives the death of any process, kill -9 of the NATS server included. A power cut loses
// writes that the server has not synced (sync_interval, 2 minutes) unless it runs with sync_always or has replicas.
//
// # The caller's duties
//
// Size the stream: it is full when MaxBytes are in it, and forgets messages older than MaxAge, read or not. A topology
// that is behind by more than that fails with an error that gives the reason. Stop the HTTP server before Close:
// NewServer's does when its ctx ends. The connection remains the caller's.
package journal
