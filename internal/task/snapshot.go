package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// A capture is a snapshot on its way to the log. The operator's own state is captured at once; keyed state is
// frozen, and encoded a little at a time between frames. The machine says when to store it.
type capture struct {
	full    bool
	own     []byte
	encoded bool
	keyed   []byte // once encoded
	due     bool   // the machine has said Store
	last    bool   // nothing of a spout's tuples is pending, and nothing follows

	tentative bool // a sink is to wait for Commit
}

const (
	captureStep = 4096 // entries of keyed state encoded between two frames: some 100 µs
	maxChain    = 64   // increments until a full snapshot is due in any case
)

// freeze begins a snapshot of the task as it is now.
func (c *Core) freeze(full bool) {
	c.seal(0)
	full = full || c.chain == 0 || c.chain >= maxChain || c.store.Size() < c.cfg.SmallState || c.store.WantFull()
	if full {
		c.chain = 0
	}
	own, err := c.encode()
	if err != nil {
		c.fail(fmt.Errorf("snapshot %v: %w", c.cfg.Task.Alias, err))
		return
	}
	c.store.Begin(full)
	c.capture = &capture{full: full, own: own, last: c.trees != nil && c.trees.pending != nil && c.trees.pending.empty}
	c.events = append(c.events, recovery.Event{Kind: recovery.Frozen})
}

// encodeSome encodes some of the frozen state. It reports whether there was any.
func (c *Core) encodeSome() bool {
	s := c.capture
	if s == nil || s.encoded {
		return false
	}
	done, err := c.store.Step(captureStep)
	if err != nil {
		c.fail(fmt.Errorf("snapshot %v: %w", c.cfg.Task.Alias, err))
		return false
	}
	if done {
		s.encoded, s.keyed = true, c.store.Take()
		c.storeCapture()
	}
	return true
}

// storeCapture hands the snapshot over, when it is complete and the machine wants it stored.
func (c *Core) storeCapture() {
	s := c.capture
	if s == nil || !s.encoded || !s.due {
		return
	}
	machine := c.machine.Capture(nil, s.full)
	c.env.Store([][]byte{
		binary.AppendUvarint(nil, uint64(len(s.own))), s.own,
		binary.AppendUvarint(nil, uint64(len(machine))), machine,
		s.keyed,
	}, s.full)
	s.own, s.keyed, s.due = nil, nil, false
}

// commit has a sink make visible what its last stored snapshot closed.
func (c *Core) commit() {
	if s, ok := c.bolt.(bolt.Committer); ok {
		if err := s.Commit(); err != nil {
			c.fail(fmt.Errorf("commit %v: %w", c.cfg.Task.Alias, err))
		}
	}
}

const coreVersion = 2

// encode returns what the core itself adds to a snapshot: counts, routing cursors, and the operator's position or state.
func (c *Core) encode() ([]byte, error) {
	b := []byte{coreVersion}
	b = binary.AppendUvarint(b, c.lost.Dead)
	b = binary.AppendUvarint(b, c.lost.Dropped)
	var state []byte
	for _, s := range c.outputs.streams {
		for i := range s.routes {
			state = s.routes[i].router.AppendState(state[:0])
			b = binary.AppendUvarint(b, uint64(len(state)))
			b = append(b, state...)
		}
	}
	if c.trees != nil && c.trees.pending != nil {
		return append(b, c.trees.pending.position...), nil
	}
	if c.spout != nil {
		return c.spout.Position(b), nil
	}
	if s, ok := c.bolt.(bolt.Snapshotter); ok {
		own, err := s.Snapshot()
		if err != nil {
			return nil, err
		}
		b = append(b, own...)
	}
	return b, nil
}

// ErrSnapshot: a snapshot cannot be read, though its checksums are right; it was written by another version of
// the runtime or of the topology.
var ErrSnapshot = errors.New("task: unreadable snapshot")

