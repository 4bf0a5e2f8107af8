package spout_test

import (
	"context"
	"errors"
	"testing"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/spout"
)

// A spout behind a shut gate emits no tuple, and continues at its position once the gate opens. The gate receives the index
// of its task.
func TestGate(t *testing.T) {
	shut, asked := true, -1
	s := spout.Gate(spout.Slice("a", "b", "c"), func(_ spout.Spout, task int) bool { asked = task; return shut }).New()
	if err := s.(spout.Opener).Open(bolttest.NewContext("letters", 1, 2)); err != nil {
		t.Fatal(err)
	}
	out := bolttest.NewEmitter("letter")
	if err := s.Next(context.Background(), out); !errors.Is(err, spout.ErrIdle) || len(out.Rows("")) > 0 {
		t.Errorf("it is shut: %v, %v", err, out.Rows(""))
	}
	shut = false
	if err := s.Next(context.Background(), out); err != nil || len(out.Rows("")) == 0 || asked != 1 {
		t.Errorf("it is open: %v, %v, asked of task %d", err, out.Rows(""), asked)
	}
	if done, total := s.(spout.Progresser).Progress(); done == 0 || total == 0 {
		t.Errorf("it hides the progress: %d of %d", done, total)
	}
}
