package task

import (
	"sync/atomic"
	"time"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Call is what an operator is doing: the method that the task has called and that has not returned.
type Call struct {
	Alias  msgid.Alias
	Method string        // Execute, Next, Tick or Finish; "" if the task is in none of them
	For    time.Duration // since the task has begun this turn
	// First and Last are the message ids of the frame whose tuples Execute works on; zero for other methods.
	First, Last msgid.ID
}

// A call is the same for the task's goroutine, which sets it once a frame, and for others, which look at it when the task
// does not come back.
type call struct {
	method atomic.Uint32 // a recovery.ActionKind; 0: none
	port   atomic.Int32
	first  atomic.Uint64
	count  atomic.Uint32
	begun  atomic.Int64 // Unix ns
}

func (c *call) begin(a *recovery.Action) {
	c.port.Store(int32(a.Input))
	c.first.Store(uint64(a.Frame.First))
	c.count.Store(uint32(a.Frame.Count))
	c.method.Store(uint32(a.Kind))
}

func (c *call) end() { c.method.Store(0) }

var methods = map[recovery.ActionKind]string{
	recovery.Deliver: "Execute", recovery.Poll: "Next", recovery.RunTimer: "Tick", recovery.Finish: "Finish",
}

// Calling returns what the task's operator is doing at this moment.
func (s *Supervisor) Calling() Call {
	s.mu.Lock()
	r := s.current
	s.mu.Unlock()
	task := s.opt.Config.Task
	doing := Call{Alias: task.Alias}
	if r == nil || r.core == nil {
		return doing
	}
	c := &r.core.call
	kind := recovery.ActionKind(c.method.Load())
	doing.Method = methods[kind]
	if doing.Method == "" {
		return doing
	}
	doing.For = time.Since(time.Unix(0, c.begun.Load()))
	if port := int(c.port.Load()); kind == recovery.Deliver && port < len(task.In) {
		channel, first := task.In[port].ID, msgid.Seq(c.first.Load())
		doing.First = msgid.ID{Channel: channel, Seq: first}
		doing.Last = msgid.ID{Channel: channel, Seq: first + msgid.Seq(max(c.count.Load(), 1)) - 1}
	}
	return doing
}
