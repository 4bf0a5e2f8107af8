package executor_test

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// hurried notes the calls of Hurry in its incarnations, one after another.
type hurried struct {
	mu    sync.Mutex
	calls []bool
}

// unhurried is a spout of numbers that implements Pacer.
type unhurried struct {
	*hurried
	next, end uint64
}

func (s *unhurried) Next(_ context.Context, out spout.Emitter) error {
	if s.next == s.end {
		return io.EOF
	}
	s.next++
	return out.Row().Int(int64(s.next)).Emit()
}

func (s *unhurried) Position(dst []byte) []byte { return binary.AppendUvarint(dst, s.next) }

func (s *unhurried) Seek(p []byte) error {
	s.next, _ = binary.Uvarint(p)
	return nil
}

func (s *unhurried) Hurry(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, on)
}

// A spout that paces itself gets Hurry(true) while its task repeats the output of an earlier incarnation, and Hurry(false)
// afterwards. Its first incarnation gets neither.
func TestHurry(t *testing.T) {
	var noted hurried
	b := topology.New("hurry")
	b.Spout("numbers", spout.Func(func() spout.Spout { return &unhurried{hurried: &noted, end: 200_000} })).Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Shuffle("numbers")
	h := open(t, b, memlog.Options{}, nil)
	h.until("it has emitted", func() bool { return h.tasks["numbers.0"].Info().Counters.Emitted > 1000 })
	noted.mu.Lock()
	if len(noted.calls) > 0 {
		t.Errorf("the first incarnation got %v", noted.calls)
	}
	noted.mu.Unlock()
	if !h.tasks["numbers.0"].Kill() {
		t.Fatal("there was no incarnation to kill")
	}
	h.complete()
	if want := []bool{true, false}; !slices.Equal(noted.calls, want) {
		t.Errorf("Hurry was called with %v, want %v", noted.calls, want)
	}
}
