// Package executor runs tasks: it owns the goroutine that drives a task's core, and starts the next incarnation when
// one ends.
//
// The nouns:
//
//   - An Executor keeps one task running, incarnation after incarnation, until its context ends or the task has FAILED.
//   - An incarnation is a core (package task), the goroutine that drives it, its inbox, and its logger.
//   - The inbox takes messages of the transport and answers of the log to the task's goroutine.
//   - The logger is the goroutine that drives the task's log writer (task.LogWriter), so that a task never waits for its
//     log.
//   - A Recovery is the account of how one incarnation caught up. A Loss is the end of the last one, if it was in another
//     process.
//   - Info is the state of the task, and a Call the running call of its operator; both are for other goroutines.
//   - The watchdog logs which channel a task waits for when it has made no progress for long.
//
// The same executor runs every task of a plan:
//
//	e := executor.New(executor.Options{
//		Config:    task.Config{Plan: plan, Task: t, Strategy: backtrack.New},
//		Transport: transport,
//		Log:       log,
//	})
//	err := e.Run(ctx) // nil when ctx has ended; else why the task has FAILED
//
// # One turn of a task
//
//	inbox  ──► Core.Receive, Answered              all that has come
//	clock  ──► Core.Tick                           about once a millisecond
//	work   ──► Core.Work                           one frame's tuples, or one poll of a spout
//	else   ──► Core.Idle, then sleep               seal what is open; wake for a message or the machine's next tick
//
// Only the sleep and the operator block it.
//
// # One restart
//
//	the core's error, a panic, Kill ──► the context of the operator's calls ends, the logger ends, the operator is closed
//	pause                           ──► none after Kill and after a rollback; else it doubles
//	task.Open                       ──► a begin record fences the incarnation before; snapshot and determinants are read
//	task.NewCore                    ──► operator and machine stand where the log ends
//	Join, Core.Start                ──► messages come; the machine asks its sources for the rest
//
// A task that fails five times in a row without catching up in between is FAILED, and one that a restart cannot cure at
// once: an error of Execute that no policy declares away, a history that diverged, a log that is damaged or went back, a
// successor that has fenced it. An outage of the transport, the log or a system outside is no failure, however long it
// takes.
//
// # The caller's duties
//
// Run each Executor once, and wait for it. Info, Changed, Calling and Kill may be called from any goroutine; the
// functions in Options and Config are called from the task's and must not block.
//
// # Caveats
//
// The inbox is bounded, and a message that a full one drops is asked for again. An operator that blocks also blocks its
// task, and in time its sources; there is no time limit on it, but its context ends with the incarnation.
package executor
