package task

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/topology"
)

// An Origin is what a task goes on from whose own log has no snapshot yet: what its namesake has left in the log of
// another plan, at a moment when nothing was on its way between any two tasks. The operator's state, or its position,
// and keyed state go on; channels and routing begin anew. If the old plan has no such task, or QuiescePositions is 0, the
// task begins empty.
type Origin struct {
	Log              checkpoint.Log
	Plan             *topology.Plan
	QuiescePositions uint64 // Info.QuiescePositions of that moment
}

// A seed is the state that a task begins with.
type seed struct {
	lost  Lost
	own   []byte // as encode gives it, without counts and routing
	keyed [][]byte
}

// open begins an incarnation. A seed comes with it as long as the log has no snapshot.
func (s *Supervisor) open(ctx context.Context) (w *checkpoint.Writer, h *checkpoint.History, begin *seed, err error) {
	opt, alias := s.opt.LogOption, s.opt.Config.Task.Alias
	opt.AtLeast = max(opt.AtLeast, s.Info().Incarnation+1) // a log that went back has forgotten some
	w, h, err = Open(ctx, s.opt.Log, alias, s.opt.Base, opt)
	if err != nil || s.opt.From == nil || len(h.Chain) > 0 {
		return w, h, nil, err
	}
	begin, last, err := s.opt.From.read(ctx, s.opt.Config, s.opt.LogOption)
	if err != nil || last == nil || last.Incarnation < h.Incarnation {
		return w, h, begin, err
	}
	opt.AtLeast = max(opt.AtLeast, last.Incarnation+1) // to what is outside, incarnations go on
	w, h, err = Open(ctx, s.opt.Log, alias, s.opt.Base, opt)
	return w, h, begin, err
}

// read returns what the task's namesake has left. It fails if that is not what it was when all was still.
func (o *Origin) read(ctx context.Context, cfg Config, opt checkpoint.Options) (*seed, *checkpoint.History, error) {
	old := o.Plan.Task(cfg.Task.Alias)
	if old == nil || o.QuiescePositions == 0 {
		return nil, nil, nil
	}
	h, err := checkpoint.Peek(ctx, o.Log, old.Alias, opt)
	if err != nil {
		return nil, nil, err
	}
	damaged := func(what string) error {
		return &checkpoint.DamagedError{Alias: old.Alias, What: "the log before the topology was changed: " + what}
	}
	if len(h.Chain) == 0 {
		return nil, nil, damaged("it has no snapshot")
	}
	cfg.Plan, cfg.Task = o.Plan, old
	c := &Core{cfg: cfg}
	begin, mh := &seed{}, recovery.History{Incarnation: h.Incarnation, Determinants: h.Determinants}
	var own []byte
	for _, snapshot := range h.Chain {
		part, machine, keyed, ok := cutSnapshot(snapshot)
		if !ok {
			return nil, nil, fmt.Errorf("%w: its parts do not add up", ErrSnapshot)
		}
		own, mh.Chain, begin.keyed = part, append(mh.Chain, machine), append(begin.keyed, keyed)
	}
	m, err := cfg.Strategy(c.machineConfig(h.Incarnation), mh)
	if err != nil {
		return nil, nil, err
	}
	// Frames that its snapshot retains have become stable since: else it would not have stood still.
	if st := m.Status(); st.Replaying || quiescePositions(st) != o.QuiescePositions {
		return nil, nil, damaged("it is not where it was then")
	}
	if own, err = begin.lost.decode(own); err != nil {
		return nil, nil, err
	}
	for _, stream := range old.Operator.Streams {
		for range stream.Edges {
			_, rest, ok := cutPart(own)
			if !ok {
				return nil, nil, fmt.Errorf("%w: routing state is cut short", ErrSnapshot)
			}
			own = rest
		}
	}
	begin.own = own
	return begin, h, nil
}

// cutSnapshot splits a snapshot into the core's part, the machine's, and keyed state.
func cutSnapshot(snapshot []byte) (own, machine, keyed []byte, ok bool) {
	own, rest, ok1 := cutPart(snapshot)
	if !ok1 {
		return nil, nil, nil, false
	}
	machine, keyed, ok = cutPart(rest)
	return own, machine, keyed, ok
}

// adopt begins with what a namesake has left.
func (c *Core) adopt(begin *seed) error {
	for _, data := range begin.keyed {
		if err := c.store.Apply(data); err != nil {
			return err
		}
	}
	c.lost = begin.lost
	return c.resume(begin.own)
}

// quiescePositions hashes the positions of all of a task's channels. It is never 0.
func quiescePositions(st *recovery.Status) uint64 {
	h := fnv.New64a()
	var b [12]byte
	for _, side := range [][]recovery.Position{st.Inputs, st.Outputs} {
		for _, p := range side {
			binary.LittleEndian.PutUint64(b[:], uint64(p.Seq))
			binary.LittleEndian.PutUint32(b[8:], p.Sum)
			_, _ = h.Write(b[:])
		}
	}
	return max(1, h.Sum64())
}

// A StateKind says what an operator keeps from tuple to tuple.
type StateKind string

// What operators keep.
const (
	Nothing  StateKind = ""
	KeyState StateKind = "keyed state"
	OwnState StateKind = "state of its own"
	Effects  StateKind = "effects outside, and Commit"
	Anchored StateKind = "effects outside under the topology's name" // see bolt.RenameSafe
)

// keepsState returns what the task's operator keeps.
func (c *Core) keepsState() StateKind {
	switch b := c.bolt.(type) {
	case bolt.RenameSafe:
		return Effects
	case bolt.Committer:
		return Anchored
	case interface{ KeepsState() bool }: // a composition, whose snapshot may be no more than counts
		if b.KeepsState() {
			return OwnState
		}
		return Nothing
	case bolt.Snapshotter:
		return OwnState
	}
	if c.store.Used() {
		return KeyState
	}
	return Nothing
}

// quiesce returns the number that Config.Quiesce returns; 0: the task is to go on.
func (c *Core) quiesce() uint64 {
	if c.cfg.Quiesce == nil {
		return 0
	}
	return c.cfg.Quiesce()
}

// quiesced reports whether the task is to quiesce, by which number, and has nothing to do and nothing to lose.
func (c *Core) quiesced() (number uint64, is bool) {
	number = c.quiesce()
	return number, number != 0 && c.work.Kind == 0 && c.capture == nil && c.err == nil && c.machine.Status().Clean
}
