package recovery

// A Stage is how far a task's operator is.
//
//	waiting ◄──► running ──► finished ──► done        and from anywhere: failed
//
// Invariant: a stage after running is never left for one before it, and a failed task does no more work.
type Stage uint8

const (
	StageWaiting  Stage = iota // the operator may run, if there is input for it
	StageRunning               // between Deliver, Poll, RunTimer or Finish and Consumed
	StageFinished              // the operator will not run again, and its end marks are sealed
	StageDone                  // and all its outputs are safe with its targets
	StageFailed                // the task has stopped for good
)

// Finished reports whether the operator has finished.
func (s Stage) Finished() bool { return s == StageFinished || s == StageDone }

// Run lets a waiting operator run: a is a Deliver, Poll, RunTimer or Finish.
func (s *Stage) Run(do *Actions, a Action) {
	*s = StageRunning
	do.Add(a)
}

// Consumed ends a run.
func (s *Stage) Consumed() {
	if *s == StageRunning {
		*s = StageWaiting
	}
}

// Finish ends the last run.
func (s *Stage) Finish() {
	if *s < StageFinished {
		*s = StageFinished
	}
}

// Fail stops the task.
func (s *Stage) Fail(do *Actions, err error) {
	*s = StageFailed
	do.Add(Action{Kind: Fail, Err: err})
}

// CheckDone makes a finished task done, and adds Done, once its end is durable and each of its outputs is safe.
func CheckDone[T any](s *Stage, do *Actions, durable bool, outputs []T, safe func(*T) bool) {
	if *s == StageFinished && durable && all(outputs, safe) {
		*s = StageDone
		do.Add(Action{Kind: Done})
	}
}
