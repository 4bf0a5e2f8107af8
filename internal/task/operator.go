package task

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
)

// A System bolt is one that a strategy has added to the topology. Join is called before Prepare, with the plan and the
// strategy's settings. It returns the interval of the bolt's Tick in milliseconds; 0: never.
type System interface {
	Join(plan *topology.Plan, settings recovery.Config) recovery.Tick
}

// makeOperator makes the bolt or the spout, and has it prepare itself.
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
