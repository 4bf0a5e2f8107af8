// Package auth says who may do what in a cluster, in the words of NATS, and makes the keys, certificates and server
// configurations for it.
//
//	summary, err := auth.Init("keys", auth.Options{Servers: servers, Supervisors: []string{"host-1"}}) // once
//	issuer, err := auth.ReadIssuer("keys/issuer.json", subjects, user.Key())                            // nimbus
//	token, err := issuer.IssueWorker(key, seat, tasks, 24*time.Hour)
//
// # The nouns
//
// The operator is whose accounts the NATS servers believe. The account is the cluster: users of one account do not see
// another's subjects. Users are nimbus, supervisors, workers and people; each has a key of its own, and a JWT that says
// what it may publish and what it may listen to. A server checks both without asking anybody.
//
//	who          is made by       may publish                                        may listen to
//	worker       nimbus's key     tuples from its tasks, their log, its beat         tuples to its tasks, its orders
//	supervisor   account's key    its beat, orders to its workers, events            its requests, beats of its workers
//	nimbus       account's key    the bucket, JetStream's API, orders, events        requests, beats
//	view         account's key    requests that look                                 –
//	operate      account's key    requests that change, artefacts                    tuples (tap)
//	admin        account's key    requests that concern hosts                        as operate
//
// and all of them to their own inbox. What is denied is told to who tried, as an asynchronous error of its connection,
// and is in the server's log.
//
// # The caller's duties
//
// Keep what is marked offline away from all servers. Give each file to its owner only. Renew certificates before they
// end. An Issuer gives workers a limited time: hand them a new JWT before it is over.
//
// # Caveats
//
// A JWT cannot be taken back: what it allows ends with its time, or with the account's JWT in the servers'
// configurations, where revocations can be put. A worker's tasks are safe from an earlier worker of the same seat by the
// task log's fence, not by permissions.
//
// Permissions bind what a client publishes, not where it asks to be answered: NATS does not check reply subjects. So
// whoever may ask JetStream a question can have the answer sent to a subject that it may not publish to. Workers may
// ask about their own log only, and such an answer always has headers (Nats-Stream, Status) or is JSON of JetStream's;
// tuples, signals, orders and beats never have headers, so receivers that ignore messages with headers are safe from
// it. Who answers requests with more rights than its asker must look at the reply subject first: cluster.Answerable.
// Only accounts of their own would keep hostile topologies apart completely.
//
// Purging is granted for a topology's log as a whole: its workers could purge each other's entries.
package auth
