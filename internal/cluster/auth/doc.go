// Package auth defines the permissions of each role in a cluster, in the terms of NATS, and makes the keys,
// certificates and server configurations for it.
//
//	summary, err := auth.Init("keys", auth.Options{Servers: servers, Supervisors: []string{"host-1"}}) // once
//	issuer, err := auth.ReadIssuer("keys/issuer.json", subjects, user.Key())                            // nimbus
//	token, err := issuer.IssueWorker(key, slot, tasks, "", 24*time.Hour)
//
// # The nouns
//
// NATS servers accept the accounts that the operator has signed. There are two accounts, and a message published in one
// is not seen in the other, but for what they pass to each other. The cluster's account has nimbus, supervisors and
// people, and all of JetStream. The workers' account has workers, and no JetStream: their requests to their log pass to
// the other account. Users have a key each, and a JWT that lists what they may publish and subscribe to; servers check
// it without asking any other service.
//
//	who         account   made by          may publish                                  may listen to
//	worker      workers   nimbus's key     tuples from its tasks, their log, its heartbeat   tuples to its tasks, its orders
//	supervisor  cluster   cluster's key    its heartbeat, orders to its workers, events      its requests, heartbeats of its workers
//	nimbus      cluster   cluster's key    the bucket, JetStream's API, events          requests, heartbeats
//	view        cluster   cluster's key    requests that look                           –
//	operate     cluster   cluster's key    requests that change, artefacts              tuples (tap)
//	admin       cluster   cluster's key    requests that concern hosts                  tuples (tap)
//
// and all of them may subscribe to their own inbox. A denial is reported to the client, as an asynchronous error of its
// connection, and is in the server's log.
//
// # Why two accounts
//
// Permissions restrict where a client publishes, but not the reply subject that it names: NATS does not check reply
// subjects. In one account, a worker that may append to its own log could name "$KV.…" as reply subject of an append,
// and the server's answer would overwrite a record; or "$JS.API.STREAM.PURGE.…", and it would purge another's log.
// Between accounts the server answers by a subject that it makes up, and brings the answer back to the account that
// asked, where it ends. So a worker can misdirect answers to other workers only. Those can be recognized: a message
// read from a stream has a header (natscluster.FromStream), tuples have no headers at all, and JetStream's other answers
// are neither assignments nor frames.
//
// # The caller's duties
//
// Keep the files marked offline away from all servers. Give each file to its owner only. Renew certificates before they
// end. An Issuer gives workers a limited time: hand them a new JWT before it is over. A service that answers requests
// must look at the reply subject first: natscluster.ValidReply.
//
// # Caveats
//
// A JWT cannot be taken back: the permissions in it end with its time, or with the account's JWT in the servers'
// configurations, where revocations can be put. A worker's tasks are safe from an earlier worker of the same slot by
// the task log's fence, not by permissions.
//
// Purging is granted for a topology's log as a whole, and so is reading it: the workers of one topology trust each
// other that far. Supervisors answer people, so they may publish to any inbox; to forge an answer they would have to
// guess the inbox it is awaited at.
package auth
