package sim

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A loss is a tuple that a task gave up.
type loss struct {
	id   msgid.ID
	item []byte
}

// judgeLost compares a task's count of given-up tuples with those missing in its history, and keeps it for judgeDead.
func (w *World) judgeLost(s *slot, lost []loss) error {
	w.losses[s.task.Number] = lost
	var want task.Lost
	switch op := s.task.Operator; {
	case op.OnError == topology.DeadLetter:
		want.Dead = uint64(len(lost))
	case op.OnError == topology.Drop:
		want.Dropped = uint64(len(lost))
	case len(lost) > 0:
		return fmt.Errorf("it has lost %v, and %d more, but must lose none", lost[0].id, len(lost)-1)
	}
	if got := s.current.core.Lost(); got != want {
		return fmt.Errorf("it counts %+v tuples as given up, want %+v", got, want)
	}
	return nil
}

// judgeDead compares the dead letters that were consumed with the tuples that were given up.
func (w *World) judgeDead() {
	for _, s := range w.slots {
		byReader := map[*topology.Edge][]value{}
		for _, ch := range s.task.Out {
			if ch.Edge.Stream.Name != topology.DeadStream {
				continue
			}
			byReader[ch.Edge] = append(byReader[ch.Edge], nil...)
			for _, data := range w.met[ch.Number] {
				v, err := deadValue.read(data)
				if err != nil {
					w.violate("I1", "%v carried a dead letter that cannot be read: %v", ch.ID, err)
					return
				}
				byReader[ch.Edge] = append(byReader[ch.Edge], v)
			}
		}
		for _, letters := range byReader {
			if err := w.compareDead(letters, w.losses[s.task.Number]); err != nil {
				w.violate("I1", "dead letters of %v: %v", s.task.Alias, err)
				return
			}
		}
	}
}

func (w *World) compareDead(letters []value, lost []loss) error {
	for _, l := range lost {
		i := slices.IndexFunc(letters, func(v value) bool { return v.id == l.id.String() })
		if i < 0 {
			return fmt.Errorf("that of %v is missing", l.id)
		}
		v := letters[i]
		letters = slices.Delete(letters, i, i+1)
		want, err := itemValue.read(l.item)
		if err != nil {
			return err
		}
		if v.item.Root != want.item.Root || v.item.Value != want.item.Value || !bytes.Equal(v.item.Pad, want.item.Pad) {
			return fmt.Errorf("that of %v is of %v, not of %v", l.id, v.item, want.item)
		}
		if err := w.judgeReason(l.id, v.reason); err != nil {
			return err
		}
	}
	if len(letters) > 0 {
		return fmt.Errorf("%d too many, one of %s", len(letters), letters[0].id)
	}
	return nil
}

// judgeReason checks that the reason of a dead letter is that of a call which failed and, once it was found in the task
// log, that one.
func (w *World) judgeReason(id msgid.ID, reason string) error {
	if recorded, ok := w.recorded[id]; ok && reason != recorded {
		return fmt.Errorf("that of %v has the reason %q, in the task log is %q", id, reason, recorded)
	}
	if !slices.Contains(w.reasons[id], reason) {
		return fmt.Errorf("that of %v has the reason %q: its calls have failed with %q", id, reason, w.reasons[id])
	}
	return nil
}
