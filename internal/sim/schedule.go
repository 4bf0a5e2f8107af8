package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// run runs the scenario: a faulty phase of random steps, then a quiet one in which the topology must come to its
// end, or catch up.
func (w *World) run() *Result {
	w.faulty = true
	w.net.SetFaults(w.networkFaults())
	w.store.SetFault(w.storeFault)
	for _, s := range w.slots {
		s.restartAt = uint64(w.rand.IntN(20))
	}
	for range w.scenario.Steps {
		w.once()
		if w.result.over() || w.complete() {
			break
		}
	}
	if !w.result.over() {
		w.heal()
		w.settle()
	}
	if !w.result.over() {
		w.judge()
	}
	w.result.finish(w)
	return w.result
}

// once is one step of the faulty phase.
func (w *World) once() {
	w.step++
	if w.step == w.crashAt {
		w.crash(w.victim())
	}
	if w.depth == 0 && w.fault() {
		return
	}
	switch r := w.rand.IntN(100); {
	case r < 45:
		w.deliver()
	case r < 75:
		w.turn()
	case r < 87:
		w.write()
	case r < 93:
		w.answer()
	case r < 96:
		w.restart()
	default:
		w.now += 1 + uint64(w.rand.IntN(8))
	}
}

// deliver delivers a message, or a few.
func (w *World) deliver() {
	for range 1 + w.rand.IntN(3) {
		if w.faulty && w.has(Reorder) && w.chance(6) {
			if n := w.net.Pending(); n > 0 {
				w.net.Deliver(w.rand.IntN(n))
			}
			continue
		}
		if ready := w.net.Deliverable(); len(ready) > 0 {
			w.net.Deliver(ready[w.rand.IntN(len(ready))])
		}
	}
}

// some returns a random instance that satisfies a condition, or nil.
func (w *World) some(ok func(*instance) bool) *instance {
	n := len(w.alive)
	if n == 0 {
		return nil
	}
	for k, at := 0, w.rand.IntN(n); k < n; k++ {
		if in := w.alive[(at+k)%n]; ok(in) {
			return in
		}
	}
	return nil
}

func (w *World) turn() {
	in := w.some(func(in *instance) bool { return !in.paused })
	if in == nil || in.slow > w.now && !w.chance(15) {
		return
	}
	for range 1 + w.rand.IntN(3) {
		if in.dead || !in.turn() {
			return
		}
	}
}

func (w *World) write() {
	if in := w.some((*instance).canWrite); in != nil {
		in.write()
	}
}

func (w *World) answer() {
	if in := w.some(func(in *instance) bool { return !in.paused && len(in.answers) > 0 }); in != nil {
		in.answer()
	}
}

func (w *World) restart() {
	for k, at := 0, w.rand.IntN(len(w.slots)); k < len(w.slots); k++ {
		if w.open(w.slots[(at+k)%len(w.slots)]) {
			return
		}
	}
}

// fault performs a fault, rarely, and reports whether it did.
func (w *World) fault() bool {
	if w.rand.IntN(1000) >= w.scenario.Settings.FaultRate || len(w.kinds) == 0 {
		return false
	}
	switch w.kinds[w.rand.IntN(len(w.kinds))] {
	case Crash:
		w.crash(w.victim())
	case Pair:
		if in := w.victim(); in != nil && len(in.task.In) > 0 {
			src := in.task.In[w.rand.IntN(len(in.task.In))].Source
			w.crash(in)
			w.crash(w.slots[src.Number].current)
		}
	case Zombie:
		w.undead()
	case Cut:
		w.cut()
	case Damage:
		w.damage()
	case Vanish:
		if w.chance(3) {
			w.event("vanish", msgid.Alias{}, 0, "the log is gone")
			w.store.Vanish()
			w.result.Losses++
			w.damaged = true
		}
	case Regress:
		if w.chance(2) {
			n := w.store.Cut(1 + w.rand.IntN(w.scenario.Settings.SyncLag+1))
			w.event("regress", msgid.Alias{}, 0, fmt.Sprintf("the log loses %d records while its tasks live", n))
			w.result.Losses++
			w.damaged = true
		}
	case Full:
		w.fullUntil = w.now + uint64(w.rand.IntN(100))
		w.event("full", msgid.Alias{}, 0, fmt.Sprintf("the log is full until %d", w.fullUntil))
	case Partition:
		w.partition()
	case Slow:
		if in := w.victim(); in != nil {
			in.slow = w.now + uint64(w.rand.IntN(100))
			w.event("slow", in.task.Alias, in.inc, "")
		}
	case Clock:
		w.skew = int64(w.rand.IntN(7200_000)) - 3600_000
		w.event("clock", msgid.Alias{}, 0, fmt.Sprintf("the wall clock is %d ms off", w.skew))
	default:
		return false
	}
	return true
}

