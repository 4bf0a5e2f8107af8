package recoverytest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A World is a few tasks joined in memory. Tasks are called by the names of their operators, and channels
// "a>b", or "a:x>b" for a second one between the same tasks; "b>a" is the way that b's signals take to a.
type World struct {
	// Trace gets a line for each action of a task. Nil is allowed.
	Trace func(line string)
	// Determinants describes the body of a record of determinants for the trace. Nil is allowed.
	Determinants func(record []byte) string
	// Signal describes a signal for the trace; "": as usual. Nil is allowed.
	Signal func(sig *channel.Signal, of msgid.Channel) string
	// SpoutsGoOn lets a restarted spout continue at the position of the lost one, like a spout without a log.
	SpoutsGoOn bool

	t        testing.TB
	factory  recovery.Factory
	base     *recovery.Base
	settings recovery.Config
	tasks    []*task
	links    []*link
	now      recovery.Tick
	chance   uint64 // the random numbers of operators: 1, 2, 3 …, never the same again
}

// A link is a channel and the messages in flight on it.
type link struct {
	id             msgid.Channel
	number         uint32
	source, target *task
	out            recovery.Output // at the source
	in             recovery.Input  // at the target
	data           lane
	signals        lane // from the target to the source
}

// A lane is one direction of a link. It keeps messages in order, as a transport does for data only; a test that needs
// another order delays a message.
type lane struct {
	name    string
	to      *task
	flight  []message
	delayed []message
}

type message struct {
	kind channel.Kind
	raw  []byte
}

// Plan is the plan version of every World.
const plan = 0xa5b

// New makes a world of the tasks that the channels name, in the order in which they are named. The settings hold for every
// task; the fields that describe one task are filled in. Start begins.
func New(t testing.TB, factory recovery.Factory, settings recovery.Config, channels ...string) *World {
	return NewOn(t, factory, nil, settings, channels...)
}

// NewOn is New for a strategy that rolls back all tasks together, by the decisions of a coordinator. The world has
// one, with a channel from every task. A task that is rolled back starts again at once.
func NewOn(t testing.TB, factory recovery.Factory, base *recovery.Base, settings recovery.Config, channels ...string) *World {
	w := &World{t: t, factory: factory, base: base, settings: settings}
	if base != nil {
		channels = append(slices.Clone(channels), toCoordinator(base.Coordinator, channels)...)
	}
	for n, name := range channels {
		from, target, ok := strings.Cut(name, ">")
		source, stream, _ := strings.Cut(from, ":")
		if !ok || w.link(name) != nil {
			t.Fatalf("channel %q: want each once, such as a>b or a:x>b", name)
		}
		l := &link{number: uint32(n), source: w.makeTask(source), target: w.makeTask(target)}
		l.id = msgid.Channel{Source: l.source.alias, Stream: stream, Target: l.target.alias}
		l.out, l.in = recovery.Output(len(l.source.out)), recovery.Input(len(l.target.in))
		l.data = lane{name: name, to: l.target}
		l.signals = lane{name: target + ">" + from, to: l.source}
		l.source.out, l.target.in = append(l.source.out, l), append(l.target.in, l)
		w.links = append(w.links, l)
	}
	return w
}

// toCoordinator returns a channel from every task that others name.
func toCoordinator(coordinator string, others []string) (channels []string) {
	for _, name := range others {
		from, target, _ := strings.Cut(name, ">")
		source, _, _ := strings.Cut(from, ":")
		for _, task := range []string{source, target} {
			if c := task + ">" + coordinator; !slices.Contains(channels, c) {
				channels = append(channels, c)
			}
		}
	}
	return channels
}

func (w *World) makeTask(name string) *task {
	for _, t := range w.tasks {
		if t.alias.Operator == name {
			return t
		}
	}
	t := &task{w: w, alias: msgid.Alias{Operator: name}}
	w.tasks = append(w.tasks, t)
	return t
}

func (w *World) link(name string) *link {
	for _, l := range w.links {
		if l.data.name == name {
			return l
		}
	}
	return nil
}

