// Package supervisor starts and stops the workers of one host.
//
//	s, err := supervisor.New(supervisor.Config{Connection: connection, Dir: "/var/lib/askback", Trust: trust})
//	if err != nil {
//		return err
//	}
//	return s.Run(ctx)
//
// # The nouns
//
//   - A desired is the record's content for one slot of this host: the tasks that its worker is to run.
//   - A worker manager looks after one slot: one goroutine, which fetches the program, starts it, orders it about, starts it again
//     when it dies, and stops it when it is not wanted any more.
//   - A process is a running worker, with all that it has forked: a session of its own, and a cgroup where there are
//     cgroups.
//   - An output is the text that a process has written, in files that are rotated.
//   - The pulse measures whether the supervisor itself is punctual and connected, so that its own delay is not taken
//     for that of a worker.
//
// # What it does
//
//	bucket ──want──> worker manager ──exec, signals──> process ──beat──> worker manager
//	                        ──order──────────>
//
// It compares the desired with the actual processes, whenever either changes; it never acts on a change alone. So
// nothing is lost with a lost message, or with the supervisor itself: processes outlive it, and its next run finds them
// by the files that it keeps (the process id, when that process was started, and in which run of the system), and
// adopts them.
//
// A process that ends is started again at once, then after 100 ms, doubling up to 10 s, until one has run for 30 s. A
// process killed from outside is started again at once, unless it had just begun. It is not started again before its
// assignment changes if it reports that its tasks run elsewhere, or that it is not the program that was submitted, or
// if the program may not be run.
//
// A process that lives but sends no heartbeat is killed after the detection time if it is stopped. If it runs, it may
// be looking for another NATS server, and has four seconds more.
//
// Without NATS nothing changes: running workers are looked after, and those that die are started again.
//
// # Where things lie
//
//	Dir/lock                     of the one supervisor that may use Dir
//	Dir/joined                   the name by which a nimbus has let it join
//	Dir/artefacts/SHA            programs
//	Dir/slots/INSTANCE/SLOT/     of a slot: the process's file, its login; only the supervisor may look inside
//	Dir/logs/INSTANCE/SLOT/      of a slot: output, output.1 and so on, kept for a day after the slot's end
//	Dir/workers/INSTANCE/SLOT/   of a slot: work and tmp, the process's own; gone with the slot
//
// # Caveats
//
// Linux 5.10 or newer only. Run as root, workers are another user; otherwise they are the supervisor's own, and can
// read its files. All workers of a host are the same user: secrets of one topology should not be readable by files of
// the host.
//
// The kernel keeps processes from inspecting a worker, since the user it runs as cannot read its program. Workers of
// one user can still send each other signals, and use up shared resources.
//
// A worker's limits are set by cgroup v2 where the supervisor may write to its own cgroup; else memory is limited by
// RLIMIT_DATA, with room for the reservations of the Go runtime, and the CPU by GOMAXPROCS. A memory limit counts for a
// worker as soon as one of its operators has a demand: tasks without one are given 64 MiB each. The CPU is limited only
// if all of its tasks have a demand.
//
// A worker's forked processes are killed with it. Where there is a cgroup v2 (5.14 or newer, with or without
// controllers) that is all of them. Where there is none, a process that has left the worker's session lives on if its
// parent has ended, or if the worker has ended by itself.
//
// Output is rotated by copying it, since processes keep the file open: a line that is written between the copy and the
// cut is lost.
package supervisor