// victim returns a random instance that is its task's current one, or nil.
func (w *World) victim() *instance {
	return w.some(func(in *instance) bool { return !in.zombie })
}

func (w *World) crash(in *instance) {
	if in == nil || in.dead {
		return
	}
	w.result.Crashes++
	w.kill(in, "crash")
}

// undead makes a zombie, or resumes one.
func (w *World) undead() {
	if z := w.some(func(in *instance) bool { return in.zombie && in.paused }); z != nil && w.chance(2) {
		w.event("back", z.task.Alias, z.inc, "it was paused")
		z.paused = false
		z.endpoint.Resume()
		return
	}
	in := w.victim()
	if in == nil || !w.strategy.Keeps(in.task.Operator) { // no successor fences it
		return
	}
	in.zombie = true
	w.result.Zombies++
	if w.chance(3) {
		w.event("zombie", in.task.Alias, in.inc, "taken for dead")
	} else {
		w.event("zombie", in.task.Alias, in.inc, "paused")
		in.paused = true
		in.endpoint.Pause()
	}
	s := w.slots[in.task.Number]
	s.current, s.restartAt = nil, w.now
}

// cut is a power cut: all tasks, the messages on their way and the log's newest records are lost.
func (w *World) cut() {
	for len(w.alive) > 0 {
		w.bury(w.alive[0])
	}
	w.power++
	clear(w.recorded)
	n := w.store.Cut(w.rand.IntN(w.scenario.Settings.SyncLag + 1))
	w.event("cut", msgid.Alias{}, 0, fmt.Sprintf("the power fails, the log loses %d records", n))
	w.result.Cuts++
	w.connect()
	for _, s := range w.slots {
		s.current, s.last = nil, 0
		s.restartAt = w.now + uint64(w.rand.IntN(10))
	}
}

// damage flips a bit of a random record.
func (w *World) damage() {
	t := w.plan.Tasks[w.rand.IntN(len(w.plan.Tasks))]
	entries := w.store.Entries(t.Alias)
	if len(entries) == 0 {
		return
	}
	e := entries[w.rand.IntN(len(entries))]
	if w.store.Corrupt(e.Pos, w.rand.IntN(len(e.Data)), 1<<w.rand.IntN(8)) {
		w.event("damage", t.Alias, 0, fmt.Sprintf("the record at %d", e.Pos))
		w.damaged = true
	}
}

func (w *World) partition() {
	ch := w.plan.Channels[w.rand.IntN(len(w.plan.Channels))]
	a, b := ch.Source.Alias, ch.Target.Alias
	if w.chance(3) { // all heal at once, in any order
		w.net.HealAll()
		w.event("heal", msgid.Alias{}, 0, "")
		return
	}
	mode := w.rand.IntN(3)
	if mode != 0 {
		w.net.Sever(a, b)
	}
	if mode != 1 {
		w.net.Sever(b, a)
	}
	w.event("partition", a, 0, fmt.Sprintf("from %v, mode %d", b, mode))
}

// heal ends all faults. Zombies resume.
func (w *World) heal() {
	w.faulty = false
	w.net.SetFaults(memchan.Faults{})
	w.net.HealAll()
	w.fullUntil = 0
	_ = w.store.Reopen(context.Background())
	for _, in := range w.alive {
		in.slow = 0
		if in.paused {
			in.paused = false
			in.endpoint.Resume()
		}
	}
	for _, s := range w.slots {
		s.restartAt = min(s.restartAt, w.now)
	}
	w.event("quiet", msgid.Alias{}, 0, "all faults end")
}

// The quiet phase must end within these bounds. Delays of the protocol are at most a few seconds.
const (
	quietTime  = 120_000 // ms
	quietSteps = 400_000
)

// settle lets the topology come to its end: all possible steps happen, in random order, and then time passes until some
// task has work.
func (w *World) settle() {
	until, most := w.now+quietTime, w.step+quietSteps
	for !w.result.over() {
		w.step++
		if w.stir() {
			if w.step < most {
				continue
			}
			w.violate("I6", "no end: %d steps after the last fault, at %d ms\n%s", quietSteps, w.now, w.waiting())
			return
		}
		if w.complete() {
			return
		}
		next := w.wake()
		if next == 0 || next > until {
			w.violate("I6", "no progress: no step is left at %d ms (next %d)\n%s", w.now, next, w.waiting())
			return
		}
		w.now = max(w.now+1, next)
	}
}

