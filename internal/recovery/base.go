package recovery

// A Base is how a strategy that rolls back all tasks together says from which of its snapshots a task is restored:
// not always from the newest. A task of the strategy's own, the coordinator, has the decision in its log.
type Base struct {
	Coordinator string // its operator; of one task
	// Accepts reports whether a task may be restored from a snapshot. Both are what Capture gave: decision is the
	// coordinator's newest one, nil if there is none; snapshot is nil for a task that would begin anew.
	Accepts func(decision, snapshot []byte) bool
}
