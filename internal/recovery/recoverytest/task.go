package recoverytest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// An Operator describes how a bolt of a World differs from one that emits the tuples that it consumes.
type Operator struct {
	Timers    bool // it may be ticked
	Time      bool // it asks for the time at each tuple, and emits that too
	Rand      bool // it asks for chance at each tuple, and emits that too
	Secret    bool // it takes chance from elsewhere, unrecorded
	Poison    string
	Pessimism recovery.Pessimism
}

// A task outlives its instances.
type task struct {
	w       *World
	alias   msgid.Alias
	op      Operator
	in, out []*link

	feed   [][]string // of a spout: its input, a frame each
	closed bool       // the input has ended
	stuck  bool       // the operator is not run

	log         []record
	incarnation msgid.Incarnation
	live        *instance
	last        *instance // the one before, down for good
	paused      *instance // one that does not know yet that it was replaced
}

// A record is an entry of a task's log: determinants or a snapshot.
type record struct {
	determinants []byte
	snap         *snapshot
}

type snapshot struct {
	full      bool
	tentative bool // a sink makes its output visible on Commit, not when the snapshot is durable
	machine   []byte
	state     state
}

// A state is the state of an operator.
type state struct {
	seen    []string // consumed tuples, oldest first
	givenUp []string
	polls   int // of a spout: its position
}

func (s state) clone() state {
	return state{seen: slices.Clone(s.seen), givenUp: slices.Clone(s.givenUp), polls: s.polls}
}

// An instance is one incarnation of a task: a task core in small.
type instance struct {
	t           *task
	incarnation msgid.Incarnation
	began       recovery.Tick
	machine     recovery.Machine
	actions     recovery.Actions
	performing  bool
	todo        recovery.Action
	open        []*channel.Builder
	state       state
	closed      string // the position of the newest snapshot
	appending   []byte
	frozen      *snapshot // of a strategy with a coordinator: it waits for Upload
	uploading   *snapshot
	done        bool
	err         error
}

// start restores the task from its log, as a new incarnation.
func (t *task) start() {
	t.incarnation++
	h := recovery.History{Incarnation: t.incarnation}
	x := &instance{t: t, incarnation: t.incarnation, began: t.w.now}
	for _, r := range t.log {
		switch {
		case r.determinants != nil:
			h.Determinants = append(h.Determinants, r.determinants)
		case !t.accepts(r.snap):
		case r.snap.full:
			h.Chain = [][]byte{r.snap.machine}
			x.state = r.snap.state.clone()
		default:
			h.Chain = append(h.Chain, r.snap.machine)
			x.state = r.snap.state.clone()
		}
	}
	if t.w.SpoutsGoOn && t.last != nil {
		x.state.polls = t.last.state.polls
	}
	cfg := t.w.settings
	cfg.Self, cfg.Incarnation, cfg.Plan = t.alias, t.incarnation, plan
	cfg.Spout, cfg.Timers, cfg.Pessimism = len(t.in) == 0, t.op.Timers, t.op.Pessimism
	for _, l := range t.in {
		cfg.Inputs = append(cfg.Inputs, recovery.Port{Number: l.number, ID: l.id})
	}
	for _, l := range t.out {
		cfg.Outputs = append(cfg.Outputs, recovery.Port{Number: l.number, ID: l.id})
	}
	var err error
	if x.machine, err = t.w.factory(cfg, h); err != nil {
		t.w.t.Fatalf("start %s: %v", t.alias.Operator, err)
	}
	s := x.machine.Status()
	for o, l := range t.out {
		x.open = append(x.open, channel.NewBuilder(plan, l.number, x.incarnation, s.Outputs[o].Seq+1, s.Outputs[o].Sum, 16<<10))
	}
	t.live = x
	if t.incarnation > 1 {
		t.w.trace(t, "is restored%s", x.position())
	}
	x.step(recovery.Event{Kind: recovery.Started})
	x.tick()
}

// accepts reports whether the task may be restored from a snapshot, by the coordinator's decision.
func (t *task) accepts(s *snapshot) bool {
	base := t.w.base
	if base == nil || t.alias.Operator == base.Coordinator {
		return true
	}
	var decision []byte
	for _, r := range t.w.task(base.Coordinator).log {
		if r.snap != nil {
			decision = r.snap.machine
		}
	}
	return base.Accepts(decision, s.machine)
}