func (w *World) task(name string) *task {
	w.t.Helper()
	for _, t := range w.tasks {
		if t.alias.Operator == name {
			return t
		}
	}
	w.t.Fatalf("there is no task %q", name)
	return nil
}

// running returns the instance of a task that must be up.
func (w *World) running(name string) *instance {
	w.t.Helper()
	t := w.task(name)
	if t.live == nil {
		w.t.Fatalf("task %s is down", name)
	}
	return t.live
}

// Start starts every task that is down.
func (w *World) Start() {
	for _, t := range w.tasks {
		if t.live == nil {
			t.start()
		}
	}
}

// Deliver delivers the messages in flight on the named lanes, once. Without names it delivers all messages in flight, and
// the tasks' answers, until none is left.
func (w *World) Deliver(lanes ...string) {
	w.t.Helper()
	for _, name := range lanes {
		w.lane(name)
	}
	for round := 1; ; round++ {
		found := false
		for _, t := range w.tasks {
			found = w.deliverTo(t, lanes) || found
		}
		switch {
		case !found || len(lanes) > 0:
			return
		case round == 1000:
			w.t.Fatalf("answers to answers have no end:\n%s", w)
		}
	}
}

// deliverTo hands a task all that is in flight to it, then lets it work.
func (w *World) deliverTo(t *task, lanes []string) (found bool) {
	for _, l := range w.links {
		for _, way := range []*lane{&l.data, &l.signals} {
			if way.to != t || len(lanes) > 0 && !slices.Contains(lanes, way.name) {
				continue
			}
			flight := way.flight
			way.flight = nil
			for _, m := range flight {
				found = true
				if t.live != nil {
					t.live.receive(l, m)
				}
			}
		}
	}
	if found && t.live != nil {
		t.live.work()
	}
	return found
}

func (w *World) lane(name string) *lane {
	w.t.Helper()
	for _, l := range w.links {
		for _, way := range []*lane{&l.data, &l.signals} {
			if way.name == name {
				return way
			}
		}
	}
	w.t.Fatalf("there is no way %q", name)
	return nil
}

// take removes the messages of a lane that the selector names: "" all, "3" the frames that hold tuple 3, "mark" the signals
// of that kind. At least one message must match.
func (w *World) take(name, what string) (taken []message) {
	w.t.Helper()
	way := w.lane(name)
	way.flight = slices.DeleteFunc(way.flight, func(m message) bool {
		if m.is(what) {
			taken = append(taken, m)
			return true
		}
		return false
	})
	if len(taken) == 0 {
		w.t.Fatalf("no %q is in flight on %s", what, name)
	}
	return taken
}

func (m message) is(what string) bool {
	if what == "" {
		return true
	}
	if sig, err := channel.DecodeSignal(m.raw); err == nil {
		return strings.EqualFold(sig.Kind.String(), what)
	}
	f, err := channel.Decode(m.raw)
	var n msgid.Seq
	_, notNumber := fmt.Sscan(what, &n)
	return err == nil && notNumber == nil && f.First <= n && n <= f.Last()
}

// tuples returns how many tuples and end marks are in flight on a lane.
func (w *World) tuples(lane string) (n uint64) {
	w.t.Helper()
	for _, m := range w.lane(lane).flight {
		if f, err := channel.Decode(m.raw); err == nil {
			n += uint64(f.Count)
		}
	}
	return n
}

// flies reports whether a tuple is in flight on a lane.
func (w *World) flies(lane string, seq int) bool {
	w.t.Helper()
	return slices.ContainsFunc(w.lane(lane).flight, func(m message) bool { return m.is(fmt.Sprint(seq)) })
}

// Drop loses messages in flight on a lane: the selector "" stands for all, "3" the frames that hold tuple 3, "ack" the
// signals of that kind. At least one message must match.
func (w *World) Drop(lane, what string) {
	w.t.Helper()
	w.take(lane, what)
}

// Duplicate makes messages in flight, chosen as for Drop, come twice.
func (w *World) Duplicate(lane, what string) {
	w.t.Helper()
	for _, m := range w.take(lane, what) {
		w.lane(lane).flight = append(w.lane(lane).flight, m, m)
	}
}

