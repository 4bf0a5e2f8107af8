// Package artefact carries the program of a topology from the user who submits it to the hosts that run it.
//
//	a, err := artefact.Put(ctx, nc, subjects, path, progress)  // who submits: upload
//	err = artefact.Sign(user, "wordcount", &a)                 // who submits: sign
//	err = artefact.Verify(a, "wordcount", trust)               // nimbus and each supervisor
//	path, err := cache.Fetch(ctx, a)                           // each supervisor: download once
//
// # The nouns
//
// An artefact is an executable file, known by its SHA-256: that is also its name in the object store and in a Cache.
// Trust lists the signers that are accepted. A signature is over the topology's name and the digest, so that it cannot
// be used for another topology.
//
// # What is checked where
//
// The object store is not trusted. A failed check of its own digest shows as a timeout, so this package reads the
// chunks itself, hashes what it reads, and does not let a byte become executable before the digest is right. A file in
// a Cache is hashed again each time it is fetched.
//
// # Caveats
//
// A file that another process of the same user holds open for writing cannot be executed ("text file busy"). A Cache
// closes it before it gives it its name, but a child that is forked at that moment inherits the descriptor until it
// executes: a caller that starts programs should try again once.
package artefact
