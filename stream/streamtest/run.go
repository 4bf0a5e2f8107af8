package streamtest

import (
	"slices"
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/strategy"
)

// The time of the recovery protocol passes a millisecond at a time: when there is no other work, and with every
// stepsPerTick steps or, in a topology with many channels, two for each: else a checkpoint, which sends on all of them,
// would take longer than it is until the next one, and the run would never rest. Snapshots are due so often that a run of a
// few hundred steps has several.
const (
	stepsPerTick = 8
	frameSize    = 256 // bytes
)

var settings = recovery.Config{SnapshotEvery: 10, RetryEvery: 20, RetryMax: 200, MarkEvery: 4, MarkMax: 100}

// A run that takes so many steps, or so much of the protocol's time without a step, does not come to rest.
var maxSteps = 300_000

const maxQuiet = 24 * time.Hour

// The actions that a task can take in one step.
const (
	receive = iota // a message, or be started if it is down
	work           // take a turn
	write          // a record of its log
	answer         // take the log's answer
	actions
)

// step performs one step, in turns among the tasks and their possible steps. It reports whether there was any.
func (h *Harness) step() bool {
	if h.err != nil || h.ended {
		return false
	}
	h.killDue()
	for range actions * len(h.tasks) {
		s, action := h.tasks[h.next/actions], h.next%actions
		h.next = (h.next + 1) % (actions * len(h.tasks))
		if h.act(s, action) {
			h.steps++
			if h.steps%max(stepsPerTick, 2*len(h.plan.Channels)) == 0 {
				h.ms++
			}
			return true
		}
		if h.err != nil {
			return false
		}
	}
	return false
}

// killDue performs the kills that are due at this step.
func (h *Harness) killDue() {
	for i := 0; i < len(h.kills); i++ {
		if k := h.kills[i]; k.step <= h.steps {
			h.kills = slices.Delete(h.kills, i, i+1)
			i--
			for _, name := range k.tasks {
				for _, s := range h.find(name) {
					h.bury(s)
				}
			}
		}
	}
}

// act performs one action of a task. It reports whether it was possible.
func (h *Harness) act(s *slot, action int) bool {
	in := s.live
	switch {
	case in == nil:
		return action == receive && h.begin(s)
	case action == receive:
		return h.deliver(s)
	case action == work:
		return in.turn()
	case action == write:
		return in.write()
	}
	return in.answer()
}

// deliver delivers the oldest message for a task.
func (h *Harness) deliver(s *slot) bool {
	for i := range h.net.Pending() {
		if h.net.Peek(i).To == s.task.Alias {
			return h.net.Deliver(i)
		}
	}
	return false
}

// settle runs until no work is left before the clock moves. Where a tick has fired, a snapshot covers it then: else a task
// that is killed later would be ticked again, at another place between its tuples, and with another outcome.
func (h *Harness) settle() {
	h.t.Helper()
	for fired := true; fired && h.err == nil; {
		fired = false
		h.until(func() bool {
			if !h.rests() {
				return false
			}
			now := h.tick()
			fired = fired || now
			return !now
		})
		if fired {
			h.cover()
		}
	}
}

// cover runs until a snapshot covers all processed tuples, or a task is down.
func (h *Harness) cover() {
	h.t.Helper()
	h.until(func() bool {
		h.quiescing = h.rests() // a source that was killed meanwhile first emits tuples again that others have consumed
		return h.quiescing && h.covered()
	})
	h.quiescing = false
}

