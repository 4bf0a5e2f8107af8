// Package cluster holds the nouns of a cluster: what nimbus, supervisors, workers and their users say to each other, how
// it is written down, and by which subjects, streams and buckets of NATS it travels.
//
// # The roles
//
//   - Nimbus decides which tasks run where. Several may run; one leads. It runs nothing itself: if all of them are gone,
//     what runs goes on, and only new decisions wait.
//   - A Supervisor starts and stops the workers of one host.
//   - A Worker is one process: the user's own program, running some tasks of one topology.
//
// # The nouns
//
//   - A Spec is what a topology program says of itself: operators, streams, edges, needs.
//   - A Record is all that is decided of one submitted topology: its Spec, its Artefact, its Status and its placement. It
//     is one key of the bucket, so that each decision is one write.
//   - An Instance names one submission, "wordcount-3k9x2m7q". Subjects, log and permissions belong to it: what is left of
//     an earlier submission of the same name cannot touch a later one.
//   - A Rescale is another Instance that a topology is to become, with other numbers of tasks, and an Origin what it was
//     before.
//   - An Assignment is what a supervisor tells a worker: the tasks it is to run, and how. A Heartbeat is what a worker tells of
//     itself, and a HostHeartbeat what a supervisor tells.
//   - An Event is something worth explaining afterwards.
//
// # Who writes what
//
//	nimbus      ──record──> bucket ──watch──> supervisor ──order──> worker
//	worker      ──beat────> supervisor, nimbus        (core NATS: the next one repeats it)
//	supervisor  ──beat────> nimbus                    (core NATS)
//	all         ──event───> stream of events
//	users       ──request─> nimbus, supervisor        (NATS services API)
//
// Only the leading nimbus writes records, and each of its writes is conditional on its epoch: see Store. Everything
// else is told again and again until it is so; nothing depends on a single message.
//
// # Who leads
//
// A nimbus calls Setup, then Campaign, and both again whenever its Leadership is Done: also when the server that leads the
// bucket's stream dies, for then nobody can renew a lease until NATS has elected another, which takes some seconds.
// Nothing is decided meanwhile; what runs goes on.
//
//	lease   name, nonce   renewed every third of its TTL; whoever cannot in time, by its own clock, stops leading
//	epoch   name, number  written by each new leader; its sequence number is what all its writes are conditional on
//
// So the lease only says who may try. That an older leader writes nothing more, however long it was paused and whatever is
// still on its way, is the server's doing. If the bucket is lost, epochs begin at 1 again, with nothing in it.
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
//	P.heartbeat.host.S                        heartbeats of supervisors
//	P.heartbeat.worker.I.S.N                  heartbeats of workers
//	P.worker.I.S.N.order                 orders to a worker
//	P.worker.I.S.N.verb                  requests to a worker
//	P.changed.key                        hints that a key of the bucket has been written
//	P.event.I                            events of a topology; P.event.cluster those of no topology
package cluster
