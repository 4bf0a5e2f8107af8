package task

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// An Env performs for a core what reaches beyond the task. Append and Store are answered later, on the task's
// goroutine, by Core.Appended and Core.Stored (or, if the log was lost, by Core.StoreLost).
type Env interface {
	// Send sends a message; losses are the protocol's business. The payload may be used again after the call.
	Send(kind channel.Kind, to msgid.Alias, payload []byte)
	// Append appends an order record to the task log. There is one at a time.
	Append(record []byte)
	// Store stores a snapshot in the task log. There is one at a time.
	Store(parts [][]byte, full bool)
}

// A Core is a task without its goroutine: one event in, actions performed in order. The run loop drives it in
// production, the simulator in tests. It is not safe for concurrent use.
type Core struct {
	cfg     Config
	ctx     context.Context // of the operator's calls; ends when the incarnation is stopped or superseded
	env     Env
	machine recovery.Machine
	now     recovery.Tick

	incarnation msgid.Incarnation

	bolt  bolt.Bolt
	spout spout.Spout
	store *state.Store

	actions    recovery.Actions
	performing bool
	call       call
	work       recovery.Action // what the operator is to do: Deliver, Poll, Fire or Finish
	cursor     tuple.Cursor
	again      bool // the cursor stands on a tuple that is to be tried again
	tries      int
	retryAt    recovery.Tick
	choices    choices

	emit    emission
	trees   *trees        // nil unless the strategy follows tuples
	system  recovery.Tick // how often an operator of the strategy's own wants Tick
	capture *capture
	chain   int // snapshots since the last full one, that one included

	dueAt     recovery.Tick // of the operator's timer
	pollAt    recovery.Tick // an idle spout is asked again
	hurried   bool          // the spout was told to hurry
	unhurried bool          // it need not, any more
	scratch   []byte
	counters  Counters
	lost      Lost
	done      bool
	err       error
}

// Lost counts the tuples that an operator could not process and whose loss its policy declares. The counts are part of
// the task's snapshots, so that a restored task counts no tuple twice.
type Lost struct {
	Dead    uint64 // emitted on the stream of dead letters
	Dropped uint64
}

// Counters count what a core dropped or repeated. Messages that are dropped are sent again.
type Counters struct {
	Damaged  uint64 // messages with a wrong checksum, cut short, of another version
	Foreign  uint64 // messages of another plan, of a channel that is not ours, or of a sender that is not its end
	Retries  uint64 // calls of Execute repeated after an error
	Replayed uint64 // tuples that a spout emitted again, since they were not processed in time
}

// NewCore makes the task's operator and brings it to where its history ends. If it cannot, it closes the operator. Start
// begins. The operator's calls get ctx, which the caller ends when the incarnation is stopped or superseded.
func NewCore(ctx context.Context, cfg Config, history *checkpoint.History, env Env) (*Core, error) {
	cfg.applyDefaults()
	c := &Core{cfg: cfg, ctx: ctx, env: env, lost: cfg.lost, store: state.NewStore()}
	restored := false
	defer func() {
		if !restored { // the operator may have panicked, and may again
			_ = guard(cfg.Task.Alias, c.Close)
		}
	}()
	if err := c.restore(history); err != nil {
		return nil, fmt.Errorf("restore task %v: %w", cfg.Task.Alias, err)
	}
	restored = true
	return c, nil
}

// machineConfig tells the machine what the plan says of the task.
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

// Start tells the machine that the task has joined the transport.
func (c *Core) Start() { c.step(recovery.Event{Kind: recovery.Started}) }

// Receive takes a message that came for the task. What is damaged, foreign or forged is counted and dropped.
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
	c.step(recovery.Event{Kind: recovery.FrameReceived, Input: recovery.Input(ch.In), Frame: f, Replay: m.Kind == channel.Replay})
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
	c.step(ev)
}

// Appended, Stored and StoreLost answer the Env's Append and Store.
func (c *Core) Appended() { c.step(recovery.Event{Kind: recovery.Appended}) }

// Stored says that the last snapshot is durable. Not before may a sink make its effects visible.
func (c *Core) Stored() {
	if c.capture == nil {
		return
	}
	held := c.capture.held
	c.chain++
	if c.capture.last {
		c.trees.pending.safe = true
	}
	c.capture = nil
	if !held {
		c.commit()
	}
	c.step(recovery.Event{Kind: recovery.Uploaded})
}

// commit lets a sink make visible what its last stored snapshot closed.
func (c *Core) commit() {
	if s, ok := c.bolt.(bolt.Committer); ok {
		if err := s.Commit(); err != nil {
			c.fail(fmt.Errorf("commit %v: %w", c.cfg.Task.Alias, err))
		}
	}
}

// StoreLost says that the log has vanished or gone back, and that this incarnation has begun in it again.
func (c *Core) StoreLost() {
	if c.capture != nil {
		c.store.Abort()
		c.capture = nil
	}
	c.chain = 0
	c.step(recovery.Event{Kind: recovery.LogLost})
}

