package task

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
)

// A capture is a snapshot on its way to the log. The operator's own state is captured at once; keyed state is frozen, and
// encoded a little at a time between frames. The machine decides when to store it.
type capture struct {
	full    bool
	own     []byte
	encoded bool
	keyed   []byte // once encoded
	due     bool   // the machine has returned Upload

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
	c.capture = &capture{full: full, own: own}
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

// storeCapture passes the snapshot to Store, when it is complete and the machine has asked for its upload.
func (c *Core) storeCapture() {
	s := c.capture
	if s == nil || !s.encoded || !s.due {
		return
	}
	machine := c.machine.Capture(nil, s.full)
	c.env.Store(c.era, [][]byte{
		binary.AppendUvarint(nil, uint64(len(s.own))), s.own,
		binary.AppendUvarint(nil, uint64(len(machine))), machine,
		s.keyed,
	}, s.full)
	s.own, s.keyed, s.due = nil, nil, false
}

// commit has a sink make the output visible that its last stored snapshot closed.
func (c *Core) commit() {
	if s, ok := c.bolt.(bolt.Committer); ok {
		if err := s.Commit(); err != nil {
			c.fail(fmt.Errorf("commit %v: %w", c.cfg.Task.Alias, err))
		}
	}
}

const coreVersion = 2

// encode returns the core's own part of a snapshot: counts, routing cursors, and the operator's position or state.
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
	switch {
	case c.spout != nil && c.tracker != nil:
		return append(b, c.tracker.Pending().Position()...), nil
	case c.spout != nil:
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

// restore makes the operator, and restores it and the machine to the end of the history (R2).
func (c *Core) restore(h *checkpoint.History) error {
	own := make([][]byte, len(h.Chain))
	keyed := make([][]byte, len(h.Chain))
	c.incarnation = h.Incarnation
	mh := recovery.History{Incarnation: h.Incarnation, Determinants: h.Determinants}
	for k, snapshot := range h.Chain {
		var machine []byte
		var err error
		if own[k], machine, keyed[k], err = cutSnapshot(snapshot); err != nil {
			return err
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
	} else if c.cfg.Seed != nil {
		if err := c.adopt(c.cfg.Seed); err != nil {
			return err
		}
	}
	if names := c.store.Unopened(); len(names) > 0 {
		return fmt.Errorf("%w: it holds keyed state %q, which operator %q does not open when it is prepared: open it under that name, or begin with another log",
			ErrSnapshot, names, c.cfg.Task.Operator.Name)
	}
	c.follow()
	return nil
}

// follow starts the tracker, if the strategy follows tuples and the task takes part in that.
func (c *Core) follow() {
	m, ok := c.machine.(tracking.Machine)
	t := c.cfg.Task
	if !ok || t.Operator.Stream(tracking.Stream) == nil {
		return
	}
	var position []byte
	if c.spout != nil {
		position = c.spout.Position(nil)
	}
	c.tracker = m.Tracker()
	c.tracker.Start(t.Number, c.incarnation, c.outputs.on(tracking.Stream).row, position)
	c.outputs.follow(t, c.incarnation, c.tracker)
}

// decode reads the result of encode.
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

// resume gives the operator its position or its state.
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

// cutSnapshot splits a snapshot into the core's part, the machine's, and keyed state.
func cutSnapshot(snapshot []byte) (own, machine, keyed []byte, err error) {
	own, rest, ok1 := cutPart(snapshot)
	machine, keyed, ok2 := cutPart(rest)
	if !ok1 || !ok2 {
		return nil, nil, nil, fmt.Errorf("%w: its parts do not add up", ErrSnapshot)
	}
	return own, machine, keyed, nil
}

// cutPart splits off a part with its length in front.
func cutPart(b []byte) (part, rest []byte, ok bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return nil, nil, false
	}
	return b[k : k+int(n)], b[k+int(n):], true
}
