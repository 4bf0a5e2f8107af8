package bench

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A Fault is something that goes wrong at a moment of the run.
type Fault struct {
	Kind string        // one of Faults; "" is none
	At   time.Duration // since the measurement began
	For  time.Duration // of FreezeSink
}

// The kinds of fault.
const (
	KillTask   = "task"        // one bolt's task is killed
	KillTasks  = "tasks"       // a bolt's task and one of its sources are killed
	KillWorker = "worker"      // the process is killed by SIGKILL and started again
	KillNATS   = "nats"        // the NATS server, a process of its own, is killed by SIGKILL and started again
	FreezeSink = "freeze-sink" // the sink takes nothing for a while
)

// ParseFault reads what String writes: "none", "task@5s", "freeze-sink@5s:60s".
func ParseFault(text string) (f Fault, err error) {
	if text == "" || text == "none" {
		return f, nil
	}
	wrong := func() (Fault, error) {
		return Fault{}, fmt.Errorf("fault %q: want none, task@5s, tasks@5s, worker@5s, nats@5s or freeze-sink@5s:60s", text)
	}
	kind, when, ok := strings.Cut(text, "@")
	at, length, timed := strings.Cut(when, ":")
	f.Kind = kind
	switch kind {
	case KillTask, KillTasks, KillWorker, KillNATS:
		ok = ok && !timed
	case FreezeSink:
		ok = ok && timed
	default:
		ok = false
	}
	if !ok {
		return wrong()
	}
	if f.At, err = time.ParseDuration(at); err != nil || f.At <= 0 {
		return wrong()
	}
	if timed {
		if f.For, err = time.ParseDuration(length); err != nil || f.For <= 0 {
			return wrong()
		}
	}
	return f, nil
}

// String writes a fault as the command line has it.
func (f Fault) String() string {
	switch {
	case f.Kind == "":
		return "none"
	case f.For > 0:
		return fmt.Sprintf("%s@%v:%v", f.Kind, f.At, f.For)
	}
	return fmt.Sprintf("%s@%v", f.Kind, f.At)
}

// outside reports whether the fault is done to the process, not within it.
func (f Fault) outside() bool { return f.Kind == KillWorker || f.Kind == KillNATS }

// victims chooses the tasks to kill: the same for every strategy, since those that a strategy adds do not count.
func (f Fault) victims(p *topology.Plan, seed uint64) (victims []msgid.Alias) {
	r := rand.New(rand.NewPCG(seed, 2))
	var bolts []*topology.Task
	for _, t := range p.Tasks {
		if t.Operator.Spout == nil && !t.Operator.System {
			bolts = append(bolts, t)
		}
	}
	victim := bolts[r.IntN(len(bolts))]
	victims = append(victims, victim.Alias)
	if f.Kind == KillTasks {
		ch := victim.In[r.IntN(len(victim.In))]
		victims = append(victims, ch.Source.Alias)
	}
	return victims
}