// Tick says what time it is, in milliseconds since the task began.
func (c *Core) Tick(now recovery.Tick) {
	c.now = now
	c.step(recovery.Event{Kind: recovery.Ticked, Now: now})
	if every := c.tickEvery(); every > 0 && now >= c.dueAt && c.work.Kind == 0 && c.quiesce() == 0 {
		c.step(recovery.Event{Kind: recovery.TimerDue, Value: uint64(c.cfg.Now().UnixNano())})
	}
	c.emit.linger(c)
}

func (c *Core) tickEvery() recovery.Tick {
	if d := c.cfg.Task.Operator.Tick; d > 0 {
		return max(1, recovery.Tick(d.Milliseconds()))
	}
	return c.system
}

// Idle seals what is open, so that nothing waits for more input to come. The caller calls it when Work has
// nothing to do and no message waits.
func (c *Core) Idle() {
	c.emit.sealAll(c)
	c.step(recovery.Event{Kind: recovery.Idle})
}

// Wake returns the next moment at which the core wants Tick although nothing has happened; 0: none.
func (c *Core) Wake() recovery.Tick {
	wake := c.machine.Status().Wake
	sooner := func(t recovery.Tick) {
		if t != 0 && (wake == 0 || t < wake) {
			wake = t
		}
	}
	if c.work.Kind != 0 {
		sooner(c.retryAt)
	}
	sooner(c.pollAt)
	if c.trees != nil && c.trees.pending != nil {
		if at := c.trees.pending.dueAt(); at != 0 {
			sooner(max(c.now+1, at))
		}
	}
	if c.tickEvery() > 0 && !c.machine.Status().Finished {
		sooner(max(c.now+1, c.dueAt))
	}
	return wake
}

// Err returns why the core stopped for good, or nil.
func (c *Core) Err() error { return c.err }

// Done reports whether everything that the task emitted is safe with its targets, and its end is durable. It
// goes on answering its peers until it is stopped.
func (c *Core) Done() bool { return c.done }

// Status returns the machine's account of itself, valid until the next call.
func (c *Core) Status() *recovery.Status {
	s := c.machine.Status()
	if c.trees != nil && c.trees.pending != nil {
		s.Retained += c.trees.pending.bytes
	}
	return s
}

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

// Close lets go of what the operator holds outside, if it is an io.Closer.
func (c *Core) Close() error {
	if cl, ok := c.Operator().(io.Closer); ok {
		return cl.Close()
	}
	return nil
}

// step tells the machine of an event and performs what it answers. An event that comes up while actions are
// being performed is told at once, and its actions queue up behind.
func (c *Core) step(ev recovery.Event) {
	if c.err != nil {
		return
	}
	c.machine.Step(ev, &c.actions)
	if c.performing {
		return
	}
	c.performing = true
	for i := 0; i < len(c.actions.List); i++ {
		c.perform(&c.actions.List[i])
	}
	c.actions.Reset()
	c.performing = false
}

func (c *Core) perform(a *recovery.Action) {
	t := c.cfg.Task
	switch a.Kind {
	case recovery.Deliver, recovery.Poll, recovery.RunTimer, recovery.Finish:
		c.begin(*a)
	case recovery.Publish:
		c.env.Send(channel.Data, t.Out[a.Output].Target.Alias, a.Frame.Raw)
	case recovery.Resend:
		c.env.Send(channel.Replay, t.Out[a.Output].Target.Alias, a.Frame.Raw)
	case recovery.Signal:
		to, kind := msgid.Alias{}, channel.Control
		if recovery.FromSource(a.Signal.Kind) {
			to = t.Out[a.Output].Target.Alias
		} else {
			to = t.In[a.Input].Source.Alias
		}
		if a.InBand {
			kind = channel.Data
		}
		c.scratch = a.Signal.AppendBinary(c.scratch[:0])
		c.env.Send(kind, to, c.scratch)
	case recovery.Free:
		c.emit.outlets[a.Output].builder.Recycle(a.Frame.Raw)
	case recovery.Append:
		c.env.Append(a.Data)
	case recovery.Freeze:
		c.beginCapture(a.Full)
	case recovery.Upload:
		if c.capture != nil {
			c.capture.due, c.capture.held = true, a.Tentative
			c.storeCapture()
		}
	case recovery.Commit:
		c.commit()
	case recovery.Done:
		c.done = true
	case recovery.Fail:
		var back *recovery.RollbackError
		if errors.As(a.Err, &back) {
			back.Culprit = c.culprit(back.Channel)
		}
		c.fail(a.Err)
	}
}

// culprit names the task whose failure rolls back this one; see recovery.RollbackError.
func (c *Core) culprit(channel uint32) string {
	if ch := c.cfg.Plan.Channel(channel - 1); channel != 0 && ch != nil {
		return ch.Source.Alias.String()
	}
	return "the coordinator"
}

func (c *Core) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
