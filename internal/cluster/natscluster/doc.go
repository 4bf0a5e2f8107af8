// Package natscluster carries package cluster over NATS: subjects, connections, requests, the bucket of records, the
// lease of the leader, and the stream of events.
//
// # Who leads
//
// A nimbus calls Setup, then Campaign, and both again whenever its Leadership is Done. A Leadership also ends when the
// server that leads the bucket's stream dies, for then no lease can be renewed until NATS has elected another, which
// takes some seconds. No decision is made meanwhile; running topologies go on.
//
//	lease   name, nonce   renewed every third of its TTL; a holder that cannot in time, by its own clock, stops leading
//	epoch   name, number  written by each new leader; its sequence number is the condition of all the leader's writes
//
// The lease only decides which candidate may try. The server itself keeps an older leader from writing, however long that
// was paused and however late its messages arrive: they are conditional on an epoch that has passed. If the bucket is lost,
// epochs begin at 1 again, with nothing in it.
//
// # Subjects
//
// P is the prefix, I an instance, S a supervisor, N a slot. An instance contains a dash and none of the fixed words does,
// so they do not meet.
//
//	P.I.data|ctl|replay.source.target    tuples and signals, see channel/natschan
//	P.I.log.task                         task log, see checkpoint/natslog
//	P.api.view|operate|admin.verb        requests to nimbus, by the role that they need
//	P.api.host.S.verb                    requests of supervisor S to nimbus
//	P.api.worker.I.S.N.verb              requests of a worker to nimbus
//	P.host.S.verb                        requests to supervisor S
//	P.heartbeat.host.S                   heartbeats of supervisors
//	P.heartbeat.worker.I.S.N             heartbeats of workers
//	P.worker.I.S.N.assign                assignments of a worker
//	P.worker.I.S.N.verb                  requests to a worker
//	P.changed.key                        hints that a key of the bucket has been written
//	P.event.I                            events of a topology; P.event.cluster those of no topology
package natscluster
