// Package cli is the front of a topology program: its main function is one call of this package, which reads the command
// line, runs the topology, prints the story of the run, and exits. The program can also be submitted to a cluster, by
// itself ("wordcount submit --workers 2") or by "askback submit ./wordcount", and its workers are the same program.
//
// A topology without settings of its own needs no more than Main:
//
//	func main() {
//		t := stream.New("wordcount")
//		// …
//		cli.Main(t)
//	}
//
// A program with flags and arguments of its own is a Program:
//
//	func main() {
//		var parallel int
//		cli.Program{
//			Name: "wordcount",
//			Args: "[path ...]",
//			Flags: func(f *flag.FlagSet) { f.IntVar(&parallel, "parallel", 2, "tasks of each operator") },
//			Build: func(paths []string) (topology.Topology, error) { return wordcount(paths, parallel) },
//		}.Main()
//	}
//
// Every program has the flags of package cli beside its own, such as --plan, --dir and --kill; --help lists both. Flags
// begin with one dash or with two, and stand before, between or behind arguments; "--" ends them.
//
// # What reaches workers
//
// Arguments reach workers, and the environment does not. The program's own flags and arguments are given to each worker
// as they were given to submit behind "--". Workers receive the environment variables that --env names, such as
// "wordcount submit --env REGION=eu", and no others, because a cluster records them with the arguments: all users who
// may describe the topology can read both. A secret therefore belongs in a file on the hosts of the workers, and --env
// rejects variables that look like one.
//
// # Exit statuses
//
// 0: the run is complete, and no tuple was lost but by an operator's declared policy or a strategy that promises less
// than exactly once; 1: it failed; 2: the command line is wrong; 130: it was interrupted.
package cli
