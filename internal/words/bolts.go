package words

import (
	"context"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// Split emits the words of a line.
type Split struct{}

// Execute implements bolt.Bolt.
func (Split) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	for word := range Of(t.Bytes(0)) {
		if err := out.Row().Bytes(word).Emit(); err != nil {
			return err
		}
	}
	return nil
}

// Count keeps a counter per word, and emits each word with its total when its input ends.
type Count struct{ N *state.Map[string, int64] }

// Prepare implements bolt.Preparer.
func (c *Count) Prepare(ctx bolt.Context) (err error) {
	c.N, err = state.Open[string, int64](ctx, "counts")
	return err
}

// Execute implements bolt.Bolt.
func (c *Count) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	*c.N.At(t.Bytes(0))++
	return nil
}

// Finish implements bolt.Finisher.
func (c *Count) Finish(_ context.Context, out bolt.Emitter) error {
	for word, n := range c.N.All() {
		if err := out.Row().String(word).Int(n).Emit(); err != nil {
			return err
		}
	}
	return nil
}
