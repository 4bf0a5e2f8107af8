// Package task runs tasks: it performs what a recovery machine decides.
//
// The nouns:
//
//   - A Core is a task without its goroutine: operator, machine, open frames and routers. One event in, actions
//     performed in order. The run loop drives it in production, the simulator in tests.
//   - A runner is one incarnation: a Core, the goroutine that drives it, its inbox, and its logger.
//   - A Supervisor keeps one task running, incarnation after incarnation, until it is told to end or the task has
//     FAILED.
//   - A Scribe writes order records and snapshots to the task log; the logger is the goroutine that drives it, so
//     that a task never waits for its log.
//   - A Recovery tells how one incarnation came back.
//   - Trees are what a task keeps of the tuple trees that it takes part in, for a strategy that follows them
//     (recovery.Tracker): whom its emissions come of, which edges it has not reported, and, of a spout, what is pending.
//
// A task is run by its supervisor, the same for every task of a plan:
//
//	s := task.NewSupervisor(task.Options{
//		Config:    task.Config{Plan: plan, Task: t, Strategy: backtrack.New},
//		Transport: transport,
//		Log:       log,
//	})
//	err := s.Run(ctx) // nil when ctx has ended; else why the task has FAILED
//
// # One turn of a task
//
//	inbox  ──► Core.Receive, Appended, Stored      all that has come
//	clock  ──► Core.Tick                           about once a millisecond
//	work   ──► Core.Work                           one frame's tuples, or one poll of a spout
//	else   ──► Core.Idle, then sleep               seal what is open; wake for a message or the machine's next tick
//
// Nothing in it blocks but the sleep, and the operator.
//
// # What happens to an operator that fails
//
//	Execute returns an error   its emissions are taken back; retried; then the tuple goes to the dead letters
//	Next returns an error      the task is restarted
//	a panic                    the task is restarted, the panic's stack is in its error
//
// A restart follows after a pause that doubles. A task that fails five times in a row without catching up in between
// is FAILED, and one that a restart cannot cure at once: a history that diverged, a log that is damaged or went back,
// a successor that has fenced it.
//
// # The caller's duties
//
// Run each Supervisor once, and wait for it. Info, Changed and Kill may be called from any goroutine; the functions in
// Options and Config are called from the task's and must not block. Of a Core: all its methods from one goroutine, and
// no call after an error.
//
// # Caveats
//
// The inbox is bounded, and what a full one drops is asked for again. What an operator blocks on blocks its task, and
// by and by its sources; there is no time limit on it.
package task
