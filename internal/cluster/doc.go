// Package cluster defines the messages and records that nimbus, supervisors, workers and users of a cluster exchange,
// with its encoding (JSON) and its validation. It knows no transport: package natscluster carries it over NATS.
//
// # The roles
//
//   - Nimbus decides which tasks run where. Several may run; one leads. It runs no task: if all of them are gone, running
//     topologies go on, and only new decisions wait.
//   - A supervisor starts and stops the workers of one host.
//   - A worker is one process: the user's own program, running some tasks of one topology.
//
// # The nouns
//
//   - A Spec is a topology program's description of its topology: operators, streams, edges, needs.
//   - A Record holds all decisions about one submitted topology: its Spec, its Artefact, its Status and its placement. It
//     is one key of the bucket, so each decision is one write.
//   - An Instance names one submission, "wordcount-3k9x2m7q". Subjects, log and permissions belong to it: leftovers of
//     an earlier submission of the same name cannot touch a later one.
//   - A WorkerSlot is a worker's place: an instance, a supervisor, and the number of a slot there.
//   - A Rescale is another Instance that a topology is to become, with other numbers of tasks; an Origin is its
//     previous instance.
//   - An Assignment lists the tasks that a worker is to run, and how. A Heartbeat reports how a worker and its tasks stand,
//     a HostHeartbeat how a supervisor and its processes stand.
//   - An Event records something worth explaining afterwards.
//
// # Who writes what
//
//	nimbus      ──record─────> bucket ──watch──> supervisor ──assignment──> worker
//	worker      ──heartbeat──> supervisor, nimbus        (repeated twice a second)
//	supervisor  ──heartbeat──> nimbus                    (repeated twice a second)
//	all         ──event──────> stream of events
//	users       ──request────> nimbus, supervisor
//
// Only the leading nimbus writes records, and each of its writes is conditional on its epoch: see Writer. Everything
// else is repeated until it has taken effect, so nothing depends on a single message.
package cluster
