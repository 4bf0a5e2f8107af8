package stream

import (
	"context"
)

// From begins a stream with the values of a source. The source and the steps after it are one operator as long as they only
// compute: a step that keeps state, a sink, or a step with Retry, Drop or DeadLetters begins the next one.
func From[T any](t *Topology, name string, from Source[T]) Stream[T] {
	n := t.add(name, source)
	s, out := outputOf[T](n)
	if from == nil {
		t.reject(name, "the source is nil: give one")
		return s
	}
	n.reader = func(x *instance) reading {
		return newReading(from.New(), x.push(out).(push[T]).of)
	}
	return s
}

// Map returns the stream of f's results. F must be deterministic, must not change variables that it closes over, and is
// called by several goroutines at once. A []byte in its argument is valid during the call, and may be part of its result.
func Map[T, U any](in Stream[T], name string, f func(T) U) Stream[U] {
	n := in.topology(name).add(name, step, in.in())
	n.needs(f != nil)
	s, out := outputOf[U](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[U]).of
		return []any{push[T]{
			of: func(v T) { next(f(v)) },
			at: func(v *T) { next(f(*v)) },
		}}
	}
	return s
}

// Update returns the stream of the values as f has changed them. It is Map for large values: a struct of more than four words
// is copied at each call that takes or returns it, which costs more than most functions do. F may set the fields of v. The
// bytes of a []byte and other memory that these refer to belong to other steps as well. F must not keep v; its other duties are those
// of Map's function.
func Update[T any](in Stream[T], name string, f func(v *T)) Stream[T] {
	n := in.topology(name).add(name, step, in.in())
	n.needs(f != nil)
	s, out := outputOf[T](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[T]).at
		return []any{inPlace(func(v *T) {
			f(v)
			next(v)
		})}
	}
	return s
}

// TryMap is Map for a function that may fail or wait. The context ends when the task is stopped. An error fails the
// topology unless the step declares another policy (Retry, Drop, DeadLetters).
func TryMap[T, U any](in Stream[T], name string, f func(ctx context.Context, v T) (U, error)) Stream[U] {
	n := in.topology(name).add(name, step, in.in())
	n.needs(f != nil)
	s, out := outputOf[U](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[U]).of
		return []any{inPlace(func(v *T) {
			if x.err != nil {
				return
			}
			u, err := f(x.ctx, *v)
			if err != nil {
				x.fail(n, err, summary(v))
				return
			}
			next(u)
		})}
	}
	return s
}

// Filter returns the stream of the values for which keep returns true. Its duties are those of Map's function.
func Filter[T any](in Stream[T], name string, keep func(T) bool) Stream[T] {
	n := in.topology(name).add(name, step, in.in())
	n.needs(keep != nil)
	s, out := outputOf[T](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[T])
		return []any{push[T]{
			of: func(v T) {
				if keep(v) {
					next.of(v)
				}
			},
			at: func(v *T) {
				if keep(*v) {
					next.at(v)
				}
			},
		}}
	}
	return s
}

// FlatMap returns the stream of the values that f passes to out, any number for each of its arguments. Out must not be kept
// after the call, and a []byte given to it need not stay as it is after out has returned. Its other duties are those of
// Map's function.
func FlatMap[T, U any](in Stream[T], name string, f func(v T, out func(U))) Stream[U] {
	n := in.topology(name).add(name, step, in.in())
	n.needs(f != nil)
	s, out := outputOf[U](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[U]).of
		return []any{push[T]{
			of: func(v T) { f(v, next) },
			at: func(v *T) { f(*v, next) },
		}}
	}
	return s
}

// TryFlatMap is FlatMap for a function that may fail or wait; see TryMap. The output of a call that fails is taken back.
func TryFlatMap[T, U any](in Stream[T], name string, f func(ctx context.Context, v T, out func(U)) error) Stream[U] {
	n := in.topology(name).add(name, step, in.in())
	n.needs(f != nil)
	s, out := outputOf[U](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[U]).of
		return []any{inPlace(func(v *T) {
			if x.err != nil {
				return
			}
			if err := f(x.ctx, *v, next); err != nil {
				x.fail(n, err, summary(v))
			}
		})}
	}
	return s
}
