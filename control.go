package askback

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/inject"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A control is a run as package inject shows it.
type control struct{ run *run }

var _ inject.Run = control{}

func (c control) Plan() *topology.Plan { return c.run.plan }

func (c control) Tasks() []executor.Info {
	infos := make([]executor.Info, len(c.run.tasks))
	for i, s := range c.run.tasks {
		infos[i] = s.Info()
	}
	return infos
}

func (c control) Kill(alias msgid.Alias) bool {
	t := c.run.plan.Task(alias)
	return t != nil && c.run.tasks[t.Number].Kill()
}

func (c control) Traffic() natschan.Stats { return c.run.transport.Stats() }

func (c control) Logged() (messages, bytes uint64) {
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
