package stream

import (
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/topology"
)

// To ends a stream in a sink, which has an effect outside for each value. The sink and the steps before it are one operator
// where they have as many tasks. Exceptions are a source, since its operator cannot commit effects, and a step with state
// if the sink's effects are not committed with the snapshot (bolt.Committer).
func To[T any](in Stream[T], name string, to Sink[T]) *SinkStep[T] {
	n := in.topology(name).add(name, sink, in.in())
	n.keeps = true
	if to == nil {
		n.t.reject(name, "the sink is nil: give one")
		return &SinkStep[T]{n}
	}
	if every, ok := to.(interface{ Every() time.Duration }); ok {
		n.tick = every.Every()
	}
	n.writer = func() any { return to.New() }
	n.make = func(x *instance) []any {
		w := to.New()
		x.part(n).writer = w
		x.ids, _ = w.(Identifier)
		return []any{inPlace(func(v *T) {
			if x.err != nil {
				return
			}
			if err := w.Write(x.ctx, *v); err != nil {
				x.fail(n, err, summary(v))
			}
		})}
	}
	return &SinkStep[T]{n}
}

// identified reports whether a sink's writers need message ids.
func (n *node) identified() bool {
	if n.writer == nil {
		return false
	}
	_, is := n.writer().(Identifier)
	return is
}

// commits reports whether a sink's effects become visible with the snapshots that cover them.
func (n *node) commits() bool {
	if n.writer == nil {
		return false
	}
	_, does := n.writer().(bolt.Committer)
	return does
}

// A SinkStep is a sink being declared. Each method returns it, so that calls chain.
type SinkStep[T any] struct{ n *node }

// Parallel sets how many tasks the sink has; see Stream.Parallel.
func (s *SinkStep[T]) Parallel(tasks int) *SinkStep[T] {
	s.n.setParallel(tasks)
	return s
}

// Isolate keeps the sink apart; see Stream.Isolate.
func (s *SinkStep[T]) Isolate() *SinkStep[T] {
	s.n.isolated = true
	return s
}

// Retry tries a value again that the sink cannot take; see Stream.Retry.
func (s *SinkStep[T]) Retry(times int, backoff time.Duration) *SinkStep[T] {
	s.n.setRetry(times, backoff)
	return s
}

// Drop drops and counts a value that the sink cannot take; see Stream.Drop.
func (s *SinkStep[T]) Drop() *SinkStep[T] {
	s.n.policies = append(s.n.policies, topology.Drop)
	return s
}

// Tick sets the interval of the writers' Tick, at least a millisecond: they must implement bolt.Ticker. The default is the
// interval that the sink itself chooses; most choose none.
func (s *SinkStep[T]) Tick(every time.Duration) *SinkStep[T] {
	s.n.tick, s.n.mustTick = every, true
	return s
}

// DeadLetters declares that a value which the sink cannot take goes to the returned stream; see the function DeadLetters.
func (s *SinkStep[T]) DeadLetters() Stream[Dead[T]] { return deadOf[T](s.n) }

// The bolt of an operator has the optional interfaces that its sinks have, since the runtime derives from them the state
// that a task keeps.
type (
	snapshotting struct{ *instance }
	committing   struct{ snapshotting }
	renameSafe   struct{ committing }
)

// bolt returns the instance with the interfaces of its writers.
func (x *instance) bolt() bolt.Bolt {
	var snaps, commits, safe int
	for _, p := range x.parts {
		if _, ok := p.writer.(bolt.RenameSafe); ok {
			safe++
		}
		if _, ok := p.writer.(bolt.Committer); ok {
			commits++
		}
		if _, ok := p.writer.(bolt.Snapshotter); ok {
			snaps++
		}
	}
	switch {
	case commits > 0 && commits == safe:
		return renameSafe{committing{snapshotting{x}}}
	case commits > 0:
		return committing{snapshotting{x}}
	case snaps > 0:
		return snapshotting{x}
	}
	return x
}
