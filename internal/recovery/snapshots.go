package recovery

// A SnapshotPhase is how far a task's current snapshot is. There is one at a time.
//
//	none ── Freeze ─► freezing ── Frozen ─► frozen ── Upload ─► uploading ── Capture ─► captured ── Uploaded ─► none
//
// A caller that captures as soon as it is asked to freeze goes from freezing to captured.
type SnapshotPhase uint8

const (
	NoSnapshot        SnapshotPhase = iota
	SnapshotFreezing                // the task was asked to freeze the operator's state
	SnapshotFrozen                  // the machine has noted its positions; the snapshot waits to be uploaded
	SnapshotUploading               // the task was asked to upload it; it has yet to call Capture
	SnapshotCaptured                // it has; the snapshot is not durable yet
)

// Noted reports whether the positions of the moment of freezing are noted and not handed out yet.
func (p SnapshotPhase) Noted() bool { return p == SnapshotFrozen || p == SnapshotUploading }

// Snapshots is when a task takes its snapshots, by the rules that the strategies with retained frames share:
//
//   - There is one at a time.
//   - After a loss of the log the next one is full, taken at once, and replaces all earlier ones.
//   - When the operator has finished the last one is taken at once. There is none after it.
//   - One is frozen first, and uploaded when it need not hold any frame, or after half an interval.
//
// When the others are due is the strategy's own rule. The zero Snapshots is that of a new task.
type Snapshots struct {
	phase    SnapshotPhase
	lastAt   Tick // when the last one was durable
	frozenAt Tick
	dirty    bool // the task has worked since the last one
	closing  bool // the current one is the last
	final    bool // the last one is durable
	lost     bool // the log was lost, and no snapshot since is durable
}

// Restore makes s that of a task that was restored from a snapshot, or from none, and had finished or not.
func (s *Snapshots) Restore(from, finished bool) { s.dirty, s.final = !from, finished }

// Change makes the next snapshot worth taking: the task has consumed or emitted since the last one.
func (s *Snapshots) Change() { s.dirty = true }

// Dirty reports whether the task has done work that no snapshot covers.
func (s *Snapshots) Dirty() bool { return s.dirty }

// Phase returns how far the current snapshot is.
func (s *Snapshots) Phase() SnapshotPhase { return s.phase }

// Final reports whether the snapshot of the finished operator is durable.
func (s *Snapshots) Final() bool { return s.final }

// Closing reports whether the current snapshot, or the last one, was frozen after the operator had finished.
func (s *Snapshots) Closing() bool { return s.closing }

// Lost reports whether the log was lost, and no snapshot has replaced it yet.
func (s *Snapshots) Lost() bool { return s.lost }

// Forced returns the moment from which a snapshot is due whatever the strategy's own rule is: at once, or 0, never. It
// reports false if the strategy's own rule counts.
func (s *Snapshots) Forced(now Tick, finished bool) (at Tick, forced bool) {
	switch {
	case s.lost:
		return max(1, now), true
	case s.final:
		return 0, true
	case finished:
		return max(1, now), true
	}
	return 0, false
}

// After returns the moment a delay after the last snapshot, or after the task began.
func (s *Snapshots) After(delay Tick) Tick { return s.lastAt + delay }

// Soon returns the moment after the least pause between two snapshots, however much they are urged.
func (s *Snapshots) Soon(every Tick) Tick { return s.lastAt + max(1, every/50) }

// Skip ends an interval without a snapshot, since there is no change to store.
func (s *Snapshots) Skip(now Tick) { s.lastAt = now }

// Begin asks the task to freeze.
func (s *Snapshots) Begin(do *Actions) {
	s.phase = SnapshotFreezing
	do.Add(Action{Kind: Freeze, Full: s.lost})
}

// Note freezes the snapshot: the machine notes its positions now, and the snapshot covers all that has happened so far.
func (s *Snapshots) Note(now Tick, finished bool) {
	s.phase, s.frozenAt = SnapshotFrozen, now
	s.dirty, s.closing = false, finished
}

// UploadAt returns the moment from which a frozen snapshot is uploaded in any case: half an interval after it was frozen;
// or at once, if it makes up for a loss or is the last.
func (s *Snapshots) UploadAt(every Tick) Tick {
	if s.lost || s.closing {
		return s.frozenAt
	}
	return s.frozenAt + every/2
}

// Upload asks the task to upload a frozen snapshot.
func (s *Snapshots) Upload(do *Actions) {
	s.phase = SnapshotUploading
	do.Add(Action{Kind: Upload})
}

// Captured ends the upload's wait for the machine's part.
func (s *Snapshots) Captured() { s.phase = SnapshotCaptured }

// Uploaded makes the current snapshot durable. It reports false if there is none: the log was lost meanwhile.
func (s *Snapshots) Uploaded(now Tick) bool {
	if s.phase == NoSnapshot {
		return false
	}
	s.phase, s.lost = NoSnapshot, false
	s.lastAt, s.final = now, s.closing
	return true
}

// LogLost drops the current snapshot; the durable ones are lost with the log.
func (s *Snapshots) LogLost() {
	s.phase, s.lost = NoSnapshot, true
	s.final, s.dirty = false, true
}

// Wake returns the time of the next work without an event: the frozen snapshot is to be uploaded, or, if there is no
// current one, the next is due, which is at the given moment. 0: never.
func (s *Snapshots) Wake(now, due, uploadAt Tick) Tick {
	switch s.phase {
	case NoSnapshot:
		return due
	case SnapshotFrozen:
		return max(now+1, uploadAt)
	}
	return 0
}
