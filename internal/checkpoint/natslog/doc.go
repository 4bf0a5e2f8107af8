// Package natslog keeps the task log in NATS JetStream.
//
// A topology's log is one stream, named prefix-topology, and each task alias has one subject in it:
//
//	stream   askback-wordcount
//	subjects askback.wordcount.log.>
//	entry    askback.wordcount.log.count.3
//
// One stream, and not one for each task, since its order is then a global one: a server that loses its newest entries
// sends the whole topology back to one consistent earlier moment. Positions are the stream's sequence numbers, and an
// append is one published message with a compare-and-set on the last sequence number of its subject.
//
//	nc, err := nats.Connect(url)
//	log, err := natslog.Open(ctx, nc, natslog.Options{Topology: "wordcount"})
//	w, history, err := checkpoint.Open(ctx, log, alias, checkpoint.Options{Pause: pause})
//
// # Durability
//
//	durability  server setting      process killed  server kill -9  power cut
//	process     (default)           all             all             all but the last sync_interval (2 min)
//	power       sync_always: true   all             all             all
//
// JetStream acknowledges before it syncs to disk unless sync_always is set, which is a setting of the server: a client can
// neither choose it for a stream nor ask for it. So Options.Durability states the operator's configuration, and decides one
// thing only: how soon old snapshots may be purged. With Power stated for a server without sync_always, a power cut may
// take the only snapshot that purging has left.
//
// # The caller's duties
//
// The connection belongs to the caller. Give it options under which a dead server is noticed soon, and unlimited
// reconnects: an append under way when the connection breaks ends as ErrUnknown after its time limit, and the Writer
// settles it. A restore reads megabytes: do not share the connection with the data channels.
//
// # Caveats
//
// A denied publish gets no answer, so missing permissions show as ErrUnknown here and as an asynchronous error of the
// connection. A log needs to publish to prefix.topology.log.> and to $JS.API.STREAM.INFO, .CREATE, .PURGE, .MSG.GET and
// $JS.API.DIRECT.GET of its stream, and to receive on its inbox.
package natslog