// restore makes the operator, and brings it and the machine to where the history ends (R2).
func (c *Core) restore(h *checkpoint.History) error {
	own := make([][]byte, len(h.Chain))
	keyed := make([][]byte, len(h.Chain))
	c.incarnation = h.Incarnation
	mh := recovery.History{Incarnation: h.Incarnation, Determinants: h.Determinants}
	for k, snapshot := range h.Chain {
		var machine []byte
		var ok1, ok2 bool
		own[k], snapshot, ok1 = cutPart(snapshot)
		machine, keyed[k], ok2 = cutPart(snapshot)
		if !ok1 || !ok2 {
			return fmt.Errorf("%w: its parts do not add up", ErrSnapshot)
		}
		mh.Chain = append(mh.Chain, machine)
	}
	m, err := c.cfg.Strategy(c.machineConfig(h.Incarnation), mh)
	if err != nil {
		return err
	}
	c.machine = m
	c.outputs = newOutputs(&c.cfg, h.Incarnation, m.Status().Outputs)
	c.outputs.settle = c.settle
	if err := c.makeOperator(); err != nil {
		return err
	}
	for _, data := range keyed {
		if err := c.store.Apply(data); err != nil {
			return err
		}
	}
	c.chain = len(h.Chain)
	if len(own) > 0 {
		if err := c.decode(own[len(own)-1]); err != nil {
			return err
		}
	} else if c.cfg.seed != nil {
		if err := c.adopt(c.cfg.seed); err != nil {
			return err
		}
	}
	if c.trees = newTrees(c); c.trees != nil {
		c.outputs.trees = c.trees
		c.outputs.most -= tuple.RootSize
		if p := c.trees.pending; p != nil {
			p.position = c.spout.Position(nil)
		}
	}
	return nil
}

func (c *Core) makeOperator() error {
	op := c.cfg.Task.Operator
	if op.Tick > 0 {
		c.tickEvery = max(1, recovery.Tick(op.Tick.Milliseconds()))
	}
	if op.Spout != nil {
		c.spout = op.Spout.New()
		if s, ok := c.spout.(spout.Opener); ok {
			return s.Open(taskContext{c})
		}
		return nil
	}
	c.bolt = op.Bolt()
	if c.bolt == nil {
		return fmt.Errorf("task: the factory of operator %q returned nil", op.Name)
	}
	if b, ok := c.bolt.(System); ok && op.System {
		c.tickEvery = b.Join(c.cfg.Plan, c.cfg.Settings.Defaulted())
	}
	if b, ok := c.bolt.(bolt.Preparer); ok {
		return b.Prepare(taskContext{c})
	}
	return nil
}

// decode reads what encode wrote.
func (c *Core) decode(b []byte) error {
	b, err := c.lost.decode(b)
	if err != nil {
		return err
	}
	for _, s := range c.outputs.streams {
		for i := range s.routes {
			state, rest, ok := cutPart(b)
			if !ok {
				return fmt.Errorf("%w: routing state is cut short", ErrSnapshot)
			}
			if err := s.routes[i].router.SetState(state); err != nil {
				return err
			}
			b = rest
		}
	}
	return c.resume(b)
}

// decode reads the version and the counts from the front of the core's part of a snapshot, and returns the rest.
func (l *Lost) decode(b []byte) (rest []byte, err error) {
	if len(b) == 0 || b[0] != coreVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrSnapshot)
	}
	b = b[1:]
	for _, n := range []*uint64{&l.Dead, &l.Dropped} {
		v, width := binary.Uvarint(b)
		if width <= 0 {
			return nil, fmt.Errorf("%w: its counts are cut short", ErrSnapshot)
		}
		*n, b = v, b[width:]
	}
	return b, nil
}

// resume has the operator go on from a position, or with its state.
func (c *Core) resume(b []byte) error {
	if c.spout != nil {
		return c.spout.Seek(b)
	}
	if s, ok := c.bolt.(bolt.Snapshotter); ok {
		if err := s.Restore(b); err != nil {
			return err
		}
		if s, ok := c.bolt.(bolt.Committer); ok {
			return s.Commit()
		}
	}
	return nil
}

// cutPart splits off a part that its length precedes.
func cutPart(b []byte) (part, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}

// taskContext is the bolt.Context of a core.
type taskContext struct{ c *Core }

func (x taskContext) Task() bolt.Task {
	t := x.c.cfg.Task
	return bolt.Task{
		Topology: x.c.cfg.Plan.Name, Alias: t.Alias, Parallel: t.Operator.Parallel, Strategy: x.c.cfg.Plan.Strategy, Incarnation: x.c.incarnation,
	}
}

func (x taskContext) State() *state.Store { return x.c.store }

func (x taskContext) Now() time.Time {
	fresh := uint64(x.c.cfg.Now().UnixNano())
	return time.Unix(0, int64(x.c.recorded(recovery.DeterminantTime, fresh)))
}

func (x taskContext) Rand() uint64 { return x.c.recorded(recovery.DeterminantRand, x.c.cfg.Rand()) }

func systemRand() uint64 { return rand.Uint64() }
