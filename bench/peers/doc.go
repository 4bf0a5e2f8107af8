// Package peers runs Apache Storm and Apache Flink beside us, on the same machine and the same input, so that a
// comparison is one command and not a citation.
//
// Each system is a small Java program, whose source is part of this package: it runs a workload inside one virtual
// machine, in Storm's LocalCluster or Flink's MiniCluster. Build unpacks and compiles the programs with Maven, once;
// Run starts one and reads what it prints:
//
//	if err := peers.Build(ctx, peers.Storm, dir); err != nil {
//		return err
//	}
//	result, err := peers.Run(ctx, peers.Spec{
//		System: peers.Storm, Dir: dir, Workload: "relay", Mode: "acked", Duration: 10 * time.Second,
//	}, nil)
//
// A Spec has the settings that the systems share and those of each. A figure that a system cannot report is nil in a
// Result and never a guess.
//
// # Caveats
//
// Figures of such a run depend on the machine. README.md beside this file lists every place in which the comparison is
// unfair, to which system, and which settings it needed.
//
// Java 17 or newer and Maven must be installed, and the first build downloads some 200 MB from Maven's repositories.
package peers
