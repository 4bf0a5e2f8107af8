package recovery

// A Base chooses the snapshot from which a task is restored, under a strategy that rolls back all tasks together; this is
// not always the newest. A task of the strategy's own, the coordinator, has the decision in its log.
type Base struct {
	Coordinator string // its operator; of one task
	// Accepts reports whether a task may be restored from a snapshot. Both are results of Capture: decision is the
	// coordinator's newest one, nil if there is none; snapshot is nil for a task that would begin anew.
	Accepts func(decision, snapshot []byte) bool
}
