// Package recoverytest is what every recovery strategy must pass, and the tiny world that it is tested in.
//
//	func TestConformance(t *testing.T) {
//		recoverytest.Run(t, backtrack.New, recoverytest.Features{ExactlyOnce: true})
//	}
//
// # Nouns
//
// A World is a few tasks joined in memory. Each has a real machine, a trivial operator and a log that is a list.
// Nothing moves by itself: messages stay in flight until they are delivered, writes stay pending until they are
// made durable, and time stands still until it is told to pass. So a test says exactly what happens, and a trace
// of what the tasks did is the same in every run.
//
// An Operator is what a task of a World does with its tuples. A spout "a" emits a1, a2, a3 …; a bolt emits what it
// consumes, and if it has several inputs or timers it adds how many tuples it had consumed, so that its output
// tells the order of its input.
//
// Features say what a strategy promises. The suite asks for no less and for no more.
//
// A strategy that rolls back all tasks together has a coordinator in its World (NewOn), with a channel from every task.
// A task that fails with a recovery.RollbackError starts again at once, from the snapshot that its Base accepts.
//
// # Caveats
//
// A World is for stories with a handful of tuples, told by package backtrack's scripts and by this suite. Random
// schedules, damaged messages and logs, and the real task core are the simulator's (package sim). A World belongs
// to the goroutine of its test.
package recoverytest
