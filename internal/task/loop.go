package task

import (
	"errors"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// handle gives an event to the machine, and performs the actions that it returns:
//
//	event ──► queue ──► machine.Step ──► actions, performed in order
//	            ▲                           │
//	            └── Sealed …, Frozen ◄──────┘ of a Freeze
//
// The loop is not entered again while it runs: events that an action leads to are queued, and an Env answers later.
// Neither is the operator called from it: perform takes note of Deliver, Poll, RunTimer and Finish, and Work, whose
// event led to one of them, does it when the loop has come to its end.
func (c *Core) handle(ev recovery.Event) {
	c.events = append(c.events, ev)
	c.drain()
}

func (c *Core) drain() {
	for i := 0; i < len(c.events) && c.err == nil; i++ {
		c.machine.Step(c.events[i], &c.actions)
		for k := range c.actions.List {
			c.perform(&c.actions.List[k])
		}
		c.actions.Reset()
	}
	clear(c.events)
	c.events = c.events[:0]
}

// queueSealed queues the frames that were sealed since the last time.
func (c *Core) queueSealed() {
	for i := range c.outputs.sealed {
		s := &c.outputs.sealed[i]
		c.events = append(c.events, recovery.Event{Kind: recovery.Sealed, Output: s.output, Frame: s.frame})
	}
	c.outputs.taken()
}

// seal seals the frames that have been open for that long, and queues them. It does not while a call waits to be tried
// again, since that call's output was taken back.
func (c *Core) seal(age recovery.Tick) {
	if !c.retry.waits {
		c.outputs.seal(age)
		c.queueSealed()
	}
}

// perform performs the machine's actions.
func (c *Core) perform(a *recovery.Action) {
	t := c.cfg.Task
	switch a.Kind {
	case recovery.Deliver, recovery.Poll, recovery.RunTimer, recovery.Finish:
		c.work = *a
	case recovery.Publish:
		c.env.Send(channel.Data, t.Out[a.Output].Target.Alias, a.Frame.Raw)
	case recovery.Resend:
		c.env.Send(channel.Replay, t.Out[a.Output].Target.Alias, a.Frame.Raw)
	case recovery.Signal:
		c.signal(a)
	case recovery.Free:
		c.outputs.channels[a.Output].builder.Recycle(a.Frame.Raw)
	case recovery.Append:
		c.env.Append(c.era, a.Data)
	case recovery.Freeze:
		c.freeze(a.Full)
	case recovery.Upload:
		if c.capture != nil {
			c.capture.due, c.capture.tentative = true, a.Tentative
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

// signal sends a signal to the other end of its channel.
func (c *Core) signal(a *recovery.Action) {
	to, kind := msgid.Alias{}, channel.Control
	if recovery.FromSource(a.Signal.Kind) {
		to = c.cfg.Task.Out[a.Output].Target.Alias
	} else {
		to = c.cfg.Task.In[a.Input].Source.Alias
	}
	if a.InBand {
		kind = channel.Data
	}
	c.scratch = a.Signal.AppendBinary(c.scratch[:0])
	c.env.Send(kind, to, c.scratch)
}

// culprit names the failed task that causes this rollback; see recovery.RollbackError.
func (c *Core) culprit(channel uint32) string {
	if ch := c.cfg.Plan.Channel(channel - 1); channel != 0 && ch != nil {
		return ch.Source.Alias.String()
	}
	return "the coordinator"
}

// fail stops the core for good. The first error counts.
func (c *Core) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