// tick gives the instance its own time, which begins at 1.
func (x *instance) tick() {
	x.step(recovery.Event{Kind: recovery.Ticked, Now: x.t.w.now - x.began + 1})
	x.work()
}

// wake returns the moment in the world's time at which the instance needs a tick; false if it needs none.
func (x *instance) wake() (recovery.Tick, bool) {
	wake := x.machine.Status().Wake
	return x.began + max(wake, 1) - 1, wake != 0
}

// position describes the positions of an instance.
func (x *instance) position() (text string) {
	s := x.machine.Status()
	for i, l := range x.t.in {
		text += fmt.Sprintf(" %s#%d", l.data.name, s.Inputs[i].Seq)
	}
	for o, l := range x.t.out {
		text += fmt.Sprintf(" %s#%d", l.data.name, s.Outputs[o].Seq)
	}
	if text == "" {
		return ""
	}
	return " at" + text
}

// receive takes a message as the task core does.
func (x *instance) receive(l *link, m message) {
	if sig, err := channel.DecodeSignal(m.raw); err == nil {
		ev := recovery.Event{Kind: recovery.SignalReceived, Signal: sig, InBand: m.kind == channel.Data}
		if recovery.FromSource(sig.Kind) {
			ev.Input = l.in
		} else {
			ev.Output = l.out
		}
		x.step(ev)
		return
	}
	f, err := channel.Decode(slices.Clone(m.raw))
	if err != nil {
		x.t.w.t.Fatalf("%s received %v", x.t.alias, err)
	}
	x.step(recovery.Event{Kind: recovery.FrameReceived, Input: l.in, Frame: f, Replay: m.kind == channel.Replay})
}

// step gives the machine an event and performs its actions; events that arise meanwhile queue up behind.
func (x *instance) step(ev recovery.Event) {
	if x.err != nil {
		return
	}
	x.machine.Step(ev, &x.actions)
	if x.performing {
		return
	}
	x.performing = true
	for i := 0; i < len(x.actions.List) && x.err == nil; i++ {
		x.perform(x.actions.List[i])
	}
	x.actions.Reset()
	x.performing = false
}

func (x *instance) perform(a recovery.Action) {
	t := x.t
	switch a.Kind {
	case recovery.Deliver:
		t.w.trace(t, "consumes %s%s", t.in[a.Input].data.name, frameText(&a.Frame))
		x.todo = a
	case recovery.Poll, recovery.RunTimer, recovery.Finish:
		x.todo = a
	case recovery.Publish:
		t.w.trace(t, "sends %s%s", t.out[a.Output].data.name, frameText(&a.Frame))
		x.send(t.out[a.Output], channel.Data, a.Frame.Raw)
	case recovery.Resend:
		t.w.trace(t, "resends %s%s", t.out[a.Output].data.name, frameText(&a.Frame))
		x.send(t.out[a.Output], channel.Replay, a.Frame.Raw)
	case recovery.Signal:
		x.signal(&a)
	case recovery.Free:
		for k := range a.Frame.Raw { // a use after Free changes the trace
			a.Frame.Raw[k] = 0xdb
		}
	case recovery.Append:
		text := ""
		if t.w.Determinants != nil {
			text = " " + t.w.Determinants(a.Data)
		}
		t.w.trace(t, "appends%s", text)
		x.appending = a.Data
	case recovery.Freeze:
		x.freeze(a.Full)
	case recovery.Upload:
		x.upload(a.Tentative)
	case recovery.Commit:
		x.commit()
	case recovery.Done:
		t.w.trace(t, "is done")
		x.done = true
	case recovery.Fail:
		x.fail(a.Err)
	}
}

func frameText(f *channel.Frame) string { return "#" + rangeText(f.First, f.Last()) }

func rangeText(first, last msgid.Seq) string {
	return msgid.Ranges{{First: first, Last: last}}.String()
}

// fail ends an instance.
func (x *instance) fail(err error) {
	x.t.w.trace(x.t, "FAILS: %v", err)
	x.err = err
	if x.t.live != x {
		return
	}
	x.t.live, x.t.last = nil, x
	var back *recovery.RollbackError
	if errors.As(err, &back) {
		x.t.start()
	}
}

