package task

import (
	"sync/atomic"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A call is the method of the operator that the core has called and that has not returned. The task's goroutine sets it
// once a frame; other goroutines read it, such as when the call does not return.
type call struct {
	method atomic.Uint32 // a recovery.ActionKind; 0: none
	input  atomic.Int32
	first  atomic.Uint64
	count  atomic.Uint32
}

func (c *call) begin(a *recovery.Action) {
	c.input.Store(int32(a.Input))
	c.first.Store(uint64(a.Frame.First))
	c.count.Store(uint32(a.Frame.Count))
	c.method.Store(uint32(a.Kind))
}

func (c *call) end() { c.method.Store(0) }

var methods = map[recovery.ActionKind]string{
	recovery.Deliver: "Execute", recovery.Poll: "Next", recovery.RunTimer: "Tick", recovery.Finish: "Finish",
}

// Calling returns the method of the operator that is running, Execute, Next, Tick or Finish, and for Execute the message
// ids of the frame that it processes; "" if none is running. It may be called from any goroutine.
func (c *Core) Calling() (method string, first, last msgid.ID) {
	kind := recovery.ActionKind(c.call.method.Load())
	input, seq := int(c.call.input.Load()), msgid.Seq(c.call.first.Load())
	if kind == recovery.Deliver && input < len(c.cfg.Task.In) {
		channel := c.cfg.Task.In[input].ID
		first = msgid.ID{Channel: channel, Seq: seq}
		last = msgid.ID{Channel: channel, Seq: seq + msgid.Seq(max(c.call.count.Load(), 1)) - 1}
	}
	return methods[kind], first, last
}