// until runs until a condition holds at a moment without work, and for more than ten milliseconds no operator has worked:
// an idle source, and one that was held, is polled in that time. The recovery protocol may continue for ever.
func (h *Harness) until(reached func() bool) {
	h.t.Helper()
	quiet, pause, processed := uint64(0), uint64(0), h.processed()
	for from := h.steps; h.err == nil && !h.ended; {
		for h.step() {
			if h.steps-from > maxSteps {
				h.stuck("the run has not come to rest in %d steps; a source without end never does", maxSteps)
			}
		}
		if n := h.processed(); n != processed {
			quiet, pause, processed = 0, 0, n
		}
		switch {
		case h.err != nil, quiet > 10 && reached():
			return
		case quiet > uint64(maxQuiet/time.Millisecond):
			h.stuck("no task makes progress any more, at step %d", h.steps)
		}
		pause = min(max(1, 2*pause), 10_000) // a long pause, of a retry, passes in strides
		quiet += pause
		h.ms += pause
	}
}

// processed returns how many tuples the tasks have consumed and emitted.
func (h *Harness) processed() (n uint64) {
	for _, s := range h.tasks {
		if s.live != nil {
			st := s.live.core.Status()
			n += st.Counters.Consumed + st.Counters.Emitted
		}
	}
	return n
}

// rests reports whether all emitted tuples have been consumed, and no task repeats work. A task that is down until the
// clock moves rests, and so do its neighbours.
func (h *Harness) rests() bool {
	if h.net.Pending() > 0 {
		return false
	}
	for _, s := range h.tasks {
		if s.live == nil {
			if s.restartAt.After(h.now) {
				continue
			}
			return false
		}
		st := s.live.core.Status()
		if h.anyDown(s) {
			continue
		}
		if st.Replaying || st.Blocked != recovery.NoOutput || st.Starved != recovery.NoInput || !s.live.quiet() {
			return false
		}
		for i, ch := range s.task.In {
			from := h.tasks[ch.Source.Number].live
			if !ch.Source.Operator.System && from.core.Status().Outputs[ch.Out] != st.Inputs[i] {
				return false
			}
		}
	}
	return true
}

// anyDown reports whether any neighbour of a task is down.
func (h *Harness) anyDown(s *slot) bool {
	for _, ch := range s.task.In {
		if h.tasks[ch.Source.Number].live == nil {
			return true
		}
	}
	for _, ch := range s.task.Out {
		if h.tasks[ch.Target.Number].live == nil {
			return true
		}
	}
	return false
}

// covered reports whether a snapshot covers all processed tuples, in a run that rests.
func (h *Harness) covered() bool {
	if slices.ContainsFunc(h.tasks, func(s *slot) bool { return s.live == nil }) {
		return true // and the run rests: an outage lasts
	}
	for _, s := range h.tasks {
		st := s.live.core.Status()
		switch {
		case s.live.core.Done():
		case h.strategy == strategy.Backtrack && !st.Clean, st.Retained > 0, st.Tentative:
			return false
		}
	}
	return true
}

// done reports whether every task has come to its end.
func (h *Harness) done() bool {
	for _, s := range h.tasks {
		if s.live == nil || !s.live.core.Done() {
			return false
		}
	}
	return true
}

// tick fires the operators' timers that are due. It reports whether there was one.
func (h *Harness) tick() bool {
	fired := false
	for _, s := range h.tasks {
		if s.live != nil && h.tickDue(s) {
			fired = s.live.tick() || fired
			if h.err != nil {
				return true
			}
		}
	}
	return fired
}

// tickDue reports whether a task's timer is due. Timers fire on multiples of their interval since the start, with and
// without kills. A tick that is neither in the task's snapshot nor in its log is due again.
func (h *Harness) tickDue(s *slot) bool {
	every := s.task.Operator.Tick
	if every <= 0 {
		return false
	}
	last := h.now.Sub(h.epoch) / every * every
	return last > 0 && h.epoch.Add(last).After(s.live.ticked)
}

// wantsClock returns the next moment of the clock at which a task has work; zero: never.
func (h *Harness) wantsClock(s *slot) time.Time {
	if s.live == nil {
		return s.restartAt
	}
	every := s.task.Operator.Tick
	if every <= 0 || s.live.core.Status().Finished {
		return time.Time{}
	}
	return h.epoch.Add((h.now.Sub(h.epoch)/every + 1) * every)
}