func (x *instance) signal(a *recovery.Action) {
	kind := channel.Control
	if a.InBand {
		kind = channel.Data
	}
	var l *link
	var way *lane
	if recovery.FromSource(a.Signal.Kind) {
		l = x.t.out[a.Output]
		way = &l.data
	} else {
		l = x.t.in[a.Input]
		way = &l.signals
	}
	text := ""
	if x.t.w.Signal != nil {
		text = x.t.w.Signal(&a.Signal, l.id)
	}
	if text == "" {
		text = a.Signal.Describe(l.id)
	}
	x.t.w.trace(x.t, "%s", text)
	way.flight = append(way.flight, message{kind: kind, raw: a.Signal.AppendBinary(nil)})
}

func (x *instance) send(l *link, kind channel.Kind, raw []byte) {
	l.data.flight = append(l.data.flight, message{kind: kind, raw: slices.Clone(raw)})
}

// freeze takes a snapshot: full at first and when it must be, then an increment, every fourth full again. In a world with a
// coordinator the machine's part is captured when it asks for the upload, as by the task core; else at once, so that each
// story has one step less.
func (x *instance) freeze(full bool) {
	x.sealAll()
	increments := 0
	for _, r := range x.t.log {
		if r.snap != nil {
			increments++
		}
	}
	x.frozen = &snapshot{full: full || increments%4 == 0, state: x.state.clone()}
	kind := "an increment"
	if x.frozen.full {
		kind = "a full snapshot"
	}
	x.closed = x.position()
	x.t.w.trace(x.t, "takes %s%s", kind, x.closed)
	if x.t.w.base != nil {
		x.step(recovery.Event{Kind: recovery.Frozen})
	} else {
		x.upload(false)
	}
}

// upload writes the frozen snapshot to the log.
func (x *instance) upload(tentative bool) {
	s := x.frozen
	if s == nil {
		return
	}
	s.machine, s.tentative = x.machine.Capture(nil, s.full), tentative
	x.frozen, x.uploading = nil, s
}

// commit makes visible the output of a sink, in a world with a coordinator.
func (x *instance) commit() {
	coordinator := x.t.w.base.Coordinator
	sink := x.t.alias.Operator != coordinator && len(x.t.in) > 0
	for _, l := range x.t.out {
		sink = sink && l.target.alias.Operator == coordinator
	}
	if sink {
		x.t.w.trace(x.t, "commits its output up to %s", strings.TrimPrefix(x.closed, " at "))
	}
}

// work runs the operator as long as there is input, then seals the open frames.
func (x *instance) work() {
	for x.workOnce() {
	}
	x.sealAll()
	x.step(recovery.Event{Kind: recovery.Idle})
}

func (x *instance) workOnce() bool {
	if x.err != nil || x.t.stuck || len(x.t.in) == 0 && !x.idle() {
		return false
	}
	x.step(recovery.Event{Kind: recovery.Ready})
	a := x.todo
	x.todo = recovery.Action{}
	switch a.Kind {
	case recovery.Deliver:
		x.consume(&a)
	case recovery.Poll:
		x.poll()
	case recovery.RunTimer:
		x.t.w.trace(x.t, "fires its timer of %d", a.Value)
		x.emit(fmt.Sprintf("tick@%d", a.Value))
		x.step(recovery.Event{Kind: recovery.Consumed})
	case recovery.Finish:
		x.end()
	default:
		return false
	}
	if x.t.op.Pessimism == recovery.PerTuple {
		x.sealAll() // else a tuple's effects could be logged together with the next one's
	}
	return x.err == nil
}

// idle reports whether a spout has input left, or an end to report.
func (x *instance) idle() bool {
	return len(x.t.in) == 0 && !x.machine.Status().Finished && (x.state.polls < len(x.t.feed) || x.t.closed)
}

func (x *instance) poll() {
	if x.state.polls == len(x.t.feed) {
		x.end()
		return
	}
	texts := x.t.feed[x.state.polls]
	x.state.polls++
	for _, text := range texts {
		x.emit(text)
	}
	x.sealAll()
	x.step(recovery.Event{Kind: recovery.Consumed})
}

func (x *instance) end() {
	x.t.w.trace(x.t, "ends")
	for _, b := range x.open {
		b.Append(tuple.AppendEnd(nil))
	}
	x.sealAll()
	x.step(recovery.Event{Kind: recovery.Ended})
}

