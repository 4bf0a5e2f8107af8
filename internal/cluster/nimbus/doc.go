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
// Several nimbuses may run; the one that holds the lease leads, for a term. A term has one loop, which knows and decides
// everything, by package core: so requests that race have one outcome. A write is in force when the bucket has it, and
// the bucket takes it only from the newest epoch.
//
//	heartbeats, requests, time ──> loop ──core──> writes ──> bucket ──> supervisors
//	                           ^  │
//	                 results ──┘  └──> what takes long: programs to verify, logs to make, workers to ask
//
// # What is lost with it
//
// Nothing that runs. While nobody leads, no request is answered and no task of a lost worker moves. The next leader
// reads the records, gives everybody the detection time to be heard, and goes on.
//
// # Goroutines
//
// Run waits for all of them. Of a term: the loop; keepLogs, which makes and deletes task logs; one for each thing that
// takes long, at most 16; one that waits for the lease to be over. The client library reads the connection, and calls
// the handlers of heartbeats and requests, which only give the loop something to do.
//
// # Caveats
//
// If the bucket is lost, so is what was decided: the cluster starts over from nothing, and supervisors stop what runs.
// Keep it on three servers.
package nimbus
