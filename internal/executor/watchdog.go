package executor

import (
	"time"

	"go.uber.org/zap"
)

// A watchdog finds out that a task has made no progress for long because it waits for room on one of its channels. It runs
// when the task publishes its Info, so it costs nothing per tuple.
type watchdog struct {
	channel           string
	since             time.Time
	consumed, emitted uint64
	barked            bool
}

// look notes the state of a task. It reports, once, that the task has been stuck for that long.
func (w *watchdog) look(i *Info, now time.Time, stuckAfter time.Duration) bool {
	waits := i.Blocked
	if waits == "" {
		waits = i.Starved
	}
	if c := &i.Counters; waits == "" || waits != w.channel || c.Consumed != w.consumed || c.Emitted != w.emitted {
		*w = watchdog{channel: waits, since: now, consumed: c.Consumed, emitted: c.Emitted}
		return false
	}
	if w.barked || now.Sub(w.since) < stuckAfter {
		return false
	}
	w.barked = true
	return true
}

// bark logs the channel that blocks a task, and the remedy.
func bark(log *zap.Logger, i *Info, hard int, stuck time.Duration) {
	why := "credit: the target does not consume; look at its state"
	switch {
	case i.Blocked == "":
		why = "recorded order: the source has not resent the tuples that were consumed next"
	case i.LogError != nil:
		why = "the log rejects appends: make room in it"
	case hard > 0 && i.Retained >= hard:
		why = "retention: the target stores no snapshots; look at its log"
	}
	waits := i.Blocked
	if waits == "" {
		waits = i.Starved
	}
	log.Warn("task is stuck", zap.String("channel", waits), zap.String("waits for", why),
		zap.Int("retained", i.Retained), zap.Duration("for", stuck), zap.NamedError("log", i.LogError))
}
