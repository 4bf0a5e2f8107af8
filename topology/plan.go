package topology

import (
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

// MaxChannels is the greatest number of virtual channels of one plan.
const MaxChannels = 1_000_000

// A Plan is a topology compiled: every task and every virtual channel, numbered. The same program gives the same
// plan in every process, so numbers and version may travel in messages. A plan is not changed once it is built;
// any number of goroutines may read it.
type Plan struct {
	Name      string
	Version   uint64        // a hash of all that gives messages and logs their meaning; never 0
	Operators []*Operator   // in the order declared
	Tasks     []*Task       // by number: operator by operator
	Strategy  bolt.Strategy // under which it runs; not in the version
	Channels  []*Channel    // by number: operator by operator, stream by stream, source by source, target by target
}

// A Task is one parallel instance of an operator.
type Task struct {
	Number   int // its index in Plan.Tasks
	Alias    msgid.Alias
	Operator *Operator
	In       []*Channel // input by input, then by index of the source
	Out      []*Channel // stream by stream, edge by edge, then by index of the target
}

// A Channel is a virtual channel: the tuples that one source task sends to one target task on one stream.
type Channel struct {
	Number         uint32 // its index in Plan.Channels
	ID             msgid.Channel
	Edge           *Edge
	Source, Target *Task
	In             int // its index in Target.In
	Out            int // its index in Source.Out
}

// Sink reports whether no operator of the user's reads the task's output.
func (t *Task) Sink() bool {
	for _, c := range t.Out {
		if !c.Target.Operator.System {
			return false
		}
	}
	return true
}

// Operator returns the operator of that name, or nil if there is none.
func (p *Plan) Operator(name string) *Operator {
	for _, o := range p.Operators {
		if o.Name == name {
			return o
		}
	}
	return nil
}

// Task returns the task of that alias, or nil if there is none.
func (p *Plan) Task(alias msgid.Alias) *Task {
	o := p.Operator(alias.Operator)
	if o == nil || alias.Index < 0 || alias.Index >= len(o.Tasks) {
		return nil
	}
	return o.Tasks[alias.Index]
}

// Channel returns the channel of that number, or nil if there is none.
func (p *Plan) Channel(number uint32) *Channel {
	if uint64(number) >= uint64(len(p.Channels)) {
		return nil
	}
	return p.Channels[number]
}

// number makes and numbers the tasks and channels of resolved operators.
func (p *Plan) number() {
	for _, o := range p.Operators {
		for i := range o.Parallel {
			t := &Task{Number: len(p.Tasks), Alias: msgid.Alias{Operator: o.Name, Index: i}, Operator: o}
			o.Tasks = append(o.Tasks, t)
			p.Tasks = append(p.Tasks, t)
		}
	}
	into := make(map[*Edge][]*Channel)
	for _, o := range p.Operators {
		for _, s := range o.Streams {
			for _, e := range s.Edges {
				first := len(p.Channels)
				p.connect(e)
				into[e] = p.Channels[first:]
			}
		}
	}
	// A task's inputs are in the order of its own subscriptions, not of the sources.
	for _, o := range p.Operators {
		for _, e := range o.Inputs {
			for _, c := range into[e] {
				c.In = len(c.Target.In)
				c.Target.In = append(c.Target.In, c)
			}
		}
	}
}

// connect adds the channels of one edge and joins them to their sources.
func (p *Plan) connect(e *Edge) {
	for _, source := range e.From.Tasks {
		for _, target := range e.To.Tasks[:e.Targets()] {
			c := &Channel{
				Number: uint32(len(p.Channels)),
				ID:     msgid.Channel{Source: source.Alias, Stream: e.Stream.Name, Target: target.Alias},
				Edge:   e,
				Source: source,
				Target: target,
				Out:    len(source.Out),
			}
			source.Out = append(source.Out, c)
			p.Channels = append(p.Channels, c)
		}
	}
}
