// Package sim runs whole topologies in one goroutine, with simulated time, network, log and faults, by schedules that a
// seed decides. It drives the code of production: the task core, the recovery machine, the log's writer. Each failure can
// be repeated from its seed.
//
// # Nouns
//
// A Shape is a kind of topology. It has forms: operators that read and emit rows, or steps of package stream, which are
// fused where that is possible, kept apart, or mixed. A Scenario is all that a run depends on: seed, shape, form, strategy,
// faults, settings. A World is one run: tasks, zombies (incarnations that were believed dead and are not), a network that
// loses, doubles, reorders and damages messages, a log that loses answers and records, and a clock. A run has two phases:
// in the first, steps and faults happen at random; in the second no fault happens any more, and the topology must come to
// its end, or, if it has none, catch up.
//
// An oracle then judges. Every operator keeps a history of its input as part of its state, and the oracle folds the
// histories again, from the spouts to the sinks, without the runtime: an operator of a typed form as the steps that were
// declared for it, which call each other, so that the oracle shares no code with package stream. It holds the tuples that
// no operator can process, and those that were given up: the counts of the tasks must be exact, and each dead letter must
// carry the reason that is in the task log. A Result is a success; or a violation, of an invariant of these:
//
//	I1  what was committed is what a run without faults could have committed
//	I2  on each channel, what the source emitted is what the target consumed, each tuple once
//	I3  state is the fold of the inputs
//	I4  only the highest incarnation commits
//	I6  the topology makes progress when the faults have healed
//	I8  no task refuses to go on without a reason
//	I9  what a task keeps is bounded by its settings, and nothing is kept at the end
//
// or a refusal: after the log has lost records that it had acknowledged as safe, a task may report that and stop.
//
//	r, err := sim.Run(sim.ScenarioOf(42))
//	fmt.Println(r)
//
// # Finding and keeping failures
//
// The command askback sim sweeps over seeds, prints the last steps before a violation, and looks for a smaller scenario
// (Shrink). A bug that was found stays in the tests as a family of scenarios that found it. A harness is trusted only as
// far as it finds bugs, so the tests plant some (Bugs), each of which must be found. Bugs of a strategy are in its machine;
// all others are planted around the code of production, which has no branches for them.
//
// # Caveats
//
// The transport and the log are the ones in memory; the conformance suites show that those over NATS behave the same.
// Goroutines, sockets and processes are not simulated.
package sim
