// Package askback runs Storm-like topologies over NATS, with each tuple taking effect once although tasks, processes
// and the server may die at any moment. Run runs a topology from within a program. Package cli makes a program of a
// topology, which can also be submitted to a cluster; RunIfWorker does that for a program with a command line of its own.
//
// The nouns:
//
//   - A topology is a graph of spouts, which read from outside, and bolts, which read streams (package topology).
//   - A task is one instance of a spout or bolt, run by one goroutine. It lives on under its alias, such as
//     count.3, when an incarnation of it dies and the next is restored.
//   - A restored task asks its sources for exactly the tuples that it missed, and no other task stops: the strategy
//     strategy.Backtrack. Package strategy has others to compare it with; strategy.None restores nothing.
//   - The log keeps what tasks are restored from, in NATS JetStream. A Durability is what the log survives.
//   - A Report is the account of a run, recovery by recovery, and how many tuples were lost by declaration.
//
// # A complete program
//
//	func main() {
//		b := topology.New("long")
//		b.Spout("lines", files.Spout("logs/**/*.txt")).Fields("line")
//		b.Bolt("long", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
//			if len(t.Bytes(0)) < 80 {
//				return nil
//			}
//			return out.Row().Bytes(t.Bytes(0)).Emit()
//		})).Parallel(2).Shuffle("lines").Fields("line")
//		b.Bolt("out", files.Bolt("long.txt", files.Single())).Global("long")
//
//		report, err := askback.Run(context.Background(), b, askback.WithDir("store"))
//		if err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(report.Elapsed, report.Totals().Consumed)
//	}
//
// With WithDir it may be killed at any moment and run again: it goes on where it was.
//
// # In a cluster
//
// A program whose main calls cli.Main is submitted by itself, "long submit --workers 3", and one that calls RunIfWorker
// by "askback submit ./long": the executable is uploaded, and supervisors run it as workers, with the arguments that
// stand behind -- there. Nothing else in the program changes, but:
//
//   - It is built alike on every host, from its arguments alone. Workers whose plan differs are rejected. The
//     environment does not reach workers; see package cli for --env.
//   - Its inputs and outputs must be where its tasks run: on all hosts, or on disks and servers that they share.
//   - The name that its operators see (bolt.Task.Topology) is that of the submission, such as long-3k9x2m7q, so that two
//     submissions do not meet outside.
//   - Options and flags of local runs do not count there, but for the strategy, its bounds and delays, and the size of
//     frames.
//
// # The caller's duties
//
//   - Build the topology alike in every run that shares a log: its names, parallelism, streams and groupings are its
//     version, and a log belongs to one version.
//   - Keep bolts deterministic: time and chance come from bolt.Context, and what a bolt emits does not follow the
//     order of a Go map, or answers of the outside. One that cannot promise this is declared Nondeterministic.
//   - Give spouts input that can be read again, and sinks whose effects are repeatable or committed with a snapshot
//     (bolt.Committer, such as files.Bolt). All other effects happen at least once.
//   - Return from the functions given to OnProgress and its like without blocking. Goroutines of the runtime call them,
//     several at a time.
//
// # Errors
//
// Run returns the faults of the topology (each an error of type topology.Error) or the options before it starts anything, and
// ErrExists if another run of that topology is connected to the server. Afterwards it returns why ctx ended, or why a task FAILED: a *bolt.TupleError names the tuple that an
// operator could not process, unless the operator declares another policy; ErrNondeterministic, ErrLogDamaged and
// ErrSuperseded are failures that a restart cannot cure; any other failure was repeated five times in a row. A
// *StuckError names operators that did not return when the run was stopped. Run never panics on behalf of a bolt.
//
// # Caveats
//
// All tasks of a local run are goroutines of one process. A run that ends by itself leaves its log in the directory of
// WithDir, and the same run there again finds itself complete.
package askback