// stir does one round of all steps that are possible now, and reports whether there was any.
func (w *World) stir() (any bool) {
	for _, s := range w.slots {
		if w.open(s) {
			any = true
		}
	}
	for range 50 {
		ready := w.net.Deliverable()
		if len(ready) == 0 {
			break
		}
		any = w.net.Deliver(ready[w.rand.IntN(len(ready))]) || any
	}
	order := w.rand.Perm(len(w.alive))
	all := slices.Clone(w.alive)
	for _, i := range order {
		in := all[i]
		for n := 0; n < 8 && !in.dead && in.turn(); n++ {
			any = true
		}
		if in.canWrite() {
			in.write()
			any = true
		}
		if !in.dead && len(in.answers) > 0 {
			in.answer()
			any = true
		}
	}
	return any || w.net.Pending() > 0
}

// wake returns the next time at which a task has work; 0: never.
func (w *World) wake() (at uint64) {
	sooner := func(t uint64) {
		if at == 0 || t < at {
			at = t
		}
	}
	for _, in := range w.alive {
		if t := in.core.Wake(); t != 0 {
			sooner(in.began + uint64(t))
		}
	}
	for _, s := range w.slots {
		if s.current == nil {
			sooner(max(1, s.restartAt))
		}
	}
	return at
}

// complete reports whether every task has come to its end, or, if spouts do not end, has caught up.
func (w *World) complete() bool {
	for _, s := range w.slots {
		if s.current == nil {
			return false
		}
		if !w.shape.endless {
			if !s.current.core.Done() {
				return false
			}
			continue
		}
		up := w.quiet
		if w.strategy.Guarantee() == strategy.ExactlyOnce {
			up = w.caughtUp
		}
		if w.faulty || !up(s) {
			return false
		}
	}
	return true
}

// caughtUp reports whether an endless task has consumed all that its sources emitted, and all that it emitted
// itself is stable.
func (w *World) caughtUp(s *slot) bool {
	st := s.current.core.Status()
	if src := sourceOf(s.current); src != nil && src.next < w.highest[s.task.Alias] {
		return false
	}
	if st.Retained > 0 || st.Replaying || st.Tentative {
		return false
	}
	for i, ch := range s.task.In {
		from := w.slots[ch.Source.Number].current
		if from == nil || from.core.Status().Outputs[ch.Out].Seq != st.Inputs[i].Seq {
			return false
		}
	}
	return true
}

// quiet is caughtUp for strategies that may lose or double numbered tuples.
func (w *World) quiet(s *slot) bool {
	src := sourceOf(s.current)
	return w.net.Pending() == 0 && s.current.core.Status().Retained == 0 && (src == nil || src.next >= w.highest[s.task.Alias])
}

// waiting describes why every task waits.
func (w *World) waiting() string {
	var b strings.Builder
	for _, s := range w.slots {
		in := s.current
		if in == nil {
			fmt.Fprintf(&b, "  %v: not started\n", s.task.Alias)
			continue
		}
		st := in.core.Status()
		fmt.Fprintf(&b, "  %v/%d: done %v finished %v replaying %v retained %d wake %d now %d", s.task.Alias, in.inc, in.core.Done(), st.Finished, st.Replaying, st.Retained, in.core.Wake(), w.now-in.began)
		if st.Blocked != recovery.NoOutput {
			fmt.Fprintf(&b, " blocked by %v", s.task.Out[st.Blocked].ID)
		}
		if st.Starved != recovery.NoInput {
			fmt.Fprintf(&b, " starved of %v", s.task.In[st.Starved].ID)
		}
		if in.writer != nil && in.writer.Busy() {
			b.WriteString(" writing")
		}
		b.WriteString("\n" + positions("in", s.task.In, st.Inputs) + positions("out", s.task.Out, st.Outputs))
	}
	return b.String()
}

func positions(what string, channels []*topology.Channel, at []recovery.Position) string {
	var b strings.Builder
	for i, p := range at {
		fmt.Fprintf(&b, "      %s %v#%d %08x\n", what, channels[i].ID, p.Seq, p.Sum)
	}
	return b.String()
}
