// Package embed runs a NATS server with JetStream inside the calling process: for local runs, tests and examples.
//
//	s, err := embed.Start(embed.Options{Dir: "store", SyncAlways: true})
//	if err != nil {
//		return err
//	}
//	defer s.Stop()
//	t, err := natschan.Dial(natschan.Config{InProcess: s.InProcess(), Topology: "wordcount"})
//
// # Nouns
//
// A Server is the running server. Options are the place of its store and whether it listens.
//
// # Caller's duties
//
// Close all clients, then Stop. A store belongs to one server at a time; Start fails when another process has it.
//
// # Caveats
//
// The server dies with the process. In production NATS does not run inside the master, so that the cluster survives the
// master's death. There are no users and no TLS: listen on the loopback interface only.
//
// A store on disk survives any crash of the process. A power cut loses writes that were not synced yet: up to SyncInterval
// (2 minutes unless set), none with SyncAlways.
package embed