// Delay takes messages in flight, chosen as for Drop, aside; Arrive puts them back, behind all others.
func (w *World) Delay(lane, what string) {
	w.t.Helper()
	taken := w.take(lane, what)
	w.lane(lane).delayed = append(w.lane(lane).delayed, taken...)
}

// Arrive puts the delayed messages of a lane back into flight.
func (w *World) Arrive(lane string) {
	w.t.Helper()
	way := w.lane(lane)
	way.flight, way.delayed = append(way.flight, way.delayed...), nil
}

// Tick lets time pass, in milliseconds. Each task is woken at its Wake, and not otherwise.
func (w *World) Tick(d recovery.Tick) {
	for end := w.now + d; w.now < end; {
		w.now = min(end, w.nextWake())
		for _, t := range w.tasks {
			if x := t.live; x != nil {
				if wake, wants := x.wake(); wants && wake <= w.now || w.now == end {
					x.tick()
				}
			}
		}
	}
}

// nextWake returns the next moment, from now on, at which a task has to be woken.
func (w *World) nextWake() recovery.Tick {
	next := recovery.Tick(1 << 62)
	for _, t := range w.tasks {
		if t.live != nil {
			if wake, wants := t.live.wake(); wants {
				next = min(next, max(wake, w.now+1))
			}
		}
	}
	return next
}

// Settle delivers every message, makes every write durable and lets time pass until no frame is on its way or retained, and
// every task is done if all spouts have ended.
func (w *World) Settle() {
	w.t.Helper()
	for range 1000 {
		w.Deliver()
		if w.write() {
			continue
		}
		if w.settled() {
			return
		}
		next := w.nextWake()
		if next == 1<<62 {
			break
		}
		w.Tick(next - w.now)
	}
	w.t.Fatalf("does not settle:\n%s", w)
}

// write makes every pending write durable, and reports whether there was one.
func (w *World) write() (found bool) {
	for _, t := range w.tasks {
		if x := t.live; x != nil && (x.appending != nil || x.uploading != nil) {
			found = true
			x.appended(true)
			x.uploaded()
		}
	}
	return found
}

func (w *World) settled() bool {
	ended := true
	for _, t := range w.tasks {
		ended = ended && (len(t.in) > 0 || t.closed)
	}
	for _, t := range w.tasks {
		x := t.live
		if x == nil {
			continue
		}
		s := x.machine.Status()
		if x.idle() || s.Retained > 0 || s.Tentative || ended && !x.done {
			return false
		}
		for o, l := range t.out {
			y := l.target.live
			if y == nil {
				continue
			}
			// A source without a log numbers from 1 again, and its target learns of it with the first message.
			sent, got := s.Outputs[o].Seq, y.machine.Status().Inputs[l.in].Seq
			if sent > got || sent < got && !w.SpoutsGoOn {
				return false
			}
		}
	}
	return true
}

// String returns the state of the world: positions, and messages in flight.
func (w *World) String() string {
	var b strings.Builder
	for _, t := range w.tasks {
		if t.live == nil {
			fmt.Fprintf(&b, "%s is down\n", t.alias.Operator)
			continue
		}
		s := t.live.machine.Status()
		fmt.Fprintf(&b, "%s consumed %v emitted %v retained %d bytes, blocked %d, starved %d, done %v\n",
			t.alias.Operator, s.Inputs, s.Outputs, s.Retained, s.Blocked, s.Starved, t.live.done)
	}
	for _, l := range w.links {
		fmt.Fprintf(&b, "%s: %d in flight, %d back\n", l.data.name, len(l.data.flight), len(l.signals.flight))
	}
	return b.String()
}

func (w *World) trace(t *task, format string, args ...any) {
	if w.Trace != nil {
		w.Trace(t.alias.Operator + " " + plain(fmt.Sprintf(format, args...)))
	}
}

// plain leaves out the index of aliases, which is always 0.
func plain(s string) string { return strings.ReplaceAll(s, ".0", "") }
