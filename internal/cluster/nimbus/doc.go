// Package nimbus leads a cluster: it decides which tasks run where, and answers its users.
//
//	n, err := nimbus.New(nimbus.Config{Connection: cluster.Connection{Servers: "nats://127.0.0.1:4222"}})
//	if err != nil {
//		return err
//	}
//	return n.Run(ctx)
//
// # The nouns
//
// Several nimbuses may run; the one that holds the lease leads, for a term. A term has one loop, which makes all decisions,
// by package core: so concurrent requests have one outcome. A write is in force when the bucket has it, and the bucket
// accepts it only from the newest epoch.
//
//	heartbeats, requests, time ──> loop ──core──> writes ──> bucket ──> supervisors
//	                           ^  │
//	                 results ──┘  └──> asynchronous: programs to verify, logs to make, requests to workers
//
// # Failure
//
// Running topologies go on. While no nimbus leads, no request is answered and no task of a lost worker moves. The next
// leader reads the records, gives all workers and supervisors the detection time to send a heartbeat, and goes on.
//
// # Goroutines
//
// Run waits for all of them. A term has the loop; keepLogs, which makes and deletes task logs; one for each asynchronous
// operation, at most 16; one that waits for the end of the lease. The client library reads the connection, and calls the
// handlers of heartbeats and requests, which only enqueue work for the loop.
//
// # Caveats
//
// If the bucket is lost, so are all decisions: the cluster starts over from nothing, and supervisors stop all workers.
// Keep it on three servers.
package nimbus
