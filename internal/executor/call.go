package executor

import (
	"time"

	"github.com/askback/askback/msgid"
)

// A Call is a method of the operator that the task has called and that has not returned.
type Call struct {
	Alias  msgid.Alias
	Method string        // Execute, Next, Tick or Finish; "" if the task is in none of them
	For    time.Duration // since the task has begun this turn
	// First and Last are the message ids of the frame that Execute processes; zero for other methods.
	First, Last msgid.ID
}

// Calling returns the running call of the task's operator.
func (e *Executor) Calling() Call {
	e.mu.Lock()
	in := e.current
	e.mu.Unlock()
	doing := Call{Alias: e.opt.Config.Task.Alias}
	if in == nil {
		return doing
	}
	if doing.Method, doing.First, doing.Last = in.core.Calling(); doing.Method != "" {
		doing.For = time.Since(time.Unix(0, in.turn.Load()))
	}
	return doing
}
