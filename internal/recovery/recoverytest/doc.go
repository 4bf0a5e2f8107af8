// Package recoverytest is the conformance suite of recovery strategies, and the small world in which it runs them.
//
//	func TestConformance(t *testing.T) {
//		recoverytest.Run(t, backtrack.New, recoverytest.Features{ExactlyOnce: true})
//	}
//
// # Nouns
//
// A World is a few tasks joined in memory. Each has a real machine, a trivial operator and a log that is a list. The world
// moves by commands only: messages stay in flight until they are delivered, writes stay pending until they are made
// durable, and time passes only by command. So a test determines each step, and the trace of the tasks' actions is the same
// in every run.
//
// An Operator is the function that a task of a World applies to its tuples. A spout "a" emits a1, a2, a3 …; a bolt emits
// the tuples that it consumes, and if it has several inputs or timers it adds how many it had consumed, so that its output
// shows the order of its input.
//
// Features are a strategy's guarantees. The suite demands exactly these.
//
// A strategy that rolls back all tasks together has a coordinator in its World (NewOn), with a channel from every task.
// A task that fails with a recovery.RollbackError starts again at once, from the snapshot that its Base accepts.
//
// # Caveats
//
// A World is for stories with a handful of tuples: the scripts of the strategies, and this suite. Random schedules, damaged
// messages and logs, and the real task core are the simulator's (package sim). A World belongs to the goroutine of its
// test.
package recoverytest
