package task

import (
	"fmt"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
)

// A Seed is the state of an operator, taken out of the log of another plan, that a task begins with: the operator's own
// state or its position, its keyed state, and its counts of lost tuples. Channels and routing begin anew. See package
// migrate.
type Seed struct {
	lost  Lost
	own   []byte // the operator's part of the result of encode
	keyed [][]byte
}

// ReadSeed returns the seed in the history of a task, and its machine's status at the end of that history. The
// configuration is that of the old plan's task. It fails with ErrSnapshot if the history has no snapshot, or one that
// cannot be read.
func ReadSeed(cfg Config, h *checkpoint.History) (*Seed, *recovery.Status, error) {
	c := &Core{cfg: cfg}
	seed, mh := &Seed{}, recovery.History{Incarnation: h.Incarnation, Determinants: h.Determinants}
	var own []byte
	for _, snapshot := range h.Chain {
		part, machine, keyed, err := cutSnapshot(snapshot)
		if err != nil {
			return nil, nil, err
		}
		own, mh.Chain, seed.keyed = part, append(mh.Chain, machine), append(seed.keyed, keyed)
	}
	m, err := cfg.Strategy(c.machineConfig(h.Incarnation), mh)
	if err != nil {
		return nil, nil, err
	}
	if own, err = seed.lost.decode(own); err != nil {
		return nil, nil, err
	}
	for _, stream := range cfg.Task.Operator.Streams {
		for range stream.Edges {
			_, rest, ok := cutPart(own)
			if !ok {
				return nil, nil, fmt.Errorf("%w: routing state is cut short", ErrSnapshot)
			}
			own = rest
		}
	}
	seed.own = own
	return seed, m.Status(), nil
}

// adopt begins with a seed.
func (c *Core) adopt(s *Seed) error {
	for _, data := range s.keyed {
		if err := c.store.Apply(data); err != nil {
			return err
		}
	}
	c.lost = s.lost
	return c.resume(s.own)
}