// consume runs the operator over a frame.
func (x *instance) consume(a *recovery.Action) {
	var c tuple.Cursor
	c.Reset(a.Frame.Payload(), tuple.Origin{First: a.Frame.First})
	for {
		item, err := c.Next()
		switch {
		case err != nil:
			x.t.w.t.Fatalf("%s consumes a frame that cannot be read: %v", x.t.alias, err)
		case item == tuple.None:
			x.step(recovery.Event{Kind: recovery.Consumed})
			return
		case item == tuple.End:
			x.step(recovery.Event{Kind: recovery.EndOfInput, Input: a.Input})
		default:
			x.execute(a, c.Seq(), c.Tuple().String(0))
		}
	}
}

func (x *instance) execute(a *recovery.Action, seq msgid.Seq, text string) {
	w, op := x.t.w, x.t.op
	if reason, given := x.givenUp(a, seq, text); given {
		w.trace(x.t, "gives up %s: %s", text, reason)
		x.choose(recovery.Event{Determinant: recovery.DeterminantGivenUp, Input: a.Input, Value: uint64(seq), Reason: reason})
		x.state.givenUp = append(x.state.givenUp, text)
		return
	}
	x.state.seen = append(x.state.seen, text)
	if len(x.t.in) > 1 || op.Timers {
		text += fmt.Sprintf(":%d", len(x.state.seen))
	}
	if op.Time {
		text += fmt.Sprintf("@%d", x.choose(recovery.Event{Determinant: recovery.DeterminantTime, Value: uint64(w.now)}))
	}
	if op.Rand {
		text += fmt.Sprintf("%%%d", x.choose(recovery.Event{Determinant: recovery.DeterminantRand, Value: w.draw()}))
	}
	if op.Secret {
		text += fmt.Sprintf("?%d", w.draw())
	}
	x.emit(text)
}

// givenUp reports whether a tuple is given up, and why: for the recorded reason, or because it is poison.
func (x *instance) givenUp(a *recovery.Action, seq msgid.Seq, text string) (reason string, given bool) {
	for _, g := range a.GivenUp {
		if g.Seq == seq {
			return g.Reason, true
		}
	}
	return recovery.Reason(fmt.Sprintf("poison to incarnation %d", x.incarnation)), text == x.t.op.Poison
}

func (w *World) draw() uint64 {
	w.chance++
	return w.chance
}

// choose requests a determinant from the machine.
func (x *instance) choose(fresh recovery.Event) uint64 {
	var do recovery.Actions
	fresh.Kind = recovery.DeterminantRequested
	x.machine.Step(fresh, &do)
	for _, a := range do.List {
		if a.Kind == recovery.ReturnDeterminant {
			return a.Value
		}
		x.perform(a)
	}
	return fresh.Value
}

// emit appends a tuple to every output but the one to a coordinator.
func (x *instance) emit(text string) {
	for o, b := range x.open {
		if base := x.t.w.base; base != nil && x.t.out[o].target.alias.Operator == base.Coordinator {
			continue
		}
		b.Append(append([]byte{0x91, 0xd9, byte(len(text))}, text...))
	}
}

func (x *instance) sealAll() {
	for o, b := range x.open {
		if !b.Empty() {
			x.step(recovery.Event{Kind: recovery.Sealed, Output: recovery.Output(o), Frame: b.Seal()})
		}
	}
}

var errFenced = errors.New("fenced: a newer incarnation has begun")

// appended makes the pending record of determinants durable, and reports Appended unless the answer is lost.
func (x *instance) appended(answered bool) {
	data := x.appending
	if data == nil || x.err != nil {
		return
	}
	if x.incarnation < x.t.incarnation { // R1
		x.fail(errFenced)
		return
	}
	x.t.log = append(x.t.log, record{determinants: data})
	if answered {
		x.appending = nil
		x.step(recovery.Event{Kind: recovery.Appended})
		x.work()
	}
}

// uploaded makes the pending snapshot durable, and reports it.
func (x *instance) uploaded() {
	s := x.uploading
	if s == nil || x.err != nil {
		return
	}
	if x.incarnation < x.t.incarnation { // R1
		x.fail(errFenced)
		return
	}
	x.uploading = nil
	x.t.log = append(x.t.log, record{snap: s})
	if x.t.w.base != nil && !s.tentative {
		x.commit()
	}
	x.step(recovery.Event{Kind: recovery.Uploaded})
	x.work()
}
