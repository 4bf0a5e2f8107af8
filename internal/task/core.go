package task

import (
	"context"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// An Env performs a core's actions beyond the task. It must not call the core from within its methods: Append and Store are
// answered later, on the task's goroutine, by Core.Answered. A LogWriter gives these answers.
type Env interface {
	// Send sends a message; the protocol handles losses. The payload may be used again after the call.
	Send(kind channel.Kind, to msgid.Alias, payload []byte)
	// Append appends a record of determinants to the task log, in an era. There is one at a time.
	Append(era int, record []byte)
	// Store stores a snapshot in the task log, in an era. There is one at a time.
	Store(era int, parts [][]byte, full bool)
}

// A Core is a task without its goroutine: one event in, actions performed in order. The executor drives it in
// production, the simulator in tests. It is not safe for concurrent use, but for Calling.
type Core struct {
	cfg         Config
	ctx         context.Context // of the operator's calls; ends when the incarnation is stopped or superseded
	env         Env
	machine     recovery.Machine
	incarnation msgid.Incarnation
	now         recovery.Tick

	bolt    bolt.Bolt
	spout   spout.Spout
	store   *state.Store
	outputs *outputs

	// The event loop; see handle.
	events  []recovery.Event // that the machine is still to handle
	actions recovery.Actions // of the event that it handles
	scratch []byte           // for signals

	// The operator's work; see Work.
	work   recovery.Action // Deliver, Poll, RunTimer or Finish, until it is done
	call   call
	cursor tuple.Cursor // over the frame of a Deliver
	retry  struct {
		waits bool // the cursor is on a tuple that is to be tried again
		tries int
		at    recovery.Tick
	}
	determinants determinants
	answers      recovery.Actions // to requests for determinants
	local        []uint64         // an answer to a router

	dueAt     recovery.Tick // of the operator's timer
	tickEvery recovery.Tick // the timer's interval; 0: there is none
	pollAt    recovery.Tick // an idle spout is asked again
	hurried   bool          // the spout was asked to hurry
	unhurried bool          // it need not hurry any more

	tracker *tracking.Tracker // nil unless the strategy follows tuples
	capture *capture          // the snapshot under way
	era     int               // of the log; see LogWriter
	chain   int               // snapshots since the last full one, that one included

	counters Counters
	lost     Lost
	done     bool
	err      error
}

// Lost counts the tuples that an operator could not process and gave up by its declared policy. The counts are part of the
// task's snapshots, so that a restored task counts no tuple twice.
type Lost struct {
	Dead    uint64 // emitted on the stream of dead letters
	Dropped uint64
}

// Counters count the messages and calls that a core dropped or repeated. Dropped messages are sent again.
type Counters struct {
	Damaged  uint64 // messages with a wrong checksum, cut short, of another version
	Foreign  uint64 // messages of another plan, of a channel that is not ours, or of a sender that is not its end
	Retries  uint64 // calls of Execute repeated after an error
	Replayed uint64 // tuples that a spout emitted again, since they were not processed in time
}

// Add adds the counts of another incarnation.
func (c *Counters) Add(d Counters) {
	c.Damaged += d.Damaged
	c.Foreign += d.Foreign
	c.Retries += d.Retries
	c.Replayed += d.Replayed
}

// NewCore makes the task's operator and restores it to the end of its history. If it cannot, it closes the operator. Start
// begins its work. The operator's calls get ctx, which the caller ends when the incarnation is stopped or superseded.
func NewCore(ctx context.Context, cfg Config, history *checkpoint.History, env Env) (*Core, error) {
	cfg.applyDefaults()
	c := &Core{cfg: cfg, ctx: ctx, env: env, lost: cfg.Lost, store: state.NewStore()}
	restored := false
	defer func() {
		if !restored { // the operator may have panicked, and may again
			_ = Guard(cfg.Task.Alias, c.Close)
		}
	}()
	if err := c.restore(history); err != nil {
		return nil, fmt.Errorf("restore task %v: %w", cfg.Task.Alias, err)
	}
	restored = true
	return c, nil
}

// machineConfig returns the machine's configuration, with the task's part of the plan.
func (c *Core) machineConfig(inc msgid.Incarnation) recovery.Config {
	m := c.cfg.Settings
	t := c.cfg.Task
	m.Self, m.Incarnation, m.Plan = t.Alias, inc, c.cfg.Plan.Version
	m.Spout = t.Operator.Spout != nil
	m.Timers = t.Operator.Tick > 0
	m.Pessimism = recovery.Pessimism(t.Operator.Pessimism)
	for _, ch := range t.In {
		m.Inputs = append(m.Inputs, recovery.Port{Number: ch.Number, ID: ch.ID})
	}
	for _, ch := range t.Out {
		m.Outputs = append(m.Outputs, recovery.Port{Number: ch.Number, ID: ch.ID})
	}
	return m
}

// Start begins the task's work: it has joined the transport.
func (c *Core) Start() { c.handle(recovery.Event{Kind: recovery.Started}) }

// Receive takes a message that came for the task. A damaged, foreign or forged one is counted and dropped.
func (c *Core) Receive(m channel.Message) {
	if channel.IsSignal(m.Payload) {
		c.receiveSignal(m)
		return
	}
	f, err := channel.Decode(m.Payload)
	if err != nil {
		c.counters.Damaged++
		return
	}
	ch := c.cfg.Plan.Channel(f.Channel)
	if m.Kind == channel.Control || f.Plan != c.cfg.Plan.Version || ch == nil || ch.Target != c.cfg.Task || ch.Source.Alias != m.From {
		c.counters.Foreign++
		return
	}
	c.handle(recovery.Event{Kind: recovery.FrameReceived, Input: recovery.Input(ch.In), Frame: f, Replay: m.Kind == channel.Replay})
}

func (c *Core) receiveSignal(m channel.Message) {
	sig, err := channel.DecodeSignal(m.Payload)
	if err != nil {
		c.counters.Damaged++
		return
	}
	ev := recovery.Event{Kind: recovery.SignalReceived, Signal: sig, InBand: m.Kind == channel.Data}
	ch := c.cfg.Plan.Channel(sig.Channel)
	switch {
	case sig.Plan != c.cfg.Plan.Version || ch == nil:
		c.counters.Foreign++
		return
	case recovery.FromSource(sig.Kind) && ch.Target == c.cfg.Task && ch.Source.Alias == m.From:
		ev.Input = recovery.Input(ch.In)
	case !recovery.FromSource(sig.Kind) && ch.Source == c.cfg.Task && ch.Target.Alias == m.From:
		ev.Output = recovery.Output(ch.Out)
	default:
		c.counters.Foreign++
		return
	}
	c.handle(ev)
}

// Answered takes an answer of the log writer. An answer of an era that is over is void.
func (c *Core) Answered(a Answer) {
	switch {
	case a.Kind == LogLost:
		c.era = a.Era
		c.logLost()
	case a.Era != c.era:
	case a.Kind == RecordAppended:
		c.handle(recovery.Event{Kind: recovery.Appended})
	case a.Kind == SnapshotStored:
		c.stored()
	}
}

// stored reports that the snapshot is durable. A sink may make its effects visible only now.
func (c *Core) stored() {
	if c.capture == nil {
		return
	}
	tentative := c.capture.tentative
	c.chain++
	c.capture = nil
	if !tentative {
		c.commit()
	}
	c.handle(recovery.Event{Kind: recovery.Uploaded})
}

// logLost reports that the log has vanished or gone back, and that this incarnation has begun in it again. It replaces the
// outstanding answers.
func (c *Core) logLost() {
	if c.capture != nil {
		c.store.Abort()
		c.capture = nil
	}
	c.chain = 0
	c.handle(recovery.Event{Kind: recovery.LogLost})
}

// Tick sets the time, in milliseconds since the task began.
func (c *Core) Tick(now recovery.Tick) {
	c.now, c.outputs.now = now, now
	c.handle(recovery.Event{Kind: recovery.Ticked, Now: now})
	c.seal(c.cfg.Linger)
	c.drain()
}

// Idle seals the open frames, so that no tuple waits for more input. The caller calls it when Work has reported false and
// no message waits. It reports whether there is work now.
func (c *Core) Idle() (work bool) {
	c.seal(0)
	c.drain()
	c.handle(recovery.Event{Kind: recovery.Idle})
	return c.capture != nil && !c.capture.encoded
}

// Turn is one turn for a caller that drives several cores on one goroutine: the time, if it is later, then Work, and Idle
// if that had nothing to do. It reports whether Work had.
func (c *Core) Turn(now recovery.Tick) (busy bool) {
	if now > c.now {
		c.Tick(now)
	}
	if c.err == nil {
		busy = c.Work()
	}
	if !busy && c.err == nil {
		c.Idle()
	}
	return busy
}

// Wake returns the next moment at which the core needs Tick without another event; 0: none.
func (c *Core) Wake() recovery.Tick {
	wake := c.machine.Status().Wake
	sooner := func(t recovery.Tick) {
		if t != 0 && (wake == 0 || t < wake) {
			wake = t
		}
	}
	if c.retry.waits {
		sooner(c.retry.at)
	}
	sooner(c.pollAt)
	if c.tickEvery > 0 && !c.machine.Status().Finished {
		sooner(max(c.now+1, c.dueAt))
	}
	return wake
}

// Err returns the error that stopped the core for good, or nil.
func (c *Core) Err() error { return c.err }

// Done reports whether all outputs of the task are safe with its targets, and its end is durable. It continues to answer
// its peers until it is stopped.
func (c *Core) Done() bool { return c.done }

// Status returns the machine's account of itself, valid until the next call.
func (c *Core) Status() *recovery.Status { return c.machine.Status() }

// Counters returns the counts of this incarnation.
func (c *Core) Counters() Counters { return c.counters }

// Lost returns the counts of all incarnations, as far as this one was restored.
func (c *Core) Lost() Lost { return c.lost }

// Operator returns the bolt or the spout, for its owner to look at between calls.
func (c *Core) Operator() any {
	if c.spout != nil {
		return c.spout
	}
	return c.bolt
}

// Close closes the operator if it is an io.Closer, to release its outside resources.
func (c *Core) Close() error {
	if cl, ok := c.Operator().(io.Closer); ok {
		return cl.Close()
	}
	return nil
}
