package bench

import (
	"context"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// fanout sends each tuple one way by key and another way to all tasks, of which one answers. The two are joined by
// their number.
func fanout(s *Spec, restores bool) (*job, error) {
	j := numbered(s, restores, s.Parallel, s.Parallel)
	j.sink = "join"
	b := topology.New("fanout")
	b.Spout("source", j.feed(func(n int64, out spout.Emitter) error {
		return out.Row().Int(n % 1000).Int(n).Emit()
	})).Parallel(s.Parallel).Fields("key", "n")
	s.middle(b.Bolt("byKey", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(1)).Emit()
	}))).GroupBy("source", "key").Fields("n")
	s.middle(b.Bolt("toAll", func() bolt.Bolt { return &share{} })).All("source").Fields("n")
	b.Bolt("join", func() bolt.Bolt { return &join{sink: sink{m: j.meter}} }).
		Parallel(s.Parallel).GroupBy("byKey", "n").GroupBy("toAll", "n")
	j.topology = b
	return j, nil
}

// share is one of several tasks that all get everything, and passes its own part on.
type share struct{ task, of int64 }

func (s *share) Prepare(ctx bolt.Context) error {
	s.task, s.of = int64(ctx.Task().Alias.Index), int64(ctx.Task().Parallel)
	return nil
}

func (s *share) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	if n := t.Int(1); mix(uint64(n))%uint64(s.of) == uint64(s.task) {
		return out.Row().Int(n).Emit()
	}
	return nil
}

// join waits for both halves of a number.
type join struct {
	sink
	half *state.Map[int64, int64] // numbers of which one half is here, and which
}

func (j *join) Prepare(ctx bolt.Context) (err error) {
	if err := j.sink.Prepare(ctx); err != nil {
		return err
	}
	j.half, err = state.Open[int64, int64](ctx, "half")
	return err
}

func (j *join) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	n, side := t.Int(0), int64(0)
	if t.Source().Operator == "toAll" {
		side = 1
	}
	if have, ok := j.half.Get(n); ok && have != side {
		j.half.Delete(n)
		j.arrive(n)
		return nil
	}
	j.half.Put(n, side)
	return nil
}
