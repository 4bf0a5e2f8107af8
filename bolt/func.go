package bolt

import (
	"context"

	"github.com/askback/askback/tuple"
)

// Func returns the factory of a bolt that has no state: f is its Execute. The tasks of an operator call f concurrently, so
// f must not change variables that it closes over.
//
//	b.Bolt("long", bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
//		if len(t.Bytes(0)) < 8 {
//			return nil
//		}
//		return out.Row().Bytes(t.Bytes(0)).Emit()
//	})).Shuffle("words").Fields("word")
func Func(f func(ctx context.Context, t tuple.Tuple, out Emitter) error) func() Bolt {
	return func() Bolt { return function(f) }
}

type function func(ctx context.Context, t tuple.Tuple, out Emitter) error

// Execute calls f.
func (f function) Execute(ctx context.Context, t tuple.Tuple, out Emitter) error {
	return f(ctx, t, out)
}
