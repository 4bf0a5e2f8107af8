package recoverytest

import (
	"fmt"
	"slices"

	"github.com/askback/askback/internal/recovery"
)

// Operator sets the operator of a bolt. Call it before Start.
func (w *World) Operator(task string, op Operator) {
	w.t.Helper()
	w.task(task).op = op
}

// Poison makes a bolt give up a tuple; "" none.
func (w *World) Poison(task, text string) {
	w.t.Helper()
	w.task(task).op.Poison = text
}

// Emit adds tuples to a spout's input, as one frame: a4, a5 … of spout "a" that has had three.
func (w *World) Emit(spout string, tuples int) {
	w.t.Helper()
	t := w.task(spout)
	if len(t.in) > 0 || t.closed {
		w.t.Fatalf("%s has no input of its own, or it has ended", spout)
	}
	n := 0
	for _, frame := range t.feed {
		n += len(frame)
	}
	var frame []string
	for k := range tuples {
		frame = append(frame, fmt.Sprintf("%s%d", spout, n+k+1))
	}
	t.feed = append(t.feed, frame)
	if t.live != nil {
		t.live.work()
	}
}

// End ends the input of a spout.
func (w *World) End(spout string) {
	w.t.Helper()
	t := w.task(spout)
	t.closed = true
	if t.live != nil {
		t.live.work()
	}
}

// Timer reports that a task's timer is due.
func (w *World) Timer(task string) {
	w.t.Helper()
	x := w.running(task)
	x.step(recovery.Event{Kind: recovery.TimerDue, Value: uint64(w.now)})
	x.t.live.work()
}

// Stick keeps a task from running its operator, and Unstick lets it again.
func (w *World) Stick(task string) {
	w.t.Helper()
	w.task(task).stuck = true
}

// Unstick is the end of Stick.
func (w *World) Unstick(task string) {
	w.t.Helper()
	w.task(task).stuck = false
	w.running(task).work()
}

// Append makes a task's pending record of determinants durable; its answer is lost unless it is answered.
func (w *World) Append(task string, answered bool) {
	w.t.Helper()
	x := w.writer(task, func(x *instance) bool { return x.appending != nil })
	x.appended(answered)
}

// Upload makes a task's pending snapshot durable.
func (w *World) Upload(task string) {
	w.t.Helper()
	w.writer(task, func(x *instance) bool { return x.uploading != nil }).uploaded()
}

// writer returns the instance of a task, living or paused, that has a write pending.
func (w *World) writer(task string, pending func(*instance) bool) *instance {
	w.t.Helper()
	t := w.task(task)
	for _, x := range []*instance{t.paused, t.live} {
		if x != nil && x.err == nil && pending(x) {
			return x
		}
	}
	w.t.Fatalf("%s has no pending write", task)
	return nil
}

// Crash ends a task's instance. Its pending writes are lost; messages that it sent are on their way.
func (w *World) Crash(task string) {
	w.t.Helper()
	x := w.running(task)
	x.t.live, x.t.last = nil, x
	x.appending, x.uploading = nil, nil
}

// Pause takes a task's instance aside without ending it: it receives no event, and does not know that it was replaced.
func (w *World) Pause(task string) {
	w.t.Helper()
	x := w.running(task)
	x.t.live, x.t.last, x.t.paused = nil, x, x
}

// Resume lets a paused instance continue with its old state, beside the one that was started since.
func (w *World) Resume(task string) {
	w.t.Helper()
	if x := w.task(task).paused; x == nil {
		w.t.Fatalf("no instance of %s is paused", task)
	} else {
		x.work()
	}
}

// Restart starts a task that is down from its log.
func (w *World) Restart(task string) {
	w.t.Helper()
	if t := w.task(task); t.live != nil {
		w.t.Fatalf("task %s is up", task)
	} else {
		t.start()
	}
}

// Forget takes the newest n records out of a task's log: an older copy was put in its place.
func (w *World) Forget(task string, n int) {
	w.t.Helper()
	t := w.task(task)
	if n > len(t.log) {
		w.t.Fatalf("the log of %s has %d records", task, len(t.log))
	}
	t.log = slices.Delete(t.log, len(t.log)-n, len(t.log))
}

// LoseLog empties a running task's log and reports LogLost to it.
func (w *World) LoseLog(task string) {
	w.t.Helper()
	x := w.running(task)
	x.t.log = nil
	x.appending, x.frozen, x.uploading = nil, nil, nil
	x.step(recovery.Event{Kind: recovery.LogLost})
	x.work()
}

// Consumed returns the tuples that are in the state of a task's operator, in the order of consumption.
func (w *World) Consumed(task string) []string {
	w.t.Helper()
	return w.running(task).state.seen
}

// GivenUp returns the tuples that a task gave up.
func (w *World) GivenUp(task string) []string {
	w.t.Helper()
	return w.running(task).state.givenUp
}

// Status returns the status of a task's machine.
func (w *World) Status(task string) *recovery.Status {
	w.t.Helper()
	return w.running(task).machine.Status()
}

// Done reports whether a task is done.
func (w *World) Done(task string) bool {
	w.t.Helper()
	return w.running(task).done
}

// Err returns why a task's last instance failed, or nil.
func (w *World) Err(task string) error {
	w.t.Helper()
	if t := w.task(task); t.live == nil && t.last != nil {
		return t.last.err
	}
	return nil
}

// InFlight returns the bytes that are in flight from a channel's source to its target.
func (w *World) InFlight(channel string) (n int) {
	w.t.Helper()
	for _, m := range w.lane(channel).flight {
		n += len(m.raw)
	}
	return n
}
