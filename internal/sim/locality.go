package sim

import (
	"bytes"
	"fmt"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// workers is in how many places tasks run.
const workers = 3

// move places a new incarnation somewhere, and sets which tasks are in the same place, for a number of tuples that varies.
func (w *World) move(t *topology.Task, cfg *task.Config) {
	here := w.places.IntN(workers)
	w.place[t.Number] = here
	cfg.Local = func(a msgid.Alias) bool { return w.place[w.plan.Task(a).Number] == here }
	cfg.LocalFor = 1 + uint64(w.places.IntN([]int{1, 4, 40}[w.places.IntN(3)]))
}

// LocalUnrecorded (D1): which targets are local is not recorded.
const LocalUnrecorded Bug = "local_unrecorded"

// forgetful is a machine with that bug.
type forgetful struct{ recovery.Machine }

func (m forgetful) Step(ev recovery.Event, do *recovery.Actions) {
	if ev.Kind == recovery.DeterminantRequested && ev.Determinant == recovery.DeterminantLocal {
		do.Add(recovery.Action{Kind: recovery.ReturnDeterminant, Value: ev.Value})
		return
	}
	m.Machine.Step(ev, do)
}

// follow returns the target of a tuple that was dealt out by place. The oracle does not know where tasks were at that time,
// but each tuple must be the next one in exactly one target's history.
func (t *twin) follow(outs []*topology.Channel, item []byte) (int, error) {
	for k, ch := range outs {
		got := t.got[ch.Number]
		if n := len(t.items[ch.Number]); n < len(got) && bytes.Equal(got[n], item) {
			return k, nil
		}
	}
	return 0, fmt.Errorf("it emits %x to %s, of which no task has got that next", item, outs[0].Target.Operator.Name)
}

// gotBy returns the tuples that the target of a channel has consumed, in order.
func (w *World) gotBy(ch *topology.Channel) (got [][]byte) {
	for _, m := range historyOf(w.slots[ch.Target.Number].current) {
		if m.kind == tupleMoment && m.port == ch.In {
			got = append(got, m.data)
		}
	}
	return got
}
