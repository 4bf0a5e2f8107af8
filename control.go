package askback

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A Control looks at a running topology, and may kill its tasks. Its methods may be called from any goroutine until
// Run returns. See WithControl.
type Control struct{ run *run }

// Plan returns what runs.
func (c *Control) Plan() *topology.Plan { return c.run.plan }

// Tasks returns how each task stands, in the order of the plan.
func (c *Control) Tasks() []task.Info {
	infos := make([]task.Info, len(c.run.tasks))
	for i, s := range c.run.tasks {
		infos[i] = s.Info()
	}
	return infos
}

// Kill ends a task as a crash would: its state and buffers are dropped, and its next incarnation starts at once. It
// reports whether there was one to kill.
func (c *Control) Kill(alias msgid.Alias) bool {
	t := c.run.plan.Task(alias)
	return t != nil && c.run.tasks[t.Number].Kill()
}

// Traffic returns what the transport has counted so far.
func (c *Control) Traffic() natschan.Stats { return c.run.transport.Stats() }

// Logged returns how many messages went to the log so far, and their bytes.
func (c *Control) Logged() (messages, bytes uint64) {
	all := c.run.transport.Control().Stats()
	messages, bytes = all.OutMsgs, all.OutBytes
	for kind, t := range c.run.transport.Stats().Kinds {
		if channel.Kind(kind) != channel.Data { // the rest of that connection
			messages -= min(messages, t.Sent)
			bytes -= min(bytes, t.SentBytes)
		}
	}
	return messages, bytes
}
