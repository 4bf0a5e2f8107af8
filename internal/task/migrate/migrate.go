// Package migrate begins a task with the state that its namesake has left in the log of another plan, after a change of
// the topology such as another parallelism.
//
// A change goes through a standstill: spouts are not polled and timers do not fire until every task is without work and no
// message is on its way (task.Config.Quiesce). Each task then reports the hash of its channel positions, and the tasks of
// the new plan start with an Origin that names the old log, the old plan and that hash. A task reads its origin until its
// own log has a snapshot. Migration is refused if the origin's log has moved since the quiesce.
package migrate

import (
	"context"
	"encoding/binary"
	"hash/fnv"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/topology"
)

// An Origin is the log of another plan that a task continues from. If the old plan has no task of that name, or
// QuiescePositions is 0, the task begins empty.
type Origin struct {
	Log              checkpoint.Log
	Plan             *topology.Plan
	QuiescePositions uint64 // Positions of the old task at the standstill
}

// Open begins a new incarnation of a task as task.Open does. If the task has an origin and its own log has no snapshot, it
// returns the seed that the task is to begin with, too; the incarnation is then greater than any in the old log, since
// outside systems may have stored those.
func Open(ctx context.Context, log checkpoint.Log, cfg task.Config, base *recovery.Base, from *Origin, opt checkpoint.Options) (
	*checkpoint.Writer, *checkpoint.History, *task.Seed, error,
) {
	alias := cfg.Task.Alias
	w, h, err := task.Open(ctx, log, alias, base, opt)
	if err != nil || from == nil || len(h.Chain) > 0 {
		return w, h, nil, err
	}
	seed, last, err := from.read(ctx, cfg, opt)
	if err != nil || last == nil || last.Incarnation < h.Incarnation {
		return w, h, seed, err
	}
	opt.AtLeast = max(opt.AtLeast, last.Incarnation+1)
	w, h, err = task.Open(ctx, log, alias, base, opt)
	return w, h, seed, err
}

// read returns the state that the task's namesake has left, and its history. It fails if the old log has moved since the
// standstill.
func (o *Origin) read(ctx context.Context, cfg task.Config, opt checkpoint.Options) (*task.Seed, *checkpoint.History, error) {
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
	seed, st, err := task.ReadSeed(cfg, h)
	if err != nil {
		return nil, nil, err
	}
	// The snapshot may hold retained frames; they have become stable since, or the task would not have been quiescent.
	if st.Replaying || Positions(st) != o.QuiescePositions {
		return nil, nil, damaged("it has moved since the standstill")
	}
	return seed, h, nil
}

// Positions hashes the positions of all of a task's channels. It is never 0.
func Positions(st *recovery.Status) uint64 {
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
