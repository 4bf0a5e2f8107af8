// Package schedule decides which tasks run in which workers, and where the workers run. It is one pure function,
// Schedule, from the state of the cluster to the assignment that follows: it has no clock, goroutine, disk, network or
// chance. Nimbus calls it when something has changed, and puts the answer in force.
//
// # The nouns
//
//   - A supervisor runs workers on one host. It has slots for them, and room: CPU and memory.
//   - A worker is one process of one topology, in one slot. It runs some of the topology's tasks.
//   - An assignment holds the worker of every slot that is used.
//   - A shortage is an unmet request of a topology, with the reason and the remedy in words.
//
// # What is decided
//
//	tasks ── cut ──> parts, one a worker ── place ──> slots
//
// A topology is cut into as many parts as it asked for workers, all of the same number of tasks, with as little
// traffic between them as a simple search finds (cut.go). Each part is placed on the supervisor that has the fewest
// workers of the topology so far, of these on the one with the most free slots, of these on the first by name
// (job.go). So workers are spread evenly, and the same state always gives the same assignment.
//
// Resource demands are honoured: no task is placed on a supervisor where all tasks together would then need more CPU,
// or more memory, than it has. Where the parts do not fit, each task is placed alone, the hungriest first. This too is
// a heuristic: it may miss a packing that exists.
//
// # What stays
//
// A worker that is not lost stays where it is, with its tasks, in each of these cases:
//
//   - A lost worker is placed again whole, on another supervisor if there is one. If no slot has room for it, its
//     tasks join the topology's other workers, those with the fewest tasks first.
//   - A supervisor that is gone takes nothing new. Its workers may outlive it: only those that are lost move.
//   - A new supervisor, a freed slot or another number of workers moves nothing by itself. Rebalance does: the topology
//     is cut and placed afresh, and of several equal places each part takes that where most of its tasks have been.
//   - Tasks that the topology no longer has are left out, and new ones are placed like missing ones.
//
// # When there is not enough
//
// With fewer slots than workers asked for, a topology runs in fewer workers. Running topologies are mended first, then
// rebalanced ones placed, then new ones started, each in the order of submission; a later one may have what an earlier
// one could not use. A topology that runs keeps running with what it has; the tasks that found no place wait. A
// topology none of whose tasks run is started whole or not at all, since half of it would take room and complete
// nothing. A rebalancing without room is refused, and all stays as it was.
//
// # The caller's duties
//
//   - Decide when a worker is lost. Schedule takes it as given, and does not know of heartbeats.
//   - Put nothing in force that was decided from an outdated state: compare and set.
//   - Take Rebalance back once its assignment is in force.
//   - Say a channel's weight if it is known. Tasks that exchange much then share a worker.
package schedule
